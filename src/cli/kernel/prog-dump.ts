/**
 * `prog dump xlated`: the instructions of a program as the kernel has rewritten them, with the lines of C.
 *
 * Linux puts into a call how far the helper's code is from `__bpf_call_base`, and into a 64-bit immediate the id of
 * the map; its symbols give the names. A kernel without that symbol leaves the helpers' numbers.
 */
import type { Btf, BtfId } from '../../btf/index.ts'
import { type ProgramInfo, programInfo, readTextFile } from '../../client/index.ts'
import { helperName } from '../../helpers/index.ts'
import { decode, disassembleAt, type Instruction, type Program } from '../../isa/index.ts'
import type { CommandContext } from './command.ts'
import { hexBytes, must, takeObject, typesById } from './objects.ts'
import { functionPrototype } from './prototype.ts'
import { CommandError, usageError, type Words } from './words.ts'

/** A line of C that an instruction begins. */
interface SourceLine {
  readonly text: string
  readonly file: string
  readonly line: number
  readonly column: number
}

export function dumpXlated(context: CommandContext, words: Words): void {
  const { syscalls } = context
  using object = takeObject(syscalls, 'prog', words)
  let file: string | undefined
  let withOpcodes = false
  let withLines = false
  while (!words.isAtEnd) {
    const option = words.oneOf(['file', 'opcodes', 'linum'])
    if (option === 'file') file = words.take('a path')
    else if (option === 'opcodes') withOpcodes = true
    else withLines = true
  }
  const info = must(programInfo(syscalls, object.fd))
  if (info.translated.length === 0) {
    throw new CommandError(`the kernel does not show the instructions of program ${info.id}`, {
      advice: ['it hides them where /proc/sys/net/core/bpf_jit_harden or kptr_restrict say so'],
    })
  }
  if (file !== undefined) {
    const failure = context.host.writeFile(file, info.translated)
    if (failure !== undefined) throw new CommandError(failure.message, failure)
    context.done()
    return
  }
  const decoded = decode(info.translated)
  if (!decoded.ok) throw usageError(`program ${info.id}: ${decoded.error.message}`)
  const btf = typesById(syscalls, info.btf_id)
  const listing = new Listing(context, info, decoded.program, btf)
  if (context.json === undefined) context.print(listing.plain(withOpcodes, withLines))
  else listing.writeJson(withOpcodes, withLines)
}

class Listing {
  readonly #context: CommandContext
  readonly #info: ProgramInfo
  readonly #program: Program
  readonly #btf: Btf | undefined
  readonly #symbols: Symbols
  readonly #functions = new Map<number, BtfId>()
  readonly #lines = new Map<number, SourceLine>()

  constructor(context: CommandContext, info: ProgramInfo, program: Program, btf: Btf | undefined) {
    this.#context = context
    this.#info = info
    this.#program = program
    this.#btf = btf
    this.#symbols = new Symbols(context)
    if (btf !== undefined) this.#readRecords(btf)
  }

  #readRecords(btf: Btf): void {
    const { funcInfo, func_info_rec_size, lineInfo, line_info_rec_size } = this.#info
    const functions = new DataView(funcInfo.buffer, funcInfo.byteOffset, funcInfo.byteLength)
    for (
      let at = 0;
      func_info_rec_size >= 8 && at + func_info_rec_size <= funcInfo.length;
      at += func_info_rec_size
    ) {
      const id = btf.id(functions.getUint32(at + 4, true))
      if (id !== undefined) this.#functions.set(functions.getUint32(at, true), id)
    }
    const lines = new DataView(lineInfo.buffer, lineInfo.byteOffset, lineInfo.byteLength)
    for (
      let at = 0;
      line_info_rec_size >= 16 && at + line_info_rec_size <= lineInfo.length;
      at += line_info_rec_size
    ) {
      const place = lines.getUint32(at + 12, true)
      this.#lines.set(lines.getUint32(at, true), {
        text: btf.string(lines.getUint32(at + 8, true)).trimStart(),
        file: btf.string(lines.getUint32(at + 4, true)),
        line: place >>> 10,
        column: place & 0x3ff,
      })
    }
  }

  *#instructions(): Generator<{ index: number; text: string; slots: number }> {
    for (let index = 0; index < this.#program.length; ) {
      const { text, slots } = this.#textOf(index)
      const opcode = (this.#program[index] as Instruction).opcode.toString(16).padStart(2, '0')
      yield { index, text: `(${opcode}) ${text}`, slots }
      index += slots
    }
  }

  #textOf(index: number): { text: string; slots: number } {
    const insn = this.#program[index] as Instruction
    // How the kernel marks a zero extension that it has put in itself.
    if (insn.opcode === 0xbc && insn.imm === 1 && insn.offset === 0) {
      return { text: `w${insn.dst} = w${insn.src}`, slots: 1 }
    }
    // An offset into the data of the CPU becomes an address.
    if (insn.opcode === 0xbf && insn.offset === -1) {
      return { text: `r${insn.dst} = &(void __percpu *)(r${insn.src})`, slots: 1 }
    }
    if (insn.opcode === 0x85 && this.#symbols.isLinux) return { text: this.#linuxCall(insn), slots: 1 }
    const { text, slots } = disassembleAt(this.#program, index, {
      helperName,
      mapName: (_source, id) => `id:${id}`,
    })
    return { text: insn.opcode === 0x18 ? text.replace(/ ll$/, '') : text, slots }
  }

  #linuxCall(insn: Instruction): string {
    if (insn.src === 1) {
      const distance = `pc${insn.offset < 0 ? '' : '+'}${insn.offset}`
      const address = this.#info.jitedSymbols[insn.imm]
      if (address === undefined) return `call ${distance}`
      return `call ${distance}#${this.#symbols.at(address) ?? `0x${address.toString(16)}`}`
    }
    // What the kernel expands or patches later keeps its number.
    const helper = insn.src === 0 ? helperName(insn.imm) : undefined
    if (helper !== undefined) return `call ${helper}#${insn.imm}`
    const address = this.#symbols.callBase + BigInt(insn.imm)
    const name = this.#symbols.at(address) ?? `0x${BigInt.asUintN(64, address).toString(16)}`
    return `call ${name}#${insn.imm}`
  }

  #prototypeAt(index: number): string | undefined {
    const id = this.#functions.get(index)
    return id === undefined || this.#btf === undefined ? undefined : functionPrototype(this.#btf, id)
  }

  plain(withOpcodes: boolean, withLines: boolean): string {
    let text = ''
    for (const { index, text: instruction, slots } of this.#instructions()) {
      const prototype = this.#prototypeAt(index)
      if (prototype !== undefined) text += `${prototype}:\n`
      const source = this.#lines.get(index)
      if (source !== undefined) {
        const place = withLines
          ? ` [file:${source.file} line_num:${source.line} line_col:${source.column}]`
          : ''
        text += `; ${source.text}${place}\n`
      }
      text += `${String(index).padStart(4)}: ${instruction}\n`
      if (withOpcodes) {
        const bytes = this.#bytesOf(index, slots)
        const second = slots === 2 ? ` ${hexBytes(bytes.subarray(8))}` : ''
        text += `       ${hexBytes(bytes.subarray(0, 8))}${second}\n`
      }
    }
    return text
  }

  writeJson(withOpcodes: boolean, withLines: boolean): void {
    const { json } = this.#context
    json?.array(() => {
      for (const { index, text, slots } of this.#instructions()) {
        json.object(() => {
          json.members({ proto: this.#prototypeAt(index) })
          const source = this.#lines.get(index)
          if (source !== undefined) {
            json.members({ src: source.text })
            if (withLines) {
              json.members({ file: source.file })
              if (source.line !== 0) json.members({ line_num: source.line })
              if (source.column !== 0) json.members({ line_col: source.column })
            }
          }
          json.members({ disasm: text })
          if (withOpcodes) this.#writeOpcodes(index, slots)
        })
      }
    })
  }

  #writeOpcodes(index: number, slots: number): void {
    const { json } = this.#context
    const bytes = this.#bytesOf(index, slots)
    const [code = 0, registers = 0] = bytes
    json?.name('opcodes').object(() => {
      json.members({
        code: `0x${code.toString(16).padStart(2, '0')}`,
        src_reg: `0x${(registers >> 4).toString(16)}`,
        dst_reg: `0x${(registers & 15).toString(16)}`,
      })
      json.name('off').hexBytes(bytes.subarray(2, 4))
      json.name('imm').hexBytes(bytes.subarray(4))
    })
  }

  #bytesOf(index: number, slots: number): Uint8Array {
    return this.#info.translated.subarray(index * 8, (index + slots) * 8)
  }
}

/** Names of kernel addresses, read when first asked for. */
class Symbols {
  readonly #context: CommandContext
  /** By the address as 16 digits: a kernel has a hundred thousand. */
  #names: Map<string, string> | undefined
  #base: bigint | undefined

  constructor(context: CommandContext) {
    this.#context = context
  }

  /** Whether calls hold distances, not numbers of helpers. */
  get isLinux(): boolean {
    this.#read()
    return this.#base !== undefined
  }

  get callBase(): bigint {
    return this.#base ?? 0n
  }

  at(address: bigint): string | undefined {
    return this.#read().get(BigInt.asUintN(64, address).toString(16).padStart(16, '0'))
  }

  #read(): Map<string, string> {
    if (this.#names !== undefined) return this.#names
    const names = new Map<string, string>()
    const text = readTextFile(this.#context.syscalls, '/proc/kallsyms')
    for (const line of typeof text === 'string' ? text.split('\n') : []) {
      const gap = line.indexOf(' ')
      const end = line.indexOf('\t')
      const hex = line.slice(0, gap)
      const name = line.slice(gap + 3, end < 0 ? undefined : end)
      if (gap <= 0 || name === '') continue
      if (name === '__bpf_call_base') this.#base = BigInt(`0x${hex}`)
      if (!names.has(hex)) names.set(hex, name)
    }
    this.#names = names
    return names
  }
}
