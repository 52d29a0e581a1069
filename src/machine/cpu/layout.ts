/**
 * Where everything lies in the machine's linear memory: the one table that the generated WebAssembly and the
 * TypeScript around it both read.
 *
 * ```
 * 0x0000   the running hart's state: x0..x31, then the slots below (SAVED_BYTES in all)
 * 0x1000   CSR descriptors
 * 0x4000   the other harts' states, SAVED_BYTES each
 * 0xc000   scratch records of a block cut short by the end of a time slice
 * 0x10000  one translation look-aside buffer per hart, TLB_BYTES each
 *          code directory: per page of RAM, the address of its entry table or 0 (u32)
 *          code cache: entry tables and decoded records
 *          RAM, on a multiple of 64 KiB
 * ```
 */

/** The harts that the layout has room for. */
export const MAX_HARTS = 8

/** Byte address of the running hart's register x0; x1 is 8 bytes on, and so forth. Holds zero. */
export const REGISTERS = 0

const slotNames = [
  'pc',
  'privilege',
  'mstatus',
  'mie',
  'mip',
  'medeleg',
  'mideleg',
  'mtvec',
  'mepc',
  'mcause',
  'mtval',
  'mscratch',
  'mcounteren',
  'menvcfg',
  'stvec',
  'sepc',
  'scause',
  'stval',
  'sscratch',
  'scounteren',
  'senvcfg',
  'satp',
  'mhartid',
  'misa',
  // Instructions left in this time slice; counts down.
  'budget',
  // What the hart's virtual time (in instruction times) and retired count will be when `budget` is 0.
  'timeEnd',
  'retiredEnd',
  'cycleOffset',
  'instretOffset',
  // The physical address of a load reservation, or -1, and the value that was loaded.
  'reservation',
  'reservedValue',
  // The exception under way.
  'cause',
  'tval',
  // 0 U, 1 S, 2 S with SUM, 3 untranslated: what data accesses and fetches are subject to.
  'dataMode',
  'fetchMode',
  // Addresses of the hart's TLB, and of the part that each kind of access uses now.
  'tlb',
  'dataTlb',
  'fetchTlb',
  // Entries filled since the last flush; the first TLB_LOG_ENTRIES of them are in the log.
  'fills',
  // The offset into RAM of the last fetch that found no decoded code.
  'fetchOffset',
  // A value on its way between a device and the CPU.
  'mmioValue',
  // 1 after a device access that may have changed what interrupts are pending.
  'attention',
  // 1: ebreak leaves the CPU; 0: it is an exception.
  'breakpointsLeave',
  // 1: an environment call from S-mode leaves the CPU; 0: it is an exception.
  'supervisorCallsLeave',
  // An exception of an instruction in these bytes leaves the CPU before it is delivered.
  'watchStart',
  'watchBytes',
] as const

export type Slot = (typeof slotNames)[number]

/** Byte address of each slot of the running hart; a slot is 8 bytes, narrower values use the low ones. */
export const slot = Object.fromEntries(slotNames.map((name, i) => [name, 256 + 8 * i])) as Record<
  Slot,
  number
>

/** Bytes of one hart's state. */
export const SAVED_BYTES = 1024
if (256 + 8 * slotNames.length > SAVED_BYTES) throw new Error('hart state outgrew SAVED_BYTES')

/** CSR descriptors: see `csrDescriptor`. */
export const CSR_TABLE = 0x1000
export const CSR_TABLE_BYTES = 0x3000

/** Fields of a CSR descriptor. */
export const csrDescriptor = {
  /** u32: address of the slot. */
  slot: 0,
  /** u32: the least privilege. */
  privilege: 4,
  /** u32: 1 when it cannot be written. */
  readOnly: 8,
  /** u32: what is special about it, an index of `csrKinds`. */
  kind: 12,
  /** u64: bits that a read shows. */
  readMask: 16,
  /** u64: bits that a write changes. */
  writeMask: 24,
  sizeBytes: 32,
} as const

export const savedHart = (index: number): number => 0x4000 + index * SAVED_BYTES

export const SCRATCH = 0xc000
export const SCRATCH_BYTES = 0x4000

/**
 * A TLB has four modes; a mode has an array for reads, one for writes, one for fetches; an array has
 * TLB_ENTRIES entries, direct-mapped by the virtual page number. An entry is a u64 virtual page address
 * (all ones: empty) and a u32: for reads and writes what to add (modulo 2^32) to a virtual address to get the
 * linear one, for fetches the address of the page's entry table.
 */
export const TLB_ENTRIES = 256
export const TLB_ENTRY_BYTES = 16
export const TLB_ARRAY_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES
export const TLB_MODE_BYTES = 3 * TLB_ARRAY_BYTES
export const tlbArray = { read: 0, write: TLB_ARRAY_BYTES, fetch: 2 * TLB_ARRAY_BYTES } as const
export const TLB_UNTRANSLATED_MODE = 3
/** Behind the modes: the addresses (u32) of entries filled since the last flush, so that a flush is cheap. */
export const TLB_LOG = 4 * TLB_MODE_BYTES
export const TLB_LOG_ENTRIES = 128
export const TLB_BYTES = 4 * TLB_MODE_BYTES + 0x1000
export const hartTlb = (index: number): number => 0x10000 + index * TLB_BYTES

export const CODE_DIRECTORY = hartTlb(MAX_HARTS)

/**
 * A decoded instruction. `remaining` counts the instructions from this one to the end of its block, this one
 * included: entering at a record takes that many from the budget, leaving early gives the rest back.
 */
export const record = {
  /** u16 */
  handler: 0,
  /** u8: register number times 8; for `jal`, rs1 and rs2 together are a u16, the page offset of the link. */
  rs1: 2,
  rs2: 3,
  rd: 4,
  /** u8 */
  remaining: 5,
  /** u16: the instruction's offset in its page. */
  pageOffset: 6,
  /** i32; the page offset of the target for branches, jumps and `auipc`. */
  immediate: 8,
  /** u32: for branches the record of the target or 0, for system instructions and AMOs the raw bits. */
  extra: 12,
  sizeBytes: 16,
} as const

/**
 * The entry table of a page of code: for each halfword the address of its record or 0 (u32), then one bit per
 * halfword that says whether it has been decoded.
 */
export const entryTable = { entries: 0, decodedBits: 8192, sizeBytes: 8192 + 256 } as const

/** Where the board's RAM begins. */
export const RAM_BASE = 0x8000_0000
export const PAGE_BYTES = 4096

/** The linear addresses that depend on the sizes of RAM and of the code cache. */
export interface MemoryMap {
  readonly ramBytes: number
  /** Linear address of RAM. */
  readonly ram: number
  readonly codeDirectory: number
  readonly codeCache: number
  readonly codeCacheEnd: number
}

const WASM_PAGE = 65536
const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to

/** Lays out memory; both sizes in bytes. */
export function memoryMap(ramBytes: number, codeCacheBytes: number): MemoryMap {
  const codeCache = roundUp(CODE_DIRECTORY + (ramBytes / PAGE_BYTES) * 4, PAGE_BYTES)
  const ram = roundUp(codeCache + codeCacheBytes, WASM_PAGE)
  return { ramBytes, ram, codeDirectory: CODE_DIRECTORY, codeCache, codeCacheEnd: ram }
}
