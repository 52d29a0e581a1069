/** Variables and functions of the kernel that programs name by their types, on both engines. */
import { describe, expect, test } from 'vitest'
import { BPF_PROG_TYPE, ENOENT, progTestRunAttr } from '../abi/index.ts'
import { BTF_KIND, BTF_LINKAGE, Btf, BtfError, type BtfId, BtfWriter } from '../btf/index.ts'
import { instruction, type Program, WIDE_SOURCE, wideInstruction } from '../isa/index.ts'
import { createKernel } from './kernel.ts'
import { Caller } from './testing/caller.ts'
import { TinyPort } from './testing/tiny-port.ts'

/** `int jiffies; int lost; void kernel_function(void);` */
function types(): Uint8Array {
  const writer = new BtfWriter()
  const form = { isSigned: true, isChar: false, isBool: false, bits: 32, bitOffset: 0 }
  const int = writer.add({ kind: BTF_KIND.INT, name: 'int', size: 4, ...form })
  for (const name of ['jiffies', 'lost'])
    writer.add({ kind: BTF_KIND.VAR, name, type: int, linkage: BTF_LINKAGE.GLOBAL })
  const nothing = { returns: 0 as BtfId, parameters: [], isVariadic: false }
  const type = writer.add({ kind: BTF_KIND.FUNC_PROTO, name: '', ...nothing })
  writer.add({ kind: BTF_KIND.FUNC, name: 'kernel_function', type, linkage: BTF_LINKAGE.GLOBAL })
  const bytes = writer.finish()
  if (bytes instanceof BtfError) throw new Error(bytes.message)
  return bytes
}

describe.each(['interpreter', 'jit'] as const)('a symbol of the kernel, by the %s', (engine) => {
  const port = new TinyPort()
  port.types = types()
  new DataView(port.data.buffer, port.data.byteOffset).setInt32(0, 4711, true)
  const kernel = createKernel({ port, engine })
  const caller = new Caller(kernel.openClient())
  const btf = Btf.parse(port.types) as Btf

  const load = (name: string, kind: typeof BTF_KIND.VAR | typeof BTF_KIND.FUNC, behind: Program) => {
    const id = btf.find(name, kind) as BtfId
    const program = [...wideInstruction(0, WIDE_SOURCE.BTF_ID, BigInt(id)), ...behind]
    const log = { text: '' }
    const fd = caller.load(program, { prog_type: BPF_PROG_TYPE.BPF_PROG_TYPE_RAW_TRACEPOINT }, log)
    return { fd, log: log.text }
  }
  const run = (fd: number): number => {
    const attr = progTestRunAttr.encode({ prog_fd: fd })
    expect(caller.bpf('BPF_PROG_TEST_RUN', attr)).toBe(0)
    return progTestRunAttr.read(attr).retval | 0
  }
  const exit = instruction({ opcode: 0x95 })

  test('is a variable, whose value is read', () => {
    const { fd, log } = load('jiffies', BTF_KIND.VAR, [instruction({ opcode: 0x61, dst: 0, src: 0 }), exit])
    expect(fd, log).toBeGreaterThan(0)
    expect(run(fd)).toBe(4711)
  })

  test('is a function that is there', () => {
    const { fd, log } = load('kernel_function', BTF_KIND.FUNC, [
      instruction({ opcode: 0x15, dst: 0, offset: 2 }),
      instruction({ opcode: 0xb7, dst: 0, imm: 1 }),
      exit,
      instruction({ opcode: 0xb7, dst: 0, imm: 2 }),
      exit,
    ])
    expect(fd, log).toBeGreaterThan(0)
    expect(run(fd)).toBe(1)
  })

  test('has no address', () => {
    const { fd, log } = load('lost', BTF_KIND.VAR, [instruction({ opcode: 0xb7, dst: 0 }), exit])
    expect(fd).toBe(-ENOENT)
    expect(log).toContain("ldimm64 failed to find the address for kernel symbol 'lost'.")
  })
})
