// System calls by name.

#include "libc.h"

long syscall6(long number, u64 arg0, u64 arg1, u64 arg2, u64 arg3, u64 arg4, u64 arg5) {
  register u64 a0 __asm__("a0") = arg0;
  register u64 a1 __asm__("a1") = arg1;
  register u64 a2 __asm__("a2") = arg2;
  register u64 a3 __asm__("a3") = arg3;
  register u64 a4 __asm__("a4") = arg4;
  register u64 a5 __asm__("a5") = arg5;
  register long a7 __asm__("a7") = number;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
  return (long)a0;
}

void exit(int code) {
  syscall(SYS_exit_group, code);
  __builtin_unreachable();
}

int fork(void) { return (int)syscall(SYS_clone, SIGCHLD, 0); }
int execve(const char *path, char *const arguments[], char *const environment[]) {
  return (int)syscall(SYS_execve, path, arguments, environment);
}
int waitpid(int pid, int *status, int options) { return (int)syscall(SYS_wait4, pid, status, options, 0); }
int kill(int pid, int signal) { return (int)syscall(SYS_kill, pid, signal); }
int getpid(void) { return (int)syscall(SYS_getpid); }

int open(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0644); }
int close(int fd) { return (int)syscall(SYS_close, fd); }
long read(int fd, void *buffer, size_t count) { return syscall(SYS_read, fd, buffer, count); }
long write(int fd, const void *buffer, size_t count) { return syscall(SYS_write, fd, buffer, count); }
long lseek(int fd, long offset, int whence) { return syscall(SYS_lseek, fd, offset, whence); }
int pipe(int fds[2]) { return (int)syscall(SYS_pipe2, fds, 0); }
int dup2(int fd, int new_fd) { return fd == new_fd ? fd : (int)syscall(SYS_dup3, fd, new_fd, 0); }
int fstat(int fd, struct stat *stat) { return (int)syscall(SYS_fstat, fd, stat); }
int stat(const char *path, struct stat *stat) { return (int)syscall(SYS_newfstatat, AT_FDCWD, path, stat, 0); }
int mkdir(const char *path, u32 mode) { return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }
int unlink(const char *path) { return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
int rmdir(const char *path) { return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR); }
int chdir(const char *path) { return (int)syscall(SYS_chdir, path); }
long getdents(int fd, void *buffer, size_t size) { return syscall(SYS_getdents64, fd, buffer, size); }
int fsync(int fd) { return (int)syscall(SYS_fsync, fd); }

void sleep_ms(u64 ms) {
  struct timespec time = {.tv_sec = (i64)(ms / 1000), .tv_nsec = (i64)(ms % 1000 * 1000000)};
  syscall(SYS_nanosleep, &time, 0);
}

u64 clock_ns(void) {
  struct timespec time;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
  return (u64)time.tv_sec * 1000000000 + (u64)time.tv_nsec;
}

// The end of the heap before it grew by increment, or NULL.
void *sbrk(long increment) {
  long end = syscall(SYS_brk, 0);
  return syscall(SYS_brk, end + increment) == end + increment ? (void *)end : NULL;
}
