// The user programs' library: system calls, strings, formatted output, buffered input. Small on purpose.
//
// A call that fails returns -ERRNO, as the kernel does; there is no errno variable.
#pragma once

#include "abi.h"
#include "errno.h"
#include "sysno.h"
#include "types.h"

int main(int argc, char **argv);

// System calls, by number and by name
long syscall6(long number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
#define SYSCALL_6(number, a, b, c, d, e, f, ...)                                                                       \
  syscall6(number, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))
#define syscall(...) SYSCALL_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0) // number, then up to six arguments
NORETURN void exit(int code);
int fork(void);
int execve(const char *path, char *const arguments[], char *const environment[]);
int waitpid(int pid, int *status, int options);
int kill(int pid, int signal);
int getpid(void);
int open(const char *path, int flags);
int close(int fd);
long read(int fd, void *buffer, size_t count);
long write(int fd, const void *buffer, size_t count);
long lseek(int fd, long offset, int whence);
int pipe(int fds[2]);
int dup2(int fd, int new_fd);
int fstat(int fd, struct stat *stat);
int stat(const char *path, struct stat *stat);
int mkdir(const char *path, u32 mode);
int unlink(const char *path);
int rmdir(const char *path);
int chdir(const char *path);
long getdents(int fd, void *buffer, size_t size);
int fsync(int fd);
void sleep_ms(u64 ms);
u64 clock_ns(void);
void *sbrk(long increment);

// Strings and memory
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strcpy(char *to, const char *from);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *wanted);
u64 parse_number(const char *s); // decimal, or hexadecimal behind 0x; stops at the first other character
const char *error_name(long error);

// Output: %d %u %x with an optional l, %s %c %p %%, a width, '-' and '0'
void printf(const char *format, ...) PRINTF_LIKE(1, 2);
void fprintf(int fd, const char *format, ...) PRINTF_LIKE(2, 3);
int snprintf(char *to, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
NORETURN void fail(const char *format, ...) PRINTF_LIKE(1, 2); // to descriptor 2, then exit(1)

// Input, a line at a time
struct reader {
  int fd;
  u32 at, filled;
  char bytes[1024];
};
long read_line(struct reader *reader, char *line, size_t size);
