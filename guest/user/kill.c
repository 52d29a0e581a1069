// kill [-SIGNAL] PID...: ends processes (signal 15).

#include "libc.h"

int main(int argc, char **argv) {
  int signal = SIGTERM, status = 0;
  int at = 1;
  if (argc > 1 && argv[1][0] == '-') signal = (int)parse_number(argv[1] + 1), at = 2;
  for (; at < argc; at++) {
    int error = kill((int)parse_number(argv[at]), signal);
    if (error == 0) continue;
    fprintf(2, "kill: %s: %s\n", argv[at], error_name(error));
    status = 1;
  }
  return status;
}
