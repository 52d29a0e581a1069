/**
 * The line information of a program, where the caller wants it checked: one line at least for each function, in
 * the order of the instructions, with names that there are.
 *
 * Source: check_btf_line in kernel/bpf/verifier.c of Linux 6.18.
 */
import type { Proof } from '../proof.ts'
import { EINVAL } from '../refusal.ts'

export function checkLineRecords(p: Proof): void {
  const { lineRecords, btf } = p.input
  if (lineRecords === undefined || lineRecords.length === 0 || btf === undefined) return
  const { subprograms } = p
  let next = 0
  let previous = 0
  for (const [i, { instruction, file, text }] of lineRecords.entries()) {
    if ((i > 0 && instruction <= previous) || instruction >= p.length) {
      throw p.refuse(
        EINVAL,
        `Invalid line_info[${i}].insn_off:${instruction} (prev_offset:${previous} prog->len:${p.length})`,
      )
    }
    if (p.insn(instruction).opcode === 0) {
      throw p.refuse(EINVAL, `Invalid insn code at line_info[${i}].insn_off`)
    }
    if (text >= btf.stringBytes || file >= btf.stringBytes) {
      throw p.refuse(EINVAL, `Invalid line_info[${i}].line_off or .file_name_off`)
    }
    const function_ = subprograms[next]
    if (function_ !== undefined) {
      if (instruction === function_.start) next++
      else if (function_.start < instruction) {
        throw p.refuse(EINVAL, `missing bpf_line_info for func#${next}`)
      }
    }
    previous = instruction
  }
  const missing = subprograms.length - next
  if (missing > 0) {
    throw p.refuse(EINVAL, `missing bpf_line_info for ${missing} funcs starting from func#${next}`)
  }
}
