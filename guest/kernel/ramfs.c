// The file system's names: a tree in memory, filled at boot from the files linked into the kernel (initfs.S).
// What is in the files: ramfs_contents.c.
//
// Rules
// - tree_lock guards the tree and the contents of all regular files.
// - A node without a name lives on as long as somebody refers to it.

#include "defs.h"

// A file of the image, as initfs.S lists them. The list ends with a NULL path.
struct initfs_entry {
  const char *path;
  const u8 *start, *end;
  u64 mode;
};
extern const struct initfs_entry initfs_entries[];

struct mutex tree_lock = {.guard = {.name = "ramfs"}};
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
