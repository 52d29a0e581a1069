/**
 * Lines of source with marks under them, as rustc shows them. The text comes from the object's line information: no
 * source file is needed.
 */
import type { SourceLine } from '../../verifier/index.ts'
import type { Colours } from '../colours.ts'

export interface Mark {
  readonly source: SourceLine
  /** What stands behind the mark. */
  readonly label: string
  /** The fault itself; the others only led to it. */
  readonly isFault: boolean
}

const TAB = '    '
/** A word, a number, or a run of operators. */
const TOKEN = /^(?:[A-Za-z_$][\w$]*|\d[\w.]*|[^\s\w]+)/

/** Where in the line, as shown, the marked token lies. */
function placeOf({ text, column }: SourceLine): { shown: string; start: number; length: number } {
  const shown = text.replaceAll('\t', TAB).trimEnd()
  const indent = shown.length - shown.trimStart().length
  if (column < 1 || column > text.length) {
    return { shown, start: indent, length: Math.max(shown.length - indent, 1) }
  }
  const start = text.slice(0, column - 1).replaceAll('\t', TAB).length
  return { shown, start, length: TOKEN.exec(shown.slice(start))?.[0].length ?? 1 }
}

/** The fault's place, then the marked lines of its file in order, `...` where lines are left out. */
export function excerptOf(marks: readonly Mark[], where: string, colours: Colours): readonly string[] {
  const fault = marks.find(({ isFault }) => isFault)?.source
  if (fault === undefined) return []
  const shown = marks
    .filter(({ source }) => source.file === fault.file)
    .sort((a, b) => a.source.line - b.source.line || Number(a.isFault) - Number(b.isFault))
  const width = `${Math.max(...shown.map(({ source }) => source.line))}`.length
  const gutter = ' '.repeat(width)
  const bar = colours.blue('|')
  const lines = [
    `${gutter}${colours.blue('-->')} ${fault.file}:${fault.line}:${fault.column}${where}`,
    `${gutter} ${bar}`,
  ]
  let last: number | undefined
  for (const { source, label, isFault } of shown) {
    const { shown: text, start, length } = placeOf(source)
    if (last !== undefined && source.line > last + 1) lines.push(colours.blue('...'))
    if (source.line !== last) lines.push(`${colours.blue(`${source.line}`.padStart(width))} ${bar} ${text}`)
    last = source.line
    const mark = (isFault ? '^' : '-').repeat(length)
    const paint = isFault ? colours.red : colours.blue
    lines.push(`${gutter} ${bar} ${' '.repeat(start)}${paint(`${mark} ${label}`.trimEnd())}`)
  }
  lines.push(`${gutter} ${bar}`)
  return lines
}
