// Pipes: a page of bytes between two ends.
//
// A reader waits while the pipe is empty and has a writer; a writer waits while it is full and has a reader. Without
// readers a write is -EPIPE, and SIGPIPE for the writer.

#include "defs.h"

#define MAX_PIPES 32
#define PIPE_SIZE PAGE_SIZE

struct pipe {
  struct spinlock lock;
  u8 *bytes; // NULL: this pipe is free
  u32 read_at, write_at; // counters; their difference is what the pipe holds
  bool has_reader, has_writer;
  struct wait_queue readers, writers;
};

static struct pipe pipes[MAX_PIPES];
static struct spinlock pipes_lock = {.name = "pipes"};
static const struct file_ops read_end_ops, write_end_ops;

void pipe_init(void) {
  for (int i = 0; i < MAX_PIPES; i++) pipes[i].lock.name = "pipe";
}

static struct pipe *pipe_alloc(void) {
  u8 *bytes = page_alloc();
  if (bytes == NULL) return NULL;
  struct pipe *pipe = NULL;
  spin_lock(&pipes_lock);
  for (int i = 0; i < MAX_PIPES && pipe == NULL; i++) {
    if (pipes[i].bytes == NULL) pipe = &pipes[i];
  }
  if (pipe != NULL) pipe->bytes = bytes;
  spin_unlock(&pipes_lock);
  if (pipe == NULL) {
    page_free(bytes);
    return NULL;
  }
  pipe->read_at = pipe->write_at = 0;
  pipe->has_reader = pipe->has_writer = true;
  return pipe;
}

// Two open files, or -ENFILE.
long pipe_create(struct file **read_end, struct file **write_end) {
  *read_end = file_alloc();
  *write_end = file_alloc();
  struct pipe *pipe = *read_end != NULL && *write_end != NULL ? pipe_alloc() : NULL;
  if (pipe == NULL) {
    if (*read_end != NULL) file_put(*read_end);
    if (*write_end != NULL) file_put(*write_end);
    return -ENFILE;
  }
  (*read_end)->ops = &read_end_ops;
  (*read_end)->flags = O_RDONLY;
  (*read_end)->pipe = pipe;
  (*write_end)->ops = &write_end_ops;
  (*write_end)->flags = O_WRONLY;
  (*write_end)->pipe = pipe;
  return 0;
}

static void pipe_close_end(struct pipe *pipe, bool *end) {
  spin_lock(&pipe->lock);
  *end = false;
  wake_all(&pipe->readers);
  wake_all(&pipe->writers);
  u8 *freed = pipe->has_reader || pipe->has_writer ? NULL : pipe->bytes;
  spin_unlock(&pipe->lock);
  if (freed == NULL) return;
  page_free(freed);
  spin_lock(&pipes_lock);
  pipe->bytes = NULL;
  spin_unlock(&pipes_lock);
}

static void read_end_release(struct file *file) { pipe_close_end(file->pipe, &file->pipe->has_reader); }
static void write_end_release(struct file *file) { pipe_close_end(file->pipe, &file->pipe->has_writer); }

PROBEABLE long pipe_read(struct file *file, u64 user_buffer, u64 count) {
  struct pipe *pipe = file->pipe;
  long result = 0;
  if (count == 0) return 0;
  spin_lock(&pipe->lock);
  while (pipe->read_at == pipe->write_at && pipe->has_writer && result == 0) {
    if (file->flags & O_NONBLOCK) {
      result = -EAGAIN;
    } else {
      result = sleep_on(&pipe->readers, &pipe->lock, FOREVER, INTERRUPTIBLE);
    }
  }
  u64 done = 0;
  while (result == 0 && done < count && pipe->read_at != pipe->write_at) {
    u64 at = pipe->read_at % PIPE_SIZE;
    u64 size = MIN(MIN(count - done, pipe->write_at - pipe->read_at), PIPE_SIZE - at);
    result = copy_to_user(user_buffer + done, pipe->bytes + at, size);
    if (result != 0) break;
    pipe->read_at += (u32)size;
    done += size;
  }
  if (done > 0) wake_all(&pipe->writers);
  spin_unlock(&pipe->lock);
  return done > 0 ? (long)done : result;
}

PROBEABLE long pipe_write(struct file *file, u64 user_buffer, u64 count) {
  struct pipe *pipe = file->pipe;
  long result = 0;
  u64 done = 0;
  spin_lock(&pipe->lock);
  while (done < count && result == 0) {
    u64 room = PIPE_SIZE - (pipe->write_at - pipe->read_at);
    if (!pipe->has_reader) {
      result = -EPIPE;
      current_task()->kill_signal = SIGPIPE;
    } else if (room == 0 || (room < count && count <= PIPE_SIZE && done == 0)) {
      // A write of no more than the pipe holds is not torn apart.
      if (file->flags & O_NONBLOCK) {
        result = -EAGAIN;
      } else {
        result = sleep_on(&pipe->writers, &pipe->lock, FOREVER, INTERRUPTIBLE);
      }
    } else {
      u64 at = pipe->write_at % PIPE_SIZE;
      u64 size = MIN(MIN(count - done, room), PIPE_SIZE - at);
      result = copy_from_user(pipe->bytes + at, user_buffer + done, size);
      if (result != 0) break;
      pipe->write_at += (u32)size;
      done += size;
      wake_all(&pipe->readers);
    }
  }
  spin_unlock(&pipe->lock);
  return done > 0 ? (long)done : result;
}

static int read_end_poll(struct file *file) {
  struct pipe *pipe = file->pipe;
  return (pipe->read_at != pipe->write_at ? POLLIN : 0) | (pipe->has_writer ? 0 : POLLHUP);
}

static int write_end_poll(struct file *file) {
  struct pipe *pipe = file->pipe;
  if (!pipe->has_reader) return POLLERR;
  return pipe->write_at - pipe->read_at < PIPE_SIZE ? POLLOUT : 0;
}

static const struct file_ops read_end_ops = {
    .read = pipe_read,
    .poll = read_end_poll,
    .release = read_end_release,
};

static const struct file_ops write_end_ops = {
    .write = pipe_write,
    .poll = write_end_poll,
    .release = write_end_release,
};
