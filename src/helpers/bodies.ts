/**
 * Which helper has which body. To add one is a line here and a function under bodies/.
 */
import * as context from './bodies/context.ts'
import * as control from './bodies/control.ts'
import * as maps from './bodies/maps.ts'
import * as output from './bodies/output.ts'
import * as print from './bodies/print.ts'
import * as probeRead from './bodies/probe-read.ts'
import * as text from './bodies/text.ts'
import type { HelperBody } from './environment.ts'
import { helperByName } from './prototype.ts'

const bodiesByName = {
  bpf_map_lookup_elem: maps.mapLookupElem,
  bpf_map_update_elem: maps.mapUpdateElem,
  bpf_map_delete_elem: maps.mapDeleteElem,
  bpf_map_lookup_percpu_elem: maps.mapLookupPercpuElem,
  bpf_for_each_map_elem: maps.forEachMapElem,
  bpf_ktime_get_ns: context.ktimeGetNs,
  bpf_ktime_get_boot_ns: context.ktimeGetBootNs,
  bpf_ktime_get_coarse_ns: context.ktimeGetCoarseNs,
  bpf_get_smp_processor_id: context.getSmpProcessorId,
  bpf_get_numa_node_id: context.getNumaNodeId,
  bpf_get_prandom_u32: context.getPrandomU32,
  bpf_get_current_pid_tgid: context.getCurrentPidTgid,
  bpf_get_current_uid_gid: context.getCurrentUidGid,
  bpf_get_current_comm: context.getCurrentComm,
  bpf_get_func_ip: context.getFuncIp,
  bpf_get_attach_cookie: context.getAttachCookie,
  bpf_probe_read: probeRead.probeReadAny,
  bpf_probe_read_kernel: probeRead.probeReadKernel,
  bpf_probe_read_user: probeRead.probeReadUser,
  bpf_probe_read_str: probeRead.probeReadAnyStr,
  bpf_probe_read_kernel_str: probeRead.probeReadKernelStr,
  bpf_probe_read_user_str: probeRead.probeReadUserStr,
  bpf_copy_from_user: probeRead.probeReadUser,
  bpf_trace_printk: print.tracePrintk,
  bpf_trace_vprintk: print.traceVprintk,
  bpf_snprintf: print.snprintf,
  bpf_strtol: text.strtol,
  bpf_strtoul: text.strtoul,
  bpf_strncmp: text.strncmp,
  bpf_perf_event_output: output.perfEventOutput,
  bpf_ringbuf_output: output.ringbufOutput,
  bpf_ringbuf_reserve: output.ringbufReserve,
  bpf_ringbuf_submit: output.ringbufSubmit,
  bpf_ringbuf_discard: output.ringbufDiscard,
  bpf_ringbuf_query: output.ringbufQuery,
  bpf_tail_call: control.tailCall,
  bpf_loop: control.loop,
} as const satisfies Readonly<Record<string, HelperBody>>

/** Bodies by helper id; PROG_LOAD refuses a call of a helper that has none. */
export const helperBodies: ReadonlyMap<number, HelperBody> = new Map(
  Object.entries(bodiesByName).map(([name, body]) => {
    const prototype = helperByName(name)
    if (prototype === undefined) throw new Error(`a body for ${name}, which is no helper`)
    return [prototype.id, body]
  }),
)
