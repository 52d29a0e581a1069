// Tasks and processors: the two structures that the rest of the kernel turns about.
//
// Rules
// - In kernel mode the register tp holds the address of this hart's struct cpu. (The first instructions of
//   trap_entry, and the last of trap_return, are the exception.)
// - this_cpu() is only meaningful while interrupts are off: the task may move to another hart otherwise.
//   current_task() is one load and may be called at any time.
// - An outside observer (a tracer) finds the running task as ((struct cpu *)tp)->current, or as
//   cpus[i].current, and reads its fields with the help of BTF. Names here are an interface: see README.md.
#pragma once

#include "abi.h"
#include "memlayout.h"
#include "riscv.h"
#include "types.h"

// The registers of an interrupted program, as trap_entry saves them. Field by field Linux's struct pt_regs.
struct trap_frame {
  u64 epc;
  u64 ra, sp, gp, tp;
  u64 t0, t1, t2;
  u64 s0, s1;
  u64 a0, a1, a2, a3, a4, a5, a6, a7;
  u64 s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;
  u64 t3, t4, t5, t6;
  u64 status, badaddr, cause, orig_a0;
};

// What survives a call of context_switch: the callee-saved registers. Known to switch.S by offset.
struct context {
  u64 ra, sp;
  u64 s[12];
};

struct spinlock {
  u32 locked;
  struct cpu *holder;
  const char *name;
};

// Tasks that wait for one event, oldest first. Guarded by sched_lock.
struct wait_queue {
  struct task *head;
};

// A lock whose waiters sleep; it may be held across sleeps and preemption.
struct mutex {
  struct spinlock guard;
  struct task *owner;
  u32 waiting; // tasks in waiters, or on their way there
  struct wait_queue waiters;
};

enum task_state { TASK_UNUSED, TASK_NEW, TASK_RUNNABLE, TASK_RUNNING, TASK_SLEEPING, TASK_ZOMBIE };

#define MAX_OPEN_FILES 64
#define MAX_REGIONS 8

// A range of user pages given out by mmap; unused when pages is 0.
struct region {
  u64 start;
  u32 pages;
  bool tracer; // shared with the tracer: not inherited by fork
};

// A user address space.
struct address_space {
  u64 *page_table; // NULL: the task lives in the kernel only
  u64 heap_start;
  u64 heap_end; // what brk(2) returns; pages up to the next boundary are mapped
  u32 pages;
  struct region regions[MAX_REGIONS];
};

struct task {
  int pid;
  int tgid; // equal to pid: a process has one thread
  char comm[TASK_COMM_LEN];
  u32 uid, gid;
  int pgid;

  enum task_state state;
  struct task *parent;
  int exit_status;     // as wait4 reports it
  u32 kill_signal;     // not 0: the task exits before it returns to user mode
  bool interruptible;  // while it sleeps: a signal wakes it
  bool timed_out;      // the last sleep ended by its deadline
  bool uses_tracer;    // it or an ancestor got a descriptor from the tracer

  struct task *next_ready;
  struct task *next_waiter;
  struct wait_queue *waiting_on;
  struct task *next_sleeper;
  u64 wake_time; // 0: not in the list of sleepers
  struct wait_queue child_exited;

  u64 kernel_stack_top;
  struct context context;
  struct address_space mm;
  u32 stale_icache; // bit per cpu: a fence.i is due before user code runs there

  u64 user_time, kernel_time; // in ticks of the time register
  u64 child_user_time, child_kernel_time;
  u64 time_stamp;
  u64 voluntary_switches, involuntary_switches;
  u64 syscalls;

  struct file *files[MAX_OPEN_FILES];
  u64 close_on_exec; // bit per descriptor
  struct node *cwd;
};

// The offsets of some fields are known to trap.S and start.S (asm_offsets.h).
struct cpu {
  struct task *current;
  u64 saved_sp;         // scratch of trap_entry
  u64 kernel_stack_top; // of current
  u32 index;            // position in cpus[], what getcpu(2) says
  u32 hartid;
  struct task *idle;
  int irq_depth;   // nested spin_lock()s
  bool irq_was_on; // before the outermost of them
  bool online;
  bool idling; // waits in wfi; whoever makes a task runnable sends an interrupt
  bool need_resched;
  u64 slice_end;
  u64 timer_deadline; // what the timer is set to
  u64 switches;
};

extern struct cpu cpus[MAX_CPUS];
extern int ncpus;
extern struct task tasks[MAX_TASKS];

static inline struct cpu *this_cpu(void) {
  struct cpu *cpu;
  __asm__ volatile("mv %0, tp" : "=r"(cpu));
  return cpu;
}

// A single load, so that it is right even if the task is preempted and moves just before or after.
static inline struct task *current_task(void) {
  struct task *task;
  __asm__ volatile("ld %0, 0(tp)" : "=r"(task));
  return task;
}

static inline struct trap_frame *user_frame(struct task *task) {
  return (struct trap_frame *)task->kernel_stack_top - 1;
}
