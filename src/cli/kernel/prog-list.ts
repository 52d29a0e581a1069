/** `prog list`: the programs of a kernel. */
import { type ProgramInfo, programInfo } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import {
  descriptorFacts,
  forEachObject,
  fullProgramName,
  hexDigits,
  must,
  takeObjects,
  typesById,
} from './objects.ts'
import { programTypeWord, typeColumn } from './type-words.ts'
import type { Words } from './words.ts'

export function listPrograms(context: CommandContext, words: Words): void {
  const { syscalls, json } = context
  const show = (fd: number) => {
    const info = must(programInfo(syscalls, fd))
    const name = fullProgramName(info, () => typesById(syscalls, info.btf_id))
    const memlock = descriptorFacts(syscalls, fd).get('memlock')
    if (json === undefined) context.print(plain(context, info, name, memlock))
    else json.object(() => writeJson(context, info, name, memlock))
  }
  if (words.isAtEnd) {
    const all = () => forEachObject(syscalls, 'prog', show)
    if (json === undefined) all()
    else json.array(all)
    return
  }
  const found = takeObjects(syscalls, 'prog', words)
  words.end()
  const each = () => {
    for (const one of found) {
      using object = one
      show(object.fd)
    }
  }
  if (json !== undefined && found.length > 1) json.array(each)
  else each()
}

const isGpl = (info: ProgramInfo) => (info.flags & 1) !== 0

/** `2026-11-23T16:00:00+0000`, or the guest's own seconds where it has no other time. */
export function loadedAt(info: ProgramInfo, bootTimeMs: number | undefined): string {
  if (bootTimeMs === undefined) return String(info.load_time / 1_000_000_000n)
  const time = new Date(bootTimeMs + Number(info.load_time / 1_000_000n))
  const two = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, '0')
  const offset = -time.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(offset / 60)}${two(offset % 60)}`
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  return `${date}T${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}${zone}`
}

function plain(
  context: CommandContext,
  info: ProgramInfo,
  name: string,
  memlock: string | undefined,
): string {
  const named = name === '' ? '' : `name ${name}  `
  const head = `${info.id}: ${typeColumn(programTypeWord(info.type), info.type)}${named}tag ${hexDigits(info.tag)}`
  const runs = info.run_time_ns === 0n ? '' : ` run_time_ns ${info.run_time_ns} run_cnt ${info.run_cnt}`
  const misses = info.recursion_misses === 0n ? '' : ` recursion_misses ${info.recursion_misses}`
  const loaded =
    info.load_time === 0n
      ? ''
      : `\tloaded_at ${loadedAt(info, context.bootTimeMs)}  uid ${info.created_by_uid}\n`
  const jited = info.jited_prog_len === 0 ? 'not jited' : `jited ${info.jited_prog_len}B`
  const memory = memlock === undefined ? '' : `  memlock ${memlock}B`
  const maps = info.mapIds.length === 0 ? '' : `  map_ids ${info.mapIds.join(',')}`
  const btf = info.btf_id === 0 ? '' : `\n\tbtf_id ${info.btf_id}`
  return (
    `${head}${isGpl(info) ? '  gpl' : ''}${runs}${misses}\n${loaded}` +
    `\txlated ${info.xlated_prog_len}B  ${jited}${memory}${maps}${btf}\n`
  )
}

function writeJson(
  { json, bootTimeMs }: CommandContext,
  info: ProgramInfo,
  name: string,
  memlock: string | undefined,
): void {
  if (json === undefined) return
  const hasRuns = info.run_time_ns !== 0n
  json.members({
    id: info.id,
    type: programTypeWord(info.type) ?? info.type,
    name: name === '' ? undefined : name,
    tag: hexDigits(info.tag),
    gpl_compatible: isGpl(info),
    run_time_ns: hasRuns ? info.run_time_ns : undefined,
    run_cnt: hasRuns ? info.run_cnt : undefined,
    recursion_misses: info.recursion_misses === 0n ? undefined : info.recursion_misses,
  })
  if (info.load_time !== 0n) {
    const seconds = Math.floor(((bootTimeMs ?? 0) + Number(info.load_time / 1_000_000n)) / 1000)
    json.members({ loaded_at: seconds, uid: info.created_by_uid })
  }
  json.members({ bytes_xlated: info.xlated_prog_len, jited: info.jited_prog_len !== 0 })
  if (info.jited_prog_len !== 0) json.members({ bytes_jited: info.jited_prog_len })
  if (memlock !== undefined) json.members({ bytes_memlock: Number(memlock) })
  if (info.mapIds.length > 0) {
    json.name('map_ids').array(() => {
      for (const id of info.mapIds) json.number(id)
    })
  }
  if (info.btf_id !== 0) json.members({ btf_id: info.btf_id })
}
