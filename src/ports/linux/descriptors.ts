import { BPF_CMD } from '../../abi/index.ts'

/** Commands of bpf(2) whose answer is a new descriptor. */
export const commandsThatOpen: ReadonlySet<number> = new Set([
  BPF_CMD.BPF_MAP_CREATE,
  BPF_CMD.BPF_PROG_LOAD,
  BPF_CMD.BPF_OBJ_GET,
  BPF_CMD.BPF_PROG_GET_FD_BY_ID,
  BPF_CMD.BPF_MAP_GET_FD_BY_ID,
  BPF_CMD.BPF_RAW_TRACEPOINT_OPEN,
  BPF_CMD.BPF_BTF_LOAD,
  BPF_CMD.BPF_BTF_GET_FD_BY_ID,
  BPF_CMD.BPF_LINK_CREATE,
  BPF_CMD.BPF_LINK_GET_FD_BY_ID,
  BPF_CMD.BPF_ENABLE_STATS,
  BPF_CMD.BPF_ITER_CREATE,
  BPF_CMD.BPF_TOKEN_CREATE,
])
