/** `btf list`: the types that a kernel holds, and which programs and maps use them. */
import { type BtfInfo, btfInfo, mapInfo, openObjectById, programInfo } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import { forEachObject, must } from './objects.ts'
import type { Words } from './words.ts'

export function listTypes(context: CommandContext, words: Words): void {
  const { syscalls, json } = context
  const programs = new Map<number, number[]>()
  const maps = new Map<number, number[]>()
  const add = (users: Map<number, number[]>, btf: number, id: number) => {
    if (btf !== 0) users.set(btf, [...(users.get(btf) ?? []), id])
  }
  forEachObject(syscalls, 'prog', (fd, id) => add(programs, must(programInfo(syscalls, fd)).btf_id, id))
  forEachObject(syscalls, 'map', (fd, id) => add(maps, must(mapInfo(syscalls, fd)).btf_id, id))
  const show = (fd: number) => {
    const info = must(btfInfo(syscalls, fd))
    const users = { programs: programs.get(info.id) ?? [], maps: maps.get(info.id) ?? [] }
    if (json === undefined) context.print(plain(info, users))
    else writeJson(context, info, users)
  }
  if (words.isAtEnd) {
    const all = () => forEachObject(syscalls, 'btf', show)
    if (json === undefined) all()
    else json.array(all)
    return
  }
  words.oneOf(['id'])
  const id = words.number('an id')
  words.end()
  using object = must(openObjectById(syscalls, 'btf', id))
  show(object.fd)
}

interface Users {
  readonly programs: readonly number[]
  readonly maps: readonly number[]
}

function plain(info: BtfInfo, { programs, maps }: Users): string {
  const name = info.isKernel ? `[${info.name}]` : info.name || '<anon>'
  const progIds = programs.length === 0 ? '' : `  prog_ids ${programs.join(',')}`
  const mapIds = maps.length === 0 ? '' : `  map_ids ${maps.join(',')}`
  return `${info.id}: name ${name}  size ${info.sizeBytes}B${progIds}${mapIds}\n`
}

function writeJson({ json }: CommandContext, info: BtfInfo, { programs, maps }: Users): void {
  json?.object(() => {
    json.members({ id: info.id, size: info.sizeBytes })
    json.name('prog_ids').array(() => {
      for (const id of programs) json.number(id)
    })
    json.name('map_ids').array(() => {
      for (const id of maps) json.number(id)
    })
    json.members({ kernel: info.isKernel, name: info.name === '' ? undefined : info.name })
  })
}
