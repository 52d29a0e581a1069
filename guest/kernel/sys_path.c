// System calls on names in the file tree.

#include "defs.h"

// Where a relative path begins: the working directory, or the directory behind a descriptor.
static long start_of(u64 directory_fd, const char *path, struct node **start) {
  struct task *task = current_task();
  *start = task->cwd;
  if ((int)directory_fd == AT_FDCWD || path[0] == '/') return 0;
  struct file *file = file_get(task, (u64)(u32)directory_fd);
  if (file == NULL) return -EBADF;
  if (file->node == NULL || file->node->kind != NODE_DIRECTORY) return -ENOTDIR;
  *start = file->node;
  return 0;
}

static long path_from_user(u64 directory_fd, u64 user_path, char path[PATH_MAX], struct node **start) {
  long length = copy_string_from_user(path, user_path, PATH_MAX);
  if (length < 0) return length;
  return start_of(directory_fd, path, start);
}

static long find_or_create(struct node *start, const char *path, u32 flags, u32 mode, struct node **node) {
  if (!(flags & O_CREAT)) return path_lookup(start, path, node);
  return path_create(start, path, NODE_REGULAR, S_IFREG | (mode & 0777), (flags & O_EXCL) != 0, node);
}

static const struct file_ops *ops_of(const struct node *node) {
  switch (node->kind) {
  case NODE_DIRECTORY: return &directory_ops;
  case NODE_REGULAR: return &regular_file_ops;
  case NODE_DEVICE: return node->device;
  case NODE_TEXT: return &text_file_ops;
  }
}

static long check_open(const struct node *node, u32 flags) {
  bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (node->kind == NODE_DIRECTORY && writes) return -EISDIR;
  if (node->kind != NODE_DIRECTORY && (flags & O_DIRECTORY)) return -ENOTDIR;
  if (node->kind == NODE_TEXT && writes) return -EACCES;
  return 0;
}

// The open file takes the reference to the node, and gives it back on an error.
static long open_node(struct node *node, u32 flags, struct file **opened) {
  long error = check_open(node, flags);
  if (error == 0 && (flags & O_TRUNC) && node->kind == NODE_REGULAR) error = node_truncate(node, 0);
  struct file *file = error == 0 ? file_alloc() : NULL;
  if (error == 0 && file == NULL) error = -ENFILE;
  if (error != 0) {
    node_put(node);
    return error;
  }
  file->flags = flags & (O_ACCMODE | O_APPEND | O_NONBLOCK);
  file->ops = ops_of(node);
  file->node = node;
  if (file->ops->open != NULL) error = file->ops->open(file);
  if (error != 0) {
    file_put(file);
    return error;
  }
  *opened = file;
  return 0;
}

PROBEABLE long sys_openat(u64 directory_fd, u64 user_path, u64 flags, u64 mode) {
  char path[PATH_MAX];
  struct node *start, *node;
  struct file *file;
  long error = path_from_user(directory_fd, user_path, path, &start);
  if (error == 0) error = find_or_create(start, path, (u32)flags, (u32)mode, &node);
  if (error == 0) error = open_node(node, (u32)flags, &file);
  if (error != 0) return error;
  long fd = fd_install(current_task(), file, 0, (flags & O_CLOEXEC) != 0);
  if (fd < 0) file_put(file);
  return fd;
}

PROBEABLE long sys_mkdirat(u64 directory_fd, u64 user_path, u64 mode) {
  char path[PATH_MAX];
  struct node *start, *node;
  long error = path_from_user(directory_fd, user_path, path, &start);
  if (error == 0) error = path_create(start, path, NODE_DIRECTORY, S_IFDIR | ((u32)mode & 0777), true, &node);
  if (error == 0) node_put(node);
  return error;
}

PROBEABLE long sys_unlinkat(u64 directory_fd, u64 user_path, u64 flags) {
  char path[PATH_MAX];
  struct node *start;
  if ((flags & ~(u64)AT_REMOVEDIR) != 0) return -EINVAL;
  long error = path_from_user(directory_fd, user_path, path, &start);
  return error != 0 ? error : path_remove(start, path, (flags & AT_REMOVEDIR) != 0);
}

PROBEABLE long sys_renameat2(u64 from_fd, u64 user_from, u64 to_fd, u64 user_to, u64 flags) {
  char from[PATH_MAX], to[PATH_MAX];
  struct node *from_start, *to_start;
  if (flags != 0) return -EINVAL;
  long error = path_from_user(from_fd, user_from, from, &from_start);
  if (error == 0) error = path_from_user(to_fd, user_to, to, &to_start);
  return error != 0 ? error : path_rename(from_start, from, to_start, to);
}

PROBEABLE long sys_newfstatat(u64 directory_fd, u64 user_path, u64 buffer, u64 flags) {
  (void)flags; // there are no symbolic links not to follow
  char path[PATH_MAX];
  struct node *start, *node;
  struct stat stat;
  long error = path_from_user(directory_fd, user_path, path, &start);
  if (error == 0) error = path_lookup(start, path, &node);
  if (error != 0) return error;
  node_stat(node, &stat);
  node_put(node);
  return copy_to_user(buffer, &stat, sizeof(stat));
}

// All tasks are root: a file is accessible when it is there, and executable when some execute bit is set.
PROBEABLE long sys_faccessat(u64 directory_fd, u64 user_path, u64 mode) {
  char path[PATH_MAX];
  struct node *start, *node;
  long error = path_from_user(directory_fd, user_path, path, &start);
  if (error == 0) error = path_lookup(start, path, &node);
  if (error != 0) return error;
  if ((mode & 1) && node->kind != NODE_DIRECTORY && !(node->mode & 0111)) error = -EACCES;
  node_put(node);
  return error;
}

PROBEABLE long sys_chdir(u64 user_path) {
  char path[PATH_MAX];
  struct node *start, *node;
  struct task *task = current_task();
  long error = path_from_user((u64)AT_FDCWD, user_path, path, &start);
  if (error == 0) error = path_lookup(start, path, &node);
  if (error != 0) return error;
  if (node->kind != NODE_DIRECTORY) {
    node_put(node);
    return -ENOTDIR;
  }
  node_put(task->cwd);
  task->cwd = node;
  return 0;
}

PROBEABLE long sys_getcwd(u64 buffer, u64 size) {
  char path[PATH_MAX];
  long length = node_path(current_task()->cwd, path, sizeof(path));
  if (length < 0) return length;
  if (size < (u64)length) return -ERANGE;
  long error = copy_to_user(buffer, path, (u64)length);
  return error != 0 ? error : length;
}
