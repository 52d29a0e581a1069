// The scheduler: one queue of runnable tasks for all harts, round robin, with time slices.
//
// Rules
// - sched_lock guards the state of every task, the run queue, the wait queues and the list of sleepers. It is held
//   across a switch: the task that is switched to releases it (sched_first_run does so for a new one).
// - A hart without a runnable task runs its idle task, which waits in wfi. make_runnable wakes one such hart.
// - A hart's timer is set to the end of the running task's slice or to the earliest sleeper's time, whichever
//   comes first, and not at all when there is neither.

#include "defs.h"

#define SLICE_NS 10000000ul

struct spinlock sched_lock = {.name = "sched"};
static struct task *ready_first, *ready_last;
static struct task *sleepers; // by wake_time

void sched_init_hart(struct task *idle) {
  struct cpu *cpu = this_cpu();
  cpu->idle = idle;
  cpu->current = idle;
  cpu->timer_deadline = FOREVER;
  cpu->slice_end = FOREVER;
  cpu->online = true;
}

// Sets this hart's timer unless it comes early enough already. A tick too many does no harm.
static void timer_at_latest(u64 time) {
  struct cpu *cpu = this_cpu();
  if (time >= cpu->timer_deadline) return;
  cpu->timer_deadline = time;
  sbi_set_timer(time);
}

static void ready_append(struct task *task) {
  task->next_ready = NULL;
  if (ready_first == NULL) {
    ready_first = task;
  } else {
    ready_last->next_ready = task;
  }
  ready_last = task;
}

static void waiters_append(struct wait_queue *queue, struct task *task) {
  struct task **link = &queue->head;
  while (*link != NULL) link = &(*link)->next_waiter;
  task->next_waiter = NULL;
  task->waiting_on = queue;
  *link = task;
}

static void waiters_remove(struct task *task) {
  struct task **link = &task->waiting_on->head;
  while (*link != task) link = &(*link)->next_waiter;
  *link = task->next_waiter;
  task->waiting_on = NULL;
}

static void sleepers_add(struct task *task, u64 wake_time) {
  struct task **link = &sleepers;
  while (*link != NULL && (*link)->wake_time <= wake_time) link = &(*link)->next_sleeper;
  task->wake_time = wake_time;
  task->next_sleeper = *link;
  *link = task;
}

static void sleepers_remove(struct task *task) {
  struct task **link = &sleepers;
  while (*link != task) link = &(*link)->next_sleeper;
  *link = task->next_sleeper;
  task->wake_time = 0;
}

// Takes the task out of whatever it waits for and puts it at the end of the run queue. sched_lock is held.
PROBEABLE void make_runnable(struct task *task) {
  if (task->waiting_on != NULL) waiters_remove(task);
  if (task->wake_time != 0) sleepers_remove(task);
  task->state = TASK_RUNNABLE;
  ready_append(task);
  for (int i = 0; i < ncpus; i++) {
    struct cpu *cpu = &cpus[i];
    if (!cpu->idling) continue;
    cpu->idling = false;
    if (cpu != this_cpu()) sbi_send_ipi(cpu->hartid);
    break;
  }
}

// From one task to another on this hart; every change of the running task passes through here.
PROBEABLE void sched_switch(struct task *previous, struct task *next) {
  struct cpu *cpu = this_cpu();
  u64 now = read_time();
  previous->kernel_time += now - previous->time_stamp;
  next->time_stamp = now;
  next->state = TASK_RUNNING;
  cpu->current = next;
  cpu->kernel_stack_top = next->kernel_stack_top;
  cpu->switches++;
  u64 satp = next->mm.page_table != NULL ? mm_satp(&next->mm) : kernel_satp();
  if (satp != csr_read(satp)) {
    csr_write(satp, satp);
    tlb_flush();
  }
  if (next->stale_icache & 1u << cpu->index) {
    next->stale_icache &= ~(1u << cpu->index);
    fence_i();
  }
  context_switch(&previous->context, &next->context);
}

// Gives the hart to the next runnable task. sched_lock is held, and nothing else.
static void schedule(void) {
  struct cpu *cpu = this_cpu();
  struct task *previous = cpu->current;
  ASSERT(spin_holding(&sched_lock) && cpu->irq_depth == 1);
  struct task *next = ready_first;
  if (next != NULL) {
    ready_first = next->next_ready;
    cpu->slice_end = read_time() + ticks_from_ns(SLICE_NS);
    timer_at_latest(cpu->slice_end);
  } else {
    next = cpu->idle;
    cpu->slice_end = FOREVER;
  }
  if (sleepers != NULL) timer_at_latest(sleepers->wake_time);
  cpu->need_resched = false;
  if (next == previous) {
    next->state = TASK_RUNNING;
    return;
  }
  bool irq_was_on = cpu->irq_was_on;
  sched_switch(previous, next);
  this_cpu()->irq_was_on = irq_was_on; // perhaps another hart than before
}

// The end of the switch to a task that was never switched from.
__attribute__((used)) void sched_first_run(void) {
  this_cpu()->irq_was_on = false;
  spin_unlock(&sched_lock);
  current_task()->time_stamp = read_time();
  if (current_task()->kill_signal != 0) task_exit((int)current_task()->kill_signal);
}

// Lets the other runnable tasks run first.
void yield(void) {
  spin_lock(&sched_lock);
  struct task *task = current_task();
  if (task != this_cpu()->idle) {
    task->state = TASK_RUNNABLE;
    ready_append(task);
  }
  schedule();
  spin_unlock(&sched_lock);
}

// The last act of a task, whose state the caller has set under sched_lock.
void sched_exit(void) {
  schedule();
  panic("a task that had exited runs");
}

NORETURN void idle_loop(void) {
  for (;;) {
    irq_off();
    spin_lock(&sched_lock);
    struct cpu *cpu = this_cpu();
    if (ready_first != NULL) {
      cpu->idling = false;
      schedule();
      spin_unlock(&sched_lock);
    } else {
      cpu->idling = true;
      if (sleepers != NULL) timer_at_latest(sleepers->wake_time);
      spin_unlock(&sched_lock);
      // With interrupts off: one that arrives before wfi still ends it.
      wait_for_interrupt();
    }
    irq_on();
  }
}

// The timer interrupt: wakes the sleepers whose time has come and ends the slice.
PROBEABLE void sched_tick(void) {
  struct cpu *cpu = this_cpu();
  u64 now = read_time();
  spin_lock(&sched_lock);
  while (sleepers != NULL && sleepers->wake_time <= now) {
    struct task *task = sleepers;
    task->timed_out = true;
    make_runnable(task);
  }
  cpu->timer_deadline = FOREVER;
  if (now >= cpu->slice_end) {
    cpu->slice_end = now + ticks_from_ns(SLICE_NS);
    if (ready_first != NULL) cpu->need_resched = true;
  }
  u64 next = MIN(cpu->slice_end, sleepers != NULL ? sleepers->wake_time : FOREVER);
  if (next == FOREVER) {
    sbi_set_timer(FOREVER); // takes the pending interrupt back
  } else {
    timer_at_latest(next);
  }
  spin_unlock(&sched_lock);
}

// Sleeps until woken through queue (may be NULL), until the time deadline, or, if interruptible, until a signal.
// Called with sched_lock held, and returns with it. 0, -ETIMEDOUT or -EINTR.
long sleep_locked(struct wait_queue *queue, u64 deadline, enum sleep_kind kind) {
  struct task *task = current_task();
  if (kind == INTERRUPTIBLE && task->kill_signal != 0) return -EINTR;
  task->timed_out = false;
  task->interruptible = kind == INTERRUPTIBLE;
  task->state = TASK_SLEEPING;
  task->voluntary_switches++;
  if (queue != NULL) waiters_append(queue, task);
  if (deadline != FOREVER) sleepers_add(task, MAX(deadline, 1ul));
  schedule();
  if (kind == INTERRUPTIBLE && task->kill_signal != 0) return -EINTR;
  return task->timed_out ? -ETIMEDOUT : 0;
}

// As sleep_locked; gives up lock while it sleeps, so that no wake-up between the test and the sleep is lost.
long sleep_on(struct wait_queue *queue, struct spinlock *lock, u64 deadline, enum sleep_kind kind) {
  spin_lock(&sched_lock);
  if (lock != NULL) spin_unlock(lock);
  long result = sleep_locked(queue, deadline, kind);
  spin_unlock(&sched_lock);
  if (lock != NULL) spin_lock(lock);
  return result;
}

void wake_all_locked(struct wait_queue *queue) {
  while (queue->head != NULL) make_runnable(queue->head);
}

void wake_all(struct wait_queue *queue) {
  spin_lock(&sched_lock);
  wake_all_locked(queue);
  spin_unlock(&sched_lock);
}
