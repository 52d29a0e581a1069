// Locks: spin locks for a few instructions, mutexes for as long as a disk needs.
//
// Rules
// - A spin lock is held with interrupts off and never across a sleep; the order is: any other lock, then sched_lock.
// - A mutex may be held across sleeps and preemption. No spin lock is held while waiting for one.

#include "defs.h"

void push_irq_off(void) {
  bool was_on = irq_is_on();
  irq_off();
  struct cpu *cpu = this_cpu();
  if (cpu->irq_depth++ == 0) cpu->irq_was_on = was_on;
}

void pop_irq_off(void) {
  struct cpu *cpu = this_cpu();
  if (--cpu->irq_depth == 0 && cpu->irq_was_on) irq_on();
}

bool spin_holding(const struct spinlock *lock) { return lock->locked && lock->holder == this_cpu(); }

void spin_lock(struct spinlock *lock) {
  push_irq_off();
  if (spin_holding(lock)) panic("spin_lock: %s is held by this hart already", lock->name);
  while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE) != 0) {
    while (__atomic_load_n(&lock->locked, __ATOMIC_RELAXED) != 0 && !panic_in_progress()) {
    }
  }
  lock->holder = this_cpu();
}

void spin_unlock(struct spinlock *lock) {
  if (!spin_holding(lock)) panic("spin_unlock: %s is not held by this hart", lock->name);
  lock->holder = NULL;
  __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
  pop_irq_off();
}

PROBEABLE void mutex_lock(struct mutex *mutex) {
  spin_lock(&mutex->guard);
  ASSERT(mutex->owner != current_task());
  while (mutex->owner != NULL) {
    mutex->waiting++;
    sleep_on(&mutex->waiters, &mutex->guard, FOREVER, UNINTERRUPTIBLE);
    mutex->waiting--;
  }
  mutex->owner = current_task();
  spin_unlock(&mutex->guard);
}

PROBEABLE void mutex_unlock(struct mutex *mutex) {
  spin_lock(&mutex->guard);
  ASSERT(mutex->owner == current_task());
  mutex->owner = NULL;
  // The queue alone would not tell: a waiter enters it under sched_lock, after it has let go of the guard.
  if (mutex->waiting > 0) wake_all(&mutex->waiters);
  spin_unlock(&mutex->guard);
}
