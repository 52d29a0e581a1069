// ps: the tasks of the system, as /proc/tasks lists them.

#include "libc.h"

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  int fd = open("/proc/tasks", O_RDONLY);
  if (fd < 0) fail("ps: /proc/tasks: %s\n", error_name(fd));
  char bytes[1024];
  for (;;) {
    long size = read(fd, bytes, sizeof(bytes));
    if (size <= 0) return 0;
    write(1, bytes, (size_t)size);
  }
}
