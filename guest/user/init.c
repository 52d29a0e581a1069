// init: the first process. Runs a script with the shell, then turns the machine off.
//
// The boot argument script=PATH names another script than /etc/rc; script=- gives a shell on the console instead.

#include "libc.h"

static void read_script_argument(char *script, size_t size) {
  char line[PATH_MAX];
  int fd = open("/proc/cmdline", O_RDONLY);
  long length = read(fd, line, sizeof(line) - 1);
  close(fd);
  line[length > 0 ? length - 1 : 0] = 0;
  for (char *word = line; word != NULL && *word != 0;) {
    char *next = strchr(word, ' ');
    if (next != NULL) *next++ = 0;
    if (strncmp(word, "script=", 7) == 0) snprintf(script, size, "%s", word + 7);
    word = next;
  }
}

static u64 ms_of(const struct timeval *time) { return (u64)time->tv_sec * 1000 + (u64)time->tv_usec / 1000; }

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  char script[PATH_MAX] = "/etc/rc";
  read_script_argument(script, sizeof(script));
  int shell = fork();
  if (shell == 0) {
    char *arguments[] = {"sh", strcmp(script, "-") == 0 ? NULL : script, NULL};
    execve("/bin/sh", arguments, NULL);
    fail("init: cannot run /bin/sh\n");
  }
  // Orphans come here too; they are waited for until none is left.
  int status, shell_status = 0;
  for (;;) {
    int pid = waitpid(-1, &status, 0);
    if (pid < 0) break;
    if (pid == shell) shell_status = status;
  }
  struct rusage usage;
  syscall(SYS_getrusage, RUSAGE_CHILDREN, &usage);
  printf("init: %s ended with status %d after %lu ms of user and %lu ms of system time, powering off\n", script,
         shell_status >> 8, ms_of(&usage.ru_utime), ms_of(&usage.ru_stime));
  syscall(SYS_sync);
  syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
  return 1;
}
