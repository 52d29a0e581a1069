// The files under /proc and /sys: text made anew at each read.

#include "defs.h"

static void print_tasks(struct text_buffer *buffer) { task_list(buffer); }
static void print_syscalls(struct text_buffer *buffer) { syscall_list(buffer); }
static void print_cmdline(struct text_buffer *buffer) { text_printf(buffer, "%s\n", boot_info.bootargs); }

static void print_uptime(struct text_buffer *buffer) {
  u64 ms = time_ns() / 1000000;
  text_printf(buffer, "%lu.%02lu\n", ms / 1000, ms % 1000 / 10);
}

static void print_meminfo(struct text_buffer *buffer) {
  text_printf(buffer, "MemTotal: %8lu kB\nMemFree:  %8lu kB\n", pages_total() * 4, pages_free() * 4);
}

static void print_cpus(struct text_buffer *buffer) {
  for (int i = 0; i < ncpus; i++) {
    text_printf(buffer, "cpu %d hart %u switches %lu\n", i, cpus[i].hartid, cpus[i].switches);
  }
}

// What libbpf reads before perf_event_open: the tracer's numbers for its kinds of event.
static void print_kprobe_type(struct text_buffer *buffer) { text_printf(buffer, "6\n"); }
static void print_kretprobe_bit(struct text_buffer *buffer) { text_printf(buffer, "config:0\n"); }

static const struct {
  const char *path;
  void (*print)(struct text_buffer *buffer);
} text_files[] = {
    {"/proc/tasks", print_tasks},
    {"/proc/syscalls", print_syscalls},
    {"/proc/cmdline", print_cmdline},
    {"/proc/uptime", print_uptime},
    {"/proc/meminfo", print_meminfo},
    {"/proc/cpus", print_cpus},
    {"/sys/bus/event_source/devices/kprobe/type", print_kprobe_type},
    {"/sys/bus/event_source/devices/kprobe/format/retprobe", print_kretprobe_bit},
};

static long text_file_read(struct file *file, u64 user_buffer, u64 count) {
  char *page = page_alloc();
  if (page == NULL) return -ENOMEM;
  struct text_buffer buffer = {.bytes = page, .size = MIN(count, PAGE_SIZE), .skip = file->offset};
  file->node->print(&buffer);
  u64 size = text_stored(&buffer);
  long error = copy_to_user(user_buffer, page, size);
  page_free(page);
  if (error != 0) return error;
  file->offset += size;
  return (long)size;
}

static long text_file_seek(struct file *file, i64 offset, int whence) {
  if (whence == SEEK_CUR) offset += (i64)file->offset;
  if (whence > SEEK_CUR || whence < 0 || offset < 0) return -EINVAL;
  file->offset = (u64)offset;
  return offset;
}

const struct file_ops text_file_ops = {.read = text_file_read, .seek = text_file_seek};

void procfs_init(void) {
  for (u64 i = 0; i < ARRAY_LENGTH(text_files); i++) {
    ramfs_add(text_files[i].path, NODE_TEXT, S_IFREG | 0444)->print = text_files[i].print;
  }
}
