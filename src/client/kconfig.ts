/** The value of the `.kconfig` map: what `extern int CONFIG_HZ __kconfig` reads. */
import { LoadError } from './errors.ts'
import { viewOf } from './globals.ts'
import type { LoadOptions } from './load-options.ts'
import type { CollectionSpec, KconfigExtern, MapSpec } from './spec/index.ts'

type Setting = NonNullable<LoadOptions['kconfig']>[string]

/** As libbpf's `enum libbpf_tristate`. */
const TRISTATE: Readonly<Record<string, bigint>> = { n: 0n, y: 1n, m: 2n }

/** The map's one value; a setting that nothing gives is zero where the extern is weak, else an error. */
export function kconfigValue(
  spec: CollectionSpec,
  map: MapSpec,
  settings: LoadOptions['kconfig'] = {},
): Uint8Array | LoadError {
  const value = new Uint8Array(map.valueSize)
  for (const extern of spec.externs) {
    if (extern.kind !== 'kconfig') continue
    const setting = settings[extern.name]
    if (setting === undefined) {
      if (extern.isWeak) continue
      return new LoadError(
        'unresolved-extern',
        extern.name,
        `extern '${extern.name}': the kernel's configuration is not known; give it as the option kconfig`,
      )
    }
    if (!write(value, extern, setting)) {
      return new LoadError(
        'bad-value',
        extern.name,
        `extern '${extern.name}' is a ${extern.valueKind} of ${extern.size} bytes; ${String(setting)} does not fit`,
      )
    }
  }
  return value
}

function write(value: Uint8Array, extern: KconfigExtern, setting: Setting): boolean {
  if (extern.valueKind === 'char-array') {
    const bytes = new TextEncoder().encode(String(setting))
    value.set(bytes.subarray(0, extern.size - 1), extern.offset)
    return typeof setting === 'string'
  }
  const number = numberOf(extern, setting)
  if (number === undefined) return false
  const bits = extern.size * 8
  if (number >= 1n << BigInt(bits) || number < -(1n << BigInt(bits - 1))) return false
  const view = viewOf(value)
  for (let index = 0; index < extern.size; index++) {
    view.setUint8(extern.offset + index, Number((number >> BigInt(index * 8)) & 0xffn))
  }
  return true
}

function numberOf(extern: KconfigExtern, setting: Setting): bigint | undefined {
  switch (extern.valueKind) {
    case 'bool':
      if (setting === 'y' || setting === 'n') return setting === 'y' ? 1n : 0n
      return typeof setting === 'boolean' ? BigInt(setting) : undefined
    case 'tristate':
      if (typeof setting === 'boolean') return BigInt(setting)
      return typeof setting === 'string' ? TRISTATE[setting] : undefined
    case 'char':
      if (typeof setting === 'boolean') return BigInt((setting ? 'y' : 'n').charCodeAt(0))
      return typeof setting === 'string' && setting.length === 1 ? BigInt(setting.charCodeAt(0)) : undefined
    case 'int':
      if (typeof setting === 'bigint') return setting
      return typeof setting === 'number' && Number.isInteger(setting) ? BigInt(setting) : undefined
    case 'char-array':
      return undefined
    default: {
      const unreachable: never = extern.valueKind
      throw new Error(`no such kind: ${unreachable}`)
    }
  }
}
