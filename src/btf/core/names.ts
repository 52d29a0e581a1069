/**
 * Names and kinds as CO-RE compares them.
 *
 * A name may end in a flavour: `task_struct___old` means `task_struct`, and lets one program declare several
 * layouts of it. The separator is three underscores with none beside them, the last such place counts.
 */
import { BTF_KIND, type BtfKind } from '../kinds.ts'

/** The name without its flavour. */
export function essentialName(name: string): string {
  for (let at = name.length - 5; at >= 0; at--) {
    if (isSeparator(name, at)) return name.slice(0, at + 1)
  }
  return name
}

const isSeparator = (name: string, at: number): boolean =>
  name[at] !== '_' && name.startsWith('___', at + 1) && name[at + 4] !== '_'

export const isAnyEnum = (kind: BtfKind): boolean => kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64

export const isComposite = (kind: BtfKind): boolean => kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION

/** Whether types of these kinds can be the same one: the two widths of enum count as one kind. */
export const areKindsCompatible = (a: BtfKind, b: BtfKind): boolean =>
  a === b || (isAnyEnum(a) && isAnyEnum(b))

/** Why a record about a type without a name cannot be answered. */
export const NAMELESS = 'expected a type with a name, as kernels are searched by names'
