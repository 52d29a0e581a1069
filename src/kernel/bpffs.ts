/**
 * The BPF file system: names for maps, programs and links, under /sys/fs/bpf.
 *
 * Rules
 * - A pin holds a reference as a descriptor does: the object lives until the name is unlinked and all else has let go.
 * - Names have no dots, which Linux keeps for itself.
 * - Paths are resolved here from the root. Beside the file system there are only directories that lead to it, and
 *   /tmp: no object can be pinned in one of them (-EPERM).
 *
 * Source: kernel/bpf/inode.c, fs/namei.c of Linux.
 */
import {
  EACCES,
  EEXIST,
  EINVAL,
  EIO,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
} from '../abi/index.ts'
import { IteratorLink } from './iterators/link.ts'
import type { LinkObject } from './link-object.ts'
import type { MapObject } from './map-object.ts'
import { OpenFile } from './open-file.ts'
import type { ProgramObject } from './program-object.ts'

const MOUNT = ['sys', 'fs', 'bpf']
const NAME_MAX = 255

export type Pinned =
  | { readonly kind: 'map'; readonly object: MapObject }
  | { readonly kind: 'program'; readonly object: ProgramObject }
  | { readonly kind: 'link'; readonly object: LinkObject }

export class Pin {
  readonly inode: number
  readonly pinned: Pinned

  constructor(inode: number, pinned: Pinned) {
    this.inode = inode
    this.pinned = pinned
    if (pinned.kind === 'map') pinned.object.takeUserReference()
    else pinned.object.get()
  }

  release(): void {
    if (this.pinned.kind === 'map') this.pinned.object.putUserReference()
    else this.pinned.object.put()
  }
}

export class Directory {
  readonly inode: number
  readonly parent: Directory | undefined
  /** Whether names can be made here: whether it is of the BPF file system. */
  readonly isOurs: boolean
  readonly entries = new Map<string, Directory | Pin>()

  constructor(inode: number, parent: Directory | undefined, isOurs: boolean) {
    this.inode = inode
    this.parent = parent
    this.isOurs = isOurs
  }
}

/** A directory, opened: where paths may start, and what can be listed. */
export class DirectoryFile extends OpenFile {
  readonly directory: Directory
  /** Entries already listed. */
  position = 0

  constructor(directory: Directory) {
    super()
    this.directory = directory
  }

  override read(): number {
    return -EISDIR
  }

  protected end(): void {}
}

/** A place for a name: its directory, and what has the name now. */
interface Place {
  readonly directory: Directory
  readonly name: string
  readonly entry: Directory | Pin | undefined
  /** Whether the path ends with a slash, as only a directory's may. */
  readonly endsWithSlash: boolean
}

export class BpfFileSystem {
  readonly #top: Directory
  readonly #root: Directory
  #inodes = 0

  constructor() {
    this.#top = this.#newDirectory(undefined, false)
    this.#top.entries.set('tmp', this.#newDirectory(this.#top, false))
    let at = this.#top
    for (const name of MOUNT) {
      const next = this.#newDirectory(at, name === MOUNT.at(-1))
      at.entries.set(name, next)
      at = next
    }
    this.#root = at
  }

  /** The top of the file system, /sys/fs/bpf. */
  get root(): Directory {
    return this.#root
  }

  pin(path: string, from: Directory | undefined, pinned: Pinned): number {
    const place = this.#freePlace(path, from)
    if (typeof place === 'number') return place
    if (place.endsWithSlash) return -ENOENT
    if (!place.directory.isOurs) return -EPERM
    place.directory.entries.set(place.name, new Pin(++this.#inodes, pinned))
    return 0
  }

  get(path: string, from?: Directory): Pinned | number {
    const entry = this.#find(path, from)
    if (typeof entry === 'number') return entry
    return entry instanceof Pin ? entry.pinned : -EACCES
  }

  makeDirectory(path: string, from?: Directory): number {
    const place = this.#freePlace(path, from)
    if (typeof place === 'number') return place
    if (!place.directory.isOurs) return -EPERM
    place.directory.entries.set(place.name, this.#newDirectory(place.directory, true))
    return 0
  }

  unlink(path: string, from?: Directory): number {
    const place = this.#place(path, from)
    if (typeof place === 'number') return place
    if (place.name === '') return -EISDIR
    if (place.entry === undefined) return -ENOENT
    if (place.entry instanceof Directory) return -EISDIR
    if (place.endsWithSlash) return -ENOTDIR
    place.directory.entries.delete(place.name)
    place.entry.release()
    return 0
  }

  removeDirectory(path: string, from?: Directory): number {
    const place = this.#place(path, from)
    if (typeof place === 'number') return place
    const last = path.split('/').findLast((name) => name !== '')
    if (last === '.') return -EINVAL
    if (last === '..') return -ENOTEMPTY
    if (place.entry === undefined) return -ENOENT
    if (!(place.entry instanceof Directory)) return -ENOTDIR
    if (place.entry.entries.size > 0) return -ENOTEMPTY
    if (!place.directory.isOurs) return -EPERM
    place.directory.entries.delete(place.name)
    return 0
  }

  /** open(2): a directory, or a walk of a pinned iterator; other objects are had by BPF_OBJ_GET only. */
  open(path: string, from?: Directory, wantsDirectory = false): OpenFile | number {
    const entry = this.#find(path, from)
    if (typeof entry === 'number') return entry
    if (entry instanceof Directory) return new DirectoryFile(entry)
    const { kind, object } = entry.pinned
    if (kind === 'link' && object instanceof IteratorLink && !wantsDirectory) return object.open()
    return wantsDirectory ? -ENOTDIR : -EIO
  }

  /** Lets go of everything pinned. */
  clear(): void {
    const empty = (directory: Directory) => {
      for (const [name, entry] of directory.entries) {
        directory.entries.delete(name)
        if (entry instanceof Directory) empty(entry)
        else entry.release()
      }
    }
    empty(this.#root)
  }

  #newDirectory(parent: Directory | undefined, isOurs: boolean): Directory {
    return new Directory(++this.#inodes, parent, isOurs)
  }

  #find(path: string, from: Directory | undefined): Directory | Pin | number {
    const place = this.#place(path, from)
    if (typeof place === 'number') return place
    if (place.entry === undefined) return -ENOENT
    return place.endsWithSlash && place.entry instanceof Pin ? -ENOTDIR : place.entry
  }

  #freePlace(path: string, from: Directory | undefined): Place | number {
    const place = this.#place(path, from)
    if (typeof place === 'number') return place
    return place.name === '' || place.entry !== undefined ? -EEXIST : place
  }

  /** Walks to the last name of a path; where that is `.`, `..` or the root, the name is empty. */
  #place(path: string, from: Directory | undefined): Place | number {
    if (path === '') return -ENOENT
    const names = path.split('/').filter((name) => name !== '')
    let directory = path.startsWith('/') ? this.#top : (from ?? this.#top)
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1
      if (name === '.' || name === '..') {
        if (name === '..') directory = directory.parent ?? directory
        if (isLast) break
        continue
      }
      if (name.length > NAME_MAX) return -ENAMETOOLONG
      // Dots are for special files; an entry of that name cannot come to be.
      if (directory.isOurs && name.includes('.')) return -EPERM
      const entry = directory.entries.get(name)
      if (isLast) return { directory, name, entry, endsWithSlash: path.endsWith('/') }
      if (entry === undefined) return -ENOENT
      if (entry instanceof Pin) return -ENOTDIR
      directory = entry
    }
    return { directory, name: '', entry: directory, endsWithSlash: false }
  }
}
