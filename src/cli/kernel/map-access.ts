/** An open map as the commands use it: its facts, its elements as bytes, and how they are written. */
import { BPF_MAP_TYPE } from '../../abi/index.ts'
import type { Btf, BtfId } from '../../btf/index.ts'
import { isPerCpu, MapHandle, type MapInfo, mapInfo, possibleCpuCount } from '../../client/index.ts'
import { writeBtfValue } from './btf-value.ts'
import type { CommandContext } from './command.ts'
import { JsonWriter } from './json-writer.ts'
import { hexBytes, must, type OpenObject, typesById } from './objects.ts'
import { CommandError } from './words.ts'

const T = BPF_MAP_TYPE
const mapsOfMaps: readonly number[] = [T.BPF_MAP_TYPE_ARRAY_OF_MAPS, T.BPF_MAP_TYPE_HASH_OF_MAPS]

/** Values longer than this get lines of their own. */
const SHORT = 16

export class MapAccess implements Disposable {
  readonly info: MapInfo
  readonly handle: MapHandle
  readonly cpuCount: number
  /** The types of key and value, where the kernel has them. */
  readonly btf: Btf | undefined
  readonly #context: CommandContext
  readonly #object: OpenObject

  constructor(context: CommandContext, object: OpenObject) {
    const { syscalls } = context
    this.#context = context
    this.#object = object
    this.info = must(mapInfo(syscalls, object.fd))
    this.cpuCount = isPerCpu(this.info.type) ? possibleCpuCount(syscalls) : 1
    if (this.cpuCount < 1) {
      throw new CommandError('/sys/devices/system/cpu/possible does not say how many CPUs there are')
    }
    this.btf = this.info.btf_value_type_id === 0 ? undefined : typesById(syscalls, this.info.btf_id)
    const { key_size: keySize, value_size: size, max_entries: maxEntries } = this.info
    const valueBytes = isPerCpu(this.info.type) ? ((size + 7) & ~7) * this.cpuCount : size
    const descriptor = { fd: object.fd, isOpen: true, [Symbol.dispose]() {} }
    this.handle = new MapHandle(syscalls, descriptor, { keySize, valueBytes, maxEntries })
  }

  get isOfMaps(): boolean {
    return mapsOfMaps.includes(this.info.type)
  }

  get isOfPrograms(): boolean {
    return this.info.type === T.BPF_MAP_TYPE_PROG_ARRAY
  }

  [Symbol.dispose](): void {
    this.handle[Symbol.dispose]()
    this.#object[Symbol.dispose]()
  }

  /** The value for one CPU. */
  #forCpu(value: Uint8Array, cpu: number): Uint8Array {
    const start = cpu * ((this.info.value_size + 7) & ~7)
    return value.subarray(start, start + this.info.value_size)
  }

  /** An element, as `map lookup` and `map dump` show it. */
  write(json: JsonWriter | undefined, key: Uint8Array, value: Uint8Array): void {
    if (json !== undefined) this.#writeJson(json, key, value)
    else if (this.btf === undefined) this.#context.print(this.#plain(key, value))
    else {
      const own = new JsonWriter(true)
      this.writeFormatted(own, key, value, true)
      this.#context.print(own.text)
    }
  }

  /** Key and value by their types. */
  writeFormatted(json: JsonWriter, key: Uint8Array, value: Uint8Array, isPlain: boolean): void {
    const { btf, info } = this
    if (btf === undefined) return
    const writer = { json, btf, isPlain }
    const write = (id: number, bytes: Uint8Array) => {
      const type: BtfId | undefined = btf.id(id)
      if (type === undefined) json.null()
      else writeBtfValue(writer, type, bytes)
    }
    json.object(() => {
      if (info.btf_key_type_id !== 0) {
        json.name('key')
        write(info.btf_key_type_id, key)
      }
      if (!isPerCpu(info.type)) {
        json.name('value')
        write(info.btf_value_type_id, value)
        return
      }
      json.name('values').array(() => {
        for (let cpu = 0; cpu < this.cpuCount; cpu++) {
          json.object(() => {
            json.members({ cpu }).name('value')
            write(info.btf_value_type_id, this.#forCpu(value, cpu))
          })
        }
      })
    })
  }

  #writeJson(json: JsonWriter, key: Uint8Array, value: Uint8Array): void {
    json.object(() => {
      json.name('key').hexBytes(key)
      if (!isPerCpu(this.info.type)) {
        json.name('value').hexBytes(value)
        if (this.isOfMaps) json.members({ inner_map_id: idIn(value) })
      } else {
        json.name('values').array(() => {
          for (let cpu = 0; cpu < this.cpuCount; cpu++) {
            json.object(() => json.members({ cpu }).name('value').hexBytes(this.#forCpu(value, cpu)))
          }
        })
      }
      if (this.btf !== undefined) {
        json.name('formatted')
        this.writeFormatted(json, key, value, false)
      }
    })
  }

  #plain(key: Uint8Array, value: Uint8Array): string {
    const { key_size, value_size } = this.info
    if (isPerCpu(this.info.type)) {
      let text = key_size === 0 ? '' : `key:\n${hexBytes(key)}\n`
      for (let cpu = 0; value_size > 0 && cpu < this.cpuCount; cpu++) {
        const number = String(cpu).padStart(2, '0')
        text += `value (CPU ${number}):${value_size > SHORT ? '\n' : ' '}${hexBytes(this.#forCpu(value, cpu))}\n`
      }
      return text
    }
    const hasOwnLines = key_size > SHORT || value_size > SHORT
    const isOneLine = key_size + value_size <= 24 && !hasOwnLines
    const gap = hasOwnLines ? '\n' : ' '
    const keyText = key_size === 0 ? '' : `key:${gap}${hexBytes(key)}${isOneLine ? '  ' : '\n'}`
    if (value_size === 0) return `${keyText}\n`
    return this.isOfMaps
      ? `${keyText}inner_map_id:${gap}${idIn(value)} \n`
      : `${keyText}value:${gap}${hexBytes(value)}\n`
  }

  /** An element that cannot be read. */
  writeError(json: JsonWriter | undefined, key: Uint8Array, message: string, plainMessage: string): void {
    if (json !== undefined) {
      json.object(() => {
        json.name('key').hexBytes(key)
        json.name('value').object(() => json.members({ error: message }))
      })
      return
    }
    const hasOwnLines = key.length > SHORT || plainMessage.length > SHORT
    const isOneLine = key.length + plainMessage.length <= 24 && !hasOwnLines
    const gap = hasOwnLines ? '\n' : ' '
    this.#context.print(`key:${gap}${hexBytes(key)}${isOneLine ? '  ' : '\n'}value:${gap}${plainMessage}\n`)
  }
}

const idIn = (value: Uint8Array): number =>
  new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true)
