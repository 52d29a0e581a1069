/** The format string of bpf_snprintf. */
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'

const isSpace = (c: string): boolean => /^[ \t\n\v\f\r]$/.test(c)
const endsWord = (c: string): boolean => c === '' || isSpace(c) || /^[!-/:-@[-`{-~]$/.test(c)

/**
 * What follows a percent sign and its width; the length, or undefined if it is no conversion.
 *
 * Source: bpf_bprintf_prepare in kernel/bpf/helpers.c of Linux 6.18.
 */
function conversionLength(text: string): number | undefined {
  const at = (i: number): string => text[i] ?? ''
  switch (at(0)) {
    case 'p':
      if (endsWord(at(1))) return 1
      if ((at(1) === 'k' || at(1) === 'u') && at(2) === 's') return endsWord(at(3)) ? 3 : undefined
      if ('KxsSB'.includes(at(1))) return 2
      return /^[iI][46]/.test(text.slice(1)) ? 3 : undefined
    case 's':
      return endsWord(at(1)) ? 1 : undefined
    case 'c':
      return 1
    default:
      return /^l{0,2}[iduxX]/.exec(text)?.[0].length
  }
}

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
  if (end < 0) throw invalid()
  const text = String.fromCharCode(...bytes.subarray(start, end))
  let used = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    const code = text.charCodeAt(i)
    if ((code < 0x20 || code === 0x7f) && !isSpace(c)) throw invalid()
    if (c !== '%') continue
    if (text[i + 1] === '%') {
      i++
      continue
    }
    if (used >= count) throw invalid()
    const width = /^[0+\- ]*(?:[1-9][0-9]*)?/.exec(text.slice(i + 1))?.[0].length ?? 0
    const length = conversionLength(text.slice(i + 1 + width))
    if (length === undefined) throw invalid()
    used++
    i += width + length
  }
}
