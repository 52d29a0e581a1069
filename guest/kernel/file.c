// Open files and descriptors.
//
// Rules
// - A descriptor table belongs to one task with one thread: nobody else changes it, so a file got from it stays open
//   for the length of the system call.
// - Files are counted; the last descriptor that goes takes the file with it.

#include "defs.h"

#define MAX_FILES 256

static struct {
  struct spinlock lock;
  struct file files[MAX_FILES];
  struct file *free;
} table = {.lock = {.name = "files"}};

void file_init(void) {
  for (int i = 0; i < MAX_FILES; i++) {
    table.files[i].next_free = table.free;
    table.free = &table.files[i];
  }
}

// A file with one reference and nothing else set, or NULL if there are too many.
struct file *file_alloc(void) {
  spin_lock(&table.lock);
  struct file *file = table.free;
  if (file != NULL) table.free = file->next_free;
  spin_unlock(&table.lock);
  if (file != NULL) {
    memset(file, 0, sizeof(*file));
    file->references = 1;
  }
  return file;
}

void file_hold(struct file *file) { __atomic_add_fetch(&file->references, 1, __ATOMIC_RELAXED); }

void file_put(struct file *file) {
  if (__atomic_sub_fetch(&file->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (file->ops != NULL && file->ops->release != NULL) file->ops->release(file);
  if (file->node != NULL) node_put(file->node);
  spin_lock(&table.lock);
  file->next_free = table.free;
  table.free = file;
  spin_unlock(&table.lock);
}

struct file *file_get(struct task *task, u64 fd) { return fd < MAX_OPEN_FILES ? task->files[fd] : NULL; }

// Puts the file at the lowest free descriptor from lowest up. The descriptor, or -EMFILE (the file stays the
// caller's).
long fd_install(struct task *task, struct file *file, u64 lowest, bool close_on_exec) {
  for (u64 fd = lowest; fd < MAX_OPEN_FILES; fd++) {
    if (task->files[fd] != NULL) continue;
    task->files[fd] = file;
    task->close_on_exec &= ~(1ul << fd);
    if (close_on_exec) task->close_on_exec |= 1ul << fd;
    return (long)fd;
  }
  return -EMFILE;
}

long fd_close(struct task *task, u64 fd) {
  struct file *file = file_get(task, fd);
  if (file == NULL) return -EBADF;
  task->files[fd] = NULL;
  file_put(file);
  return 0;
}

void files_copy(struct task *to, struct task *from) {
  for (u64 fd = 0; fd < MAX_OPEN_FILES; fd++) {
    to->files[fd] = from->files[fd];
    if (to->files[fd] != NULL) file_hold(to->files[fd]);
  }
  to->close_on_exec = from->close_on_exec;
}

void files_close_all(struct task *task) {
  for (u64 fd = 0; fd < MAX_OPEN_FILES; fd++) fd_close(task, fd);
}

void files_close_on_exec(struct task *task) {
  for (u64 fd = 0; fd < MAX_OPEN_FILES; fd++) {
    if (task->close_on_exec >> fd & 1) fd_close(task, fd);
  }
  task->close_on_exec = 0;
}
