/**
 * Every program of `test/linux/programs/extended.bpf.c` for functions of others, with each of those that could be meant:
 * what is said of it, and what runs return before, while and after it is attached.
 *
 * Rules: what throws is left out, since Linux 6.12 does not survive an exception through a traced function.
 */
import type { Program } from '../../../src/client/index.ts'
import { loaded, type Scenes, type Stage, specOf, type Told, tryAttach, tryLoad } from './scene.ts'

const TARGETS = ['filter', 'second_filter', 'loops'] as const
const OTHERS = [
  ...['wide_limit', 'no_length', 'other_arguments', 'of_static', 'before_both', 'after_both', 'after_filter'],
  ...['before_count', 'before_tracer', 'after_extension', 'changes'],
]

const run = (program: Program): Told => {
  const result = program.testRun({ data: Uint8Array.from({ length: 64 }, (_, n) => 0xa0 + n) })
  return 'returnValue' in result ? result.returnValue : -result.errno
}

function tellOf(stage: Stage, target: Program, name: string): Told {
  const options = { programs: [name], targetPrograms: { [name]: target } }
  const collection = tryLoad(stage, specOf(stage, 'extended'), options)
  if (typeof collection === 'string') return collection
  using open = collection
  const before = run(target)
  const link = tryAttach(open, name)
  if (typeof link === 'number') return link
  const during = run(target)
  link[Symbol.dispose]()
  const left = ['replaced', 'calls', 'words', 'asked', 'result', 'packet_bytes', 'first_byte'].map(
    (variable) => String(open.globals.get(variable)),
  )
  return [before, during, run(target), ...left]
}

export const extendedScenes: Scenes = Object.fromEntries(
  TARGETS.map((name) => [
    `what goes to the functions of ${name}`,
    (stage: Stage) => {
      using collection = loaded(stage, specOf(stage, 'extended'), { programs: [name] })
      const target = collection.program(name)
      return Object.fromEntries(OTHERS.map((other) => [other, tellOf(stage, target, other)]))
    },
  ]),
)
