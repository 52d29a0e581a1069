/** Objects for the static linker: a changed one, alone, before a good one or behind it. */
import { openObject } from '../../../src/client/index.ts'
import { ElfError, parseElf } from '../../../src/elf/index.ts'
import { LinkError, type LinkInput, linkObjects } from '../../../src/linker/index.ts'
import { btfWindow, codeWindow, elfWindow, extWindow, sectionWindow } from '../fields.ts'
import { mutated, type Window } from '../mutate.ts'
import type { Random } from '../random.ts'
import { checkMessage, Flaw, type Seed, type Target } from '../target.ts'

/** Errors that concern the file as a whole, or all of them. */
const OF_THE_WHOLE = new Set(['bad-object', 'unsupported', 'too-large', 'missing-types'])

export class LinkTarget implements Target {
  readonly name = 'link'
  readonly runsBetweenSettling = 1
  readonly counts = new Map<string, number>()
  readonly seeds: readonly Seed[]
  readonly #donors: readonly Uint8Array[]
  readonly #windows = new Map<Seed, readonly Window[]>()

  constructor(objects: readonly Seed[]) {
    this.seeds = objects.filter(({ bytes }) => !(linkObjects([{ name: 'seed', bytes }]) instanceof LinkError))
    this.#donors = objects.map(({ bytes }) => bytes)
  }

  mutate(random: Random, seed: Seed, bytes: Uint8Array): Uint8Array {
    let windows = this.#windows.get(seed)
    if (windows === undefined) {
      const parts = [
        sectionWindow(seed.bytes, '.BTF', btfWindow),
        sectionWindow(seed.bytes, '.BTF.ext', extWindow),
      ]
      windows = [
        ...[elfWindow(seed.bytes), codeWindow(seed.bytes)],
        ...parts.filter((window) => window !== undefined),
      ]
      this.#windows.set(seed, windows)
    }
    return mutated(random, bytes, random.pick(windows), this.#donors)
  }

  run(bytes: Uint8Array): string {
    const copy = bytes.slice()
    const changed = { name: 'changed', bytes }
    const middle = bytes[bytes.length >>> 1] ?? 0
    const good = { name: 'good', bytes: (this.seeds[middle % this.seeds.length] as Seed).bytes }
    const inputs = [[changed], [good, changed], [changed, good]][middle % 3] as LinkInput[]
    const linked = linkObjects(inputs)
    if (Buffer.compare(copy, bytes) !== 0) throw new Flaw('linking changed the bytes of the file')
    if (linked instanceof LinkError) return checkLinkError(linked)
    return checkLinked(linked)
  }

  settle(): void {}
}

function checkLinkError(error: LinkError): string {
  const { code, file, section, message } = error
  if (file !== '' && !message.startsWith(`${file}: `)) throw new Flaw(`no file in ${message}`)
  if (section === undefined && !OF_THE_WHOLE.has(code)) return checkMessage(`link ${code}, whole`, message)
  return checkMessage(`link ${code}`, message)
}

/** What was made must be good: it parses, the client takes or refuses it, and it links again to the same. */
function checkLinked(linked: Uint8Array): string {
  const file = parseElf(linked)
  if (file instanceof ElfError) throw new Flaw(`linked to a bad file: ${file.message}`)
  const spec = openObject(linked, { name: 'linked', allowBigEndian: true })
  const again = linkObjects([{ name: 'again', bytes: linked }])
  if (again instanceof LinkError) throw new Flaw(`linked to what cannot be linked: ${again.message}`)
  const once = linkObjects([{ name: 'once more', bytes: again }])
  if (once instanceof LinkError || Buffer.compare(again, once) !== 0)
    throw new Flaw('linking again changes more')
  return 'programs' in spec
    ? `accepted: ${spec.programs.length} programs`
    : `accepted, and not opened: ${spec.code}`
}
