/**
 * The control and status registers, one row each. A number without a row is an illegal instruction.
 *
 * The number itself says who may use it: bits 9..8 the least privilege, bits 11..10 both set read-only.
 * PMP registers read as zero: no entry is implemented, so every access passes.
 *
 * Source: The RISC-V Instruction Set Manual, volume II (20240411), chapter 2 (listing), 3.1, 4.1 (fields).
 */
import type { Slot } from './layout.ts'
import { CSR_TABLE, CSR_TABLE_BYTES, csrDescriptor, slot } from './layout.ts'

/** What an access does besides moving masked bits; the index is the descriptor's `kind`. */
export const csrKinds = [
  'plain',
  'status',
  'satp',
  /** Shows and changes only what `mideleg` delegates. */
  'delegated',
  'time',
  'cycle',
  'instret',
] as const
export type CsrKind = (typeof csrKinds)[number]

export interface CsrRow {
  readonly number: number
  readonly name: string
  readonly slot: Slot | undefined
  readonly readMask: bigint
  readonly writeMask: bigint
  readonly kind: CsrKind
}

const ALL = (1n << 64n) - 1n

export const status = {
  SIE: 1n << 1n,
  MIE: 1n << 3n,
  SPIE: 1n << 5n,
  MPIE: 1n << 7n,
  SPP: 1n << 8n,
  MPP: 3n << 11n,
  MPRV: 1n << 17n,
  SUM: 1n << 18n,
  MXR: 1n << 19n,
  TVM: 1n << 20n,
  TW: 1n << 21n,
  TSR: 1n << 22n,
  /** UXL and SXL: both 64 bits wide. */
  XL64: (2n << 32n) | (2n << 34n),
  UXL: 3n << 32n,
} as const

export const interrupt = {
  SSI: 1,
  MSI: 3,
  STI: 5,
  MTI: 7,
  SEI: 9,
  MEI: 11,
} as const

const bits = (...numbers: number[]): bigint => numbers.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)

const SUPERVISOR_INTERRUPTS = bits(interrupt.SSI, interrupt.STI, interrupt.SEI)
const ALL_INTERRUPTS = SUPERVISOR_INTERRUPTS | bits(interrupt.MSI, interrupt.MTI, interrupt.MEI)

const { SIE, MIE, SPIE, MPIE, SPP, MPP, MPRV, SUM, MXR, TVM, TW, TSR, UXL } = status
const SSTATUS = SIE | SPIE | SPP | SUM | MXR
const MSTATUS = SSTATUS | MIE | MPIE | MPP | MPRV | TVM | TW | TSR

const row = (
  number: number,
  name: string,
  at: Slot | undefined,
  writeMask: bigint,
  readMask = ALL,
  kind: CsrKind = 'plain',
): CsrRow => ({ number, name, slot: at, readMask, writeMask, kind })

const zero = (number: number, name: string): CsrRow => row(number, name, undefined, 0n, 0n)

const range = (count: number, make: (i: number) => CsrRow): CsrRow[] =>
  Array.from({ length: count }, (_, i) => make(i))

export const csrs: readonly CsrRow[] = [
  row(0xc00, 'cycle', undefined, 0n, ALL, 'cycle'),
  row(0xc01, 'time', undefined, 0n, ALL, 'time'),
  row(0xc02, 'instret', undefined, 0n, ALL, 'instret'),

  row(0x100, 'sstatus', 'mstatus', SSTATUS, SSTATUS | UXL, 'status'),
  row(0x104, 'sie', 'mie', SUPERVISOR_INTERRUPTS, SUPERVISOR_INTERRUPTS, 'delegated'),
  row(0x105, 'stvec', 'stvec', ALL & ~2n),
  row(0x106, 'scounteren', 'scounteren', 7n),
  row(0x10a, 'senvcfg', 'senvcfg', 1n),
  row(0x140, 'sscratch', 'sscratch', ALL),
  row(0x141, 'sepc', 'sepc', ALL & ~1n),
  row(0x142, 'scause', 'scause', ALL),
  row(0x143, 'stval', 'stval', ALL),
  row(0x144, 'sip', 'mip', bits(interrupt.SSI), SUPERVISOR_INTERRUPTS, 'delegated'),
  row(0x180, 'satp', 'satp', ALL, ALL, 'satp'),

  zero(0xf11, 'mvendorid'),
  zero(0xf12, 'marchid'),
  zero(0xf13, 'mimpid'),
  row(0xf14, 'mhartid', 'mhartid', 0n),
  zero(0xf15, 'mconfigptr'),
  row(0x300, 'mstatus', 'mstatus', MSTATUS, ALL, 'status'),
  row(0x301, 'misa', 'misa', 0n),
  // All exceptions that a lower privilege can cause, without calls from M-mode.
  row(0x302, 'medeleg', 'medeleg', 0xb3ffn),
  row(0x303, 'mideleg', 'mideleg', SUPERVISOR_INTERRUPTS),
  row(0x304, 'mie', 'mie', ALL_INTERRUPTS),
  row(0x305, 'mtvec', 'mtvec', ALL & ~2n),
  row(0x306, 'mcounteren', 'mcounteren', 7n),
  row(0x30a, 'menvcfg', 'menvcfg', 1n),
  zero(0x320, 'mcountinhibit'),
  row(0x340, 'mscratch', 'mscratch', ALL),
  row(0x341, 'mepc', 'mepc', ALL & ~1n),
  row(0x342, 'mcause', 'mcause', ALL),
  row(0x343, 'mtval', 'mtval', ALL),
  row(0x344, 'mip', 'mip', SUPERVISOR_INTERRUPTS),
  row(0xb00, 'mcycle', 'cycleOffset', ALL, ALL, 'cycle'),
  row(0xb02, 'minstret', 'instretOffset', ALL, ALL, 'instret'),
  ...range(29, (i) => zero(0xb03 + i, `mhpmcounter${i + 3}`)),
  ...range(29, (i) => zero(0x323 + i, `mhpmevent${i + 3}`)),
  // No triggers: `tselect` selects none, whose type reads as 0.
  ...['tselect', 'tdata1', 'tdata2', 'tdata3'].map((name, i) => zero(0x7a0 + i, name)),
  ...range(8, (i) => zero(0x3a0 + 2 * i, `pmpcfg${2 * i}`)),
  ...range(64, (i) => zero(0x3b0 + i, `pmpaddr${i}`)),
]

/** Address of each CSR's descriptor, by number. */
export const csrDescriptorAt: ReadonlyMap<number, number> = new Map(
  csrs.map(({ number }, i) => [number, CSR_TABLE + i * csrDescriptor.sizeBytes]),
)
if (csrs.length * csrDescriptor.sizeBytes > CSR_TABLE_BYTES)
  throw new Error('CSR descriptors outgrew their place')

/** Writes the descriptors into the machine's memory. */
export function writeCsrDescriptors(view: DataView): void {
  csrs.forEach((csr, i) => {
    const at = CSR_TABLE + i * csrDescriptor.sizeBytes
    view.setUint32(at + csrDescriptor.slot, csr.slot === undefined ? 0 : slot[csr.slot], true)
    view.setUint32(at + csrDescriptor.privilege, (csr.number >>> 8) & 3, true)
    view.setUint32(at + csrDescriptor.readOnly, csr.number >>> 10 === 3 ? 1 : 0, true)
    view.setUint32(at + csrDescriptor.kind, csrKinds.indexOf(csr.kind), true)
    view.setBigUint64(at + csrDescriptor.readMask, csr.readMask, true)
    view.setBigUint64(at + csrDescriptor.writeMask, csr.writeMask, true)
  })
}

/** The state of the CSRs after reset, for the slots that are not zero. */
export function resetCsrs(hartId: number): Partial<Record<Slot, bigint>> {
  const extensions = [...'acimsu'].reduce(
    (mask, letter) => mask | (1n << BigInt(letter.charCodeAt(0) - 97)),
    0n,
  )
  return {
    privilege: 3n,
    mstatus: status.XL64,
    misa: (2n << 62n) | extensions,
    mhartid: BigInt(hartId),
    reservation: ALL,
    dataMode: 3n,
    fetchMode: 3n,
  }
}
