/** For which programs bpf_cast_to_kern_ctx is there; test/linux/kernel-functions.test.ts holds what it gives to Linux. */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE, EINVAL, linkCreateTracingAttr, progTestRunAttr } from '../abi/index.ts'
import { BTF_KIND, Btf, BtfWriter, Declarations } from '../btf/index.ts'
import { createKernel } from './kernel.ts'
import { Caller, u32 } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'
import { loadTyped } from './testing/typed-program.ts'

const T = BPF_PROG_TYPE
const NOT_HERE = 'kernel function bpf_cast_to_kern_ctx is not available in this kernel'

/** A port whose types have these structs. */
function portWith(...structs: readonly string[]): TinyPort {
  const writer = new BtfWriter()
  const declarations = new Declarations(writer, undefined, structs)
  for (const text of structs) declarations.struct(/^struct (\w+)/.exec(text)?.[1] as string)
  const bytes = writer.finish()
  if (!(bytes instanceof Uint8Array)) throw bytes
  const port = new TinyPort()
  port.types = bytes
  return port
}

function start(port: TinyPort, engine: 'jit' | 'interpreter') {
  const kernel = createKernel({ port, engine })
  const caller = new Caller(kernel.openClient())
  const file = caller.readFile('/sys/kernel/btf/vmlinux')
  const types = typeof file === 'number' ? undefined : Btf.parse(file)
  if (!(types instanceof Btf)) throw new Error('no types')
  const cast = `call kernel-function#${types.find('bpf_cast_to_kern_ctx', BTF_KIND.FUNC)}`
  const log = { text: '' }
  /** A descriptor, or the last words of the log. */
  const load = (prog_type: number, source = `${cast}\nr0 = 1\nexit`) => {
    const fd = caller.load(source, { prog_type }, log)
    if (fd < 0) expect(fd).toBe(-EINVAL)
    return fd > 0 ? fd : (log.text.split('\n').at(-3) ?? '')
  }
  const offsetOf = (struct: string, member: string) => {
    const id = types.find(struct, BTF_KIND.STRUCT)
    const type = id === undefined ? undefined : types.typeById(id)
    if (type?.kind !== BTF_KIND.STRUCT) throw new Error(`no ${struct}`)
    return (type.members.find(({ name }) => name === member)?.bitOffset ?? 0) / 8
  }
  return { caller, cast, load, offsetOf }
}

const PACKETS = [T.BPF_PROG_TYPE_XDP, T.BPF_PROG_TYPE_SCHED_CLS, T.BPF_PROG_TYPE_SK_SKB]

describe.each(['jit', 'interpreter'] as const)('the kernel behind a context, by the %s', (engine) => {
  test('is there for packets, where the system has none of its own', () => {
    for (const port of [new TinyPort(), portWith('struct other { __u32 len; }')]) {
      const { load } = start(port, engine)
      for (const type of PACKETS) expect(load(type)).toBeTypeOf('number')
    }
  })

  test("is not there for packets of the system's own, whose fields lie elsewhere", () => {
    const { cast, load } = start(portWith('struct sk_buff { __u32 len; }'), engine)
    expect(load(T.BPF_PROG_TYPE_SCHED_CLS)).toBe(NOT_HERE)
    expect(load(T.BPF_PROG_TYPE_XDP)).toBeTypeOf('number')
    // Where no path leads there, it need not be.
    const around = `r6 = 0\nif r6 == 0 goto +1\n${cast}\nr0 = 1\nexit`
    expect(load(T.BPF_PROG_TYPE_SCHED_CLS, around)).toBeTypeOf('number')
  })

  test('is there for what extends a program', () => {
    const { caller, cast, offsetOf } = start(new TinyPort(), engine)
    const main = 'r6 = r1\ncall length\nexit\nlength:\nr0 = *(u32 *)(r1 +12)\nr0 += 6\nexit'
    const functions = ['int main(struct xdp_md *context)', 'int length(struct xdp_md *context)'] as const
    const target = loadTyped(caller, main, functions)
    const [data, end] = ['data', 'data_end'].map((name) => offsetOf('xdp_buff', name))
    const source = `${cast}\nr1 = *(u64 *)(r0 +${data})\nr0 = *(u64 *)(r0 +${end})\nr0 -= r1\nexit`
    const extension = loadTyped(caller, source, ['int mine(struct xdp_md *context)'], {
      prog_type: T.BPF_PROG_TYPE_EXT,
      attach_prog_fd: target.fd,
      attach_btf_id: target.id('length'),
    })
    expect(extension.log).not.toContain('not available')
    const run = () => {
      const data_in = caller.put(new Uint8Array(50))
      const attr = progTestRunAttr.encode({ prog_fd: target.fd, data_in, data_size_in: 50 })
      expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
      return progTestRunAttr.read(attr).retval
    }
    expect(run()).toBe(7)
    const link = linkCreateTracingAttr.encode({ prog_fd: extension.fd })
    expect(caller.bpf('BPF_LINK_CREATE', link)).toBeGreaterThan(0)
    expect(run()).toBe(50)
  })

  test('is the registers that a kprobe is given', () => {
    const port = portWith('struct pt_regs { __u64 x[36]; }')
    const { caller, cast, load } = start(port, engine)
    const map = caller.createArray(8)
    const source = `${cast}\nr2 = *(u64 *)(r0 +80)\nr1 = map[fd:${map}][0]\n*(u64 *)(r1 +0) = r2\nr0 = 0\nexit`
    const program = load(T.BPF_PROG_TYPE_KPROBE, source)
    expect(program).toBeTypeOf('number')
    caller.link(program as number, caller.openProbe('add_one'))
    port.call('add_one', 41n)
    expect(caller.lookupU64(map, u32(0))).toBe(41n)
  })

  test('is not a struct of that name which is another', () => {
    const { load } = start(portWith('struct pt_regs { __u64 x[35]; }', 'struct sk_msg { __u64 x; }'), engine)
    expect(load(T.BPF_PROG_TYPE_KPROBE)).toBe(NOT_HERE)
    expect(load(T.BPF_PROG_TYPE_SK_MSG)).toBe(NOT_HERE)
  })

  test('has no type where the system has none', () => {
    const { load } = start(new TinyPort(), engine)
    for (const type of [T.BPF_PROG_TYPE_KPROBE, T.BPF_PROG_TYPE_SK_MSG, T.BPF_PROG_TYPE_FLOW_DISSECTOR]) {
      expect(load(type)).toBeTypeOf('string')
    }
  })
})
