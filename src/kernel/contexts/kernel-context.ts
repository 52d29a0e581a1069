/**
 * Whether a program's context is also what the kernel itself has behind it: then bpf_cast_to_kern_ctx gives the context
 * back, and only its type changes.
 *
 * Packets' contexts are, where their structs are those that this kernel declares: an operating system that has its own
 * struct of the name has fields elsewhere. Of the other types of programs the context is the kernel's own struct for two.
 */
import { BPF_PROG_TYPE } from '../../abi/index.ts'
import { BTF_KIND } from '../../btf/index.ts'
import type { KernelCore } from '../core.ts'
import { registerLayouts } from '../registers.ts'
import { contextLayout, SK_BUFF_BYTES, XDP_MD_BYTES } from './layout.ts'

const { BPF_PROG_TYPE_CGROUP_DEVICE, BPF_PROG_TYPE_FLOW_DISSECTOR, BPF_PROG_TYPE_KPROBE } = BPF_PROG_TYPE

export function hasKernelContext({ kernelBtf, port }: KernelCore, programType: number): boolean {
  const sizeOf = (struct: string): number | undefined => {
    const id = kernelBtf?.types?.find(struct, BTF_KIND.STRUCT)
    return id === undefined ? undefined : kernelBtf?.types?.sizeOf(id)
  }
  switch (programType) {
    case BPF_PROG_TYPE_FLOW_DISSECTOR:
      return false
    case BPF_PROG_TYPE_KPROBE: {
      const bytes = registerLayouts[port.architecture]?.sizeBytes
      return bytes !== undefined && sizeOf('pt_regs') === bytes
    }
    case BPF_PROG_TYPE_CGROUP_DEVICE:
      return sizeOf('bpf_cgroup_dev_ctx') !== undefined
    default: {
      const struct = structs.get(contextLayout(programType)?.sizeBytes ?? 0)
      return struct !== undefined && kernelBtf?.declares(struct) === true
    }
  }
}

/** By the size of what user space knows in their place. */
const structs: ReadonlyMap<number, string> = new Map([
  [SK_BUFF_BYTES, 'sk_buff'],
  [XDP_MD_BYTES, 'xdp_buff'],
])
