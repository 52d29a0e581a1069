// System calls on the system as a whole, on the tracer, and this kernel's own.

#include "defs.h"
#include "sysno.h"

PROBEABLE long sys_uname(u64 buffer) {
  static const struct utsname names = {
      .sysname = "anybpf-guest",
      .nodename = "guest",
      .release = "1.0.0",
      .version = "#1 SMP PREEMPT",
      .machine = "riscv64",
      .domainname = "(none)",
  };
  return copy_to_user(buffer, &names, sizeof(names));
}

PROBEABLE long sys_sysinfo(u64 buffer) {
  struct sysinfo info = {
      .uptime = (i64)(time_ns() / 1000000000),
      .totalram = pages_total() * PAGE_SIZE,
      .freeram = pages_free() * PAGE_SIZE,
      .mem_unit = 1,
  };
  for (u64 i = 0; i < MAX_TASKS; i++) info.procs += tasks[i].state != TASK_UNUSED;
  return copy_to_user(buffer, &info, sizeof(info));
}

PROBEABLE long sys_reboot(u64 magic1, u64 magic2, u64 command) {
  if ((u32)magic1 != LINUX_REBOOT_MAGIC1 || (u32)magic2 != LINUX_REBOOT_MAGIC2) return -EINVAL;
  switch ((u32)command) {
  case LINUX_REBOOT_CMD_RESTART: sbi_system_reset(SBI_COLD_REBOOT, false);
  case LINUX_REBOOT_CMD_HALT:
  case LINUX_REBOOT_CMD_POWER_OFF: sbi_system_reset(SBI_SHUTDOWN, false);
  default: return -EINVAL;
  }
}

PROBEABLE long sys_bpf(u64 command, u64 attributes, u64 size) {
  if (!tracer_present()) return -ENOSYS;
  return tracer_forward(current_task(), SYS_bpf, command, attributes, size, 0, 0, 0);
}

PROBEABLE long sys_perf_event_open(u64 attributes, u64 pid, u64 cpu, u64 group_fd, u64 flags) {
  if (!tracer_present()) return -ENOSYS;
  return tracer_forward(current_task(), SYS_perf_event_open, attributes, pid, cpu, group_fd, flags, 0);
}

PROBEABLE long sys_syscall_count(u64 number) { return (long)syscall_count(number); }

// The forms write to sepc, which an interrupt would overwrite, so there must be none meanwhile.
PROBEABLE long sys_probe_forms(u64 seed) {
  push_irq_off();
  u64 hash = probe_target_all_forms(seed);
  pop_irq_off();
  return (long)hash;
}

PROBEABLE long sys_panic(void) { panic("asked for by the system call panic"); }
