// bpfdemo: from user space into the kernel and back, by Linux's interface alone.
//
// Makes a hash map, loads an eBPF program that counts per process in it, attaches the program to the kernel function
// sys_getppid by a kprobe, calls getppid 100 times, and reads the count. Works where a tracer serves the kernel's
// bpf(2) (see kernel/tracer.c), and says so where none does.

#include "libc.h"

#define BPF_MAP_CREATE 0
#define BPF_MAP_LOOKUP_ELEM 1
#define BPF_PROG_LOAD 5
#define BPF_MAP_TYPE_HASH 1
#define BPF_PROG_TYPE_KPROBE 2
#define BPF_PSEUDO_MAP_FD 1
#define BPF_FUNC_map_lookup_elem 1
#define BPF_FUNC_map_update_elem 2
#define BPF_FUNC_get_current_pid_tgid 14
#define PERF_EVENT_IOC_ENABLE 0x2400
#define PERF_EVENT_IOC_DISABLE 0x2401
#define PERF_EVENT_IOC_SET_BPF 0x40042408
#define PERF_FLAG_FD_CLOEXEC 8

#define CALLS 100

struct bpf_insn {
  u8 code;
  u8 registers; // destination in the low half, source in the high one
  i16 offset;
  i32 immediate;
};
#define INSN(op, destination, source, off, imm)                                                                        \
  {.code = (op), .registers = (u8)((destination) | (source) << 4), .offset = (off), .immediate = (imm)}
#define MOV_REG(destination, source) INSN(0xbf, destination, source, 0, 0)
#define MOV_IMM(destination, imm) INSN(0xb7, destination, 0, 0, imm)
#define ADD_IMM(destination, imm) INSN(0x07, destination, 0, 0, imm)
#define RSH_IMM(destination, imm) INSN(0x77, destination, 0, 0, imm)
#define STORE_REG_U32(base, off, source) INSN(0x63, base, source, off, 0)
#define STORE_IMM_U64(base, off, imm) INSN(0x7a, base, 0, off, imm)
#define ATOMIC_ADD_U64(base, off, source) INSN(0xdb, base, source, off, 0)
#define JUMP_IF_ZERO(destination, off) INSN(0x15, destination, 0, off, 0)
#define JUMP(off) INSN(0x05, 0, 0, off, 0)
#define CALL(function) INSN(0x85, 0, 0, 0, function)
#define LOAD_MAP(destination, fd) INSN(0x18, destination, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define EXIT INSN(0x95, 0, 0, 0, 0)

struct map_create {
  u32 map_type, key_size, value_size, max_entries, flags;
};
struct map_element {
  u32 map_fd, pad;
  u64 key, value, flags;
};
struct prog_load {
  u32 prog_type, insn_count;
  u64 insns, license;
  u32 log_level, log_size;
  u64 log_buffer;
};
struct perf_event_attr {
  u32 type, size;
  u64 config, sample_period, sample_type, read_format, flags;
  u32 wakeup_events, breakpoint_type;
  u64 function, offset; // config1 and config2 of a kprobe
  u64 rest[8];
};
_Static_assert(sizeof(struct perf_event_attr) == 0x88, "struct perf_event_attr");

static char verifier_log[2048];

static long bpf(long command, const void *attributes, u64 size) { return syscall(SYS_bpf, command, attributes, size); }

static int create_map(void) {
  struct map_create attributes = {BPF_MAP_TYPE_HASH, sizeof(u32), sizeof(u64), 64, 0};
  long fd = bpf(BPF_MAP_CREATE, &attributes, sizeof(attributes));
  if (fd == -ENOSYS) {
    printf("bpfdemo: no tracer serves this kernel (bpf is ENOSYS), nothing to show\n");
    exit(0);
  }
  if (fd < 0) fail("bpfdemo: cannot create a map: %s\n", error_name(fd));
  return (int)fd;
}

// counts[process id] += 1
static int load_program(int map_fd) {
  struct bpf_insn program[] = {
      CALL(BPF_FUNC_get_current_pid_tgid),
      RSH_IMM(0, 32),
      STORE_REG_U32(10, -4, 0),
      MOV_REG(2, 10),
      ADD_IMM(2, -4),
      LOAD_MAP(1, map_fd),
      CALL(BPF_FUNC_map_lookup_elem),
      JUMP_IF_ZERO(0, 3),
      MOV_IMM(1, 1),
      ATOMIC_ADD_U64(0, 0, 1),
      JUMP(9),
      STORE_IMM_U64(10, -16, 1),
      MOV_REG(2, 10),
      ADD_IMM(2, -4),
      MOV_REG(3, 10),
      ADD_IMM(3, -16),
      MOV_IMM(4, 0),
      LOAD_MAP(1, map_fd),
      CALL(BPF_FUNC_map_update_elem),
      MOV_IMM(0, 0),
      EXIT,
  };
  struct prog_load attributes = {
      .prog_type = BPF_PROG_TYPE_KPROBE,
      .insn_count = ARRAY_LENGTH(program),
      .insns = (u64)program,
      .license = (u64) "GPL",
      .log_level = 1,
      .log_size = sizeof(verifier_log),
      .log_buffer = (u64)verifier_log,
  };
  long fd = bpf(BPF_PROG_LOAD, &attributes, sizeof(attributes));
  if (fd < 0) {
    fprintf(2, "%s\n", verifier_log);
    fail("bpfdemo: cannot load the program: %s\n", error_name(fd));
  }
  return (int)fd;
}

static u32 kprobe_type(void) {
  char text[16] = "";
  int fd = open("/sys/bus/event_source/devices/kprobe/type", O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) fail("bpfdemo: no event source for kprobes\n");
  close(fd);
  return (u32)parse_number(text);
}

static int attach(int program_fd, const char *function) {
  struct perf_event_attr attributes = {.type = kprobe_type(), .size = sizeof(attributes), .function = (u64)function};
  long fd = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) fail("bpfdemo: cannot probe %s: %s\n", function, error_name(fd));
  long error = syscall(SYS_ioctl, fd, PERF_EVENT_IOC_SET_BPF, program_fd);
  if (error == 0) error = syscall(SYS_ioctl, fd, PERF_EVENT_IOC_ENABLE, 0);
  if (error < 0) fail("bpfdemo: cannot attach to %s: %s\n", function, error_name(error));
  return (int)fd;
}

static u64 read_count(int map_fd) {
  u32 key = (u32)getpid();
  u64 count = 0;
  struct map_element attributes = {.map_fd = (u32)map_fd, .key = (u64)&key, .value = (u64)&count};
  long error = bpf(BPF_MAP_LOOKUP_ELEM, &attributes, sizeof(attributes));
  if (error < 0 && error != -ENOENT) fail("bpfdemo: cannot read the map: %s\n", error_name(error));
  return count;
}

static void call_getppid(void) {
  for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
}

int main(int argc, char **argv) {
  (void)argc, (void)argv;
  int map_fd = create_map();
  int program_fd = load_program(map_fd);
  call_getppid(); // before the probe: not counted
  int event_fd = attach(program_fd, "sys_getppid");
  call_getppid();
  u64 count = read_count(map_fd);
  long error = syscall(SYS_ioctl, event_fd, PERF_EVENT_IOC_DISABLE, 0);
  if (error < 0) fail("bpfdemo: cannot detach: %s\n", error_name(error));
  call_getppid(); // after it: not counted either
  u64 after = read_count(map_fd);
  close(event_fd);
  close(program_fd);
  close(map_fd);
  printf("bpfdemo: counted %lu of %d\n", count, CALLS);
  if (after != count) fail("bpfdemo: %lu more were counted after the probe was disabled\n", after - count);
  return count == CALLS ? 0 : 1;
}
