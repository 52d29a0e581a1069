/** A rejection as people read it. */
import type { RegisterReport, RejectionReport } from '../../verifier/index.ts'
import type { Colours } from '../colours.ts'
import { excerptOf, type Mark } from './excerpt.ts'

/** So many lines that led to the fault are shown. */
const MOST_MARKS = 3

const meaningOf = ({ holds, meaning }: RegisterReport): string => (meaning === '' ? holds : meaning)

function marksOf(report: RejectionReport): readonly Mark[] {
  const { source, registers, related } = report
  if (source === undefined) return []
  const named = registers.filter(({ name }) => new RegExp(`\\b${name}\\b`).test(report.message))
  const told = named.length > 0 ? named : registers.filter(({ meaning }) => meaning !== '').slice(0, 1)
  const [first] = told
  const label = first === undefined ? '' : `${first.name} is ${meaningOf(first)}`
  const fault: Mark = { source, label, isFault: true }
  const others: Mark[] = []
  const add = (mark: Mark): void => {
    const { line, column } = mark.source
    const isShown =
      (line === source.line && related.length === 0) ||
      others.some((m) => m.source.line === line && m.source.column === column)
    if (!isShown && others.length < MOST_MARKS) others.push(mark)
  }
  for (const step of related) {
    if (step.source !== undefined) add({ source: step.source, label: step.what, isFault: false })
  }
  for (const register of told) {
    if (register.sinceSource !== undefined) {
      add({ source: register.sinceSource, label: `${register.name} has it from here`, isFault: false })
    }
  }
  return [...others, fault]
}

export function rejectionText(
  name: string,
  section: string,
  report: RejectionReport,
  colours: Colours,
): string {
  const lines = [
    `${colours.red('rejected')} ${colours.bold(name)} (${section}): ${colours.bold(report.message)}`,
    ...excerptOf(marksOf(report), '', colours),
  ]
  const fact = (text: string): void => {
    lines.push(`  ${colours.blue('=')} ${text}`)
  }
  if (report.text !== '') fact(`instruction ${report.instruction}: ${report.text}`)
  for (const r of report.registers) {
    const from = r.sinceSource === undefined ? '' : `, line ${r.sinceSource.line}`
    const since =
      r.since === undefined ? 'since the start' : `since instruction ${r.since} (${r.sinceText}${from})`
    fact(`${r.name} is ${r.holds}${r.meaning === '' ? '' : `: ${r.meaning}`}; ${since}`)
  }
  for (const step of report.related) {
    fact(`instruction ${step.instruction}: ${step.what}`)
  }
  for (const note of report.notes) fact(note)
  fact(`required: ${report.requirement}`)
  fact(`${colours.cyan('help')}: ${report.suggestion}`)
  return `${lines.join('\n')}\n\n`
}
