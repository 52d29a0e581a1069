/**
 * The test format of the public bpf_conformance suite, and how to run a test of it: shared by
 * `npm run conformance`, by `bin/conformance-plugin` (which the suite's own driver calls), and by the tests.
 *
 * A file has sections that begin with a line `-- name`; `#` begins a comment. `asm` is the program, in the dialect of
 * `isa/mnemonics.ts`; `raw` is the program as one 64-bit little-endian number per slot, and wins over `asm`; `mem` is
 * bytes in hex, to which r1 points and whose length is in r2; `result` is r0, the last line wins; `error` says that
 * the program must be refused or fault.
 */
import { describeFault } from '../helpers/index.ts'
import { type HelperFunction, Interpreter, prepare } from '../interpreter/index.ts'
import { assembleMnemonics, decode, type Instruction, type Program } from '../isa/index.ts'
import { Jit, type JitHelper } from '../jit/index.ts'
import { Arena } from '../memory/index.ts'

export interface ConformanceTest {
  readonly program: Program
  readonly memory: Uint8Array
  readonly expected:
    | { readonly kind: 'result'; readonly value: bigint }
    | { readonly kind: 'error'; readonly text: string }
}

/** A test, why there is none in the file, or why the file is wrong. */
export type ParsedTest =
  | { readonly kind: 'test'; readonly test: ConformanceTest }
  | { readonly kind: 'skip'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string }

const sections = ['asm', 'result', 'mem', 'raw', 'no register offset', ' c', 'error'] as const
type Section = (typeof sections)[number]

/** Reads a `.data` file. */
export function parseConformanceTest(text: string): ParsedTest {
  const content = new Map<Section, string[]>()
  // Sections are kept line by line, blank where they are not, so that an assembly error names the file's line.
  const assembly: string[] = []
  let section: Section | undefined
  for (const [number, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/#.*$/, '')
    if (line.includes('--')) {
      section = sections.find((name) => line.includes(name))
      if (section === undefined)
        return { kind: 'malformed', reason: `${number + 1}: unknown section ${line.trim()}` }
      continue
    }
    if (section === undefined || line.trim() === '') continue
    if (section === 'asm') assembly[number] = line
    const lines = content.get(section)
    if (lines === undefined) content.set(section, [line])
    else lines.push(line)
  }
  const program = programOf(content.get('raw'), Array.from(assembly, (line) => line ?? '').join('\n'))
  if (typeof program === 'string') return { kind: 'malformed', reason: program }
  if (program.length === 0) return { kind: 'skip', reason: 'no program' }
  const memory = bytesFromHex((content.get('mem') ?? []).join(' '))
  if (memory === undefined)
    return { kind: 'malformed', reason: 'section mem holds something other than bytes' }
  const error = content.get('error')?.at(-1)?.trim()
  if (error !== undefined)
    return { kind: 'test', test: { program, memory, expected: { kind: 'error', text: error } } }
  const result = content.get('result')?.at(-1)?.trim()
  if (result === undefined) return { kind: 'skip', reason: 'no result' }
  if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(result))
    return { kind: 'malformed', reason: `result ${result} is no number` }
  return { kind: 'test', test: { program, memory, expected: { kind: 'result', value: BigInt(result) } } }
}

function programOf(raw: readonly string[] | undefined, assembly: string): Instruction[] | string {
  if (raw === undefined) {
    const assembled = assembleMnemonics(assembly)
    return assembled.ok ? assembled.program : assembled.errors.map(({ message }) => message).join('; ')
  }
  const words = raw
    .join(' ')
    .split(/\s+/)
    .filter((word) => word !== '')
  const wrong = words.find((word) => !/^(0[xX][0-9a-fA-F]{1,16}|\d+)$/.test(word))
  if (wrong !== undefined) return `raw word ${wrong} is no 64-bit number`
  const decoded = decode(new Uint8Array(BigUint64Array.from(words, BigInt).buffer))
  return decoded.ok ? decoded.program : decoded.error.message
}

/** Bytes written as two hex digits each, with any white space between; undefined where it is not that. */
export function bytesFromHex(text: string): Uint8Array | undefined {
  const tokens = text.split(/\s+/).filter((token) => token !== '')
  const bytes = tokens.flatMap((token) => (token.length <= 2 ? [token] : (token.match(/../g) ?? [])))
  if (tokens.some((token) => !/^[0-9a-fA-F]+$/.test(token) || (token.length > 2 && token.length % 2 === 1))) {
    return undefined
  }
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16))
}

/** r0, or why the program could not run to its end. */
export type ConformanceOutcome =
  | { readonly ok: true; readonly value: bigint }
  | { readonly ok: false; readonly message: string }

export type ConformanceEngine = (program: Program, memory: Uint8Array) => ConformanceOutcome

/** The suite needs one helper: number 5, which takes no argument. */
const helpers: Readonly<Record<number, HelperFunction>> = { 5: () => process.hrtime.bigint() }
const jitHelpers: Readonly<Record<number, JitHelper>> = { 5: () => process.hrtime.bigint() }

/** Instructions after which a test is taken to be an endless loop. */
const BUDGET = 100_000_000

/** Every engine that can run a program, by the name that `--engine` takes. */
export const conformanceEngines: Readonly<Record<string, ConformanceEngine>> = {
  interpreter(program, memory) {
    const arena = new Arena()
    const interpreter = new Interpreter(arena, { helper: (id) => helpers[id] })
    const context = place(arena, memory)
    if (context === undefined) return noRoom(memory)
    const options = { r2: BigInt(memory.length), budget: BUDGET }
    const result = interpreter.run(prepare(program), context, options)
    return result.ok ? { ok: true, value: result.value } : { ok: false, message: describeFault(result.fault) }
  },
  jit(program, memory) {
    const arena = new Arena()
    const jit = new Jit(arena, { helper: (id) => jitHelpers[id] })
    const context = place(arena, memory)
    if (context === undefined) return noRoom(memory)
    const options = { r2: BigInt(memory.length), budget: BUDGET }
    const result = jit.run(jit.compile(program), context, options)
    return result.ok ? { ok: true, value: result.value } : { ok: false, message: describeFault(result.fault) }
  },
}

/** The address of the bytes in the arena, 0 where there are none; undefined where they do not fit. */
function place(arena: Arena, memory: Uint8Array): bigint | undefined {
  if (memory.length === 0) return 0n
  const offset = arena.allocate(memory.length)
  if (offset === undefined) return undefined
  arena.bytes.set(memory, offset)
  return arena.address(offset)
}

const noRoom = (memory: Uint8Array): ConformanceOutcome => ({
  ok: false,
  message: `no room for ${memory.length} bytes of memory`,
})

/** Undefined where the test passes; else what was wrong, in one line. */
export function conformanceFailure(test: ConformanceTest, engine: ConformanceEngine): string | undefined {
  const outcome = engine(test.program, test.memory)
  if (test.expected.kind === 'error') {
    return outcome.ok ? `expected an error, found r0 = 0x${outcome.value.toString(16)}` : undefined
  }
  const wanted = `expected r0 = 0x${test.expected.value.toString(16)}`
  if (!outcome.ok) return `${wanted}, found an error: ${outcome.message}`
  return outcome.value === test.expected.value
    ? undefined
    : `${wanted}, found 0x${outcome.value.toString(16)}`
}

/**
 * One call of the suite's driver: the program as hex on standard input, memory as hex in the first argument, r0 as hex
 * on standard output; an error goes to standard error with status 1.
 */
export function conformancePlugin(
  argument: string | undefined,
  input: string,
): { readonly status: number; readonly stdout: string; readonly stderr: string } {
  const refuse = (message: string) => ({ status: 1, stdout: '', stderr: `${message}\n` })
  if (argument?.startsWith('--'))
    return refuse(`unknown option ${argument}: the program is plain hex on standard input`)
  const memory = bytesFromHex(argument ?? '')
  if (memory === undefined) return refuse('the first argument is not memory in hex')
  const bytes = bytesFromHex(input)
  if (bytes === undefined || bytes.length === 0) return refuse('standard input is not a program in hex')
  const decoded = decode(bytes)
  if (!decoded.ok) return refuse(decoded.error.message)
  const outcome = conformanceEngines.interpreter!(decoded.program, memory)
  return outcome.ok
    ? { status: 0, stdout: `${outcome.value.toString(16)}\n`, stderr: '' }
    : refuse(outcome.message)
}
