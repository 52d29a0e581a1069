/**
 * The assembly syntaxes as one prefix tree, built from the rows' templates in both flavours.
 *
 * An edge is a class of tokens: a literal word or symbol as it is written, `r` and `w` for registers, `#` for a
 * number, `pc`, `named`, `kfunc`, and `@` for a label. Walking a line down the tree finds the row; where the walk
 * ends early, the edges out of the last node are what could have stood there.
 */
import { lex, type Token } from './lexer.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'
import type { Placeholder } from './template.ts'

/** What a token of a matched line means: a field of the row, or a value that the syntax fixes. */
export type Slot = { readonly field: Placeholder } | { readonly fixed: number } | undefined

export interface Production {
  readonly row: Row
  /** Parallel to the line's tokens. */
  readonly slots: readonly Slot[]
}

export interface GrammarNode {
  readonly edges: ReadonlyMap<string, GrammarNode>
  readonly productions: readonly Production[]
}

interface Element {
  readonly edges: readonly string[]
  readonly slot: Slot
}

const fieldEdges: Readonly<Record<Placeholder, readonly string[]>> = {
  d: [],
  s: [],
  i: ['#'],
  x: ['#'],
  o: ['#'],
  p: ['#'],
  j: ['#', 'pc', '@'],
  I: ['#'],
  h: ['#'],
  a: ['#'],
  b: ['#'],
  n: ['#', 'named'],
  k: ['kfunc'],
}

/** The edge that a literal token of a template stands for. */
function literal(token: Token): Element {
  if (token.kind === 'register') return { edges: [token.text[0]!], slot: { fixed: token.number } }
  if (token.kind === 'number') return { edges: ['#'], slot: { fixed: Number(token.value) } }
  return { edges: [token.text], slot: undefined }
}

function elementsOf(template: string): Element[] {
  return template
    .split(/([rw]\{[ds]\}|\{\w\})/)
    .filter((part) => part !== '')
    .flatMap((part): Element[] => {
      const register = /^([rw])\{([ds])\}$/.exec(part)
      if (register !== null) return [{ edges: [register[1]!], slot: { field: register[2] as Placeholder } }]
      if (part.startsWith('{')) {
        const field = part[1] as Placeholder
        return [{ edges: fieldEdges[field], slot: { field } }]
      }
      const tokens = lex(part)
      if (!Array.isArray(tokens)) throw new Error(`cannot read ${part} in the template ${template}`)
      return tokens.map(literal)
    })
}

/** A displacement, index or offset of zero may be left out. */
const variants = (template: string): string[] => {
  const shorter = template.replace(/\s*\{[oph]\}/, '')
  return shorter === template ? [template] : [template, shorter]
}

interface MutableNode {
  readonly edges: Map<string, MutableNode>
  readonly productions: Production[]
}

function insert(root: MutableNode, row: Row, elements: readonly Element[]): void {
  let nodes = [root]
  for (const { edges } of elements) {
    nodes = nodes.flatMap((node) =>
      edges.map((edge) => {
        const next = node.edges.get(edge) ?? { edges: new Map(), productions: [] }
        node.edges.set(edge, next)
        return next
      }),
    )
  }
  const production = { row, slots: elements.map(({ slot }) => slot) }
  for (const node of nodes) node.productions.push(production)
}

/** Builds the tree; the kernel's templates go in first, so that they win where clang's say less. */
export function buildGrammar(): GrammarNode {
  const root: MutableNode = { edges: new Map(), productions: [] }
  for (const flavour of ['text', 'llvm'] as const) {
    for (const row of rows as readonly Row[]) {
      const template = row[flavour]
      if (template === undefined) continue
      for (const variant of variants(template)) insert(root, row, elementsOf(variant))
    }
  }
  return root
}

/** The edges that `token` could follow, the most specific first. */
export function edgesFor(token: Token): string[] {
  switch (token.kind) {
    case 'register':
      return [token.text[0]!, '@']
    case 'number':
      return ['#']
    case 'pc':
    case 'named':
    case 'kfunc':
      return [token.kind]
    case 'word':
      return [token.text, '@']
    case 'symbol':
      return [token.text]
  }
}

/** How an error message names an edge. */
export function describeEdge(edge: string): string {
  switch (edge) {
    case 'r':
      return 'a 64-bit register (r0 to r10)'
    case 'w':
      return 'a 32-bit register (w0 to w10)'
    case '#':
      return 'a number'
    case 'pc':
      return '`pc+N`'
    case '@':
      return 'a label'
    case 'named':
      return '`name#N`'
    case 'kfunc':
      return '`kernel-function#N`'
    default:
      return `\`${edge}\``
  }
}
