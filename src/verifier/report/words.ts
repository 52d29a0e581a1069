/** What a register holds, in plain words. */

const member = (text: string, name: string): string | undefined =>
  new RegExp(`[(,=]${name}=(?:[a-z0-9]+=)*([^,)]+)`).exec(text)?.[1]

/** `from 0 to 255`; empty where nothing is known. */
function rangeOf(text: string): string {
  const most = member(text, 'umax')
  if (most !== undefined) return `from ${member(text, 'umin') ?? 0} to ${most}`
  const least = member(text, 'smin')
  const greatest = member(text, 'smax')
  if (least === undefined && greatest === undefined) return ''
  return `from ${least ?? 'anything'} to ${greatest ?? 'anything'}`
}

const REST: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/^ctx/, 'the context'],
  [/^pkt_end/, 'the end of the packet'],
  [/^pkt_meta/, "the packet's metadata"],
  [/^(sock|sock_common|tcp_sock|xdp_sock)\(/, 'a socket'],
  [/^(sock|sock_common|tcp_sock|xdp_sock)_or_null/, 'a socket, or NULL'],
  [/^func/, 'a function'],
  [/^dynptr_ptr/, 'a dynptr'],
  [/^arena/, 'memory of the arena'],
  [/^flow_keys/, 'the flow keys'],
]

/** `holds` as a log writes it, `map_value_or_null(id=1,map=counts,ks=4,vs=24)`; empty: it says all there is to say. */
export function inWords(holds: string): string {
  const text = holds.replace(/^P/, '')
  if (/^-?(0x[0-9a-f]+|\d+)$/.test(text)) return ''
  if (text.startsWith('scalar')) {
    const range = rangeOf(text)
    return range === '' ? 'any number' : `a number ${range}`
  }
  if (text.startsWith('fp')) {
    const range = rangeOf(text)
    const fixed = /^fp(?:\[\d+\])?(-\d+)$/.exec(text)?.[1] ?? member(text, 'off')
    if (range !== '') return `the stack at ${fixed ?? 0}, and ${range} beyond`
    return fixed === undefined ? 'the end of the stack' : `the stack at ${fixed}`
  }
  if (text.startsWith('map_value')) {
    const size = member(text, 'vs')
    const offset = member(text, 'off')
    const range = rangeOf(text)
    const where = [offset === undefined ? '' : `at ${offset}`, range].filter((x) => x !== '').join(', plus ')
    const isNullable = text.startsWith('map_value_or_null')
    return `a value of ${size} bytes of map ${member(text, 'map') ?? '(unnamed)'}${where === '' ? '' : `, ${where} bytes into it`}${isNullable ? ', or NULL' : ''}`
  }
  if (text.startsWith('map_ptr')) return `the map ${member(text, 'map') ?? '(unnamed)'}`
  if (text.startsWith('map_key')) return `a key of map ${member(text, 'map') ?? '(unnamed)'}`
  if (/^pkt\(/.test(text))
    return `packet data, of which ${member(text, 'r') ?? 0} bytes were checked to be there`
  const struct = /ptr_(or_null_)?(\w+)\(/.exec(text)
  if (struct !== null) {
    const trust = text.startsWith('untrusted') ? ', which may be gone' : ''
    return `a pointer to struct ${struct[2]}${struct[1] === undefined ? '' : ', or NULL'}${trust}`
  }
  if (/^(rdonly_|untrusted_|ringbuf_)*(mem|buf)/.test(text)) {
    return `memory of ${member(text, 'sz') ?? 'unknown'} bytes${text.includes('or_null') ? ', or NULL' : ''}`
  }
  return REST.find(([pattern]) => pattern.test(text))?.[1] ?? ''
}
