/**
 * USDT programs, attached as libbpf attaches them: a uprobe at each place of the name, whose cookie says which spec of
 * the arguments holds there; places with the same arguments share one.
 *
 * Where a place has a semaphore, the kernel raises it in each process while the probe is there, so that the process
 * takes the trouble to compute arguments.
 */
import { errnoName, type Syscalls } from '../../abi/index.ts'
import { closestNames, ET } from '../../elf/index.ts'
import { openUprobe, uprobePmu, uprobeRefusal } from '../attach-uprobe.ts'
import { AttachError } from '../errors.ts'
import { readExecutable } from '../executable-place.ts'
import { KernelFacts } from '../kernel-facts.ts'
import type { Link } from '../link.ts'
import { Owner } from '../owner.ts'
import { linkPerfEvent } from '../perf-event-link.ts'
import type { AttachTarget } from '../spec/index.ts'
import { parseUsdtArguments } from './arguments.ts'
import { readUsdtNotes, type UsdtNote } from './notes.ts'
import { addressInProcess } from './process-maps.ts'
import { encodeUsdtSpec, type UsdtSpecs } from './specs.ts'

export type UsdtTarget = Extract<AttachTarget, { kind: 'usdt' }>

export interface UsdtAttachment {
  readonly program: string
  readonly programFd: number
  readonly target: UsdtTarget
  /** The one process to probe, 0 for the caller's own. Default: all. */
  readonly pid?: number
  /** What bpf_usdt_cookie() returns. */
  readonly cookie?: bigint
  /** Of the object that the program came with. */
  readonly specs: UsdtSpecs | undefined
}

/** A failure before anything has a place to be told of. */
type Failure = Pick<AttachError, 'code' | 'message'> & { readonly errno?: number | undefined }

interface Places {
  readonly path: string
  readonly machine: number
  /** Whether the file runs at the addresses that it was linked for. */
  readonly isFixed: boolean
  readonly notes: readonly UsdtNote[]
}

export function attachUsdt(syscalls: Syscalls, attachment: UsdtAttachment): Link | AttachError {
  const { program, target, specs, cookie = 0n, pid = -1 } = attachment
  const where = `${target.path}:${target.provider}:${target.name}`
  const fail = ({ code, message, errno }: Failure) =>
    new AttachError(code, program, where, `usdt ${where}: ${message}`, errno)
  if (specs === undefined) {
    return fail({ code: 'bad-target', message: 'the object has no maps of bpf/usdt.bpf.h for the arguments' })
  }
  const pmu = uprobePmu(syscalls, false)
  if (typeof pmu === 'string') return fail({ code: 'no-uprobes', message: pmu })
  const places = placesOf(syscalls, target)
  if ('code' in places) return fail(places)

  using owner = new Owner()
  using facts = new KernelFacts(syscalls, {})
  const hasCookies = facts.hasCookies()
  const ids = new Map<string, number>()
  let fd = -1
  for (const note of places.notes) {
    const id = ids.get(note.arguments) ?? addSpec(specs, places, note, cookie)
    if (typeof id !== 'number') return fail(id)
    if (!ids.has(note.arguments)) owner.own({ [Symbol.dispose]: () => specs.remove(id) })
    ids.set(note.arguments, id)
    if (!hasCookies) {
      const entered = enterAddress(syscalls, specs, places, note, pid, id)
      if ('code' in entered) return fail(entered)
      owner.own(entered)
    }
    const probe = {
      path: places.path,
      fileOffset: note.fileOffset,
      counterFileOffset: note.semaphoreFileOffset,
    }
    const event = openUprobe(syscalls, pmu, { ...probe, pid })
    if (typeof event === 'number') {
      return fail({ code: 'refused', message: uprobeRefusal(event), errno: -event })
    }
    const link = linkPerfEvent(syscalls, {
      ...attachment,
      event,
      where,
      cookie: hasCookies ? BigInt(id) : 0n,
    })
    if (link instanceof AttachError) return link
    fd = fd < 0 ? link.fd : fd
    owner.own(link)
  }
  const held = owner.release()
  return { program, target, fd, [Symbol.dispose]: () => held[Symbol.dispose]() }
}

function placesOf(syscalls: Syscalls, { path, provider, name }: UsdtTarget): Places | Failure {
  const opened = readExecutable(syscalls, path)
  if ('code' in opened) return opened
  const all = readUsdtNotes(opened.file)
  if (typeof all === 'string') return { code: 'bad-file', message: all }
  const notes = all.filter((note) => note.provider === provider && note.name === name)
  if (notes.length === 0) {
    const names = new Set(all.map((note) => `${note.provider}:${note.name}`))
    const near = closestNames(`${provider}:${name}`, names, 3)
    const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : ''
    return { code: 'unknown-symbol', message: `'${opened.path}' has no such place${hint}` }
  }
  const { machine, type } = opened.file
  return { path: opened.path, machine, isFixed: type === ET.EXEC, notes }
}

/** The number of a new spec of the note's arguments. */
function addSpec(specs: UsdtSpecs, places: Places, note: UsdtNote, cookie: bigint): number | Failure {
  const parsed = parseUsdtArguments(places.machine, note.arguments)
  if (typeof parsed === 'string') return { code: 'unsupported', message: parsed }
  if (!specs.knowsIndexed && parsed.some(({ kind }) => kind === 'indexed')) {
    const message = `'${note.arguments}': programs before libbpf 1.7 know of no operands with an index`
    return { code: 'unsupported', message }
  }
  const id = specs.add(encodeUsdtSpec(parsed, cookie))
  if (id === undefined) {
    return {
      code: 'refused',
      message: 'all specs are in use (BPF_USDT_MAX_SPEC_CNT says how many there are)',
    }
  }
  return id < 0 ? { code: 'refused', message: `__bpf_usdt_specs: ${errnoName(id)}`, errno: -id } : id
}

/** Without cookies, a program knows its place by the address alone, which depends on the process. */
function enterAddress(
  syscalls: Syscalls,
  specs: UsdtSpecs,
  places: Places,
  note: UsdtNote,
  pid: number,
  id: number,
): Disposable | Failure {
  if (!places.isFixed && pid === -1) {
    const message =
      'the kernel has no cookies, and the file runs at any address: name one process (the option pid)'
    return { code: 'refused', message }
  }
  const address = places.isFixed
    ? note.address
    : addressInProcess(syscalls, pid, places.path, note.fileOffset)
  if (address === undefined) {
    return { code: 'refused', message: `process ${pid} has not mapped '${places.path}' to run it` }
  }
  const result = specs.setAt(address, id)
  if (result < 0) {
    return { code: 'refused', message: `__bpf_usdt_ip_to_spec_id: ${errnoName(result)}`, errno: -result }
  }
  return { [Symbol.dispose]: () => specs.removeAt(address) }
}
