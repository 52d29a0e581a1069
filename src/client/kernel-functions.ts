/**
 * Functions of the kernel that can be probed, by a pattern of their names.
 *
 * Linux lists them in tracefs, with addresses since 6.5, by name before; there may be several of one name. A kernel
 * without the list is asked for all its functions.
 *
 * Source: Documentation/trace/ftrace.rst, available_filter_functions.
 */
import type { Syscalls } from '../abi/index.ts'
import { TRACEFS } from './attach-tracepoint.ts'
import { matchesGlob } from './glob.ts'
import { readTextFile } from './read-file.ts'

export interface KernelFunction {
  readonly name: string
  /** 0 where the kernel hides it. */
  readonly address: bigint
}

/** In the order of the kernel's list; undefined where the kernel tells nothing. */
export function functionsMatching(
  syscalls: Syscalls,
  pattern: string,
): readonly KernelFunction[] | undefined {
  const withAddresses = tracefsFile(syscalls, 'available_filter_functions_addrs')
  if (withAddresses !== undefined) return [...listed(withAddresses, /^([0-9a-f]+) (\S+)/gm, pattern)]
  const symbols = readTextFile(syscalls, '/proc/kallsyms')
  if (typeof symbols === 'number') return undefined
  // Code: of the kernel's own text, weak or not, global or not.
  const functions = listed(symbols, /^([0-9a-f]+) [tTwW] (\S+)/gm, pattern)
  const names = tracefsFile(syscalls, 'available_filter_functions')
  if (names === undefined) return [...functions]
  const traceable = new Set(Array.from(names.matchAll(/^\S+/gm), ([name]) => name))
  return [...functions].filter(({ name }) => traceable.has(name))
}

function tracefsFile(syscalls: Syscalls, name: string): string | undefined {
  for (const mount of TRACEFS) {
    const text = readTextFile(syscalls, `${mount}/${name}`)
    if (typeof text === 'string') return text
  }
  return undefined
}

/** Each address and name once. */
function* listed(text: string, line: RegExp, pattern: string): Generator<KernelFunction> {
  const seen = new Set<string>()
  for (const [, address, name] of text.matchAll(line)) {
    if (!matchesGlob(pattern, name as string) || seen.has(`${address} ${name}`)) continue
    seen.add(`${address} ${name}`)
    yield { name: name as string, address: BigInt(`0x${address}`) }
  }
}
