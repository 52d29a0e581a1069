/*
 * What libbpf makes of an object: opens and loads it with every bpf(2) call answered by a stub that succeeds, and
 * prints the maps' descriptors and the instructions of every program as JSON lines. libbpf's own debug log goes to
 * standard error. Nothing reaches the kernel.
 *
 * usage: libbpf-oracle OBJECT [BTF|- [KCONFIG]]
 */
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What every descriptor of the stub is: a file that can be mapped, as the values of data maps are. */
static int stub_fd;

static long answer(int command) {
  switch (command) {
  case BPF_MAP_CREATE:
  case BPF_BTF_LOAD:
  case BPF_PROG_LOAD:
  case BPF_RAW_TRACEPOINT_OPEN:
    return fcntl(stub_fd, F_DUPFD, 100);
  case BPF_BTF_GET_NEXT_ID: /* no modules */
  case BPF_OBJ_GET:
    errno = ENOENT;
    return -1;
  default:
    return 0;
  }
}

long syscall(long number, ...) {
  va_list list;
  long a[6], result;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == __NR_bpf) return answer((int)a[0]);
  register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  if (result < 0) {
    errno = -result;
    return -1;
  }
  return result;
}

static int print(enum libbpf_print_level level, const char *format, va_list list) {
  (void)level;
  return vfprintf(stderr, format, list);
}

int main(int argc, char **argv) {
  LIBBPF_OPTS(bpf_object_open_opts, options);
  struct bpf_object *object;
  struct bpf_program *program;
  struct bpf_map *map;
  int failure;

  stub_fd = memfd_create("stub", 0);
  if (ftruncate(stub_fd, 1 << 24)) return 3;
  libbpf_set_print(print);
  if (argc > 2 && strcmp(argv[2], "-")) options.btf_custom_path = argv[2];
  if (argc > 3) options.kconfig = argv[3];
  object = bpf_object__open_file(argv[1], &options);
  if (!object) return 2;
  bpf_object__for_each_program(program, object) {
    bpf_program__set_autoload(program, true);
    /* The kernel function or struct that these attach to is not what is asked about. */
    switch (bpf_program__type(program)) {
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_EXT:
    case BPF_PROG_TYPE_STRUCT_OPS:
      bpf_program__set_expected_attach_type(program, BPF_TRACE_FENTRY);
      bpf_program__set_attach_target(program, 0, "vfs_read");
      break;
    default:
      break;
    }
  }
  failure = bpf_object__load(object);
  if (failure) {
    printf("{\"kind\":\"failure\",\"errno\":%d}\n", -failure);
    return 0;
  }
  bpf_object__for_each_map(map, object) {
    size_t size = 0;
    const unsigned char *value = bpf_map__initial_value(map, &size);
    printf("{\"kind\":\"map\",\"name\":\"%s\",\"fd\":%d,\"value\":\"", bpf_map__name(map), bpf_map__fd(map));
    for (size_t i = 0; value && i < size; i++) printf("%02x", value[i]);
    printf("\"}\n");
  }
  bpf_object__for_each_program(program, object) {
    const unsigned char *bytes = (const unsigned char *)bpf_program__insns(program);
    printf("{\"kind\":\"program\",\"name\":\"%s\",\"instructions\":\"", bpf_program__name(program));
    for (size_t i = 0; i < bpf_program__insn_cnt(program) * 8; i++) printf("%02x", bytes[i]);
    printf("\"}\n");
  }
  return 0;
}
