/**
 * RV64 instructions as probes see them: which may run at another address, which must be simulated, and which
 * may not be probed at all.
 *
 * The first row whose bits agree wins. An encoding that no row knows is refused: what it does is not known, so
 * neither is whether it would do the same elsewhere. Rows are as coarse as the question allows (all of OP-IMM
 * copies alike), which takes in extensions that add operations to a major opcode.
 *
 * Source: The RISC-V Instruction Set Manual, Volume I (20240411), chapter 34 (RV32/64G listings) and section 27.8
 * (RVC listings).
 */
import type { InstructionAction, Simulate } from '../architecture.ts'
import * as simulate from './simulate.ts'

export interface ProbeRow {
  readonly name: string
  readonly lengthBytes: 2 | 4
  readonly mask: number
  readonly match: number
  readonly action: InstructionAction
  readonly simulate?: Simulate
  readonly exclusive?: 'begin' | 'end'
}

const wide = (
  name: string,
  mask: number,
  match: number,
  action: InstructionAction,
  more?: Pick<ProbeRow, 'simulate' | 'exclusive'>,
): ProbeRow => ({ name, lengthBytes: 4, mask, match, action, ...more })

const compressed = (
  name: string,
  mask: number,
  match: number,
  action: InstructionAction,
  more?: Pick<ProbeRow, 'simulate' | 'exclusive'>,
): ProbeRow => ({ name, lengthBytes: 2, mask, match, action, ...more })

export const probeRows: readonly ProbeRow[] = [
  wide('load', 0x7f, 0x03, 'copy'),
  wide('load-fp', 0x7f, 0x07, 'copy'),
  // Linux refuses fences; a copy orders the same accesses.
  wide('fence, fence.i', 0x607f, 0x000f, 'copy'),
  wide('op-imm', 0x7f, 0x13, 'copy'),
  wide('auipc', 0x7f, 0x17, 'simulate', { simulate: simulate.auipc }),
  wide('op-imm-32', 0x7f, 0x1b, 'copy'),
  wide('store', 0x7f, 0x23, 'copy'),
  wide('store-fp', 0x7f, 0x27, 'copy'),
  // Between lr and sc nothing may trap, or the sc never succeeds.
  wide('lr', 0xf800_007f, 0x1000_002f, 'refuse', { exclusive: 'begin' }),
  wide('sc', 0xf800_007f, 0x1800_002f, 'refuse', { exclusive: 'end' }),
  wide('amo', 0x7f, 0x2f, 'copy'),
  wide('op', 0x7f, 0x33, 'copy'),
  wide('lui', 0x7f, 0x37, 'copy'),
  wide('op-32', 0x7f, 0x3b, 'copy'),
  wide('fmadd', 0x7f, 0x43, 'copy'),
  wide('fmsub', 0x7f, 0x47, 'copy'),
  wide('fnmsub', 0x7f, 0x4b, 'copy'),
  wide('fnmadd', 0x7f, 0x4f, 'copy'),
  wide('op-fp', 0x7f, 0x53, 'copy'),
  wide('branch (reserved)', 0x607f, 0x2063, 'refuse'),
  wide('branch', 0x7f, 0x63, 'simulate', { simulate: simulate.branch }),
  wide('jalr', 0x707f, 0x0067, 'simulate', { simulate: simulate.jalr }),
  wide('jal', 0x7f, 0x6f, 'simulate', { simulate: simulate.jal }),
  // ecall, ebreak, sret, mret, wfi, sfence.vma and the like: traps, returns from traps, waits.
  wide('system (privileged)', 0x707f, 0x0073, 'refuse'),
  wide('system (hypervisor)', 0x707f, 0x4073, 'refuse'),
  // What neither the trap nor the masking of interrupts for the step can be seen in: fcsr and its parts, counters.
  wide('csr fflags, frm, fcsr', 0xffc0_007f, 0x0000_0073, 'copy'),
  wide('csr cycle, time, instret, hpmcounter', 0xfe00_007f, 0xc000_0073, 'copy'),
  wide('csr (other)', 0x7f, 0x73, 'refuse'),

  compressed('c.illegal', 0xffff, 0x0000, 'refuse'),
  compressed('c.addi4spn', 0xe003, 0x0000, 'copy'),
  compressed('c.fld', 0xe003, 0x2000, 'copy'),
  compressed('c.lw', 0xe003, 0x4000, 'copy'),
  compressed('c.ld', 0xe003, 0x6000, 'copy'),
  compressed('c.fsd', 0xe003, 0xa000, 'copy'),
  compressed('c.sw', 0xe003, 0xc000, 'copy'),
  compressed('c.sd', 0xe003, 0xe000, 'copy'),
  compressed('c.addi, c.nop', 0xe003, 0x0001, 'copy'),
  compressed('c.addiw', 0xe003, 0x2001, 'copy'),
  compressed('c.li', 0xe003, 0x4001, 'copy'),
  compressed('c.lui, c.addi16sp', 0xe003, 0x6001, 'copy'),
  compressed('c.srli ... c.addw', 0xe003, 0x8001, 'copy'),
  compressed('c.j', 0xe003, 0xa001, 'simulate', { simulate: simulate.cJ }),
  compressed('c.beqz', 0xe003, 0xc001, 'simulate', { simulate: simulate.cBranch }),
  compressed('c.bnez', 0xe003, 0xe001, 'simulate', { simulate: simulate.cBranch }),
  compressed('c.slli', 0xe003, 0x0002, 'copy'),
  compressed('c.fldsp', 0xe003, 0x2002, 'copy'),
  compressed('c.lwsp', 0xe003, 0x4002, 'copy'),
  compressed('c.ldsp', 0xe003, 0x6002, 'copy'),
  compressed('c.jr (reserved)', 0xffff, 0x8002, 'refuse'),
  compressed('c.jr', 0xf07f, 0x8002, 'simulate', { simulate: simulate.cJr }),
  compressed('c.mv', 0xf003, 0x8002, 'copy'),
  compressed('c.ebreak', 0xffff, 0x9002, 'refuse'),
  compressed('c.jalr', 0xf07f, 0x9002, 'simulate', { simulate: simulate.cJalr }),
  compressed('c.add', 0xf003, 0x9002, 'copy'),
  compressed('c.fsdsp', 0xe003, 0xa002, 'copy'),
  compressed('c.swsp', 0xe003, 0xc002, 'copy'),
  compressed('c.sdsp', 0xe003, 0xe002, 'copy'),
]
