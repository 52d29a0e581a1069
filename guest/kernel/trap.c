// What a trap means: system calls, interrupts, faults of the user and faults of the kernel.
//
// Rules
// - trap_handler runs with interrupts off; only a system call turns them on.
// - A task is preempted on its way back to user mode, or in the kernel when it holds no spin lock.
// - A task that was killed exits on its way back to user mode, never in the middle of the kernel.

#include "asm_offsets.h"
#include "defs.h"

_Static_assert(__builtin_offsetof(struct cpu, current) == CPU_CURRENT, "asm_offsets.h");
_Static_assert(__builtin_offsetof(struct cpu, saved_sp) == CPU_SAVED_SP, "asm_offsets.h");
_Static_assert(__builtin_offsetof(struct cpu, kernel_stack_top) == CPU_KERNEL_STACK_TOP, "asm_offsets.h");
_Static_assert(__builtin_offsetof(struct cpu, hartid) == CPU_HARTID, "asm_offsets.h");
_Static_assert(sizeof(struct cpu) == CPU_SIZE, "asm_offsets.h");
_Static_assert(__builtin_offsetof(struct trap_frame, s0) == FRAME_S0, "asm_offsets.h");
_Static_assert(__builtin_offsetof(struct trap_frame, status) == FRAME_STATUS, "asm_offsets.h");
_Static_assert(sizeof(struct trap_frame) == FRAME_SIZE, "asm_offsets.h");

// Instructions that may fault on a user address, and where to go on then. Filled by usercopy.S.
struct fixup {
  u64 fault, resume;
};
extern const struct fixup fixups_start[], fixups_end[];

void trap_init_hart(void) { csr_write(sie, SIE_SOFTWARE | SIE_TIMER | SIE_EXTERNAL); }

static void external_interrupt(void) {
  u32 irq = plic_claim();
  if (irq == 0) return; // another hart was faster
  if (irq == boot_info.uart_irq) {
    uart_interrupt();
  } else if (irq == virtio_blk_irq()) {
    virtio_blk_interrupt();
  } else {
    printk("plic: interrupt %u that nobody enabled\n", irq);
  }
  plic_complete(irq);
}

static void interrupt(u64 cause) {
  switch (cause) {
  case IRQ_SOFTWARE:
    // Sent to wake this hart from wfi; the idle loop, or the end of this trap, looks at the run queue.
    csr_clear(sip, SIE_SOFTWARE);
    if (panic_in_progress()) {
      for (;;) wait_for_interrupt();
    }
    break;
  case IRQ_TIMER: sched_tick(); break;
  case IRQ_EXTERNAL: external_interrupt(); break;
  default: panic("interrupt with unknown cause %lu", cause);
  }
}

static u32 signal_of_exception(u64 cause) {
  switch (cause) {
  case EXC_ILLEGAL: return SIGILL;
  case EXC_BREAKPOINT: return SIGTRAP;
  case EXC_FETCH_MISALIGNED:
  case EXC_LOAD_MISALIGNED:
  case EXC_STORE_MISALIGNED: return SIGBUS;
  default: return SIGSEGV;
  }
}

static void user_exception(struct trap_frame *frame) {
  struct task *task = current_task();
  if (frame->cause == EXC_USER_ECALL) {
    frame->epc += 4;
    irq_on();
    frame->a0 = (u64)syscall_dispatch(task, frame);
    irq_off();
    return;
  }
  task->kill_signal = signal_of_exception(frame->cause);
  printk("%s[%d]: killed by signal %u: cause %lu at pc %p, address %p\n", task->comm, task->pid, task->kill_signal,
         frame->cause, (void *)frame->epc, (void *)frame->badaddr);
}

static void kernel_exception(struct trap_frame *frame) {
  if (frame->cause == EXC_LOAD_PAGE || frame->cause == EXC_STORE_PAGE) {
    for (const struct fixup *fixup = fixups_start; fixup < fixups_end; fixup++) {
      if (fixup->fault == frame->epc) {
        frame->epc = fixup->resume;
        return;
      }
    }
  }
  panic_with_registers(frame, "exception %lu in the kernel, address %p", frame->cause, (void *)frame->badaddr);
}

// Charges the time since the last stamp, on the way in to the user's account, on the way out to the kernel's.
static void charge(struct task *task, u64 *account) {
  u64 now = read_time();
  *account += now - task->time_stamp;
  task->time_stamp = now;
}

static void before_user_mode(void) {
  struct task *task = current_task();
  for (;;) {
    if (task->kill_signal != 0) task_exit((int)task->kill_signal);
    if (!this_cpu()->need_resched) break;
    task->involuntary_switches++;
    yield();
  }
  charge(task, &task->kernel_time);
}

void trap_handler(struct trap_frame *frame) {
  bool from_user = (frame->status & SSTATUS_SPP) == 0;
  if (from_user) charge(current_task(), &current_task()->user_time);

  if (frame->cause & SCAUSE_INTERRUPT) {
    interrupt(frame->cause & ~SCAUSE_INTERRUPT);
  } else if (from_user) {
    user_exception(frame);
  } else {
    kernel_exception(frame);
  }

  if (from_user) {
    before_user_mode();
  } else if (this_cpu()->need_resched && (frame->status & SSTATUS_SPIE) && this_cpu()->irq_depth == 0) {
    current_task()->involuntary_switches++;
    yield();
  }
}
