// mkdir PATH...: makes directories.

#include "libc.h"

int main(int argc, char **argv) {
  int status = 0;
  for (int i = 1; i < argc; i++) {
    int error = mkdir(argv[i], 0755);
    if (error == 0) continue;
    fprintf(2, "mkdir: %s: %s\n", argv[i], error_name(error));
    status = 1;
  }
  return status;
}
