// The way to the tracer: an eBPF subsystem outside this kernel (the machine that runs it), reached by an SBI call.
//
// Rules
// - The tracer is the SBI extension TRACER_EID. The function is a Linux system call number, a0 to a5 are that call's
//   arguments; the result of the call is sbiret.value (sbiret.error is 0). Without the extension bpf(2) and
//   perf_event_open(2) are -ENOSYS.
// - Pointers are user addresses of the current task. The tracer reads them through the satp that is in force.
// - Descriptors from TRACER_FD_BASE up are the tracer's. Calls on them (close, read, write, ioctl, dup, dup3, fcntl,
//   mmap, munmap, ppoll) are handed on as they are. The tracer answers at once: it never makes a call wait; waiting
//   (ppoll) is done here.
// - For a task that uses the tracer, or whose ancestor did, the tracer is told of
//     clone (220), a0 = the child's pid, after the child has been made, in the parent's context;
//     execve (221), when the new program is in place: close-on-exec descriptors are to be closed;
//     exit_group (94), a0 = the status as wait4 reports it, in the task that exits, its memory still there.

#include "defs.h"
#include "sysno.h"
#include "tracer.h"

bool tracer_present(void) { return sbi_has_extension(TRACER_EID); }

// Hands a system call to the tracer: its result, or -ENOSYS if there is none.
PROBEABLE long tracer_forward(struct task *task, u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5) {
  struct sbi_result result = sbi_call(TRACER_EID, number, a0, a1, a2, a3, a4, a5);
  if (result.error != 0) return -ENOSYS;
  if (result.value >= TRACER_FD_BASE && (number == SYS_bpf || number == SYS_perf_event_open)) task->uses_tracer = true;
  return result.value;
}

void tracer_notify(struct task *task, u64 number, u64 a0) {
  if (task->uses_tracer) sbi_call(TRACER_EID, number, a0, 0, 0, 0, 0, 0);
}
