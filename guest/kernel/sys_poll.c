// ppoll(2), over files of the kernel and descriptors of the tracer.
//
// Nobody is told when a file becomes ready: the call looks, sleeps for POLL_INTERVAL_NS, and looks again.

#include "defs.h"
#include "sysno.h"

#define POLL_INTERVAL_NS 1000000ul
#define MAX_POLLED 64

// Looks at one entry. Its revents are written, and whether there are any is returned.
static long look(struct task *task, u64 user_entry) {
  struct pollfd entry;
  long error = copy_from_user(&entry, user_entry, sizeof(entry));
  if (error != 0) return error;
  if (entry.fd >= TRACER_FD_BASE) {
    u64 no_wait = 0; // the tracer never waits, so there is nothing to tell it about time
    long ready = tracer_forward(task, SYS_ppoll, user_entry, 1, no_wait, 0, 0, 0);
    if (ready != -ENOSYS) return ready;
  }
  entry.revents = 0;
  if (entry.fd >= 0) {
    struct file *file = file_get(task, (u64)entry.fd);
    int state = file == NULL ? POLLNVAL : file->ops->poll != NULL ? file->ops->poll(file) : POLLIN | POLLOUT;
    entry.revents = (i16)(state & (entry.events | POLLERR | POLLHUP | POLLNVAL));
  }
  error = copy_to_user(user_entry, &entry, sizeof(entry));
  return error != 0 ? error : entry.revents != 0;
}

PROBEABLE long sys_ppoll(u64 entries, u64 count, u64 timeout) {
  struct task *task = current_task();
  u64 deadline = FOREVER;
  if (count > MAX_POLLED) return -EINVAL;
  if (timeout != 0) {
    struct timespec wait;
    long error = copy_from_user(&wait, timeout, sizeof(wait));
    if (error != 0) return error;
    if (wait.tv_sec < 0 || wait.tv_nsec < 0 || wait.tv_nsec >= 1000000000) return -EINVAL;
    deadline = read_time() + ticks_from_ns((u64)wait.tv_sec * 1000000000 + (u64)wait.tv_nsec);
  }
  for (;;) {
    long ready = 0;
    for (u64 i = 0; i < count; i++) {
      long result = look(task, entries + i * sizeof(struct pollfd));
      if (result < 0) return result;
      ready += result;
    }
    u64 now = read_time();
    if (ready > 0 || now >= deadline) return ready;
    long error = sleep_on(NULL, NULL, MIN(deadline, now + ticks_from_ns(POLL_INTERVAL_NS)), INTERRUPTIBLE);
    if (error == -EINTR) return error;
  }
}
