/** Numbers of the system calls for which C libraries have no function. */
export interface SystemCallNumbers {
  readonly bpf: number
  readonly perfEventOpen: number
}

/**
 * By `process.arch`; architectures of 64 bits and little endian only, as the layouts of `abi/` are.
 *
 * Source: arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h.
 */
export const systemCallNumbers: Readonly<Record<string, SystemCallNumbers>> = {
  x64: { bpf: 321, perfEventOpen: 298 },
  arm64: { bpf: 280, perfEventOpen: 241 },
  riscv64: { bpf: 280, perfEventOpen: 241 },
  loong64: { bpf: 280, perfEventOpen: 241 },
}
