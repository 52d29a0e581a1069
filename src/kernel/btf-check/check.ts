/**
 * What BPF_BTF_LOAD holds BTF to, in Linux's order and with Linux's log.
 *
 * Source: btf_parse(), btf_parse_hdr(), btf_check_sec_info(), btf_parse_str_sec(), btf_parse_type_sec(),
 * btf_check_type_tags() of kernel/bpf/btf.c of Linux.
 */
import { E2BIG, EINVAL, ELOOP, ENOTSUPP } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import { BtfLog, BtfRefusal } from './log.ts'
import { checkMetas } from './metas.ts'
import { isModifier, type RawType, RawTypes } from './raw-types.ts'
import { Resolver } from './resolve.ts'

const MAGIC = 0xeb9f
const VERSION = 1
/** Up to and with `hdr_len`. */
const FIRST_MEMBERS = 8
const KNOWN_HEADER = 24
const LARGEST_STRINGS = 0xffffff + 1

export interface BtfVerdict {
  /** 0 or -errno. */
  readonly errno: number
  readonly log: string
}

/** `wantsLog`: whether to write the log at all, which takes longer than the checks. */
export function checkBtf(data: Uint8Array, wantsLog: boolean): BtfVerdict {
  const log = new BtfLog(wantsLog)
  try {
    check(data, log)
    return { errno: 0, log: log.text }
  } catch (refusal) {
    if (!(refusal instanceof BtfRefusal)) throw refusal
    return { errno: -refusal.errno, log: log.text }
  }
}

interface Header {
  readonly bytes: number
  readonly typesAt: number
  readonly typesBytes: number
  readonly stringsAt: number
  readonly stringsBytes: number
}

function check(data: Uint8Array, log: BtfLog): void {
  const need = (holds: boolean, message: string, errno = EINVAL) => {
    if (holds) return
    log.write(message)
    throw new BtfRefusal(errno)
  }
  const header = checkHeader(data, log, need)
  const stringsFrom = header.bytes + header.stringsAt
  const stringsTo = stringsFrom + header.stringsBytes
  need(stringsTo === data.length, 'String section is not at the end')
  const areStrings =
    header.stringsBytes > 0 &&
    header.stringsBytes <= LARGEST_STRINGS &&
    data[stringsTo - 1] === 0 &&
    data[stringsFrom] === 0
  need(areStrings, 'Invalid string section')
  need(header.typesAt % 4 === 0, 'Unaligned type_off')
  need(header.typesBytes > 0, 'No type found')
  const types = new RawTypes(data, data.subarray(stringsFrom, stringsTo))
  const from = header.bytes + header.typesAt
  checkMetas(types, log, from, from + header.typesBytes)
  new Resolver(types, log).checkAll()
  checkTags(types, need)
}

type Need = (holds: boolean, message: string, errno?: number) => void

function checkHeader(data: Uint8Array, log: BtfLog, need: Need): Header {
  need(data.length >= FIRST_MEMBERS, 'hdr_len not found')
  const whole = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const bytes = whole.getUint32(4, true)
  need(data.length >= bytes, 'btf_header not found')
  for (let at = KNOWN_HEADER; at < bytes; at++) need(data[at] === 0, 'Unsupported btf_header', E2BIG)
  const view = bytes >= KNOWN_HEADER ? whole : headerOf(data, bytes)
  const magic = view.getUint16(0, true)
  const version = view.getUint8(2)
  const flags = view.getUint8(3)
  const typesAt = view.getUint32(8, true)
  const typesBytes = view.getUint32(12, true)
  const stringsAt = view.getUint32(16, true)
  const stringsBytes = view.getUint32(20, true)
  if (log.isWanted) {
    log.write(
      `magic: 0x${magic.toString(16)}\nversion: ${version}\nflags: 0x${flags.toString(16)}\n` +
        `hdr_len: ${view.getUint32(4, true)}\ntype_off: ${typesAt}\ntype_len: ${typesBytes}\n` +
        `str_off: ${stringsAt}\nstr_len: ${stringsBytes}\nbtf_total_size: ${data.length}\n`,
    )
  }
  need(magic === MAGIC, 'Invalid magic')
  need(version === VERSION, 'Unsupported version', ENOTSUPP)
  need(flags === 0, 'Unsupported flags', ENOTSUPP)
  need(data.length !== bytes, 'No data')
  const expected = data.length - bytes
  let total = 0
  const needSection = (at: number, size: number) => {
    need(expected >= at, 'Invalid section offset')
    need(total >= at, 'Unsupported section found')
    need(total <= at, 'Section overlap found')
    need(expected - total >= size, 'Total section length too long')
    total += size
  }
  // By their places: Linux subtracts 32-bit numbers, and takes the sign.
  if (((typesAt - stringsAt) | 0 || (typesBytes - stringsBytes) | 0) <= 0) {
    needSection(typesAt, typesBytes)
    needSection(stringsAt, stringsBytes)
  } else {
    needSection(stringsAt, stringsBytes)
    needSection(typesAt, typesBytes)
  }
  need(expected === total, 'Unsupported section found')
  return { bytes, typesAt, typesBytes, stringsAt, stringsBytes }
}

/** A header that is shorter than known is zero where it ends. */
function headerOf(data: Uint8Array, bytes: number): DataView {
  const known = new Uint8Array(KNOWN_HEADER)
  known.set(data.subarray(0, bytes))
  return new DataView(known.buffer)
}

/** Type tags come before the other modifiers of a type. */
function checkTags(types: RawTypes, need: Need): void {
  for (let id = 1; id < types.count; id++) {
    let type = types.get(id) as RawType
    let isInTags = type.kind === BTF_KIND.TYPE_TAG
    let left = types.count
    while (isModifier(type)) {
      need(left-- > 0, 'Max chain length or cycle detected', ELOOP)
      if (type.kind === BTF_KIND.TYPE_TAG) need(isInTags, "Type tags don't precede modifiers")
      else isInTags = false
      type = types.get(type.word) as RawType
    }
  }
}
