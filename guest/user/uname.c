// uname: the name of the system.

#include "libc.h"

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  struct utsname names;
  syscall(SYS_uname, &names);
  printf("%s %s %s %s\n", names.sysname, names.release, names.version, names.machine);
  return 0;
}
