/*
 * Executes the scripts of script.ts on the kernel that it runs on, and prints what each call returned.
 *
 * One command a line, words apart by a blank; buffers and results are numbered from 0 anew in each case:
 *   case                             forget buffers and results, close descriptors
 *   buffer I SIZE HEX                SIZE bytes, of which HEX (or "-") are the first
 *   pointer I OFFSET J               the address of buffer J
 *   result I OFFSET K                the result of call K, as 32 bits
 *   bpf K CMD I SIZE                 I = -1: a bad pointer
 *   perf K I PID CPU GROUP FLAGS     GROUP = -1, or the number of a call
 *   ioctl K FD REQUEST KIND ARG      KIND: n number, r result of a call, b address of a buffer
 *   mmap K FD LENGTH PROT FLAGS OFFSET
 *   close K FD
 *   path K open|mkdir|rmdir|unlink FLAGS PATH
 *   dump I OFFSET SIZE
 * FD is the number of a call. A result above 0 is printed as "fd": its number means nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 1024
static unsigned char *buffers[MOST];
static long results[MOST];
static int is_fd[MOST];

static void answer(long k, long result, int fd) {
  if (result < 0) result = -errno;
  results[k] = result;
  is_fd[k] = fd && result > 0;
  if (result > 0) printf("fd\n");
  else printf("%ld\n", result);
}

static void forget(void) {
  for (int i = 0; i < MOST; i++) {
    free(buffers[i]);
    buffers[i] = NULL;
    if (is_fd[i]) close(results[i]);
    is_fd[i] = 0;
    results[i] = 0;
  }
}

int main(void) {
  static char line[1 << 19], hex[1 << 19], kind[8];
  long a, b, c, d, e, f;
  /* Nothing that is attached or pinned here is seen by others, or outlives this process. */
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
      mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL)) {
    perror("private namespaces");
    return 1;
  }
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "case", 4)) {
      forget();
    } else if (sscanf(line, "buffer %ld %ld %s", &a, &b, hex) == 3) {
      buffers[a] = calloc(1, b + 1);
      for (size_t i = 0; hex[0] != '-' && 2 * i < strlen(hex); i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        buffers[a][i] = byte;
      }
    } else if (sscanf(line, "pointer %ld %ld %ld", &a, &b, &c) == 3) {
      uint64_t address = (uint64_t)buffers[c];
      memcpy(buffers[a] + b, &address, 8);
    } else if (sscanf(line, "result %ld %ld %ld", &a, &b, &c) == 3) {
      uint32_t value = results[c];
      memcpy(buffers[a] + b, &value, 4);
    } else if (sscanf(line, "bpf %ld %ld %ld %ld", &a, &b, &c, &d) == 4) {
      answer(a, syscall(SYS_bpf, (int)b, c < 0 ? (void *)16 : buffers[c], (unsigned)d), 1);
    } else if (sscanf(line, "perf %ld %ld %ld %ld %ld %ld", &a, &b, &c, &d, &e, &f) == 6) {
      long group = e < 0 ? -1 : results[e];
      void *attr = b < 0 ? (void *)16 : buffers[b];
      answer(a, syscall(SYS_perf_event_open, attr, (int)c, (int)d, (int)group, f), 1);
    } else if (sscanf(line, "ioctl %ld %ld %ld %7s %ld", &a, &b, &c, kind, &d) == 5) {
      long argument = kind[0] == 'r' ? results[d] : kind[0] == 'b' ? (long)buffers[d] : d;
      answer(a, ioctl(results[b], c, argument), 0);
    } else if (sscanf(line, "mmap %ld %ld %ld %ld %ld %ld", &a, &b, &c, &d, &e, &f) == 6) {
      void *p = mmap(NULL, c, d, e, results[b], f);
      answer(a, p == MAP_FAILED ? -1 : 1, 0);
    } else if (sscanf(line, "close %ld %ld", &a, &b) == 2) {
      is_fd[b] = 0;
      answer(a, close(results[b]), 0);
    } else if (sscanf(line, "path %ld %7s %ld %s", &a, kind, &b, hex) == 4) {
      if (!strcmp(kind, "open")) answer(a, open(hex, b), 1);
      else if (!strcmp(kind, "mkdir")) answer(a, mkdir(hex, 0700), 0);
      else if (!strcmp(kind, "rmdir")) answer(a, rmdir(hex), 0);
      else answer(a, unlink(hex), 0);
    } else if (sscanf(line, "dump %ld %ld %ld", &a, &b, &c) == 3) {
      for (long i = b; i < b + c; i++) printf("%02x", buffers[a][i]);
      printf("\n");
    } else {
      fprintf(stderr, "what is: %s", line);
      return 1;
    }
  }
  forget();
  return 0;
}
