/** Objects as commands name them: `id 5`, `name calls`, `tag 0123456789abcdef`, `pinned /sys/fs/bpf/x`. */
import { ENOENT, type Syscalls } from '../../abi/index.ts'
import { BTF_KIND, Btf } from '../../btf/index.ts'
import {
  btfInfo,
  type KernelObjectKind,
  kernelName,
  loadedBtf,
  mapInfo,
  objectIds,
  openObjectById,
  openPinned,
  programInfo,
  readTextFile,
  SyscallError,
} from '../../client/index.ts'
import { CommandError, usageError, type Words } from './words.ts'

export interface OpenObject extends Disposable {
  readonly fd: number
}

/** Runs `use` for each object of a kind, open while it runs; one that vanishes meanwhile is left out. */
export function forEachObject(
  syscalls: Syscalls,
  kind: KernelObjectKind,
  use: (fd: number, id: number) => void,
): void {
  for (const id of objectIds(syscalls, kind)) {
    const opened = openObjectById(syscalls, kind, id)
    if (opened instanceof SyscallError) {
      if (opened.errno === ENOENT) continue
      throw opened
    }
    using object = opened
    use(object.fd, id)
  }
}

/** The objects that the words name; a name or a tag can be that of several. */
export function takeObjects(syscalls: Syscalls, kind: 'prog' | 'map', words: Words): OpenObject[] {
  const form = words.oneOf(kind === 'prog' ? ['id', 'name', 'tag', 'pinned'] : ['id', 'name', 'pinned'])
  if (form === 'id') return [must(openObjectById(syscalls, kind, words.number('an id')))]
  if (form === 'pinned') return [must(openPinned(syscalls, words.take('a path')))]
  const text = words.take(form === 'tag' ? 'a tag of 16 hexadecimal digits' : 'a name')
  const matches = (fd: number): boolean => {
    if (kind === 'map') return nameMatches(text, must(mapInfo(syscalls, fd)).name)
    const info = must(programInfo(syscalls, fd))
    if (form === 'tag') return hexDigits(info.tag) === text.toLowerCase()
    return nameMatches(text, info.name)
  }
  const ids: number[] = []
  const names: string[] = []
  forEachObject(syscalls, kind, (fd, id) => {
    if (matches(fd)) ids.push(id)
    else names.push(must(kind === 'map' ? mapInfo(syscalls, fd) : programInfo(syscalls, fd)).name)
  })
  const what = kind === 'map' ? 'map' : 'program'
  if (ids.length === 0) {
    const advice = names.length === 0 ? `the kernel has no ${what} at all` : `there are ${unique(names)}`
    throw new CommandError(`the kernel has no ${what} with the ${form} '${text}'`, {
      advice: names.length === 0 ? [advice, '--load OBJECT loads one first'] : [advice],
    })
  }
  return ids.map((id) => must(openObjectById(syscalls, kind, id)))
}

/** The one object that the words name. */
export function takeObject(syscalls: Syscalls, kind: 'prog' | 'map', words: Words): OpenObject {
  const [object, ...others] = takeObjects(syscalls, kind, words)
  if (object === undefined) throw usageError('expected an object')
  if (others.length === 0) return object
  for (const one of [object, ...others]) one[Symbol.dispose]()
  throw new CommandError(`${others.length + 1} objects are called this`, {
    advice: ['name one by its id; list shows them'],
  })
}

const unique = (names: readonly string[]): string => [...new Set(names.filter((name) => name))].join(', ')

/** The kernel keeps the first 15 characters of a name. */
const nameMatches = (wanted: string, held: string): boolean => held !== '' && kernelName(wanted) === held

/** A result, or the error thrown. */
export function must<T>(result: T | SyscallError): T {
  if (result instanceof SyscallError) throw result
  return result
}

export const hexDigits = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** `01 02 ...`: 16 bytes a line, with a gap in the middle. */
export function hexBytes(bytes: Uint8Array): string {
  let text = ''
  for (const [index, byte] of bytes.entries()) {
    if (index > 0) text += index % 16 === 0 ? '\n' : index % 8 === 0 ? '  ' : ' '
    text += byte.toString(16).padStart(2, '0')
  }
  return text
}

/** What `/proc/self/fdinfo` tells of a descriptor, by name; empty where there is no such file. */
export function descriptorFacts(syscalls: Syscalls, fd: number): ReadonlyMap<string, string> {
  const text = readTextFile(syscalls, `/proc/self/fdinfo/${fd}`)
  const facts = new Map<string, string>()
  if (typeof text === 'number') return facts
  for (const line of text.split('\n')) {
    const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) facts.set(name, value)
  }
  return facts
}

/** The types with this id, or undefined where the kernel does not show them. */
export function typesById(syscalls: Syscalls, id: number): Btf | undefined {
  if (id === 0) return undefined
  const btf = loadedBtf(syscalls, id)
  return btf instanceof Btf ? btf : undefined
}

/** The name in full, from the program's types, where the kernel's own may have been cut. */
export function fullProgramName(
  info: { readonly name: string; readonly funcInfo: Uint8Array },
  btf: () => Btf | undefined,
): string {
  if (info.name.length < 15 || info.funcInfo.length < 8) return info.name
  const types = btf()
  const type = new DataView(info.funcInfo.buffer, info.funcInfo.byteOffset).getUint32(4, true)
  const id = types?.id(type)
  if (types === undefined || id === undefined || types.kindOf(id) !== BTF_KIND.FUNC) return info.name
  return types.nameOf(id) || info.name
}

/** The name of the types with this id: `vmlinux`. */
export const nameOfTypes = (syscalls: Syscalls, fd: number): string => must(btfInfo(syscalls, fd)).name
