// Linux's riscv64 structures and flags, byte for byte, that the kernel and the user programs share.
#pragma once

#include "types.h"

// openat(2) and fcntl(2)
#define AT_FDCWD (-100)
#define AT_REMOVEDIR 0x200
#define AT_EMPTY_PATH 0x1000
#define O_RDONLY 0
#define O_WRONLY 1
#define O_RDWR 2
#define O_ACCMODE 3
#define O_CREAT 0100
#define O_EXCL 0200
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_DIRECTORY 0200000
#define O_CLOEXEC 02000000
#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_DUPFD_CLOEXEC 1030
#define FD_CLOEXEC 1
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2

// Descriptors from here up belong to the tracer (kernel/tracer.c); the kernel's own are below.
#define TRACER_FD_BASE 512

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFREG 0100000

struct stat {
  u64 st_dev;
  u64 st_ino;
  u32 st_mode;
  u32 st_nlink;
  u32 st_uid;
  u32 st_gid;
  u64 st_rdev;
  u64 pad1;
  i64 st_size;
  i32 st_blksize;
  i32 pad2;
  i64 st_blocks;
  i64 st_atime;
  u64 st_atime_nsec;
  i64 st_mtime;
  u64 st_mtime_nsec;
  i64 st_ctime;
  u64 st_ctime_nsec;
  u32 unused[2];
};
_Static_assert(sizeof(struct stat) == 128, "struct stat of riscv64");

struct linux_dirent64 {
  u64 d_ino;
  i64 d_off;
  u16 d_reclen;
  u8 d_type;
  char d_name[];
};
#define DT_CHR 2
#define DT_DIR 4
#define DT_BLK 6
#define DT_REG 8

struct iovec {
  u64 iov_base;
  u64 iov_len;
};

struct pollfd {
  i32 fd;
  i16 events;
  i16 revents;
};
#define POLLIN 1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 16
#define POLLNVAL 32

struct timespec {
  i64 tv_sec;
  i64 tv_nsec;
};
struct timeval {
  i64 tv_sec;
  i64 tv_usec;
};
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_BOOTTIME 7
#define TIMER_ABSTIME 1

struct tms {
  i64 tms_utime;
  i64 tms_stime;
  i64 tms_cutime;
  i64 tms_cstime;
};
#define CLK_TCK 100

struct rusage {
  struct timeval ru_utime;
  struct timeval ru_stime;
  i64 ru_maxrss;
  i64 ru_unused1[11];
  i64 ru_nvcsw;
  i64 ru_nivcsw;
};
_Static_assert(sizeof(struct rusage) == 144, "struct rusage");
#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)

struct utsname {
  char sysname[65];
  char nodename[65];
  char release[65];
  char version[65];
  char machine[65];
  char domainname[65];
};

struct sysinfo {
  i64 uptime;
  u64 loads[3];
  u64 totalram;
  u64 freeram;
  u64 sharedram;
  u64 bufferram;
  u64 totalswap;
  u64 freeswap;
  u16 procs;
  u16 pad;
  u64 totalhigh;
  u64 freehigh;
  u32 mem_unit;
};
_Static_assert(sizeof(struct sysinfo) == 112, "struct sysinfo");

// Terminal requests that the console answers.
#define TCGETS 0x5401
#define TIOCGPGRP 0x540f
#define TIOCSPGRP 0x5410
struct termios {
  u32 c_iflag, c_oflag, c_cflag, c_lflag;
  u8 c_line;
  u8 c_cc[19];
};
#define ISIG 0001
#define ICANON 0002
#define ECHO 0010

// Block device requests that /dev/disk answers.
#define BLKGETSIZE64 0x80081272

// Signals. There are no handlers: a signal ends the process, is ignored (SIGCHLD, SIGCONT), or is 0, a mere test.
#define SIGINT 2
#define SIGILL 4
#define SIGTRAP 5
#define SIGBUS 7
#define SIGKILL 9
#define SIGSEGV 11
#define SIGPIPE 13
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGNAL_MAX 64

#define WNOHANG 1
#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define TASK_COMM_LEN 16

#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20

#define LINUX_REBOOT_MAGIC1 0xfee1dead
#define LINUX_REBOOT_MAGIC2 672274793
#define LINUX_REBOOT_CMD_RESTART 0x01234567
#define LINUX_REBOOT_CMD_HALT 0xcdef0123
#define LINUX_REBOOT_CMD_POWER_OFF 0x4321fedc

#define AT_NULL 0
#define AT_PAGESZ 6

#define PATH_MAX 256
#define NAME_MAX 47
