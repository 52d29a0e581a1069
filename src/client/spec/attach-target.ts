/** The text behind the `/` of a section name: where a program goes. */
import type { AttachTarget } from './types.ts'

/** How a row's target reads. */
export type AttachForm =
  | 'none'
  | 'kprobe'
  | 'kretprobe'
  | 'kprobe.multi'
  | 'kretprobe.multi'
  | 'kprobe.session'
  | 'uprobe'
  | 'uretprobe'
  | 'uprobe.multi'
  | 'uretprobe.multi'
  | 'uprobe.session'
  | 'ksyscall'
  | 'kretsyscall'
  | 'usdt'
  | 'tracepoint'
  | 'rawTracepoint'
  | 'btf'
  | 'structOps'

/** Reads `text`; an empty text is no target, a text of another form is an `invalid` one. */
export function parseAttachTarget(form: AttachForm, text: string): AttachTarget {
  if (form === 'none' || text === '') return { kind: 'none' }
  switch (form) {
    case 'kprobe':
    case 'kretprobe':
      return kprobe(text, form === 'kretprobe')
    case 'kprobe.multi':
    case 'kretprobe.multi':
    case 'kprobe.session':
      return {
        kind: 'kprobeMulti',
        pattern: text,
        isReturn: form === 'kretprobe.multi',
        isSession: form === 'kprobe.session',
      }
    case 'uprobe':
    case 'uretprobe':
    case 'uprobe.multi':
    case 'uretprobe.multi':
    case 'uprobe.session':
      return uprobe(text, form)
    case 'ksyscall':
    case 'kretsyscall':
      return { kind: 'ksyscall', syscall: text, isReturn: form === 'kretsyscall' }
    case 'usdt':
      return usdt(text)
    case 'tracepoint': {
      const match = /^([^/]+)\/([^/]+)$/.exec(text)
      if (match === null) return invalid(text, '<category>/<name>')
      return { kind: 'tracepoint', category: match[1] as string, name: match[2] as string }
    }
    case 'rawTracepoint':
      return { kind: 'rawTracepoint', name: text }
    case 'btf': {
      const colon = text.indexOf(':')
      if (colon < 0) return { kind: 'btf', name: text, module: undefined }
      return { kind: 'btf', name: text.slice(colon + 1), module: text.slice(0, colon) }
    }
    case 'structOps':
      return { kind: 'structOps', name: text }
    default: {
      const unreachable: never = form
      throw new Error(`no reader for ${unreachable}`)
    }
  }
}

const invalid = (text: string, expected: string): AttachTarget => ({ kind: 'invalid', text, expected })

/** Decimal, `0x` hexadecimal or leading-0 octal, as C's `%li`. */
const NUMBER = '0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*'
const SYMBOL_WITH_OFFSET = new RegExp(`^([^+\\s]+)(?:\\+(${NUMBER}))?$`)
const PLACE_WITH_OFFSET = new RegExp(`^([^+]+)(?:\\+(${NUMBER}))?$`)
const ONLY_NUMBER = new RegExp(`^(?:${NUMBER})$`)
const parseC = (text: string): number =>
  /^0[0-7]+$/.test(text) ? Number.parseInt(text.slice(1), 8) : Number(text)

function kprobe(text: string, isReturn: boolean): AttachTarget {
  const match = SYMBOL_WITH_OFFSET.exec(text)
  if (match === null) return invalid(text, '<symbol> or <symbol>+<offset>')
  const offset = match[2] === undefined ? 0 : parseC(match[2])
  if (isReturn && offset !== 0)
    return invalid(text, '<symbol> without an offset: a return has no place inside')
  return { kind: 'kprobe', symbol: match[1] as string, offset, isReturn }
}

function uprobe(text: string, form: AttachForm): AttachTarget {
  const flags = {
    isReturn: form.startsWith('uretprobe'),
    isMulti: form !== 'uprobe' && form !== 'uretprobe',
    isSession: form === 'uprobe.session',
  }
  const expected = '<path>:<symbol>, <path>:<symbol>+<offset> or <path>:<offset>'
  // The path may contain colons, the symbol may not.
  const match = /^(.+):([^:]+)$/.exec(text)
  if (match === null) return invalid(text, expected)
  const path = match[1] as string
  const place = match[2] as string
  if (ONLY_NUMBER.test(place)) {
    return { kind: 'uprobe', path, symbol: '', offset: parseC(place), ...flags }
  }
  const parts = PLACE_WITH_OFFSET.exec(place)
  if (parts === null) return invalid(text, expected)
  return {
    kind: 'uprobe',
    path,
    symbol: parts[1] as string,
    offset: parts[2] === undefined ? 0 : parseC(parts[2]),
    ...flags,
  }
}

function usdt(text: string): AttachTarget {
  const match = /^(.+):([^:]+):([^:]+)$/.exec(text)
  if (match === null) return invalid(text, '<path>:<provider>:<name>')
  return { kind: 'usdt', path: match[1] as string, provider: match[2] as string, name: match[3] as string }
}
