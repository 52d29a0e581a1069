// /dev/console: a terminal with a line discipline on the UART.
//
// Input is given out a line at a time: backspace and ^U edit it, ^D ends the input, ^C sends SIGINT to the process
// group in the foreground (ioctl TIOCSPGRP).

#include "defs.h"

#define RING_SIZE 256

static struct {
  struct spinlock lock;
  char ring[RING_SIZE];
  u32 read_at, line_at, write_at; // counters: given out up to, complete lines up to, typed up to
  int foreground_pgid;
  struct wait_queue readers;
} console = {.lock = {.name = "console"}};

#define CONTROL(letter) ((letter) - '@')
#define BACKSPACE 8
#define DELETE 127

void console_init(void) { uart_init(); }

static void echo(const char *text) { uart_write(text, strlen(text)); }

static void erase_one(void) {
  console.write_at--;
  echo("\b \b");
}

// A byte that the UART received. Runs in the interrupt handler.
void console_input(int byte) {
  int interrupted_group = 0;
  spin_lock(&console.lock);
  if (byte == CONTROL('C')) {
    interrupted_group = console.foreground_pgid;
    console.write_at = console.line_at;
    echo("^C\n");
  } else if (byte == BACKSPACE || byte == DELETE) {
    if (console.write_at != console.line_at) erase_one();
  } else if (byte == CONTROL('U')) {
    while (console.write_at != console.line_at) erase_one();
  } else if (byte != 0 && console.write_at - console.read_at < RING_SIZE) {
    char c = byte == '\r' ? '\n' : (char)byte;
    console.ring[console.write_at++ % RING_SIZE] = c;
    if (c != CONTROL('D')) uart_write(&c, 1);
    if (c == '\n' || c == CONTROL('D') || console.write_at - console.read_at == RING_SIZE) {
      console.line_at = console.write_at;
      wake_all(&console.readers);
    }
  }
  spin_unlock(&console.lock);
  if (interrupted_group != 0) task_kill(-interrupted_group, SIGINT);
}

static long console_read(struct file *file, u64 user_buffer, u64 count) {
  char line[RING_SIZE];
  u64 length = 0;
  long error = 0;
  spin_lock(&console.lock);
  while (console.read_at == console.line_at && error == 0) {
    if (file->flags & O_NONBLOCK) {
      error = -EAGAIN;
    } else {
      error = sleep_on(&console.readers, &console.lock, FOREVER, INTERRUPTIBLE);
    }
  }
  while (error == 0 && length < count && console.read_at != console.line_at) {
    char c = console.ring[console.read_at % RING_SIZE];
    if (c == CONTROL('D')) {
      // Ends this read; alone at the start of a line it is the end of the file.
      if (length == 0) console.read_at++;
      break;
    }
    console.read_at++;
    line[length++] = c;
    if (c == '\n') break;
  }
  spin_unlock(&console.lock);
  if (error != 0) return error;
  error = copy_to_user(user_buffer, line, length);
  return error != 0 ? error : (long)length;
}

static long console_write(struct file *file, u64 user_buffer, u64 count) {
  (void)file;
  char chunk[128];
  for (u64 done = 0; done < count;) {
    u64 size = MIN(count - done, sizeof(chunk));
    long error = copy_from_user(chunk, user_buffer + done, size);
    if (error != 0) return done > 0 ? (long)done : error;
    uart_write(chunk, size);
    done += size;
  }
  return (long)count;
}

static long console_ioctl(struct file *file, u64 request, u64 argument) {
  (void)file;
  struct termios settings = {.c_lflag = ISIG | ICANON | ECHO};
  switch (request) {
  case TCGETS: return copy_to_user(argument, &settings, sizeof(settings));
  case TIOCGPGRP: return copy_to_user(argument, &console.foreground_pgid, sizeof(int));
  case TIOCSPGRP: return copy_from_user(&console.foreground_pgid, argument, sizeof(int));
  default: return -ENOTTY;
  }
}

static int console_poll(struct file *file) {
  (void)file;
  return POLLOUT | (console.read_at != console.line_at ? POLLIN : 0);
}

const struct file_ops console_ops = {
    .read = console_read,
    .write = console_write,
    .ioctl = console_ioctl,
    .poll = console_poll,
};
