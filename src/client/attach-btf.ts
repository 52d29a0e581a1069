/** Which function or tracepoint of the kernel a program is for, where its section gives a name of the kernel's types. */
import { BTF_KIND, Btf, type BtfKind } from '../btf/index.ts'
import type { ProgramToLoad } from './calls.ts'
import { LoadError, SyscallError } from './errors.ts'
import type { KernelFacts, TypeFacts } from './kernel-facts.ts'
import type { ProgramSpec } from './spec/index.ts'

/** Names of the kernel's types that stand for what programs attach to, by the rows of section names. */
const ATTACH_NAMES: readonly { readonly section: RegExp; readonly prefix: string; readonly kind: BtfKind }[] =
  [
    { section: /^tp_btf/, prefix: 'btf_trace_', kind: BTF_KIND.TYPEDEF },
    { section: /^lsm/, prefix: 'bpf_lsm_', kind: BTF_KIND.FUNC },
    { section: /^iter/, prefix: 'bpf_iter_', kind: BTF_KIND.FUNC },
    { section: /^(fentry|fexit|fmod_ret)/, prefix: '', kind: BTF_KIND.FUNC },
  ]

const rowOf = (pattern: string) => ATTACH_NAMES.find((one) => one.section.test(pattern))

/** The names of the kernel's types that these programs' sections say. */
export function attachNames(programs: readonly ProgramSpec[]): readonly string[] {
  return programs.flatMap(({ definition: { attach, pattern } }) => {
    const row = attach.kind === 'btf' ? rowOf(pattern) : undefined
    return row === undefined || attach.kind !== 'btf' ? [] : [row.prefix + attach.name]
  })
}

/**
 * The function or tracepoint of the kernel, or of the program `of`, that the program's section names; `undefined` where
 * it names none.
 */
export function attachTarget(
  facts: KernelFacts,
  spec: ProgramSpec,
  of?: { readonly fd: number },
): ProgramToLoad['attachTo'] | LoadError {
  const { attach } = spec.definition
  return of !== undefined && attach.kind === 'btf'
    ? functionOfProgram(facts, spec, attach.name, of.fd)
    : kernelTarget(facts, spec)
}

/** The function or tracepoint of the kernel that the program's section names; `undefined` where it names none. */
export function kernelTarget(
  facts: TypeFacts,
  { definition, name, section }: ProgramSpec,
): ProgramToLoad['attachTo'] | LoadError {
  const { attach, pattern } = definition
  if (attach.kind !== 'btf') return undefined
  const row = rowOf(pattern)
  if (row === undefined) {
    return new LoadError(
      'unknown-target',
      name,
      `program '${name}' (${section}) replaces a function of another program: say which by the option targetPrograms`,
    )
  }
  const types = facts.types()
  if (types instanceof LoadError)
    return new LoadError(types.code, name, `program '${name}' (${section}): ${types.message}`, types.errno)
  const wanted = row.prefix + attach.name
  if (attach.module === undefined || attach.module === 'vmlinux') {
    const id = types.find(wanted, row.kind)
    if (id !== undefined) return { id, btfFd: 0 }
  }
  for (const { btf, fd, name: module } of facts.modules()) {
    if (attach.module !== undefined && attach.module !== module) continue
    for (const id of btf.findAll(wanted, row.kind)) if (id >= btf.firstId) return { id, btfFd: fd }
  }
  return new LoadError(
    'unknown-target',
    name,
    `program '${name}' (${section}): the kernel's types have no ${row.prefix === 'btf_trace_' ? 'tracepoint' : 'function'} '${attach.name}'`,
  )
}

/** A function of a loaded program, whose descriptor stands where that of a module's types does otherwise. */
function functionOfProgram(
  facts: KernelFacts,
  { name, section }: ProgramSpec,
  wanted: string,
  programFd: number,
): ProgramToLoad['attachTo'] | LoadError {
  const types = facts.typesOfProgram(programFd)
  const fail = (why: string, errno?: number) =>
    new LoadError('unknown-target', name, `program '${name}' (${section}): ${why}`, errno)
  if (types === undefined) return fail('the program that it is for has no types (BTF)')
  if (types instanceof SyscallError) return fail(types.message, types.errno)
  if (!(types instanceof Btf)) return fail(types.message)
  const id = types.find(wanted, BTF_KIND.FUNC)
  return id === undefined
    ? fail(`the program that it is for has no function '${wanted}'`)
    : { id, btfFd: programFd }
}
