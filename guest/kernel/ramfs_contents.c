// The contents of the RAM file system's regular files, and what can be done with an open file or directory of it.
//
// Rules
// - tree_lock guards the contents; the functions that say so are called with it held.
// - A file from the image is read in place; the first write copies it to pages of its own.
// - A page that nobody wrote is NULL and reads as zeros.

#include "defs.h"

#define POINTERS_PER_PAGE (PAGE_SIZE / sizeof(u8 *))
#define MAX_FILE_SIZE (POINTERS_PER_PAGE * PAGE_SIZE)

// Makes the file empty. tree_lock is held.
void node_free_contents(struct node *node) {
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
