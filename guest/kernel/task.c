// Tasks: their table, birth, death and signals.
//
// Rules
// - A slot of tasks[] belongs to its task from task_alloc until the parent has waited for it. The slot's kernel
//   stack is the one at the same index under KERNEL_STACKS.
// - state, parent, kill_signal and pgid are guarded by sched_lock; the rest belongs to the task itself.
// - A child whose parent has gone belongs to init (pid 1). init must not exit.

#include "defs.h"
#include "sysno.h"

struct cpu cpus[MAX_CPUS];
int ncpus = 1;
struct task tasks[MAX_TASKS];
static struct task idle_tasks[MAX_CPUS];
static int last_pid;
static struct task *init_task;

void task_init(void) {
  for (u64 i = 0; i < MAX_TASKS; i++) tasks[i].kernel_stack_top = KERNEL_STACKS + (i + 1) * KERNEL_STACK_SLOT;
  for (u32 i = 0; i < MAX_CPUS; i++) {
    struct task *idle = &idle_tasks[i];
    copy_name(idle->comm, "idle/0", sizeof(idle->comm));
    idle->comm[5] = (char)('0' + i);
    idle->state = TASK_RUNNING;
    cpus[i].index = i;
    cpus[i].idle = idle;
  }
}

void task_set_comm(struct task *task, const char *name) { copy_name(task->comm, name, sizeof(task->comm)); }

static struct task *task_alloc(void) {
  struct task *found = NULL;
  spin_lock(&sched_lock);
  for (u64 i = 0; i < MAX_TASKS && found == NULL; i++) {
    if (tasks[i].state == TASK_UNUSED) found = &tasks[i];
  }
  if (found != NULL) {
    u64 stack_top = found->kernel_stack_top;
    memset(found, 0, sizeof(*found));
    found->kernel_stack_top = stack_top;
    found->state = TASK_NEW;
    found->pid = found->tgid = ++last_pid;
  }
  spin_unlock(&sched_lock);
  return found;
}

static void task_start(struct task *task) {
  task->context.ra = (u64)fork_return;
  task->context.sp = (u64)user_frame(task);
  spin_lock(&sched_lock);
  make_runnable(task);
  spin_unlock(&sched_lock);
}

struct task *task_find(int pid) {
  for (u64 i = 0; i < MAX_TASKS; i++) {
    enum task_state state = tasks[i].state;
    if (state != TASK_UNUSED && state != TASK_NEW && tasks[i].pid == pid) return &tasks[i];
  }
  return NULL;
}

// The child's pid, or -EAGAIN (no slot), -ENOMEM.
PROBEABLE long task_fork(struct task *parent) {
  struct task *child = task_alloc();
  if (child == NULL) return -EAGAIN;
  int error = mm_copy(&child->mm, &parent->mm);
  if (error != 0) {
    child->state = TASK_UNUSED;
    return error;
  }
  memcpy(child->comm, parent->comm, sizeof(child->comm));
  child->uid = parent->uid;
  child->gid = parent->gid;
  child->pgid = parent->pgid;
  child->parent = parent;
  child->uses_tracer = parent->uses_tracer;
  child->stale_icache = ~0u;
  child->cwd = parent->cwd;
  node_hold(child->cwd);
  files_copy(child, parent);
  struct trap_frame *frame = user_frame(child);
  *frame = *user_frame(parent);
  frame->a0 = 0;
  int pid = child->pid; // the child may be gone once it has started
  tracer_notify(parent, SYS_clone, (u64)pid);
  task_start(child);
  return pid;
}

// Makes pid 1 from the program named by the boot argument init=, or /bin/init.
void task_start_first(void) {
  char path[PATH_MAX];
  if (!boot_argument("init", path, sizeof(path))) copy_name(path, "/bin/init", sizeof(path));
  struct task *task = task_alloc();
  init_task = task;
  task->pgid = task->pid;
  task->cwd = ramfs_root();
  node_hold(task->cwd);
  struct exec_strings strings = {.bytes = page_alloc(), .argument_count = 1};
  if (strings.bytes == NULL) panic("no memory for %s", path);
  memcpy(strings.bytes, path, strlen(path) + 1);
  strings.used = strlen(path) + 1;
  long error = exec_load(task, path, &strings);
  if (error != 0) panic("cannot run %s: error %ld", path, -error);
  page_free(strings.bytes);

  struct node *console;
  error = path_lookup(ramfs_root(), "/dev/console", &console);
  if (error != 0) panic("no /dev/console");
  struct file *file = file_alloc();
  file->ops = console->device;
  file->node = console;
  file->flags = O_RDWR;
  for (u64 fd = 0; fd < 3; fd++) {
    if (fd > 0) file_hold(file);
    fd_install(task, file, fd, false);
  }
  task_start(task);
}

static void reparent_children(struct task *task) {
  for (u64 i = 0; i < MAX_TASKS; i++) {
    if (tasks[i].state == TASK_UNUSED || tasks[i].parent != task) continue;
    tasks[i].parent = init_task;
    if (tasks[i].state == TASK_ZOMBIE) wake_all_locked(&init_task->child_exited);
  }
}

// status as wait4 reports it: exit code << 8, or a signal's number.
PROBEABLE NORETURN void task_exit(int status) {
  struct task *task = current_task();
  irq_on();
  if (task == init_task) panic("init exited with status %x", status);
  tracer_notify(task, SYS_exit_group, (u64)status);
  files_close_all(task);
  node_put(task->cwd);

  // The tables go only when no hart uses them: from here on the task lives in the kernel's.
  push_irq_off();
  struct address_space mm = task->mm;
  task->mm.page_table = NULL;
  kernel_vm_enter();
  pop_irq_off();
  mm_destroy(&mm);

  spin_lock(&sched_lock);
  reparent_children(task);
  task->exit_status = status;
  task->state = TASK_ZOMBIE;
  wake_all_locked(&task->parent->child_exited);
  sched_exit();
}

static bool wait_matches(const struct task *child, const struct task *parent, int pid) {
  if (child->state == TASK_UNUSED || child->state == TASK_NEW || child->parent != parent) return false;
  if (pid > 0) return child->pid == pid;
  if (pid == 0) return child->pgid == parent->pgid;
  return pid == -1 || child->pgid == -pid;
}

// The pid of a child that has exited, its status through *status; 0 with WNOHANG if there is none yet;
// -ECHILD, -EINTR. pid selects as wait4's does.
PROBEABLE long task_wait(int pid, int *status, int options) {
  struct task *parent = current_task();
  long result;
  spin_lock(&sched_lock);
  for (;;) {
    result = -ECHILD;
    for (u64 i = 0; i < MAX_TASKS; i++) {
      struct task *child = &tasks[i];
      if (!wait_matches(child, parent, pid)) continue;
      result = 0;
      if (child->state != TASK_ZOMBIE) continue;
      result = child->pid;
      *status = child->exit_status;
      parent->child_user_time += child->user_time + child->child_user_time;
      parent->child_kernel_time += child->kernel_time + child->child_kernel_time;
      child->state = TASK_UNUSED;
      break;
    }
    if (result != 0 || (options & WNOHANG)) break;
    result = sleep_locked(&parent->child_exited, FOREVER, INTERRUPTIBLE);
    if (result != 0) break;
  }
  spin_unlock(&sched_lock);
  return result;
}

static bool kill_selects(const struct task *task, int pid, const struct task *sender) {
  if (task->state == TASK_UNUSED || task->state == TASK_NEW) return false;
  if (pid > 0) return task->pid == pid;
  if (pid == 0) return task->pgid == sender->pgid;
  if (pid == -1) return task != sender && task != init_task;
  return task->pgid == -pid;
}

// kill(2): pid > 0 one process, 0 the sender's group, -1 all but init and the sender, less: the group -pid.
// Signal 0 only tests. 0, -EINVAL, -ESRCH, or -EPERM for a fatal signal to init.
PROBEABLE long task_kill(int pid, u32 signal) {
  if (signal > SIGNAL_MAX) return -EINVAL;
  bool fatal = signal != 0 && signal != SIGCHLD && signal != SIGCONT;
  long result = -ESRCH;
  spin_lock(&sched_lock);
  for (u64 i = 0; i < MAX_TASKS; i++) {
    struct task *task = &tasks[i];
    if (!kill_selects(task, pid, current_task())) continue;
    if (fatal && task == init_task) {
      if (result == -ESRCH) result = -EPERM;
      continue;
    }
    result = 0;
    if (!fatal || task->state == TASK_ZOMBIE) continue;
    if (task->kill_signal == 0) task->kill_signal = signal;
    if (task->state == TASK_SLEEPING && task->interruptible) make_runnable(task);
  }
  spin_unlock(&sched_lock);
  return result;
}

// /proc/tasks: one line a task.
void task_list(struct text_buffer *buffer) {
  static const char states[][9] = {"unused", "new", "ready", "running", "sleeping", "zombie"};
  text_printf(buffer, "  PID  PPID  PGID STATE     PAGES  USER_MS   SYS_MS SYSCALLS COMMAND\n");
  spin_lock(&sched_lock);
  for (u64 i = 0; i < MAX_TASKS; i++) {
    const struct task *task = &tasks[i];
    if (task->state == TASK_UNUSED) continue;
    text_printf(buffer, "%5d %5d %5d %-8s %6u %8lu %8lu %8lu %s\n", task->pid,
                task->parent != NULL ? task->parent->pid : 0, task->pgid, states[task->state], task->mm.pages,
                ns_from_ticks(task->user_time) / 1000000, ns_from_ticks(task->kernel_time) / 1000000, task->syscalls,
                task->comm);
  }
  spin_unlock(&sched_lock);
}
