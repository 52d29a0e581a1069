/** Extensions of programs, and programs that trace programs: who may attach where, and what they find there. */
import { describe, expect, test } from 'vitest'
import { BPF_ATTACH_TYPE, BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND, type Btf, type BtfId } from '../../btf/index.ts'
import { functionTypes } from '../../btf/testing/function-types.ts'
import { helperByName } from '../../helpers/index.ts'
import { assemble } from '../../isa/index.ts'
import type { ProvedFunction } from '../facts.ts'
import type { ProgramInput, TargetProgram } from '../program.ts'
import { prove } from '../prover.ts'
import { attachmentError } from './attach-program.ts'

const T = BPF_PROG_TYPE
const A = BPF_ATTACH_TYPE

const idOf = (btf: Btf, name: string): BtfId => {
  const id = btf.find(name, BTF_KIND.FUNC)
  if (id === undefined) throw new Error(`no function ${name}`)
  return id
}

const targetTypes = functionTypes(
  'int main(struct xdp_md *context)',
  'int twice(int number)',
  'int both(struct xdp_md *context, u64 number)',
  'int named(struct other *pointer)',
  'int untold(int number)',
  'static int hidden(int number)',
)

function proved(name: string, more: Partial<ProvedFunction> = {}): ProvedFunction {
  return {
    start: 0,
    typeId: idOf(targetTypes, name),
    isReliable: true,
    isExceptionCallback: false,
    changesPacket: false,
    mightSleep: false,
    ...more,
  }
}

const xdp: TargetProgram = {
  programType: T.BPF_PROG_TYPE_XDP,
  expectedAttachType: 0,
  contextType: T.BPF_PROG_TYPE_XDP,
  functions: [proved('main'), proved('twice'), proved('both'), proved('named'), proved('hidden')],
  isJited: true,
  tracesTracing: false,
}

const kernelTypes = functionTypes('int kernel_function(struct xdp_buff *a, struct sk_buff *b)')

interface Attaching {
  readonly declaration?: string
  readonly to?: string
  readonly target?: Partial<TargetProgram>
  readonly more?: Partial<ProgramInput>
}

/** An extension's verdict: its last line, or 'accepted'. */
function extend(source: string, { declaration, to = 'twice', target = {}, more = {} }: Attaching = {}) {
  const assembled = assemble(source, { helperId: (name) => helperByName(name)?.id })
  if (!assembled.ok) throw new Error(JSON.stringify(assembled.errors))
  const btf = functionTypes(declaration ?? 'int mine(int number)')
  const typeId = [...btf.ids()].find((id) => btf.kindOf(id) === BTF_KIND.FUNC) as BtfId
  const verdict = prove({
    instructions: assembled.program,
    programType: T.BPF_PROG_TYPE_EXT,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    name: 'mine',
    maps: [],
    descriptors: [],
    functions: [{ instruction: 0, typeId }],
    lines: [],
    logLevel: 2,
    btf,
    kernelTypes,
    attach: { btfId: idOf(targetTypes, to), btf: targetTypes, program: { ...xdp, ...target } },
    ...more,
  })
  return verdict.accepted ? verdict.log : `${verdict.errno}: ${verdict.message}`
}

const trace = (source: string, attaching: Attaching = {}, attachType: number = A.BPF_TRACE_FENTRY) =>
  extend(source, {
    ...attaching,
    more: { programType: T.BPF_PROG_TYPE_TRACING, expectedAttachType: attachType, ...attaching.more },
  })

const IDENTITY = 'r0 = r1\nexit'
const ZERO = 'r0 = 0\nexit'

describe('an extension', () => {
  test('has the arguments of the function, as its own types say', () => {
    expect(extend(IDENTITY)).toContain('Validating mine() func#0...\n0: R1=scalar() R10=fp0\n')
  })

  test('takes the context of the program that it extends', () => {
    const context = { declaration: 'int mine(struct xdp_md *ctx, u64 number)', to: 'both' }
    expect(extend('r0 = *(u32 *)(r1 +12)\nr0 += r2\nexit', context)).toContain('R1=ctx()')
    expect(extend('r0 = *(u32 *)(r1 +2)\nexit', context)).toBe('13: invalid bpf_context access off=2 size=4')
    const adjust = 'r2 = 0\ncall bpf_xdp_adjust_head\nexit'
    expect(extend(adjust, context)).toBe('22: Extension program changes packet data, while original does not')
    const changing = { functions: [proved('both', { changesPacket: true })] }
    expect(extend(adjust, { ...context, target: changing })).toMatch(/^processed 3 insns|\nprocessed 3/)
  })

  test('returns what programs of that type may', () => {
    const skb = {
      programType: T.BPF_PROG_TYPE_CGROUP_SKB,
      contextType: T.BPF_PROG_TYPE_CGROUP_SKB,
      expectedAttachType: A.BPF_CGROUP_INET_INGRESS,
    }
    expect(extend('r0 = 2\nexit', { target: skb })).toBe(
      '22: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]',
    )
    expect(extend('r0 = 2\nexit')).toContain('processed 2 insns')
  })

  test('has no helpers that the program does not have', () => {
    expect(extend('call bpf_ktime_get_ns\nr0 = 0\nexit')).toContain('processed 3')
    expect(extend('r1 = r10\nr2 = 1\nr3 = 1\ncall bpf_skb_load_bytes\nexit')).toMatch(
      /^22: program of this type cannot use helper/,
    )
  })

  test.each([
    ['a function that is not there', { to: 'untold' }, "Subprog untold doesn't exist"],
    [
      'an exception callback',
      { target: { functions: [proved('twice', { isExceptionCallback: true })] } },
      'Extension programs cannot attach to exception callback',
    ],
    [
      'a function that is not called as its type says',
      { target: { functions: [proved('twice', { isReliable: false })] } },
      'Cannot replace static functions',
    ],
    ['a static function', { to: 'hidden' }, 'hidden() is not a global function'],
    ['one that is not compiled', { target: { isJited: false } }, 'Can attach to only JITed progs'],
    ['an extension', { target: { programType: T.BPF_PROG_TYPE_EXT } }, 'Cannot recursively attach'],
    [
      'a tracing program',
      { target: { programType: T.BPF_PROG_TYPE_TRACING, expectedAttachType: A.BPF_TRACE_FEXIT } },
      'Cannot extend fentry/fexit',
    ],
    [
      'other parameters',
      { declaration: 'int mine(int a, int b)' },
      'mine() has 2 args while twice() has 1 args',
    ],
    ['a kind', { declaration: 'int mine(struct xdp_md *a)' }, 'arg0 in mine() is PTR while twice() has INT'],
    ['a size', { declaration: 'int mine(u64 a)' }, 'arg0 in mine() has size 8 while twice() has 4'],
    [
      'a result',
      { declaration: 'void mine(int a)' },
      "Return type UNKNOWN of mine() doesn't match type INT of twice()",
    ],
    [
      'a struct',
      { declaration: 'int mine(struct __sk_buff *a)', to: 'main' },
      "arg0 mine(struct __sk_buff *) doesn't match main(struct xdp_md *)",
    ],
    [
      'a pointer to a number',
      { declaration: 'int mine(int *a)', to: 'main' },
      'arg0 in mine() is not a pointer to context',
    ],
    ['no types', { more: { functions: [] } }, 'Program extension requires BTF'],
    [
      'nothing',
      { more: { attach: { btfId: 0, btf: targetTypes, program: xdp } } },
      'Tracing programs must provide btf_id',
    ],
    [
      'a program without types',
      { more: { attach: { btfId: 3, program: xdp } } },
      'FENTRY/FEXIT program can only be attached to another program annotated with BTF',
    ],
    [
      'a type that is none',
      { more: { attach: { btfId: 999, btf: targetTypes, program: xdp } } },
      'attach_btf_id 999 is invalid',
    ],
    ['the kernel', { more: { attach: { btfId: 1 } } }, 'Cannot replace kernel functions'],
    [
      'a kernel function that sleeps',
      { more: { flags: 0x10 } },
      'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
    ],
  ] as const)('cannot stand for %s', (_what, attaching, message) => {
    expect(extend(IDENTITY, attaching as Attaching)).toBe(`22: ${message}`)
  })

  test('stays with the kind of program that it was proved for', () => {
    const btf = functionTypes('int mine(int number)')
    const attacher = {
      programType: T.BPF_PROG_TYPE_EXT,
      expectedAttachType: 0,
      isSleepable: false,
      btf,
      functions: [{ instruction: 0, typeId: idOf(btf, 'mine') }],
      changesPacket: false,
      mightSleep: false,
      provedFor: { programType: T.BPF_PROG_TYPE_XDP, expectedAttachType: 0 },
    }
    const twice = idOf(targetTypes, 'twice')
    expect(attachmentError(attacher, xdp, targetTypes, twice)).toBe(0)
    const other = { ...xdp, programType: T.BPF_PROG_TYPE_SCHED_CLS }
    expect(attachmentError(attacher, other, targetTypes, twice)).toBe(22)
    expect(attachmentError(attacher, xdp, targetTypes, idOf(targetTypes, 'main'))).toBe(22)
  })
})

describe('a program that traces a program', () => {
  test('sees numbers as numbers, and the context as the kernel has it', () => {
    const log = trace('r2 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +8)\nr4 = *(u64 *)(r2 +0)\nr0 = 0\nexit', {
      to: 'both',
    })
    expect(log).toContain('R2=ptr_xdp_buff()')
    expect(log).toMatch(/R3=scalar\(\)/)
    expect(log).toContain('R4=rdonly_untrusted_mem(sz=0)')
  })

  test('sees the context of what an extension extends', () => {
    const target = { programType: T.BPF_PROG_TYPE_EXT, contextType: T.BPF_PROG_TYPE_XDP }
    expect(trace('r2 = *(u64 *)(r1 +0)\nr0 = 0\nexit', { to: 'both', target })).toContain('R2=ptr_xdp_buff()')
  })

  test('sees the result at the exit alone', () => {
    const result = 'r2 = *(u64 *)(r1 +8)\nr0 = 0\nexit'
    expect(trace(result, {}, A.BPF_TRACE_FEXIT)).toContain('processed 3')
    expect(trace(result)).toBe('13: invalid bpf_context access off=8 size=8')
  })

  test('sees five words of a function that is not called as its type says', () => {
    const target = { functions: [proved('hidden', { isReliable: false })] }
    const word = (n: number) => `r2 = *(u64 *)(r1 +${8 * n})\nr0 = 0\nexit`
    for (const n of [0, 4]) expect(trace(word(n), { to: 'hidden', target })).toContain('processed 3')
    expect(trace(word(5), { to: 'hidden', target })).toMatch(/^13: invalid bpf_context access/)
    expect(trace(word(5), { to: 'hidden', target }, A.BPF_TRACE_FEXIT)).toContain('processed 3')
    expect(trace(word(6), { to: 'hidden', target }, A.BPF_TRACE_FEXIT)).toMatch(/^13: /)
  })

  test('cannot follow a pointer to something else', () => {
    expect(trace('r2 = *(u64 *)(r1 +0)\nr0 = 0\nexit', { to: 'named' })).toBe(
      '13: invalid bpf_context access off=0 size=8',
    )
  })

  test.each([
    ['a third one', { target: { tracesTracing: true } }, 'Cannot nest tracing program attach more than once'],
    ['it asleep', { more: { flags: 0x10 } }, 'twice is not sleepable'],
    [
      'it as a tracepoint',
      { more: { expectedAttachType: A.BPF_TRACE_RAW_TP } },
      'Only FENTRY/FEXIT progs are attachable to another BPF prog',
    ],
    [
      'and change its result',
      { more: { expectedAttachType: A.BPF_MODIFY_RETURN } },
      "can't modify return codes of BPF programs",
    ],
    [
      'an exception callback',
      { target: { functions: [proved('twice', { isExceptionCallback: true })] } },
      'FENTRY/FEXIT programs cannot attach to exception callback',
    ],
    [
      'one that is not at hand',
      { more: { attach: { btfId: 1, isProgram: true } } },
      'the program to attach to is not at hand',
    ],
  ] as const)('cannot trace %s', (_what, attaching, message) => {
    const { more } = attaching as Attaching
    const errno = more?.attach?.isProgram === true ? 524 : 22
    expect(trace(ZERO, attaching as Attaching, more?.expectedAttachType)).toBe(`${errno}: ${message}`)
  })

  test('one tracing program may trace another', () => {
    const target = { programType: T.BPF_PROG_TYPE_TRACING, expectedAttachType: A.BPF_TRACE_FENTRY }
    expect(trace(ZERO, { target })).toContain('processed 2')
  })
})
