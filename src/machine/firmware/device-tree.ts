/**
 * Writes flattened device trees.
 *
 * Source: Devicetree Specification 0.4, chapter 5.
 */

/** A property's value: text (zero-terminated), texts, 32-bit cells, raw bytes, or nothing. */
export type PropertyValue = string | readonly string[] | readonly number[] | Uint8Array | true

export interface TreeNode {
  readonly name: string
  readonly properties: Readonly<Record<string, PropertyValue>>
  readonly children?: readonly TreeNode[]
}

const token = { beginNode: 1, endNode: 2, property: 3, end: 9 } as const
const MAGIC = 0xd00dfeed
const VERSION = 17
const LAST_COMPATIBLE = 16
const HEADER_BYTES = 40
/** One empty reservation entry. */
const RESERVATIONS_BYTES = 16

const encoder = new TextEncoder()

function valueBytes(value: PropertyValue): Uint8Array {
  if (value === true) return new Uint8Array()
  if (typeof value === 'string') return encoder.encode(`${value}\0`)
  if (value instanceof Uint8Array) return value
  if (value.every((item) => typeof item === 'string')) {
    return encoder.encode(value.map((text) => `${text}\0`).join(''))
  }
  const bytes = new Uint8Array(4 * value.length)
  const view = new DataView(bytes.buffer)
  value.forEach((cell, i) => {
    view.setUint32(4 * i, cell as number)
  })
  return bytes
}

/** The tree as a blob of version 17. Everything in it is big-endian. */
export function flattenDeviceTree(root: TreeNode, bootHart = 0): Uint8Array {
  const structure: number[] = []
  const strings: number[] = []
  const stringOffsets = new Map<string, number>()
  const cell = (value: number) =>
    structure.push(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
  const pad = () => {
    while (structure.length % 4 !== 0) structure.push(0)
  }
  const nameOffset = (name: string): number => {
    const known = stringOffsets.get(name)
    if (known !== undefined) return known
    const offset = strings.length
    stringOffsets.set(name, offset)
    strings.push(...encoder.encode(`${name}\0`))
    return offset
  }
  const visit = (node: TreeNode) => {
    cell(token.beginNode)
    structure.push(...encoder.encode(`${node.name}\0`))
    pad()
    for (const [name, value] of Object.entries(node.properties)) {
      const bytes = valueBytes(value)
      cell(token.property)
      cell(bytes.length)
      cell(nameOffset(name))
      for (const byte of bytes) structure.push(byte)
      pad()
    }
    node.children?.forEach(visit)
    cell(token.endNode)
  }
  visit(root)
  cell(token.end)

  const structureAt = HEADER_BYTES + RESERVATIONS_BYTES
  const stringsAt = structureAt + structure.length
  const blob = new Uint8Array(stringsAt + strings.length)
  const header = new DataView(blob.buffer)
  ;[
    MAGIC,
    blob.length,
    structureAt,
    stringsAt,
    HEADER_BYTES,
    VERSION,
    LAST_COMPATIBLE,
    bootHart,
    strings.length,
    structure.length,
  ].forEach((value, i) => {
    header.setUint32(4 * i, value)
  })
  blob.set(structure, structureAt)
  blob.set(strings, stringsAt)
  return blob
}
