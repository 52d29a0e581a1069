/** `--set NAME=VALUE`: text from a command line becomes the value of a global variable. */
import { BTF_KIND, type Btf } from '../btf/index.ts'
import type { BtfValue, CollectionSpec } from '../client/index.ts'
import { CliFailure, EXIT_USAGE } from './failure.ts'

/** Values by name; whether the object has the names and the values fit is `load`'s to say. */
export function parseGlobals(
  settings: readonly string[],
  spec: CollectionSpec,
  btf: Btf | undefined,
): Record<string, BtfValue> | CliFailure {
  const values: Record<string, BtfValue> = {}
  for (const setting of settings) {
    const [, name, text] = /^([A-Za-z_]\w*)=(.*)$/s.exec(setting) ?? []
    if (name === undefined || text === undefined) {
      return new CliFailure(`--set takes NAME=VALUE, not '${setting}'`, { exitCode: EXIT_USAGE })
    }
    values[name] = parseValue(text, isText(name, spec, btf))
  }
  return values
}

/** Whether the variable is an array of `char`, so that `7` means the text and not the number. */
function isText(name: string, spec: CollectionSpec, btf: Btf | undefined): boolean {
  for (const { valueType } of spec.maps) {
    const section = btf === undefined || valueType === undefined ? undefined : btf.typeById(valueType)
    if (btf === undefined || section?.kind !== BTF_KIND.DATASEC) continue
    for (const variable of section.variables) {
      if (btf.nameOf(variable.type) !== name) continue
      const declared = btf.typeById(variable.type)
      return declared.kind === BTF_KIND.VAR && btf.kindOf(btf.resolve(declared.type)) === BTF_KIND.ARRAY
    }
  }
  return false
}

function parseValue(text: string, asText: boolean): BtfValue {
  if (asText) return text
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
  return text
}
