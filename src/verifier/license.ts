/** Licences whose programs may call GPL-only helpers. Source: include/linux/license.h of Linux. */
const gplCompatible: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
])

export const isGplCompatible = (license: string): boolean => gplCompatible.has(license)
