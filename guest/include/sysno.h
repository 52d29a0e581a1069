// The system calls: one row per call. To add one: a row here and a function sys_NAME in the kernel.
//
// LINUX_SYSCALLS rows carry Linux's riscv64 numbers (include/uapi/asm-generic/unistd.h).
// PRIVATE_SYSCALLS rows are this kernel's own; they start at PRIVATE_SYSCALL_BASE.
#pragma once

#define LINUX_SYSCALLS(X)                                                                                              \
  X(17, getcwd)                                                                                                        \
  X(23, dup)                                                                                                           \
  X(24, dup3)                                                                                                          \
  X(25, fcntl)                                                                                                         \
  X(29, ioctl)                                                                                                         \
  X(34, mkdirat)                                                                                                       \
  X(35, unlinkat)                                                                                                      \
  X(46, ftruncate)                                                                                                     \
  X(48, faccessat)                                                                                                     \
  X(49, chdir)                                                                                                         \
  X(56, openat)                                                                                                        \
  X(57, close)                                                                                                         \
  X(59, pipe2)                                                                                                         \
  X(61, getdents64)                                                                                                    \
  X(62, lseek)                                                                                                         \
  X(63, read)                                                                                                          \
  X(64, write)                                                                                                         \
  X(66, writev)                                                                                                        \
  X(73, ppoll)                                                                                                         \
  X(79, newfstatat)                                                                                                    \
  X(80, fstat)                                                                                                         \
  X(81, sync)                                                                                                          \
  X(82, fsync)                                                                                                         \
  X(93, exit)                                                                                                          \
  X(94, exit_group)                                                                                                    \
  X(101, nanosleep)                                                                                                    \
  X(113, clock_gettime)                                                                                                \
  X(115, clock_nanosleep)                                                                                              \
  X(124, sched_yield)                                                                                                  \
  X(129, kill)                                                                                                         \
  X(142, reboot)                                                                                                       \
  X(153, times)                                                                                                        \
  X(154, setpgid)                                                                                                      \
  X(155, getpgid)                                                                                                      \
  X(160, uname)                                                                                                        \
  X(165, getrusage)                                                                                                    \
  X(167, prctl)                                                                                                        \
  X(168, getcpu)                                                                                                       \
  X(169, gettimeofday)                                                                                                 \
  X(172, getpid)                                                                                                       \
  X(173, getppid)                                                                                                      \
  X(174, getuid)                                                                                                       \
  X(175, geteuid)                                                                                                      \
  X(176, getgid)                                                                                                       \
  X(177, getegid)                                                                                                      \
  X(178, gettid)                                                                                                       \
  X(179, sysinfo)                                                                                                      \
  X(214, brk)                                                                                                          \
  X(215, munmap)                                                                                                       \
  X(220, clone)                                                                                                        \
  X(221, execve)                                                                                                       \
  X(222, mmap)                                                                                                         \
  X(241, perf_event_open)                                                                                              \
  X(260, wait4)                                                                                                        \
  X(276, renameat2)                                                                                                    \
  X(280, bpf)

#define PRIVATE_SYSCALL_BASE 1000
#define PRIVATE_SYSCALLS(X)                                                                                            \
  X(1000, syscall_count) /* (nr): how often system call nr was entered since boot, by all tasks */                     \
  X(1001, probe_forms)   /* (seed): probe_target_all_forms(seed), see kernel/probe_target.S */                         \
  X(1002, panic)         /* (): make the kernel panic */

#define X(number, name) SYS_##name = number,
enum syscall_number { LINUX_SYSCALLS(X) PRIVATE_SYSCALLS(X) };
#undef X
