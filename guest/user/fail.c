// fail [ROUNDS]: makes system calls that must fail, each in its own way, and says which did not.

#include "libc.h"

#define BAD_POINTER 0x1000
#define KERNEL_POINTER 0xffffffc080200000

static u64 wrong;

static void expect(const char *what, long wanted, long got) {
  if (got == wanted) return;
  wrong++;
  printf("fail: %s: %s, not %s\n", what, error_name(got), error_name(wanted));
}

static void one_round(void) {
  char byte;
  expect("read from no descriptor", -EBADF, read(63, &byte, 1));
  expect("write to no descriptor", -EBADF, write(-1, &byte, 1));
  expect("close of no descriptor", -EBADF, close(60));
  expect("read of a descriptor of the tracer that is not open", -EBADF, read(600, &byte, 1));
  expect("write of bytes that are not there", -EFAULT, write(1, (void *)BAD_POINTER, 8));
  expect("write of the kernel's bytes", -EFAULT, write(1, (void *)KERNEL_POINTER, 8));
  expect("stat to nowhere", -EFAULT, stat("/", (void *)BAD_POINTER));
  expect("open with a name from nowhere", -EFAULT, open((char *)BAD_POINTER, O_RDONLY));
  expect("open of what is not there", -ENOENT, open("/no/such/file", O_RDONLY));
  expect("open below a file", -ENOTDIR, open("/bin/sh/x", O_RDONLY));
  expect("open of a directory to write", -EISDIR, open("/bin", O_WRONLY));
  expect("mkdir of what is there", -EEXIST, mkdir("/bin", 0755));
  expect("rmdir of what is not empty", -ENOTEMPTY, rmdir("/bin"));
  expect("unlink of a directory", -EISDIR, unlink("/bin"));
  int ends[2];
  pipe(ends);
  expect("seek in a pipe", -ESPIPE, lseek(ends[0], 0, SEEK_SET));
  expect("read from the wrong end of a pipe", -EBADF, read(ends[1], &byte, 1));
  close(ends[0]), close(ends[1]);
  expect("wait without children", -ECHILD, waitpid(-1, NULL, 0));
  expect("kill of nobody", -ESRCH, kill(30000, SIGTERM));
  expect("execve of a plain file", -EACCES, execve("/etc/rc", (char *[]){"x", NULL}, NULL));
  expect("a call that there is not", -ENOSYS, syscall(400));
  expect("a call far beyond", -ENOSYS, syscall(123456));
  expect("sleep for less than nothing", -EINVAL, syscall(SYS_nanosleep, &(struct timespec){.tv_sec = -1}, 0));
}

int main(int argc, char **argv) {
  u64 rounds = argc > 1 ? parse_number(argv[1]) : 1;
  for (u64 i = 0; i < rounds; i++) one_round();
  printf("fail: %lu rounds, %lu calls did not fail as they should\n", rounds, wrong);
  return wrong > 0;
}
