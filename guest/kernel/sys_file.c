// System calls on open files and descriptors. Descriptors of the tracer go to the tracer.

#include "defs.h"
#include "sysno.h"

static bool is_tracer_fd(u64 fd) { return (int)fd >= TRACER_FD_BASE; }

// Without a tracer nobody can have such a descriptor.
static long forward(u64 number, u64 fd, u64 a1, u64 a2) {
  long result = tracer_forward(current_task(), number, fd, a1, a2, 0, 0, 0);
  return result == -ENOSYS ? -EBADF : result;
}

static struct file *get(u64 fd) { return file_get(current_task(), (u64)(u32)fd); }

static bool may_read(const struct file *file) { return (file->flags & O_ACCMODE) != O_WRONLY; }
static bool may_write(const struct file *file) { return (file->flags & O_ACCMODE) != O_RDONLY; }

PROBEABLE long sys_read(u64 fd, u64 buffer, u64 count) {
  if (is_tracer_fd(fd)) return forward(SYS_read, fd, buffer, count);
  struct file *file = get(fd);
  if (file == NULL || !may_read(file)) return -EBADF;
  if (file->ops->read == NULL) return -EINVAL;
  return file->ops->read(file, buffer, count);
}

PROBEABLE long sys_write(u64 fd, u64 buffer, u64 count) {
  if (is_tracer_fd(fd)) return forward(SYS_write, fd, buffer, count);
  struct file *file = get(fd);
  if (file == NULL || !may_write(file)) return -EBADF;
  if (file->ops->write == NULL) return -EINVAL;
  return file->ops->write(file, buffer, count);
}

PROBEABLE long sys_writev(u64 fd, u64 vector, u64 count) {
  struct file *file = get(fd);
  if (file == NULL || !may_write(file)) return -EBADF;
  if (file->ops->write == NULL || count > 1024) return -EINVAL;
  long done = 0;
  for (u64 i = 0; i < count; i++) {
    struct iovec part;
    long result = copy_from_user(&part, vector + i * sizeof(part), sizeof(part));
    if (result == 0) result = file->ops->write(file, part.iov_base, part.iov_len);
    if (result < 0) return done > 0 ? done : result;
    done += result;
    if ((u64)result < part.iov_len) break;
  }
  return done;
}

PROBEABLE long sys_close(u64 fd) {
  if (is_tracer_fd(fd)) return forward(SYS_close, fd, 0, 0);
  return fd_close(current_task(), (u64)(u32)fd);
}

PROBEABLE long sys_lseek(u64 fd, u64 offset, u64 whence) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  if (file->ops->seek == NULL) return -ESPIPE;
  return file->ops->seek(file, (i64)offset, (int)whence);
}

static long duplicate(u64 fd, u64 lowest, bool close_on_exec) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  file_hold(file);
  long made = fd_install(current_task(), file, lowest, close_on_exec);
  if (made < 0) file_put(file);
  return made;
}

PROBEABLE long sys_dup(u64 fd) {
  if (is_tracer_fd(fd)) return forward(SYS_dup, fd, 0, 0);
  return duplicate(fd, 0, false);
}

// A descriptor stays on its side: one of the kernel's cannot become one of the tracer's, nor the reverse.
PROBEABLE long sys_dup3(u64 fd, u64 new_fd, u64 flags) {
  if (is_tracer_fd(fd)) return is_tracer_fd(new_fd) ? forward(SYS_dup3, fd, new_fd, flags) : -EINVAL;
  struct task *task = current_task();
  struct file *file = get(fd);
  if ((u32)fd == (u32)new_fd || (flags & ~(u64)O_CLOEXEC) != 0) return -EINVAL;
  if (file == NULL || (u32)new_fd >= MAX_OPEN_FILES) return -EBADF;
  file_hold(file);
  fd_close(task, (u32)new_fd);
  return fd_install(task, file, (u32)new_fd, (flags & O_CLOEXEC) != 0);
}

PROBEABLE long sys_fcntl(u64 fd, u64 command, u64 argument) {
  if (is_tracer_fd(fd)) return forward(SYS_fcntl, fd, command, argument);
  struct task *task = current_task();
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  u64 bit = 1ul << (u32)fd;
  switch ((int)command) {
  case F_DUPFD:
  case F_DUPFD_CLOEXEC:
    if (argument >= MAX_OPEN_FILES) return -EINVAL;
    return duplicate(fd, argument, (int)command == F_DUPFD_CLOEXEC);
  case F_GETFD: return task->close_on_exec & bit ? FD_CLOEXEC : 0;
  case F_SETFD:
    task->close_on_exec = argument & FD_CLOEXEC ? task->close_on_exec | bit : task->close_on_exec & ~bit;
    return 0;
  case F_GETFL: return file->flags;
  case F_SETFL:
    file->flags = (file->flags & ~(u32)(O_APPEND | O_NONBLOCK)) | ((u32)argument & (O_APPEND | O_NONBLOCK));
    return 0;
  default: return -EINVAL;
  }
}

PROBEABLE long sys_ioctl(u64 fd, u64 request, u64 argument) {
  if (is_tracer_fd(fd)) return forward(SYS_ioctl, fd, request, argument);
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  return file->ops->ioctl != NULL ? file->ops->ioctl(file, (u32)request, argument) : -ENOTTY;
}

PROBEABLE long sys_fsync(u64 fd) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  return file->ops->sync != NULL ? file->ops->sync(file) : -EINVAL;
}

PROBEABLE long sys_sync(void) {
  if (virtio_blk_bytes() > 0) buffer_sync_all();
  return 0;
}

PROBEABLE long sys_fstat(u64 fd, u64 buffer) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  struct stat stat;
  if (file->node != NULL) {
    node_stat(file->node, &stat);
  } else {
    memset(&stat, 0, sizeof(stat));
    stat.st_mode = S_IFIFO | 0600;
    stat.st_nlink = 1;
    stat.st_blksize = PAGE_SIZE;
  }
  return copy_to_user(buffer, &stat, sizeof(stat));
}

PROBEABLE long sys_ftruncate(u64 fd, u64 size) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  if (!may_write(file) || file->node == NULL || file->node->kind != NODE_REGULAR || (i64)size < 0) return -EINVAL;
  return node_truncate(file->node, size);
}

PROBEABLE long sys_pipe2(u64 fds, u64 flags) {
  if ((flags & ~(u64)(O_CLOEXEC | O_NONBLOCK)) != 0) return -EINVAL;
  struct task *task = current_task();
  struct file *ends[2];
  long error = pipe_create(&ends[0], &ends[1]);
  if (error != 0) return error;
  int made[2];
  for (int i = 0; i < 2; i++) {
    ends[i]->flags |= flags & O_NONBLOCK;
    made[i] = (int)fd_install(task, ends[i], 0, (flags & O_CLOEXEC) != 0);
  }
  if (made[0] >= 0 && made[1] >= 0) error = copy_to_user(fds, made, sizeof(made));
  if (made[0] < 0 || made[1] < 0) error = -EMFILE;
  if (error == 0) return 0;
  for (int i = 0; i < 2; i++) {
    if (made[i] >= 0) {
      fd_close(task, (u64)made[i]);
    } else {
      file_put(ends[i]);
    }
  }
  return error;
}

// The DT_ numbers are the bits of the file's type.
static u8 directory_type(const struct node *node) { return (u8)((node->mode & S_IFMT) >> 12); }

static long put_entry(u64 user, u64 room, const char *name, const struct node *node, u64 next_position) {
  u8 bytes[sizeof(struct linux_dirent64) + NAME_MAX + 1 + 8] __attribute__((aligned(8)));
  struct linux_dirent64 *entry = (struct linux_dirent64 *)bytes;
  u64 length = strlen(name) + 1;
  u64 size = (__builtin_offsetof(struct linux_dirent64, d_name) + length + 7) & ~7ul;
  if (size > room) return -EINVAL;
  memset(bytes, 0, sizeof(bytes));
  entry->d_ino = node->ino;
  entry->d_off = (i64)next_position;
  entry->d_reclen = (u16)size;
  entry->d_type = directory_type(node);
  memcpy(entry->d_name, name, length);
  long error = copy_to_user(user, bytes, size);
  return error != 0 ? error : (long)size;
}

// The file offset of a directory is the position of the next entry: 0 is ".", 1 is "..".
PROBEABLE long sys_getdents64(u64 fd, u64 buffer, u64 size) {
  struct file *file = get(fd);
  if (file == NULL) return -EBADF;
  if (file->node == NULL || file->node->kind != NODE_DIRECTORY) return -ENOTDIR;
  u64 done = 0;
  for (;;) {
    struct node *directory = file->node;
    long result;
    if (file->offset < 2) {
      struct node *parent = directory->parent != NULL ? directory->parent : directory;
      bool self = file->offset == 0;
      result = put_entry(buffer + done, size - done, self ? "." : "..", self ? directory : parent, file->offset + 1);
    } else {
      struct node *child;
      if (directory_read(directory, file->offset - 2, &child) != 0) return (long)done;
      result = put_entry(buffer + done, size - done, child->name, child, file->offset + 1);
      node_put(child);
    }
    if (result < 0) return done > 0 ? (long)done : result;
    done += (u64)result;
    file->offset++;
  }
}
