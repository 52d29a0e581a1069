// Copies of disk blocks in memory.
//
// Rules
// - buffer_get gives a block's buffer to one task at a time, until buffer_release.
// - A write changes the buffer only; the disk follows when the buffer is needed for another block, or on a sync.
// - The buffer longest unused is the first to go.

#include "defs.h"

#define BUFFERS 32

static struct {
  struct spinlock lock;
  struct buffer buffers[BUFFERS];
  struct buffer *oldest, *newest;
  struct wait_queue released;
} cache = {.lock = {.name = "buffers"}};

static void list_remove(struct buffer *buffer) {
  if (buffer->older != NULL) buffer->older->newer = buffer->newer;
  if (buffer->newer != NULL) buffer->newer->older = buffer->older;
  if (cache.oldest == buffer) cache.oldest = buffer->newer;
  if (cache.newest == buffer) cache.newest = buffer->older;
}

static void list_append(struct buffer *buffer) {
  buffer->older = cache.newest;
  buffer->newer = NULL;
  if (cache.newest != NULL) cache.newest->newer = buffer;
  cache.newest = buffer;
  if (cache.oldest == NULL) cache.oldest = buffer;
}

void buffer_cache_init(void) {
  if (virtio_blk_bytes() == 0) return;
  u8 *page = NULL;
  for (u64 i = 0; i < BUFFERS; i++) {
    u64 part = i % (PAGE_SIZE / BLOCK_SIZE);
    if (part == 0) page = page_alloc();
    if (page == NULL) panic("no memory for disk buffers");
    struct buffer *buffer = &cache.buffers[i];
    buffer->block = ~0u;
    buffer->bytes = page + part * BLOCK_SIZE;
    buffer->lock.guard.name = "buffer";
    list_append(buffer);
  }
}

// Sends the request and waits for it. The caller holds the buffer's lock.
static long transfer(struct buffer *buffer, enum virtio_blk_request request) {
  virtio_blk_submit(buffer, request);
  return virtio_blk_wait(buffer);
}

static long write_back(struct buffer *buffer) {
  if (!buffer->dirty) return 0;
  long error = transfer(buffer, VIRTIO_BLK_WRITE);
  if (error == 0) buffer->dirty = false;
  return error;
}

static struct buffer *find(u32 block) {
  for (struct buffer *buffer = cache.newest; buffer != NULL; buffer = buffer->older) {
    if (buffer->block == block) return buffer;
  }
  return NULL;
}

static struct buffer *find_unused(void) {
  for (struct buffer *buffer = cache.oldest; buffer != NULL; buffer = buffer->newer) {
    if (buffer->references == 0) return buffer;
  }
  return NULL;
}

static void put_reference(struct buffer *buffer) {
  spin_lock(&cache.lock);
  if (--buffer->references == 0) wake_all(&cache.released);
  spin_unlock(&cache.lock);
}

// A buffer that stands for the block, with a reference, not locked.
static long take(u32 block, struct buffer **taken) {
  spin_lock(&cache.lock);
  for (;;) {
    struct buffer *buffer = find(block);
    if (buffer == NULL) {
      buffer = find_unused();
      if (buffer == NULL) {
        sleep_on(&cache.released, &cache.lock, FOREVER, UNINTERRUPTIBLE);
        continue;
      }
      if (buffer->dirty) {
        // Clean it under its own lock, then look again: the world may have changed.
        buffer->references++;
        spin_unlock(&cache.lock);
        mutex_lock(&buffer->lock);
        long error = write_back(buffer);
        mutex_unlock(&buffer->lock);
        put_reference(buffer);
        if (error != 0) return error;
        spin_lock(&cache.lock);
        continue;
      }
      buffer->block = block;
      buffer->valid = false;
    }
    buffer->references++;
    list_remove(buffer);
    list_append(buffer);
    spin_unlock(&cache.lock);
    *taken = buffer;
    return 0;
  }
}

// The buffer of a block, locked. With read its bytes are the block's; without, the caller overwrites them all and
// sets valid. -EIO.
PROBEABLE long buffer_get(u32 block, bool read, struct buffer **buffer) {
  long error = take(block, buffer);
  if (error != 0) return error;
  mutex_lock(&(*buffer)->lock);
  if (!read || (*buffer)->valid) return 0;
  error = transfer(*buffer, VIRTIO_BLK_READ);
  if (error == 0) {
    (*buffer)->valid = true;
  } else {
    buffer_release(*buffer);
  }
  return error;
}

PROBEABLE void buffer_release(struct buffer *buffer) {
  mutex_unlock(&buffer->lock);
  put_reference(buffer);
}

// Writes all that is dirty, many requests at a time, and has the disk flush its own cache. 0 or -EIO.
PROBEABLE long buffer_sync_all(void) {
  struct buffer *writing[BUFFERS];
  u64 count = 0;
  long result = 0;
  for (u64 i = 0; i < BUFFERS; i++) {
    struct buffer *buffer = &cache.buffers[i];
    spin_lock(&cache.lock);
    bool dirty = buffer->dirty;
    if (dirty) buffer->references++;
    spin_unlock(&cache.lock);
    if (!dirty) continue;
    mutex_lock(&buffer->lock);
    if (buffer->dirty) virtio_blk_submit(buffer, VIRTIO_BLK_WRITE);
    writing[count++] = buffer;
  }
  for (u64 i = 0; i < count; i++) {
    long error = virtio_blk_wait(writing[i]);
    if (error == 0) {
      writing[i]->dirty = false;
    } else {
      result = error;
    }
    buffer_release(writing[i]);
  }
  if (result == 0 && virtio_blk_can_flush()) {
    struct buffer none = {.block = 0};
    result = transfer(&none, VIRTIO_BLK_FLUSH);
  }
  return result;
}
