/** The format string of bpf_snprintf, whose conversions must be as many as there are arguments. */
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'

const CONVERSION = /^(?:%|c|s|p[BKxSsiI46]*|(?:k|u)s|-?\d*(?:l{0,2})[diuxX])/

/** Source: bpf_bprintf_prepare in kernel/bpf/helpers.c of Linux 6.18. */
export function checkFormat(p: Proof): void {
  const data = p.reg(5)
  const format = p.reg(3)
  const invalid = () => p.refuse(EINVAL, 'Invalid format string')
  if (data.value % 8n !== 0n) throw p.refuse(EINVAL, '')
  const count = Number(data.value / 8n)
  const bytes = format.map?.value
  if (bytes === undefined) throw invalid()
  const start = format.off + Number(format.value)
  const end = bytes.indexOf(0, start)
  let used = 0
  for (let i = start; i < end; i++) {
    const c = bytes[i] as number
    if (c >= 0x80 || (c < 0x20 && c !== 0x0a && c !== 0x09 && c !== 0x0d)) throw invalid()
    if (c !== 0x25) continue
    const rest = String.fromCharCode(...bytes.subarray(i + 1, Math.min(end, i + 24)))
    if (rest.startsWith('%')) {
      i++
      continue
    }
    const flags = /^[-0 +#]*\d*/.exec(rest)?.[0] ?? ''
    const match = CONVERSION.exec(rest.slice(flags.length)) ?? CONVERSION.exec(rest)
    if (match === null || match[0] === '' || match[0] === '%') throw invalid()
    if (used >= count) throw invalid()
    used++
    i += flags.length + match[0].length
  }
  if (used !== count) throw invalid()
}
