// The file system: a tree of names in memory, filled at boot from the files linked into the kernel (initfs.S).
//
// Rules
// - tree_lock guards the tree and the contents of all regular files.
// - A file from the image is read in place; the first write copies it to pages of its own.
// - A page that nobody wrote is NULL and reads as zeros.

#include "defs.h"

#define POINTERS_PER_PAGE (PAGE_SIZE / sizeof(u8 *))
#define MAX_FILE_SIZE (POINTERS_PER_PAGE * PAGE_SIZE)

// A file of the image, as initfs.S lists them. The list ends with a NULL path.
struct initfs_entry {
  const char *path;
  const u8 *start, *end;
  u64 mode;
};
extern const struct initfs_entry initfs_entries[];

static struct mutex tree_lock = {.guard = {.name = "ramfs"}};
static struct node *free_nodes; // linked through next_sibling
static struct node root = {.kind = NODE_DIRECTORY, .ino = 1, .mode = S_IFDIR | 0755, .references = 1, .linked = true};
static u32 last_ino = 1;

static struct node *node_alloc(enum node_kind kind, u32 mode, const char *name, u64 length) {
  if (free_nodes == NULL) {
    struct node *page = page_alloc();
    if (page == NULL) return NULL;
    for (u64 i = 0; i < PAGE_SIZE / sizeof(struct node); i++) {
      page[i].next_sibling = free_nodes;
      free_nodes = &page[i];
    }
  }
  struct node *node = free_nodes;
  free_nodes = node->next_sibling;
  memset(node, 0, sizeof(*node));
  node->kind = kind;
  node->ino = ++last_ino;
  node->mode = mode;
  node->mtime_ns = (i64)realtime_ns();
  memcpy(node->name, name, length);
  return node;
}

static void node_free_contents(struct node *node) {
  if (node->pages != NULL) {
    for (u64 i = 0; i < POINTERS_PER_PAGE; i++) {
      if (node->pages[i] != NULL) page_free(node->pages[i]);
    }
    page_free(node->pages);
  }
  node->pages = NULL;
  node->image = NULL;
  node->size = 0;
}

static void node_free_if_unused(struct node *node) {
  if (node->references > 0 || node->linked) return;
  node_free_contents(node);
  node->next_sibling = free_nodes;
  free_nodes = node;
}

static void node_link(struct node *parent, struct node *node) {
  // At the end, so that a listing is in the order of creation.
  struct node **link = &parent->first_child;
  while (*link != NULL) link = &(*link)->next_sibling;
  *link = node;
  node->next_sibling = NULL;
  node->parent = parent;
  node->linked = true;
}

static void node_unlink(struct node *node) {
  struct node **link = &node->parent->first_child;
  while (*link != node) link = &(*link)->next_sibling;
  *link = node->next_sibling;
  node->parent = NULL;
  node->linked = false;
  node_free_if_unused(node);
}

void node_hold(struct node *node) {
  mutex_lock(&tree_lock);
  node->references++;
  mutex_unlock(&tree_lock);
}

void node_put(struct node *node) {
  mutex_lock(&tree_lock);
  node->references--;
  node_free_if_unused(node);
  mutex_unlock(&tree_lock);
}

struct node *ramfs_root(void) { return &root; }

static struct node *find_child(struct node *directory, const char *name, u64 length) {
  for (struct node *child = directory->first_child; child != NULL; child = child->next_sibling) {
    if (strncmp(child->name, name, length) == 0 && child->name[length] == 0) return child;
  }
  return NULL;
}

// One step of a walk: the name (not ended by 0) in the directory.
static long walk_step(struct node *directory, const char *name, u64 length, struct node **found) {
  if (directory->kind != NODE_DIRECTORY) return -ENOTDIR;
  if (length > NAME_MAX) return -ENAMETOOLONG;
  if (length == 1 && name[0] == '.') {
    *found = directory;
  } else if (length == 2 && name[0] == '.' && name[1] == '.') {
    *found = directory->parent != NULL ? directory->parent : directory;
  } else {
    *found = find_child(directory, name, length);
  }
  return *found != NULL ? 0 : -ENOENT;
}

// Walks to the directory of the last component; that one's name through *name and *length. An empty last component
// (the path is /, or ends in slashes only) gives length 0.
static long walk_to_parent(struct node *start, const char *path, struct node **parent, const char **name,
                           u64 *length) {
  if (*path == 0) return -ENOENT;
  struct node *at = *path == '/' ? &root : start;
  while (*path == '/') path++;
  for (;;) {
    u64 size = 0;
    while (path[size] != 0 && path[size] != '/') size++;
    const char *rest = path + size;
    while (*rest == '/') rest++;
    if (*rest == 0) {
      *parent = at;
      *name = path;
      *length = size;
      return at->kind == NODE_DIRECTORY ? 0 : -ENOTDIR;
    }
    long error = walk_step(at, path, size, &at);
    if (error != 0) return error;
    path = rest;
  }
}

static bool ends_in_slash(const char *path) {
  u64 length = strlen(path);
  return length > 0 && path[length - 1] == '/';
}

static long lookup_locked(struct node *start, const char *path, struct node **found) {
  const char *name;
  u64 length;
  struct node *parent;
  long error = walk_to_parent(start, path, &parent, &name, &length);
  if (error != 0) return error;
  *found = parent;
  if (length > 0) error = walk_step(parent, name, length, found);
  if (error == 0 && ends_in_slash(path) && (*found)->kind != NODE_DIRECTORY) return -ENOTDIR;
  return error;
}

// The node at path, relative to start, with a reference for the caller. -ENOENT, -ENOTDIR, -ENAMETOOLONG.
PROBEABLE long path_lookup(struct node *start, const char *path, struct node **found) {
  mutex_lock(&tree_lock);
  long error = lookup_locked(start, path, found);
  if (error == 0) (*found)->references++;
  mutex_unlock(&tree_lock);
  return error;
}

static long create_locked(struct node *start, const char *path, enum node_kind kind, u32 mode, bool exclusive,
                          struct node **made) {
  const char *name;
  u64 length;
  struct node *parent;
  long error = walk_to_parent(start, path, &parent, &name, &length);
  if (error != 0) return error;
  error = length > 0 ? walk_step(parent, name, length, made) : 0;
  if (length == 0) *made = parent;
  if (error == 0) {
    if (exclusive) return -EEXIST;
    return (*made)->kind == NODE_DIRECTORY ? -EISDIR : 0;
  }
  if (error != -ENOENT) return error;
  if (kind != NODE_DIRECTORY && ends_in_slash(path)) return -EISDIR;
  if (!parent->linked) return -ENOENT; // a removed directory that is still somebody's working directory
  *made = node_alloc(kind, mode, name, length);
  if (*made == NULL) return -ENOMEM;
  node_link(parent, *made);
  return 0;
}

// Makes the node, or, unless exclusive, finds a file that is there. A reference for the caller.
PROBEABLE long path_create(struct node *start, const char *path, enum node_kind kind, u32 mode, bool exclusive,
                           struct node **made) {
  mutex_lock(&tree_lock);
  long error = create_locked(start, path, kind, mode, exclusive, made);
  if (error == 0) (*made)->references++;
  mutex_unlock(&tree_lock);
  return error;
}

static long remove_locked(struct node *start, const char *path, bool directory) {
  const char *name;
  u64 length;
  struct node *parent, *node;
  long error = walk_to_parent(start, path, &parent, &name, &length);
  if (error != 0) return error;
  if (length == 0) return directory ? -EBUSY : -EISDIR;
  if (name[0] == '.' && length == 1) return directory ? -EINVAL : -EISDIR;
  if (name[0] == '.' && name[1] == '.' && length == 2) return directory ? -ENOTEMPTY : -EISDIR;
  error = walk_step(parent, name, length, &node);
  if (error != 0) return error;
  if (directory != (node->kind == NODE_DIRECTORY)) return directory ? -ENOTDIR : -EISDIR;
  if (!directory && ends_in_slash(path)) return -ENOTDIR;
  if (node->first_child != NULL) return -ENOTEMPTY;
  node_unlink(node);
  return 0;
}

PROBEABLE long path_remove(struct node *start, const char *path, bool directory) {
  mutex_lock(&tree_lock);
  long error = remove_locked(start, path, directory);
  mutex_unlock(&tree_lock);
  return error;
}

static bool is_ancestor(const struct node *ancestor, const struct node *node) {
  for (; node != NULL; node = node->parent) {
    if (node == ancestor) return true;
  }
  return false;
}

static long rename_locked(struct node *from_start, const char *from, struct node *to_start, const char *to) {
  struct node *node, *parent, *replaced;
  long error = lookup_locked(from_start, from, &node);
  if (error != 0) return error;
  const char *name;
  u64 length;
  error = walk_to_parent(to_start, to, &parent, &name, &length);
  if (error != 0) return error;
  if (node == &root || length == 0) return -EBUSY;
  if (length > NAME_MAX) return -ENAMETOOLONG;
  if (is_ancestor(node, parent)) return -EINVAL;
  if (!parent->linked || !node->linked) return -ENOENT;
  if (walk_step(parent, name, length, &replaced) == 0) {
    if (replaced == node) return 0;
    bool directory = node->kind == NODE_DIRECTORY;
    if (directory != (replaced->kind == NODE_DIRECTORY)) return directory ? -ENOTDIR : -EISDIR;
    if (replaced->first_child != NULL || is_ancestor(replaced, node)) return -ENOTEMPTY;
    node_unlink(replaced);
  }
  node->references++; // it must not be freed between its two places
  node_unlink(node);
  memset(node->name, 0, sizeof(node->name));
  memcpy(node->name, name, length);
  node_link(parent, node);
  node->references--;
  return 0;
}

PROBEABLE long path_rename(struct node *from_start, const char *from, struct node *to_start, const char *to) {
  mutex_lock(&tree_lock);
  long error = rename_locked(from_start, from, to_start, to);
  mutex_unlock(&tree_lock);
  return error;
}

// The absolute path of a directory, from the end of the buffer backwards, then moved to its beginning. The length
// with the final 0, -ERANGE, or -ENOENT if the directory has been removed.
long node_path(struct node *node, char *path, size_t size) {
  u64 at = size - 1;
  long error = 0;
  path[at] = 0;
  mutex_lock(&tree_lock);
  if (node == &root) path[--at] = '/';
  for (; node != &root && error == 0; node = node->parent) {
    u64 length = strlen(node->name);
    if (!node->linked) {
      error = -ENOENT;
      break;
    }
    if (at < length + 1) {
      error = -ERANGE;
      break;
    }
    at -= length;
    memcpy(path + at, node->name, length);
    path[--at] = '/';
  }
  mutex_unlock(&tree_lock);
  if (error != 0) return error;
  memmove(path, path + at, size - at);
  return (long)(size - at);
}

// Bytes of a regular file to kernel memory; how many.
long node_read(struct node *node, u64 offset, void *to, u64 size) {
  mutex_lock(&tree_lock);
  u64 available = offset < node->size ? MIN(size, node->size - offset) : 0;
  for (u64 done = 0; done < available;) {
    u64 at = (offset + done) % PAGE_SIZE;
    u64 part = MIN(available - done, PAGE_SIZE - at);
    const u8 *page = node->pages != NULL ? node->pages[(offset + done) / PAGE_SIZE] : NULL;
    if (node->image != NULL) {
      memcpy((u8 *)to + done, node->image + offset + done, part);
    } else if (page != NULL) {
      memcpy((u8 *)to + done, page + at, part);
    } else {
      memset((u8 *)to + done, 0, part);
    }
    done += part;
  }
  mutex_unlock(&tree_lock);
  return (long)available;
}

// The page of the file that holds the offset, made if it is not there; NULL without memory. tree_lock is held.
static u8 *page_at(struct node *node, u64 offset) {
  u8 **page = &node->pages[offset / PAGE_SIZE];
  if (*page == NULL) *page = page_alloc_zeroed();
  return *page;
}

// Gives the file its own pages, with the contents of the image, if it has none yet. tree_lock is held.
static long make_writable(struct node *node) {
  if (node->pages != NULL) return 0;
  node->pages = page_alloc_zeroed();
  if (node->pages == NULL) return -ENOMEM;
  for (u64 offset = 0; node->image != NULL && offset < node->size; offset += PAGE_SIZE) {
    u8 *page = page_at(node, offset);
    if (page == NULL) {
      u64 size = node->size;
      const u8 *image = node->image;
      node_free_contents(node);
      node->size = size;
      node->image = image;
      return -ENOMEM;
    }
    memcpy(page, node->image + offset, MIN(node->size - offset, PAGE_SIZE));
  }
  node->image = NULL;
  return 0;
}

PROBEABLE long node_truncate(struct node *node, u64 size) {
  if (size > MAX_FILE_SIZE) return -EFBIG;
  mutex_lock(&tree_lock);
  long error = 0;
  if (size == 0) {
    node_free_contents(node);
  } else {
    error = make_writable(node);
    for (u64 i = 0; error == 0 && i < POINTERS_PER_PAGE; i++) {
      if (i * PAGE_SIZE < size || node->pages[i] == NULL) continue;
      page_free(node->pages[i]);
      node->pages[i] = NULL;
    }
    u8 *last = error == 0 ? node->pages[size / PAGE_SIZE % POINTERS_PER_PAGE] : NULL;
    if (last != NULL && size % PAGE_SIZE != 0) memset(last + size % PAGE_SIZE, 0, PAGE_SIZE - size % PAGE_SIZE);
    if (error == 0) node->size = size;
  }
  node->mtime_ns = (i64)realtime_ns();
  mutex_unlock(&tree_lock);
  return error;
}

void node_stat(const struct node *node, struct stat *stat) {
  memset(stat, 0, sizeof(*stat));
  stat->st_ino = node->ino;
  stat->st_mode = node->mode;
  stat->st_nlink = node->linked ? 1 : 0;
  stat->st_rdev = node->rdev;
  stat->st_size = (i64)node->size;
  stat->st_blksize = PAGE_SIZE;
  stat->st_blocks = (i64)((node->size + 511) / 512);
  stat->st_mtime = stat->st_atime = stat->st_ctime = node->mtime_ns / 1000000000;
  stat->st_mtime_nsec = stat->st_atime_nsec = stat->st_ctime_nsec = (u64)(node->mtime_ns % 1000000000);
}

PROBEABLE long ramfs_read(struct file *file, u64 user_buffer, u64 count) {
  struct node *node = file->node;
  u64 done = 0;
  long error = 0;
  mutex_lock(&tree_lock);
  u64 available = file->offset < node->size ? MIN(count, node->size - file->offset) : 0;
  while (done < available) {
    u64 at = file->offset % PAGE_SIZE;
    u64 part = MIN(available - done, PAGE_SIZE - at);
    const u8 *page = node->pages != NULL ? node->pages[file->offset / PAGE_SIZE] : NULL;
    if (node->image != NULL) {
      error = copy_to_user(user_buffer + done, node->image + file->offset, part);
    } else if (page != NULL) {
      error = copy_to_user(user_buffer + done, page + at, part);
    } else {
      error = clear_user(user_buffer + done, part);
    }
    if (error != 0) break;
    file->offset += part;
    done += part;
  }
  mutex_unlock(&tree_lock);
  return done > 0 ? (long)done : error;
}

PROBEABLE long ramfs_write(struct file *file, u64 user_buffer, u64 count) {
  struct node *node = file->node;
  u64 done = 0;
  mutex_lock(&tree_lock);
  long error = make_writable(node);
  if (error == 0 && (file->flags & O_APPEND)) file->offset = node->size;
  while (error == 0 && done < count) {
    if (file->offset >= MAX_FILE_SIZE) {
      error = -EFBIG;
      break;
    }
    u64 at = file->offset % PAGE_SIZE;
    u64 part = MIN(count - done, PAGE_SIZE - at);
    u8 *page = page_at(node, file->offset);
    error = page != NULL ? copy_from_user(page + at, user_buffer + done, part) : -ENOSPC;
    if (error != 0) break;
    file->offset += part;
    done += part;
    node->size = MAX(node->size, file->offset);
  }
  node->mtime_ns = (i64)realtime_ns();
  mutex_unlock(&tree_lock);
  return done > 0 ? (long)done : error;
}

static long ramfs_seek(struct file *file, i64 offset, int whence) {
  i64 base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (i64)file->offset : (i64)file->node->size;
  if (whence < SEEK_SET || whence > SEEK_END || base + offset < 0) return -EINVAL;
  file->offset = (u64)(base + offset);
  return (long)file->offset;
}

static long ramfs_sync(struct file *file) {
  (void)file;
  return 0; // memory is where it lives
}

static long directory_refuse_read(struct file *file, u64 user_buffer, u64 count) {
  (void)file, (void)user_buffer, (void)count;
  return -EISDIR;
}

const struct file_ops regular_file_ops = {
    .read = ramfs_read,
    .write = ramfs_write,
    .seek = ramfs_seek,
    .sync = ramfs_sync,
};

const struct file_ops directory_ops = {
    .read = directory_refuse_read,
    .seek = ramfs_seek,
    .sync = ramfs_sync,
};

// The entry at a position of a directory (0 is the first child), with a reference; -ENOENT behind the last.
long directory_read(struct node *directory, u64 position, struct node **entry) {
  mutex_lock(&tree_lock);
  struct node *child = directory->first_child;
  for (; child != NULL && position > 0; position--) child = child->next_sibling;
  if (child != NULL) child->references++;
  mutex_unlock(&tree_lock);
  *entry = child;
  return child != NULL ? 0 : -ENOENT;
}

// Adds a node during boot, with the directories that lead to it.
struct node *ramfs_add(const char *path, enum node_kind kind, u32 mode) {
  struct node *node = NULL;
  char prefix[PATH_MAX];
  for (u64 i = 1; path[i] != 0; i++) {
    if (path[i] != '/') continue;
    memcpy(prefix, path, i);
    prefix[i] = 0;
    if (lookup_locked(&root, prefix, &node) == 0) continue;
    long error = create_locked(&root, prefix, NODE_DIRECTORY, S_IFDIR | 0755, true, &node);
    if (error != 0) panic("ramfs: cannot add %s: error %ld", prefix, -error);
  }
  long error = create_locked(&root, path, kind, mode, true, &node);
  if (error != 0) panic("ramfs: cannot add %s: error %ld", path, -error);
  return node;
}

void ramfs_init(void) {
  for (const struct initfs_entry *entry = initfs_entries; entry->path != NULL; entry++) {
    struct node *node = ramfs_add(entry->path, NODE_REGULAR, S_IFREG | (u32)entry->mode);
    node->image = entry->start;
    node->size = (u64)(entry->end - entry->start);
  }
  ramfs_add("/tmp", NODE_DIRECTORY, S_IFDIR | 0777);
}
