/** A section of an input, and where it goes. */
import type { ElfSection } from '../elf/index.ts'
import type { OutputSection } from './output-section.ts'

/** A section of an input. */
export class InputSection {
  /** A byte string, as all names are here. */
  readonly name: string
  /** `undefined`: only the types know it (`.kconfig`, `.ksyms`); it holds externs and no bytes. */
  readonly elf: ElfSection | undefined
  /** Nothing of it comes into the output by the way of sections. */
  isSkipped: boolean
  output: OutputSection | undefined
  /** Where its bytes begin in `output`. */
  outputOffset = 0
  /** Its bytes as they come into the output, to be relocated. */
  copy: Uint8Array = new Uint8Array(0)
  /** Its DATASEC in the types of the input, or 0. */
  datasec = 0

  constructor(name: string, elf: ElfSection | undefined, isSkipped: boolean) {
    this.name = name
    this.elf = elf
    this.isSkipped = isSkipped
  }
}

/** The first section of each name; number 0 is none. */
export function firstByName(sections: readonly InputSection[]): Map<string, InputSection> {
  const byName = new Map<string, InputSection>()
  for (const section of sections.slice(1)) if (!byName.has(section.name)) byName.set(section.name, section)
  return byName
}
