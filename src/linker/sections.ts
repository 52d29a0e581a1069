/** Joining sections: programs and data of one name come behind each other. */
import { type ElfSection, SHT } from '../elf/index.ts'
import { LinkError } from './error.ts'
import type { Input } from './input.ts'
import type { InputSection } from './input-section.ts'
import type { Output } from './output.ts'
import { MAX_SECTION_BYTES, type OutputSection } from './output-section.ts'

/** Of these, a program has one: every input's must be the same. */
const SINGLE: ReadonlySet<string> = new Set(['license', 'version'])

/** Appends what an input has of programs and data, and notes where it went. */
export function appendSections(output: Output, input: Input): LinkError | undefined {
  for (const section of input.sections.slice(1)) {
    if (section.isSkipped || section.elf?.type === SHT.REL) continue
    const isKnown = section.elf !== undefined && output.find(section.name)?.kind !== undefined
    const target = output.sectionFor(section)
    section.output = target
    if (section.elf === undefined) continue
    if (!output.hasRoom) return new LinkError('too-large', input.name, 'there are too many sections')
    const error = isKnown ? whyNotOneKind(input.name, target, section.elf) : undefined
    if (error !== undefined) return error
    if (isKnown && SINGLE.has(section.name)) {
      if (!isContentEqual(target, section.elf)) {
        const reason = 'expected what the inputs before it have, found other contents'
        return new LinkError('mismatch', input.name, reason, section.name)
      }
      section.isSkipped = true
      continue
    }
    const failure = appendSection(input.name, target, section, section.elf)
    if (failure !== undefined) return failure
  }
  return undefined
}

export function appendSection(
  file: string,
  target: OutputSection,
  section: InputSection,
  elf: ElfSection,
): LinkError | undefined {
  const offset = target.nextOffset(elf.alignment)
  if (offset + elf.size > MAX_SECTION_BYTES) {
    return new LinkError('too-large', file, 'the joined section would be too large', section.name)
  }
  section.output = target
  section.outputOffset = offset
  section.copy = target.append(elf.data, elf.size, elf.alignment)
  return undefined
}

/** Sections are joined where type, flags and size of entries are equal. */
export function whyNotOneKind(
  file: string,
  { kind }: OutputSection,
  section: ElfSection,
): LinkError | undefined {
  const differences: string[] = []
  if (kind?.type !== section.type) differences.push(`type ${kind?.type}, found ${section.type}`)
  if (kind?.flags !== section.flags) differences.push(`flags ${kind?.flags}, found ${section.flags}`)
  if (kind?.entrySize !== section.entrySize) {
    differences.push(`entries of ${kind?.entrySize} bytes, found ${section.entrySize}`)
  }
  if (differences.length === 0) return undefined
  const reason = `expected, as the inputs before it have, ${differences.join('; ')}`
  return new LinkError('mismatch', file, reason, section.name)
}

function isContentEqual({ size, parts }: OutputSection, section: ElfSection): boolean {
  const bytes = parts[0]?.bytes
  return size === section.size && bytes?.length === size && section.data.every((byte, i) => byte === bytes[i])
}
