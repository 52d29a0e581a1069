/**
 * Random programs that load from, store to and operate on the pages of an arena, some of which are missing, do the same
 * on the interpreter and on the compiler, down to every byte of every page.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BPF_F_MMAPABLE, BPF_MAP_TYPE } from '../../src/abi/index.ts'
import { Interpreter, prepare } from '../../src/interpreter/index.ts'
import {
  type Instruction,
  instruction,
  type Program,
  type Row,
  rows,
  wideInstruction,
} from '../../src/isa/index.ts'
import { Jit } from '../../src/jit/index.ts'
import { ArenaMap } from '../../src/maps/index.ts'
import { Arena, Grace } from '../../src/memory/index.ts'

const PAGE = 4096
const PAGES = 6000
const POINTERS = [1, 2, 3, 4]
const DATA = [0, 5, 6, 7, 8, 9]
const TO_USER = 1 << 16

/** What one run leaves: r0, and the pages. */
function runOn(engine: 'interpreter' | 'jit', start: bigint, program: Program, slots: ReadonlySet<number>) {
  const arena = new Arena()
  const host = { arena, grace: new Grace(), cpuCount: 1, random: () => 1 }
  const map = new ArenaMap(host, {
    type: BPF_MAP_TYPE.BPF_MAP_TYPE_ARENA,
    keySize: 0,
    valueSize: 0,
    maxEntries: PAGES,
    flags: BPF_F_MMAPABLE,
    name: 'arena',
    extra: start,
  })
  // Two groups meet between pages 63 and 64.
  for (const page of [0, 1, 3, 63, 64, 100]) {
    map.touch(page * PAGE)
    map.pages.write(
      page * PAGE,
      new Uint8Array(PAGE).map((_, at) => (at * 7 + page * 13) & 0xff),
    )
  }
  const use = { map, slots }
  const none = { helper: () => undefined }
  const result =
    engine === 'interpreter'
      ? new Interpreter(arena, none).run(prepare(program, { arena: use }), 0n)
      : (() => {
          const jit = new Jit(arena, none)
          return jit.run(jit.compile(program, { isProved: true, arena: use }), 0n)
        })()
  if (!result.ok) throw new Error(JSON.stringify(result.fault))
  const hash = createHash('sha256')
  const bytes = new Uint8Array(PAGE)
  for (const page of [0, 1, 3, 63, 64, 100]) {
    map.pages.read(page * PAGE, bytes)
    hash.update(bytes)
  }
  return { r0: result.value, present: map.pages.presentPages, pages: hash.digest('hex') }
}

const all: readonly Row[] = rows
const accesses = all.filter(
  ({ kind, mnemonic }) => ['load', 'store', 'atomic'].includes(kind) && mnemonic !== '',
)
const arithmetic = all.filter(
  ({ kind, op, dst, src }) =>
    kind === 'alu' &&
    dst === 'reg' &&
    src === 'reg' &&
    ['add', 'sub', 'xor', 'mov', 'rsh', 'mul'].includes(op),
)

/** Places at the edges of pages, in pages that are missing, and out of the arena. */
const place = fc
  .tuple(
    fc.constantFrom(0, 1, 2, 3, 4, 63, 64, 65, 99, 100, 101, PAGES - 1, PAGES, 2 ** 20 - 1),
    fc.constantFrom(0, 8, 9, 2040, 4088, 4090, 4093, 4095),
  )
  .map(([page, at]) => BigInt(page * PAGE + at))
const offset = fc.constantFrom(0, 0, 0, 8, -8, 1, 3, 4096, -4096, 32767, -32768)
const data = fc.constantFrom(...DATA)
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(...accesses), fc.constantFrom(...POINTERS), data, offset, fc.integer())
      .map(([row, pointer, value, at, immediate]): { insn: Instruction; isAccess: boolean } => ({
        insn: instruction({
          opcode: row.opcode,
          dst: row.kind === 'load' ? value : pointer,
          src: row.kind === 'load' ? pointer : row.src === 'reg' ? value : 0,
          offset: at,
          imm: typeof row.imm === 'number' ? row.imm : row.imm === 'imm' ? immediate : 0,
        }),
        isAccess: true,
      })),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom(...arithmetic), data, data).map(([row, dst, src]) => ({
      insn: instruction({ opcode: row.opcode, dst, src, offset: 0, imm: 0 }),
      isAccess: false,
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(data, fc.constantFrom(...POINTERS, ...DATA)).map(([dst, src]) => ({
      insn: instruction({ opcode: 0xbf, dst, src, offset: 1, imm: TO_USER }),
      isAccess: false,
    })),
  },
)
const low = 0xffff_ffffn

test('arenas: the same by both engines', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0n, 0x1_0000_0000n, 0x7f00_8000_0000n, 0x1234_0000_5000n),
      fc.tuple(place, place, place, place),
      fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), {
        minLength: DATA.length,
        maxLength: DATA.length,
      }),
      fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
      // Where only low words are asked for in the end, the compiler keeps registers in 32 bits.
      fc.boolean(),
      (start, places, values, steps, isNarrow) => {
        const program: Instruction[] = []
        for (const [n, at] of places.entries()) {
          program.push(...wideInstruction(POINTERS[n] as number, 0, (start + at) & low))
        }
        for (const [n, value] of values.entries())
          program.push(...wideInstruction(DATA[n] as number, 0, value))
        const slots = new Set<number>()
        for (const { insn, isAccess } of steps) {
          if (isAccess) slots.add(program.length)
          program.push(insn)
        }
        for (const register of DATA.slice(1)) {
          program.push(instruction({ opcode: isNarrow ? 0x24 : 0x27, dst: 0, src: 0, offset: 0, imm: 31 }))
          program.push(
            instruction({ opcode: isNarrow ? 0x0c : 0x0f, dst: 0, src: register, offset: 0, imm: 0 }),
          )
        }
        program.push(instruction({ opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 }))
        expect(runOn('jit', start, program, slots)).toEqual(runOn('interpreter', start, program, slots))
      },
    ),
    { numRuns: Number(process.env.ANYBPF_RUNS ?? 50) },
  )
})
