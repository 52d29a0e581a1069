// systest: every system call, with results that are known, the errors too.

#include "libc.h"

#define NOWHERE ((void *)0x1000)

static u64 passed, failed;

static void check(bool condition, const char *text, int line) {
  if (condition) {
    passed++;
    return;
  }
  failed++;
  printf("systest: line %d: not true: %s\n", line, text);
}
#define CHECK(condition) check(condition, #condition, __LINE__)

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC);
  write(fd, text, strlen(text));
  close(fd);
}

static int run(const char *path, char *const arguments[]) {
  int status = -1, pid = fork();
  if (pid == 0) exit(execve(path, arguments, NULL) == -ENOENT ? 127 : 126);
  return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void test_files(void) {
  char bytes[64];
  struct stat status;
  write_file("/tmp/file", "hello, world\n");
  int fd = open("/tmp/file", O_RDWR);
  CHECK(fd >= 3);
  CHECK(read(fd, bytes, 5) == 5 && memcmp(bytes, "hello", 5) == 0);
  CHECK(read(fd, bytes, 64) == 8 && read(fd, bytes, 64) == 0);
  CHECK(lseek(fd, 7, SEEK_SET) == 7 && read(fd, bytes, 5) == 5 && memcmp(bytes, "world", 5) == 0);
  CHECK(lseek(fd, -1, SEEK_CUR) == 11 && lseek(fd, 0, SEEK_END) == 13);
  CHECK(lseek(fd, -14, SEEK_END) == -EINVAL && lseek(fd, 0, 9) == -EINVAL);
  CHECK(write(fd, "!!", 2) == 2 && fstat(fd, &status) == 0 && status.st_size == 15);
  CHECK((status.st_mode & S_IFMT) == S_IFREG && status.st_nlink == 1);
  CHECK(lseek(fd, 5000, SEEK_SET) == 5000 && write(fd, "x", 1) == 1);
  CHECK(lseek(fd, 4999, SEEK_SET) == 4999 && read(fd, bytes, 2) == 2 && bytes[0] == 0 && bytes[1] == 'x');
  CHECK(syscall(SYS_ftruncate, fd, 3) == 0 && fstat(fd, &status) == 0 && status.st_size == 3);
  CHECK(syscall(SYS_ftruncate, fd, 20) == 0 && lseek(fd, 2, SEEK_SET) == 2);
  CHECK(read(fd, bytes, 64) == 18 && bytes[0] == 'l' && bytes[1] == 0 && bytes[17] == 0);
  CHECK(syscall(SYS_ftruncate, fd, 1ul << 40) == -EFBIG);
  CHECK(fsync(fd) == 0);
  CHECK(read(fd, NOWHERE, 8) == 0 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, NOWHERE, 8) == -EFAULT);
  struct iovec parts[] = {{(u64) "abc", 3}, {(u64) "defg", 4}};
  CHECK(syscall(SYS_writev, fd, parts, 2) == 7);
  CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, bytes, 7) == 7 && memcmp(bytes, "abcdefg", 7) == 0);
  CHECK(close(fd) == 0 && close(fd) == -EBADF);

  fd = open("/tmp/file", O_WRONLY | O_APPEND);
  CHECK(read(fd, bytes, 1) == -EBADF && write(fd, "end", 3) == 3);
  CHECK(fstat(fd, &status) == 0 && status.st_size == 23);
  close(fd);
  CHECK(open("/tmp/file", O_RDONLY | O_CREAT | O_EXCL) == -EEXIST);
  fd = open("/tmp/file", O_RDONLY);
  CHECK(write(fd, "x", 1) == -EBADF);
  CHECK(unlink("/tmp/file") == 0 && unlink("/tmp/file") == -ENOENT);
  CHECK(read(fd, bytes, 3) == 3 && fstat(fd, &status) == 0 && status.st_nlink == 0);
  close(fd);
}

static void test_directories(void) {
  u8 buffer[256] __attribute__((aligned(8)));
  char path[64];
  CHECK(mkdir("/tmp/d", 0755) == 0 && mkdir("/tmp/d", 0755) == -EEXIST && mkdir("/tmp/x/y", 0755) == -ENOENT);
  CHECK(chdir("/tmp/d") == 0 && syscall(SYS_getcwd, path, sizeof(path)) == 7 && strcmp(path, "/tmp/d") == 0);
  CHECK(syscall(SYS_getcwd, path, 3) == -ERANGE && syscall(SYS_getcwd, NOWHERE, 64) == -EFAULT);
  write_file("one", "1");
  write_file("./../d/two", "2");
  int fd = open("/tmp/d/", O_RDONLY | O_DIRECTORY);
  long size = getdents(fd, buffer, sizeof(buffer));
  const char *wanted[] = {".", "..", "one", "two"};
  u64 entries = 0;
  for (long at = 0; at < size; entries++) {
    struct linux_dirent64 *entry = (struct linux_dirent64 *)(buffer + at);
    CHECK(entries < 4 && strcmp(entry->d_name, wanted[entries]) == 0);
    CHECK(entry->d_type == (entries < 2 ? DT_DIR : DT_REG));
    at += entry->d_reclen;
  }
  CHECK(entries == 4 && getdents(fd, buffer, sizeof(buffer)) == 0);
  CHECK(lseek(fd, 0, SEEK_SET) == 0 && getdents(fd, buffer, 20) == -EINVAL);
  CHECK(read(fd, buffer, 8) == -EISDIR);
  int inner = (int)syscall(SYS_openat, fd, "one", O_RDONLY, 0);
  CHECK(inner >= 0 && close(inner) == 0 && syscall(SYS_openat, 99, "one", O_RDONLY, 0) == -EBADF);
  CHECK(getdents(0, buffer, 64) == -ENOTDIR);
  close(fd);
  CHECK(open("one/", O_RDONLY) == -ENOTDIR && open("", O_RDONLY) == -ENOENT);
  CHECK(open("0123456789012345678901234567890123456789012345678", O_RDONLY) == -ENAMETOOLONG);
  CHECK(syscall(SYS_faccessat, AT_FDCWD, "one", 4) == 0 && syscall(SYS_faccessat, AT_FDCWD, "one", 1) == -EACCES);
  CHECK(syscall(SYS_faccessat, AT_FDCWD, "none", 0) == -ENOENT);
  CHECK(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "two", 0) == 0 && open("one", O_RDONLY) == -ENOENT);
  CHECK(syscall(SYS_renameat2, AT_FDCWD, "/tmp", AT_FDCWD, "/tmp/d/tmp", 0) == -EINVAL);
  CHECK(rmdir("/tmp/d") == -ENOTEMPTY && rmdir("two") == -ENOTDIR && unlink("two") == 0);
  CHECK(rmdir("/tmp/d") == 0 && syscall(SYS_getcwd, path, sizeof(path)) == -ENOENT);
  CHECK(open("three", O_WRONLY | O_CREAT) == -ENOENT);
  CHECK(chdir("/bin/sh") == -ENOTDIR && chdir("/nowhere") == -ENOENT && chdir("/") == 0);
}

static void test_descriptors(void) {
  int fd = open("/dev/null", O_RDWR);
  int copy = (int)syscall(SYS_dup, fd);
  CHECK(copy > fd && close(copy) == 0);
  CHECK(dup2(fd, 40) == 40 && write(40, "x", 1) == 1);
  CHECK(syscall(SYS_dup3, fd, fd, 0) == -EINVAL && syscall(SYS_dup3, fd, 64, 0) == -EBADF);
  CHECK(syscall(SYS_dup3, 39, 41, 0) == -EBADF && syscall(SYS_dup3, fd, 41, O_CLOEXEC) == 41);
  CHECK(syscall(SYS_fcntl, 41, F_GETFD) == FD_CLOEXEC && syscall(SYS_fcntl, 40, F_GETFD) == 0);
  CHECK(syscall(SYS_fcntl, 40, F_SETFD, FD_CLOEXEC) == 0 && syscall(SYS_fcntl, 40, F_GETFD) == FD_CLOEXEC);
  CHECK(syscall(SYS_fcntl, fd, F_DUPFD, 50) == 50 && syscall(SYS_fcntl, fd, F_GETFL) == O_RDWR);
  CHECK(syscall(SYS_fcntl, fd, F_SETFL, O_APPEND) == 0 && syscall(SYS_fcntl, fd, F_GETFL) == (O_RDWR | O_APPEND));
  CHECK(syscall(SYS_fcntl, fd, 77) == -EINVAL);
  u64 opened = 0;
  for (;; opened++) {
    long result = syscall(SYS_dup, fd);
    if (result < 0) {
      CHECK(result == -EMFILE);
      break;
    }
  }
  CHECK(opened > 50);
  for (int i = fd; i < 64; i++) close(i);
  CHECK(close(600) == -EBADF && read(600, &fd, 1) == -EBADF && syscall(SYS_ioctl, 600, 0, 0) == -EBADF);
}

static void test_pipes(void) {
  int ends[2];
  char bytes[16];
  CHECK(pipe(ends) == 0 && write(ends[1], "abc", 3) == 3 && read(ends[0], bytes, 16) == 3);
  struct stat status;
  CHECK(fstat(ends[0], &status) == 0 && (status.st_mode & S_IFMT) == S_IFIFO);
  struct pollfd polled[] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLOUT}, {.fd = 63}};
  struct timespec no_wait = {0}, wait = {.tv_nsec = 3000000};
  CHECK(syscall(SYS_ppoll, polled, 3, &no_wait) == 2 && polled[0].revents == 0 && polled[1].revents == POLLOUT);
  CHECK(polled[2].revents == POLLNVAL);
  u64 start = clock_ns();
  CHECK(syscall(SYS_ppoll, polled, 1, &wait) == 0 && clock_ns() - start >= 3000000);
  write(ends[1], "x", 1);
  CHECK(syscall(SYS_ppoll, polled, 1, 0) == 1 && polled[0].revents == POLLIN);
  CHECK(close(ends[1]) == 0 && read(ends[0], bytes, 16) == 1 && read(ends[0], bytes, 16) == 0);
  CHECK(syscall(SYS_ppoll, polled, 1, &no_wait) == 1 && polled[0].revents == POLLHUP);
  close(ends[0]);
  CHECK(syscall(SYS_pipe2, ends, O_NONBLOCK) == 0 && read(ends[0], bytes, 1) == -EAGAIN);
  u64 filled = 0;
  while (write(ends[1], bytes, 16) == 16) filled += 16;
  CHECK(filled == 4096 && write(ends[1], bytes, 16) == -EAGAIN);
  close(ends[0]), close(ends[1]);
  CHECK(syscall(SYS_pipe2, NOWHERE, 0) == -EFAULT && syscall(SYS_pipe2, ends, 1) == -EINVAL);
  int pid = fork();
  if (pid == 0) {
    pipe(ends);
    close(ends[0]);
    write(ends[1], "x", 1);
    exit(0);
  }
  int result;
  CHECK(waitpid(pid, &result, 0) == pid && result == SIGPIPE);
}

static void test_processes(void) {
  int status, pid = fork();
  if (pid == 0) exit(syscall(SYS_getppid) == getpid() ? 1 : 42);
  CHECK(waitpid(pid, &status, 0) == pid && status == 42 << 8);
  CHECK(waitpid(-1, NULL, 0) == -ECHILD && waitpid(pid, NULL, WNOHANG) == -ECHILD);
  CHECK(getpid() == syscall(SYS_gettid) && getpid() > 1);
  CHECK(syscall(SYS_getuid) == 0 && syscall(SYS_geteuid) == 0 && syscall(SYS_getgid) == 0 && syscall(SYS_getegid) == 0);
  CHECK(syscall(SYS_clone, 0x100 | SIGCHLD, 0) == -EINVAL);

  pid = fork();
  if (pid == 0) {
    for (;;) sleep_ms(1000);
  }
  CHECK(waitpid(pid, NULL, WNOHANG) == 0 && kill(pid, 0) == 0 && kill(pid, SIGCHLD) == 0);
  CHECK(kill(pid, 99) == -EINVAL && kill(pid, SIGTERM) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && status == SIGTERM && kill(pid, SIGTERM) == -ESRCH);
  pid = fork();
  if (pid == 0) {
    for (;;) {
    }
  }
  sleep_ms(5);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && status == SIGKILL);
  CHECK(kill(1, SIGKILL) == -EPERM);

  pid = fork();
  if (pid == 0) {
    *(volatile int *)NOWHERE = 1;
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == SIGSEGV);
  pid = fork();
  if (pid == 0) {
    *(volatile u8 *)(u64)test_processes = 1; // text is not writable
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == SIGSEGV);
  pid = fork();
  if (pid == 0) {
    __asm__ volatile("csrr t0, sstatus");
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == SIGILL);

  CHECK(run("/bin/sh", (char *[]){"sh", "-c", "exit 7", NULL}) == 7 << 8);
  CHECK(run("/bin/none", (char *[]){"none", NULL}) == 127 << 8);
  CHECK(execve("/bin/sh", (char **)NOWHERE, NULL) == -EFAULT && execve("/etc", (char *[]){"x", NULL}, NULL) == -EACCES);
  static char long_argument[4200];
  memset(long_argument, 'a', sizeof(long_argument) - 1);
  CHECK(execve("/bin/echo", (char *[]){"echo", long_argument, NULL}, NULL) == -E2BIG);

  CHECK(syscall(SYS_setpgid, 0, 0) == 0 && syscall(SYS_getpgid, 0) == getpid());
  CHECK(syscall(SYS_getpgid, 30000) == -ESRCH && syscall(SYS_setpgid, 1, 1) == -ESRCH);
  char name[TASK_COMM_LEN];
  CHECK(syscall(SYS_prctl, PR_GET_NAME, name) == 0 && strcmp(name, "systest") == 0);
  CHECK(syscall(SYS_prctl, PR_SET_NAME, "a name that is too long") == 0);
  CHECK(syscall(SYS_prctl, PR_GET_NAME, name) == 0 && strcmp(name, "a name that is ") == 0);
  CHECK(syscall(SYS_prctl, PR_SET_NAME, "systest") == 0 && syscall(SYS_prctl, 9999) == -EINVAL);
}

// The floor of a close-on-exec descriptor is checked by the program that runs next.
static void test_exec_descriptors(void) {
  int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
  char kept_text[8], closed_text[8];
  snprintf(kept_text, sizeof(kept_text), "%d", kept);
  snprintf(closed_text, sizeof(closed_text), "%d", closed);
  CHECK(run("/bin/systest", (char *[]){"systest", "descriptors", kept_text, closed_text, NULL}) == 0);
  close(kept), close(closed);
}

static void test_memory(void) {
  long start = syscall(SYS_brk, 0);
  CHECK(syscall(SYS_brk, start + 10000) == start + 10000);
  memset((void *)start, 7, 10000);
  CHECK(syscall(SYS_brk, start) == start && syscall(SYS_brk, 1) == start && syscall(SYS_brk, 1l << 40) == start);
  u8 *pages = (u8 *)syscall(SYS_mmap, 0, 10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK((long)pages > 0 && pages[9999] == 0);
  pages[9999] = 5;
  long others = syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(others == (long)pages + 12288);
  int status, pid = fork();
  if (pid == 0) {
    bool inherited = pages[9999] == 5;
    pages[9999] = 6;
    exit(inherited ? 0 : 1);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0 && pages[9999] == 5);
  CHECK(syscall(SYS_munmap, pages, 4096) == -EINVAL && syscall(SYS_munmap, pages, 10000) == 0);
  CHECK(write(1, pages, 1) == -EFAULT && syscall(SYS_munmap, pages, 10000) == -EINVAL);
  CHECK(syscall(SYS_munmap, others, 4096) == 0);
  CHECK(syscall(SYS_mmap, 0, 0, PROT_READ, MAP_ANONYMOUS, -1, 0) == -EINVAL);
  CHECK(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, 0, 0) == -ENODEV);
  CHECK(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, 700, 0) == -EBADF);
}

static void test_time(void) {
  struct timespec time, wait = {.tv_nsec = 2000000};
  u64 before = clock_ns();
  CHECK(syscall(SYS_nanosleep, &wait, 0) == 0 && clock_ns() - before >= 2000000);
  CHECK(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, 0) == 0 && clock_ns() - before >= 4000000);
  u64 target = clock_ns() + 2000000;
  struct timespec absolute = {.tv_sec = (i64)(target / 1000000000), .tv_nsec = (i64)(target % 1000000000)};
  CHECK(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &absolute, 0) == 0 && clock_ns() >= target);
  CHECK(syscall(SYS_nanosleep, NOWHERE, 0) == -EFAULT);
  wait.tv_nsec = 1000000000;
  CHECK(syscall(SYS_nanosleep, &wait, 0) == -EINVAL);
  CHECK(syscall(SYS_clock_gettime, CLOCK_REALTIME, &time) == 0 && time.tv_sec >= 1767225600);
  CHECK(syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &time) == 0 && time.tv_sec < 100);
  CHECK(syscall(SYS_clock_gettime, 99, &time) == -EINVAL && syscall(SYS_clock_gettime, 1, NOWHERE) == -EFAULT);
  struct timeval now;
  CHECK(syscall(SYS_gettimeofday, &now, 0) == 0 && now.tv_sec >= 1767225600 && now.tv_usec < 1000000);
  struct tms times;
  CHECK(syscall(SYS_times, &times) >= 0 && times.tms_utime >= 0);
  struct rusage usage;
  CHECK(syscall(SYS_getrusage, RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0 && usage.ru_nvcsw > 0);
  CHECK(syscall(SYS_getrusage, RUSAGE_CHILDREN, &usage) == 0 && syscall(SYS_getrusage, 5, &usage) == -EINVAL);
  CHECK(syscall(SYS_sched_yield) == 0);
}

static void test_devices(void) {
  char bytes[32];
  u64 size = 0;
  struct stat status;
  int fd = open("/dev/zero", O_RDWR);
  memset(bytes, 9, sizeof(bytes));
  CHECK(read(fd, bytes, 32) == 32 && bytes[0] == 0 && bytes[31] == 0 && write(fd, bytes, 32) == 32);
  CHECK(syscall(SYS_ioctl, fd, TCGETS, bytes) == -ENOTTY);
  close(fd);
  CHECK(stat("/dev/null", &status) == 0 && (status.st_mode & S_IFMT) == S_IFCHR && status.st_rdev == 0x103);
  int panic = open("/dev/panic", O_RDONLY);
  CHECK(panic >= 0 && close(panic) == 0);
  CHECK(open("/proc/tasks", O_WRONLY) == -EACCES);
  fd = open("/proc/cmdline", O_RDONLY);
  CHECK(fd >= 0 && read(fd, bytes, 1) == 1 && lseek(fd, 0, SEEK_SET) == 0);
  close(fd);
  fd = open("/dev/disk", O_RDWR);
  if (fd == -ENXIO) {
    printf("systest: no disk, so its calls are not tested\n");
    return;
  }
  CHECK(syscall(SYS_ioctl, fd, BLKGETSIZE64, &size) == 0 && size > 0 && size % 512 == 0);
  CHECK(lseek(fd, 0, SEEK_END) == (long)size && read(fd, bytes, 1) == 0 && write(fd, bytes, 1) == -ENOSPC);
  CHECK(lseek(fd, 1020, SEEK_SET) == 1020 && write(fd, "spanning", 8) == 8);
  CHECK(lseek(fd, 1020, SEEK_SET) == 1020 && read(fd, bytes, 8) == 8 && memcmp(bytes, "spanning", 8) == 0);
  CHECK(fsync(fd) == 0 && syscall(SYS_sync) == 0 && read(fd, NOWHERE, 8) == -EFAULT);
  close(fd);
}

static void test_system(void) {
  struct utsname names;
  struct sysinfo info;
  u32 cpu = 99;
  CHECK(syscall(SYS_uname, &names) == 0 && strcmp(names.machine, "riscv64") == 0);
  CHECK(syscall(SYS_uname, NOWHERE) == -EFAULT);
  CHECK(syscall(SYS_sysinfo, &info) == 0 && info.freeram < info.totalram && info.procs > 2 && info.mem_unit == 1);
  CHECK(syscall(SYS_getcpu, &cpu, 0) == 0 && cpu < 4);
  CHECK(syscall(SYS_reboot, 1, 2, 3, 0) == -EINVAL);
  CHECK(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 77, 0) == -EINVAL);
  CHECK(syscall(511) == -ENOSYS && syscall(512) == -ENOSYS && syscall(1003) == -ENOSYS && syscall(-1) == -ENOSYS);
  u64 before = (u64)syscall(SYS_syscall_count, 511);
  syscall(511), syscall(511);
  CHECK((u64)syscall(SYS_syscall_count, 511) == before + 2);
  CHECK(syscall(SYS_probe_forms, 1) == syscall(SYS_probe_forms, 1));
  CHECK(syscall(SYS_probe_forms, 1) != syscall(SYS_probe_forms, 2));
  long bpf = syscall(SYS_bpf, 0, 0, 0);
  CHECK(bpf == -ENOSYS || bpf == -EINVAL || bpf == -EFAULT); // without and with a tracer
}

int main(int argc, char **argv) {
  if (argc == 4) {
    int kept = (int)parse_number(argv[2]), closed = (int)parse_number(argv[3]);
    return close(kept) == 0 && close(closed) == -EBADF ? 0 : 1;
  }
  test_files();
  test_directories();
  test_descriptors();
  test_pipes();
  test_processes();
  test_exec_descriptors();
  test_memory();
  test_time();
  test_devices();
  test_system();
  if (failed > 0) fail("systest: %lu passed, %lu failed\n", passed, failed);
  printf("systest: %lu passed\n", passed);
  return 0;
}
