/**
 * The value of the `.kconfig` map: what `extern int CONFIG_HZ __kconfig` reads.
 *
 * A value comes from the caller's options, then from what the kernel says of itself. As in libbpf, `CONFIG_...` are
 * settings of the kernel's build, and `LINUX_...` are a few facts that no setting gives. What nothing gives is zero
 * where the extern is weak.
 */
import { LoadError } from './errors.ts'
import { viewOf } from './globals.ts'
import { type KernelFacts, parseConfiguration } from './kernel-facts.ts'
import type { LoadOptions } from './load-options.ts'
import type { CollectionSpec, KconfigExtern, MapSpec } from './spec/index.ts'

type Setting = boolean | number | bigint | string

/** As libbpf's `enum libbpf_tristate`. */
const TRISTATE: Readonly<Record<string, bigint>> = { n: 0n, y: 1n, m: 2n }

/** What of a kernel is looked at for settings. */
export type ConfigurationFacts = Pick<
  KernelFacts,
  'configuration' | 'version' | 'hasSyscallWrapper' | 'hasCookies'
>

/** The map's one value. */
export function kconfigValue(
  spec: CollectionSpec,
  map: MapSpec,
  options: LoadOptions['kconfig'],
  facts: ConfigurationFacts,
): Uint8Array | LoadError {
  const value = new Uint8Array(map.valueSize)
  const given = typeof options === 'string' ? parseConfiguration(options) : options
  for (const extern of spec.externs) {
    if (extern.kind !== 'kconfig') continue
    const setting = settingOf(extern, given, facts)
    if (setting instanceof LoadError) return setting
    if (setting === undefined) {
      if (extern.isWeak) continue
      return new LoadError(
        'unresolved-extern',
        extern.name,
        `extern '${extern.name}': ${whyMissing(extern, facts)}`,
      )
    }
    if (!write(value, extern, setting)) return misfit(extern, String(setting))
  }
  return value
}

const misfit = (extern: KconfigExtern, found: string): LoadError =>
  new LoadError(
    'bad-value',
    extern.name,
    `extern '${extern.name}' is a ${extern.valueKind} of ${extern.size} bytes; ${found} does not fit`,
  )

function whyMissing(extern: KconfigExtern, facts: ConfigurationFacts): string {
  if (!extern.name.startsWith('CONFIG_')) return 'nothing is known of it; give it as the option kconfig'
  return facts.configuration().size > 0
    ? "the kernel's configuration does not have it; declare it __weak, or give it as the option kconfig"
    : "the kernel's configuration is not known; give it as the option kconfig"
}

function settingOf(
  extern: KconfigExtern,
  given: ReadonlyMap<string, string> | Readonly<Record<string, Setting>> | undefined,
  facts: ConfigurationFacts,
): Setting | undefined | LoadError {
  const { name } = extern
  const text = given instanceof Map ? given.get(name) : undefined
  if (text !== undefined) return parsed(extern, text)
  const value = given instanceof Map ? undefined : (given as Record<string, Setting> | undefined)?.[name]
  if (value !== undefined) return value
  switch (name) {
    case 'LINUX_KERNEL_VERSION':
      return facts.version()
    case 'LINUX_HAS_SYSCALL_WRAPPER':
      return numberAs(extern, facts.hasSyscallWrapper())
    case 'LINUX_HAS_BPF_COOKIE':
      return numberAs(extern, facts.hasCookies())
    default: {
      const setting = name.startsWith('CONFIG_') ? facts.configuration().get(name) : undefined
      return setting === undefined ? undefined : parsed(extern, setting)
    }
  }
}

const numberAs = ({ valueKind }: KconfigExtern, value: boolean): Setting =>
  valueKind === 'int' ? Number(value) : value

/** A setting as the configuration has it, for a variable of this kind: `y`, `m`, `250`, `0x10`, `"text"`. */
function parsed(extern: KconfigExtern, text: string): Setting | LoadError {
  const string = /^"(.*)"$/.exec(text)?.[1]
  const wantsString = extern.valueKind === 'char-array'
  if (string !== undefined) return wantsString ? string : misfit(extern, text)
  if (wantsString) return misfit(extern, text)
  if (/^[ymn]$/.test(text)) return text
  return /^-?\d+$|^0x[0-9a-f]+$/i.test(text) ? BigInt(text) : misfit(extern, text)
}

function write(value: Uint8Array, extern: KconfigExtern, setting: Setting): boolean {
  if (extern.valueKind === 'char-array') {
    const bytes = new TextEncoder().encode(String(setting))
    value.set(bytes.subarray(0, extern.size - 1), extern.offset)
    return typeof setting === 'string'
  }
  const number = numberOf(extern, setting)
  if (number === undefined || !isInRange(extern, number)) return false
  const view = viewOf(value)
  for (let index = 0; index < extern.size; index++) {
    view.setUint8(extern.offset + index, Number((number >> BigInt(index * 8)) & 0xffn))
  }
  return true
}

/** 64 bits take either sign, as what is meant cannot be told. */
function isInRange({ size, isSigned }: KconfigExtern, number: bigint): boolean {
  const bits = size * 8
  if (size === 8) return number < 1n << 64n && number >= -(1n << 63n)
  return number === (isSigned ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number))
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
      if (typeof setting === 'string' && setting.length === 1) return BigInt(setting.charCodeAt(0))
      return integerOf(setting)
    case 'int':
      return integerOf(setting)
    case 'char-array':
      return undefined
    default: {
      const unreachable: never = extern.valueKind
      throw new Error(`no such kind: ${unreachable}`)
    }
  }
}

function integerOf(setting: Setting): bigint | undefined {
  if (typeof setting === 'bigint') return setting
  return typeof setting === 'number' && Number.isInteger(setting) ? BigInt(setting) : undefined
}
