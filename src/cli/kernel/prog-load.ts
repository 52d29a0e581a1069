/**
 * `prog load OBJECT PATH`: loads one program, or with `loadall` all of an object, and pins what it loaded, so that it
 * stays when this process ends.
 */
import { LoadError, load, ObjectError, objectName, openObject } from '../../client/index.ts'
import { CliFailure, explain } from '../failure.ts'
import type { CommandContext } from './command.ts'
import { pinTo } from './pin.ts'
import { programTypesByWord } from './type-words.ts'
import { CommandError, usageError, type Words } from './words.ts'

/** The first program that has a section of its own, pinned at the path itself. */
export const loadProgram = (context: CommandContext, words: Words): void => loadAndPin(context, words, false)

/** All programs, each pinned in the folder under its own name. */
export const loadAllPrograms = (context: CommandContext, words: Words): void =>
  loadAndPin(context, words, true)

function loadAndPin(context: CommandContext, words: Words, isAll: boolean): void {
  const path = words.take('an object')
  const pin = words.take('the path to pin to')
  let type: number | undefined
  let mapFolder: string | undefined
  while (!words.isAtEnd) {
    if (words.oneOf(['type', 'pinmaps']) === 'pinmaps') mapFolder = words.take('a folder')
    else type = takeType(words)
  }
  const bytes = context.host.readFile(path)
  if (bytes instanceof CliFailure) throw new CommandError(bytes.message, bytes)
  const fail = (error: ObjectError | LoadError): CommandError => {
    const failure = explain(error, { path })
    return new CommandError(failure.message, failure)
  }
  const spec = openObject(bytes, { name: objectName(path) })
  if (spec instanceof ObjectError) throw fail(spec)
  const names = spec.programs.filter(({ autoload }) => autoload).map(({ name }) => name)
  const wanted = isAll ? names : names.slice(0, 1)
  const loaded = load(spec, context.syscalls, {
    programs: wanted,
    ...(type === undefined
      ? {}
      : { programTypes: Object.fromEntries(wanted.map((name) => [name, type as number])) }),
  })
  if (loaded instanceof LoadError) throw fail(loaded)
  using collection = loaded
  for (const [name, program] of collection.programs)
    pinTo(context, program.fd, isAll ? `${pin}/${name}` : pin)
  if (mapFolder !== undefined) {
    for (const map of collection.maps.values()) {
      pinTo(context, map.fd, `${mapFolder}/${map.spec.kernelName.replaceAll('.', '_')}`)
    }
  }
  context.done()
}

function takeType(words: Words): number {
  const word = words.take('a type')
  const type = programTypesByWord.get(word)
  if (type !== undefined) return type
  throw usageError(
    `there is no program type '${word}'`,
    `there are ${[...programTypesByWord.keys()].join(', ')}`,
  )
}
