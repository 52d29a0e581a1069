// The files under /dev. Device numbers are Linux's where Linux has the device.

#include "defs.h"

#define DEVICE_NUMBER(major, minor) ((major) << 8 | (minor))

static long null_read(struct file *file, u64 user_buffer, u64 count) {
  (void)file, (void)user_buffer, (void)count;
  return 0;
}

static long swallow(struct file *file, u64 user_buffer, u64 count) {
  (void)file, (void)user_buffer;
  return (long)count;
}

static long zero_read(struct file *file, u64 user_buffer, u64 count) {
  (void)file;
  long error = clear_user(user_buffer, count);
  return error != 0 ? error : (long)count;
}

static long panic_write(struct file *file, u64 user_buffer, u64 count) {
  (void)file, (void)user_buffer, (void)count;
  panic("asked for by a write to /dev/panic");
}

static long no_seek(struct file *file, i64 offset, int whence) {
  (void)file, (void)offset, (void)whence;
  return 0;
}

static long disk_open(struct file *file) {
  (void)file;
  return virtio_blk_bytes() > 0 ? 0 : -ENXIO;
}

// One block or a part of it, at the file's offset. How many bytes, 0 at the end of the disk.
static long disk_transfer(struct file *file, u64 user_buffer, u64 count, bool write) {
  u64 disk_size = virtio_blk_bytes() / BLOCK_SIZE * BLOCK_SIZE;
  if (file->offset >= disk_size) return 0;
  u64 at = file->offset % BLOCK_SIZE;
  u64 size = MIN(count, BLOCK_SIZE - at);
  struct buffer *buffer;
  long error = buffer_get((u32)(file->offset / BLOCK_SIZE), !write || size < BLOCK_SIZE, &buffer);
  if (error != 0) return error;
  if (write) {
    error = copy_from_user(buffer->bytes + at, user_buffer, size);
    // After a fault in the middle of a whole block its contents are neither the old nor the new ones.
    if (error == 0) buffer->valid = buffer->dirty = true;
  } else {
    error = copy_to_user(user_buffer, buffer->bytes + at, size);
  }
  buffer_release(buffer);
  if (error != 0) return error;
  file->offset += size;
  return (long)size;
}

static long disk_transfer_all(struct file *file, u64 user_buffer, u64 count, bool write) {
  u64 done = 0;
  while (done < count) {
    long size = disk_transfer(file, user_buffer + done, count - done, write);
    if (size < 0 && done == 0) return size;
    if (size <= 0) break;
    done += (u64)size;
  }
  return (long)done;
}

PROBEABLE long disk_read(struct file *file, u64 user_buffer, u64 count) {
  return disk_transfer_all(file, user_buffer, count, false);
}

PROBEABLE long disk_write(struct file *file, u64 user_buffer, u64 count) {
  long size = disk_transfer_all(file, user_buffer, count, true);
  return size == 0 && count > 0 ? -ENOSPC : size;
}

static long disk_seek(struct file *file, i64 offset, int whence) {
  i64 base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (i64)file->offset : (i64)virtio_blk_bytes();
  if (whence < SEEK_SET || whence > SEEK_END || base + offset < 0) return -EINVAL;
  file->offset = (u64)(base + offset);
  return (long)file->offset;
}

static long disk_ioctl(struct file *file, u64 request, u64 argument) {
  (void)file;
  u64 bytes = virtio_blk_bytes();
  return request == BLKGETSIZE64 ? copy_to_user(argument, &bytes, sizeof(bytes)) : -ENOTTY;
}

static long disk_sync(struct file *file) {
  (void)file;
  return buffer_sync_all();
}

static const struct file_ops null_ops = {.read = null_read, .write = swallow, .seek = no_seek};
static const struct file_ops zero_ops = {.read = zero_read, .write = swallow, .seek = no_seek};
static const struct file_ops panic_ops = {.write = panic_write};
static const struct file_ops disk_ops = {
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .seek = disk_seek,
    .ioctl = disk_ioctl,
    .sync = disk_sync,
};

static const struct {
  const char *path;
  u32 mode;
  u32 number;
  const struct file_ops *ops;
} devices[] = {
    {"/dev/console", S_IFCHR | 0600, DEVICE_NUMBER(5, 1), &console_ops},
    {"/dev/null", S_IFCHR | 0666, DEVICE_NUMBER(1, 3), &null_ops},
    {"/dev/zero", S_IFCHR | 0666, DEVICE_NUMBER(1, 5), &zero_ops},
    {"/dev/disk", S_IFBLK | 0600, DEVICE_NUMBER(254, 0), &disk_ops},
    {"/dev/panic", S_IFCHR | 0200, DEVICE_NUMBER(240, 0), &panic_ops},
};

void devices_init(void) {
  for (u64 i = 0; i < ARRAY_LENGTH(devices); i++) {
    struct node *node = ramfs_add(devices[i].path, NODE_DEVICE, devices[i].mode);
    node->device = devices[i].ops;
    node->rdev = devices[i].number;
  }
}
