// rm [-r] PATH...: removes files, and with -r directories with what is in them.

#include "libc.h"

static int remove_tree(const char *path);

static int empty_directory(const char *path) {
  u8 buffer[512] __attribute__((aligned(8)));
  for (;;) {
    // What has been removed moves the rest forward: begin anew each time.
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return fd;
    char name[NAME_MAX + 1] = "";
    long size = getdents(fd, buffer, sizeof(buffer));
    close(fd);
    for (long at = 0; at < size && name[0] == 0;) {
      struct linux_dirent64 *entry = (struct linux_dirent64 *)(buffer + at);
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) strcpy(name, entry->d_name);
      at += entry->d_reclen;
    }
    if (name[0] == 0) return 0;
    char child[PATH_MAX];
    snprintf(child, sizeof(child), "%s/%s", path, name);
    int error = remove_tree(child);
    if (error < 0) return error;
  }
}

static int remove_tree(const char *path) {
  int error = unlink(path);
  if (error != -EISDIR) return error;
  error = empty_directory(path);
  return error < 0 ? error : rmdir(path);
}

int main(int argc, char **argv) {
  bool recursive = argc > 1 && strcmp(argv[1], "-r") == 0;
  int status = 0;
  for (int i = recursive ? 2 : 1; i < argc; i++) {
    int error = recursive ? remove_tree(argv[i]) : unlink(argv[i]);
    if (error == 0) continue;
    fprintf(2, "rm: %s: %s\n", argv[i], error_name(error));
    status = 1;
  }
  return status;
}
