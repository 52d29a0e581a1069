// System calls on time.

#include "defs.h"

#define NS_PER_SECOND 1000000000

static struct timespec timespec_from_ns(u64 ns) {
  return (struct timespec){.tv_sec = (i64)(ns / NS_PER_SECOND), .tv_nsec = (i64)(ns % NS_PER_SECOND)};
}

static bool is_valid(const struct timespec *time) {
  return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < NS_PER_SECOND;
}

static u64 ns_from_timespec(const struct timespec *time) {
  return (u64)time->tv_sec * NS_PER_SECOND + (u64)time->tv_nsec;
}

PROBEABLE long sys_clock_gettime(u64 clock, u64 buffer) {
  u64 ns;
  switch ((int)clock) {
  case CLOCK_REALTIME: ns = realtime_ns(); break;
  case CLOCK_MONOTONIC:
  case CLOCK_BOOTTIME: ns = time_ns(); break;
  case CLOCK_PROCESS_CPUTIME_ID: ns = ns_from_ticks(current_task()->user_time + current_task()->kernel_time); break;
  default: return -EINVAL;
  }
  struct timespec time = timespec_from_ns(ns);
  return copy_to_user(buffer, &time, sizeof(time));
}

PROBEABLE long sys_gettimeofday(u64 buffer) {
  u64 us = realtime_ns() / 1000;
  struct timeval time = {.tv_sec = (i64)(us / 1000000), .tv_usec = (i64)(us % 1000000)};
  return buffer != 0 ? copy_to_user(buffer, &time, sizeof(time)) : 0;
}

// Until the time register reaches the deadline, or a signal comes: then what was left goes to the user.
static long sleep_until(u64 deadline, u64 user_remaining) {
  while (read_time() < deadline) {
    long error = sleep_on(NULL, NULL, deadline, INTERRUPTIBLE);
    if (error != -EINTR) continue;
    u64 now = read_time();
    struct timespec left = timespec_from_ns(now < deadline ? ns_from_ticks(deadline - now) : 0);
    if (user_remaining != 0 && copy_to_user(user_remaining, &left, sizeof(left)) != 0) return -EFAULT;
    return -EINTR;
  }
  return 0;
}

PROBEABLE long sys_nanosleep(u64 request, u64 remaining) {
  struct timespec wait;
  long error = copy_from_user(&wait, request, sizeof(wait));
  if (error != 0) return error;
  if (!is_valid(&wait)) return -EINVAL;
  return sleep_until(read_time() + ticks_from_ns(ns_from_timespec(&wait)), remaining);
}

PROBEABLE long sys_clock_nanosleep(u64 clock, u64 flags, u64 request, u64 remaining) {
  struct timespec wait;
  if ((int)clock != CLOCK_REALTIME && (int)clock != CLOCK_MONOTONIC && (int)clock != CLOCK_BOOTTIME) return -EINVAL;
  long error = copy_from_user(&wait, request, sizeof(wait));
  if (error != 0) return error;
  if (!is_valid(&wait)) return -EINVAL;
  u64 ns = ns_from_timespec(&wait);
  if (!(flags & TIMER_ABSTIME)) return sleep_until(read_time() + ticks_from_ns(ns), remaining);
  u64 epoch = (int)clock == CLOCK_REALTIME ? realtime_ns() - time_ns() : 0;
  return sleep_until(ns > epoch ? ticks_from_ns(ns - epoch) : 0, 0);
}

static i64 clock_ticks(u64 ticks) { return (i64)(ns_from_ticks(ticks) / (NS_PER_SECOND / CLK_TCK)); }

PROBEABLE long sys_times(u64 buffer) {
  const struct task *task = current_task();
  struct tms times = {
      .tms_utime = clock_ticks(task->user_time),
      .tms_stime = clock_ticks(task->kernel_time),
      .tms_cutime = clock_ticks(task->child_user_time),
      .tms_cstime = clock_ticks(task->child_kernel_time),
  };
  if (buffer != 0 && copy_to_user(buffer, &times, sizeof(times)) != 0) return -EFAULT;
  return clock_ticks(read_time());
}
