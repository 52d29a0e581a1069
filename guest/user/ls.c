// ls [-l] [PATH...]: the names in directories.

#include "libc.h"

static bool long_form;

static void show(const char *directory, const char *name) {
  if (!long_form) {
    printf("%s\n", name);
    return;
  }
  char path[PATH_MAX];
  struct stat status;
  snprintf(path, sizeof(path), "%s/%s", directory, name);
  int error = stat(path, &status);
  if (error < 0) fail("ls: %s: %s\n", path, error_name(error));
  u32 type = status.st_mode & S_IFMT;
  printf("%c%03x %8ld %s\n", type == S_IFDIR ? 'd' : type == S_IFCHR ? 'c' : type == S_IFBLK ? 'b' : '-',
         (status.st_mode >> 6 & 7) << 8 | (status.st_mode >> 3 & 7) << 4 | (status.st_mode & 7), status.st_size, name);
}

static int list(const char *path) {
  struct stat status;
  int error = stat(path, &status);
  if (error == 0 && (status.st_mode & S_IFMT) != S_IFDIR) {
    long_form ? show(".", path) : printf("%s\n", path);
    return 0;
  }
  int fd = error == 0 ? open(path, O_RDONLY | O_DIRECTORY) : error;
  if (fd < 0) {
    fprintf(2, "ls: %s: %s\n", path, error_name(fd));
    return 1;
  }
  u8 buffer[512] __attribute__((aligned(8)));
  for (;;) {
    long size = getdents(fd, buffer, sizeof(buffer));
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      struct linux_dirent64 *entry = (struct linux_dirent64 *)(buffer + at);
      if (entry->d_name[0] != '.') show(path, entry->d_name);
      at += entry->d_reclen;
    }
  }
  close(fd);
  return 0;
}

int main(int argc, char **argv) {
  int first = 1, status = 0;
  if (argc > 1 && strcmp(argv[1], "-l") == 0) long_form = true, first = 2;
  if (first == argc) return list(".");
  for (int i = first; i < argc; i++) status |= list(argv[i]);
  return status;
}
