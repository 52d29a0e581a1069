// System calls on processes: life, death, identity.

#include "defs.h"
#include "sysno.h"

// The low byte of clone's flags is the signal at exit; nothing else of clone's repertoire is here, so this is fork.
PROBEABLE long sys_clone(u64 flags, u64 stack) {
  if ((flags & ~0xfful) != 0 || stack != 0) return -EINVAL;
  return task_fork(current_task());
}

// Appends the strings that the user's vector points to. Their number, or -EFAULT, -E2BIG.
static long gather_strings(struct exec_strings *strings, u64 vector) {
  long count = 0;
  for (; vector != 0; vector += sizeof(u64)) {
    u64 string;
    long error = copy_from_user(&string, vector, sizeof(string));
    if (error != 0) return error;
    if (string == 0) break;
    if (strings->argument_count + (u64)count >= MAX_EXEC_STRINGS) return -E2BIG;
    long length = copy_string_from_user(strings->bytes + strings->used, string, PAGE_SIZE - strings->used);
    if (length == -ENAMETOOLONG) return -E2BIG;
    if (length < 0) return length;
    strings->used += (u64)length + 1;
    count++;
  }
  return count;
}

PROBEABLE long sys_execve(u64 user_path, u64 arguments, u64 environment) {
  struct task *task = current_task();
  char path[PATH_MAX];
  long result = copy_string_from_user(path, user_path, sizeof(path));
  if (result < 0) return result;
  struct exec_strings strings = {.bytes = page_alloc()};
  if (strings.bytes == NULL) return -ENOMEM;
  result = gather_strings(&strings, arguments);
  if (result >= 0) {
    strings.argument_count = (u32)result;
    result = gather_strings(&strings, environment);
    strings.environment_count = (u32)result;
  }
  if (result >= 0) result = exec_load(task, path, &strings);
  page_free(strings.bytes);
  if (result != 0) return result;
  files_close_on_exec(task);
  tracer_notify(task, SYS_execve, 0);
  return 0;
}

PROBEABLE long sys_exit(u64 code) { task_exit((int)(code & 0xff) << 8); }
PROBEABLE long sys_exit_group(u64 code) { task_exit((int)(code & 0xff) << 8); }

static struct timeval timeval_from_ticks(u64 ticks) {
  u64 us = ns_from_ticks(ticks) / 1000;
  return (struct timeval){.tv_sec = (i64)(us / 1000000), .tv_usec = (i64)(us % 1000000)};
}

PROBEABLE long sys_getrusage(u64 who, u64 buffer) {
  const struct task *task = current_task();
  bool children = (int)who == RUSAGE_CHILDREN;
  if (!children && (int)who != RUSAGE_SELF) return -EINVAL;
  struct rusage usage = {
      .ru_utime = timeval_from_ticks(children ? task->child_user_time : task->user_time),
      .ru_stime = timeval_from_ticks(children ? task->child_kernel_time : task->kernel_time),
  };
  if (!children) {
    usage.ru_maxrss = task->mm.pages * (PAGE_SIZE / 1024);
    usage.ru_nvcsw = (i64)task->voluntary_switches;
    usage.ru_nivcsw = (i64)task->involuntary_switches;
  }
  return copy_to_user(buffer, &usage, sizeof(usage));
}

PROBEABLE long sys_wait4(u64 pid, u64 user_status, u64 options, u64 user_usage) {
  if ((options & ~(u64)WNOHANG) != 0) return -EINVAL;
  int status = 0;
  long waited = task_wait((int)pid, &status, (int)options);
  if (waited <= 0) return waited;
  if (user_status != 0 && copy_to_user(user_status, &status, sizeof(status)) != 0) return -EFAULT;
  if (user_usage != 0) {
    long error = sys_getrusage((u64)RUSAGE_CHILDREN, user_usage);
    if (error != 0) return error;
  }
  return waited;
}

PROBEABLE long sys_kill(u64 pid, u64 signal) { return task_kill((int)pid, (u32)signal); }

PROBEABLE long sys_getpid(void) { return current_task()->tgid; }
PROBEABLE long sys_gettid(void) { return current_task()->pid; }

PROBEABLE long sys_getppid(void) {
  spin_lock(&sched_lock);
  const struct task *parent = current_task()->parent;
  long pid = parent != NULL ? parent->tgid : 0;
  spin_unlock(&sched_lock);
  return pid;
}

PROBEABLE long sys_getuid(void) { return current_task()->uid; }
PROBEABLE long sys_geteuid(void) { return current_task()->uid; }
PROBEABLE long sys_getgid(void) { return current_task()->gid; }
PROBEABLE long sys_getegid(void) { return current_task()->gid; }

PROBEABLE long sys_setpgid(u64 pid, u64 pgid) {
  struct task *caller = current_task();
  if ((int)pgid < 0) return -EINVAL;
  spin_lock(&sched_lock);
  struct task *task = (int)pid == 0 ? caller : task_find((int)pid);
  long error = task == NULL || (task != caller && task->parent != caller) ? -ESRCH : 0;
  if (error == 0) task->pgid = (int)pgid != 0 ? (int)pgid : task->pid;
  spin_unlock(&sched_lock);
  return error;
}

PROBEABLE long sys_getpgid(u64 pid) {
  spin_lock(&sched_lock);
  const struct task *task = (int)pid == 0 ? current_task() : task_find((int)pid);
  long pgid = task != NULL ? task->pgid : -ESRCH;
  spin_unlock(&sched_lock);
  return pgid;
}

PROBEABLE long sys_prctl(u64 option, u64 argument) {
  struct task *task = current_task();
  char name[TASK_COMM_LEN];
  if ((int)option == PR_GET_NAME) return copy_to_user(argument, task->comm, sizeof(task->comm));
  if ((int)option != PR_SET_NAME) return -EINVAL;
  long length = copy_string_from_user(name, argument, sizeof(name));
  if (length == -EFAULT) return length;
  name[sizeof(name) - 1] = 0; // a longer name is cut off
  task_set_comm(task, name);
  return 0;
}

PROBEABLE long sys_sched_yield(void) {
  current_task()->voluntary_switches++;
  yield();
  return 0;
}

PROBEABLE long sys_getcpu(u64 user_cpu, u64 user_node) {
  push_irq_off();
  u32 cpu = this_cpu()->index, node = 0;
  pop_irq_off();
  if (user_cpu != 0 && copy_to_user(user_cpu, &cpu, sizeof(cpu)) != 0) return -EFAULT;
  if (user_node != 0 && copy_to_user(user_node, &node, sizeof(node)) != 0) return -EFAULT;
  return 0;
}
