/** `map list`: the maps of a kernel. */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import { type MapInfo, mapInfo } from '../../client/index.ts'
import type { CommandContext } from './command.ts'
import type { JsonWriter } from './json-writer.ts'
import { descriptorFacts, forEachObject, must, takeObjects } from './objects.ts'
import { mapTypeWord, programTypeWord, typeColumn } from './type-words.ts'
import type { Words } from './words.ts'

export function listMaps(context: CommandContext, words: Words): void {
  const { syscalls, json } = context
  const show = (fd: number) => {
    const info = must(mapInfo(syscalls, fd))
    const facts = descriptorFacts(syscalls, fd)
    if (json === undefined) context.print(plain(info, facts))
    else json.object(() => writeJson(json, info, facts))
  }
  if (words.isAtEnd) {
    const all = () => forEachObject(syscalls, 'map', show)
    if (json === undefined) all()
    else json.array(all)
    return
  }
  const found = takeObjects(syscalls, 'map', words)
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

/** The first line of a map in a list, and its header where several are dumped. */
export function mapHeader(info: MapInfo): string {
  const name = info.name === '' ? '' : `name ${info.name}  `
  return `${info.id}: ${typeColumn(mapTypeWord(info.type), info.type)}${name}flags 0x${info.map_flags.toString(16)}\n`
}

export function writeMapHeader(json: JsonWriter, info: MapInfo): void {
  json.members({
    id: info.id,
    type: mapTypeWord(info.type) ?? info.type,
    name: info.name === '' ? undefined : info.name,
    flags: info.map_flags,
  })
}

function plain(info: MapInfo, facts: ReadonlyMap<string, string>): string {
  const memlock = facts.get('memlock')
  let text =
    `${mapHeader(info)}\tkey ${info.key_size}B  value ${info.value_size}B  max_entries ${info.max_entries}` +
    (memlock === undefined ? '' : `  memlock ${memlock}B`)
  if (info.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY) {
    const [type, jited] = [facts.get('owner_prog_type'), facts.get('owner_jited')]
    if (type !== undefined || jited !== undefined) text += '\n\t'
    if (type !== undefined) text += `owner_prog_type ${programTypeWord(Number(type)) ?? type}  `
    if (jited !== undefined) text += `owner${Number(jited) === 0 ? ' not' : ''} jited`
  }
  const isFrozen = Number(facts.get('frozen') ?? 0) !== 0
  if (info.btf_id !== 0 || isFrozen) text += '\n\t'
  if (info.btf_id !== 0) text += `btf_id ${info.btf_id}`
  if (isFrozen) text += `${info.btf_id === 0 ? '' : '  '}frozen`
  return `${text}\n`
}

function writeJson(json: JsonWriter, info: MapInfo, facts: ReadonlyMap<string, string>): void {
  writeMapHeader(json, info)
  const memlock = facts.get('memlock')
  json.members({
    bytes_key: info.key_size,
    bytes_value: info.value_size,
    max_entries: info.max_entries,
    bytes_memlock: memlock === undefined ? undefined : Number(memlock),
  })
  if (info.type === BPF_MAP_TYPE.BPF_MAP_TYPE_PROG_ARRAY) {
    const [type, jited] = [facts.get('owner_prog_type'), facts.get('owner_jited')]
    json.members({
      owner_prog_type: type === undefined ? undefined : (programTypeWord(Number(type)) ?? Number(type)),
      owner_jited: jited === undefined ? undefined : Number(jited) !== 0,
    })
  }
  json.members({
    frozen: Number(facts.get('frozen') ?? 0),
    btf_id: info.btf_id === 0 ? undefined : info.btf_id,
  })
}
