// The system calls: from a number in a7 to a function.
//
// Rules
// - To add a call: a row in include/sysno.h and a function sys_NAME, in the sys_*.c file where it belongs.
// - All sys_ functions take what the registers hold, unsigned and 64 bits wide, however few of them they declare.
//   (The psABI passes the arguments in registers, so a call with six of them fits all.)
// - Each call passes through syscall_dispatch once, and through syscall_enter, whose first argument is the number:
//   for a tracer. Calls are counted there, exactly, whether the number is known or not.

#include "defs.h"
#include "sysno.h"

#define PRIVATE_SYSCALL_LIMIT 16

typedef long (*syscall_function)(u64, u64, u64, u64, u64, u64);

#define X(number, name) long sys_##name();
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-non-prototype"
#pragma clang diagnostic ignored "-Wstrict-prototypes"
LINUX_SYSCALLS(X) PRIVATE_SYSCALLS(X)
#undef X

#define X(number, name) [number] = (syscall_function)sys_##name,
static const syscall_function linux_syscalls[SYSCALL_LIMIT] = {LINUX_SYSCALLS(X)};
#undef X
#define X(number, name) [number - PRIVATE_SYSCALL_BASE] = (syscall_function)sys_##name,
static const syscall_function private_syscalls[PRIVATE_SYSCALL_LIMIT] = {PRIVATE_SYSCALLS(X)};
#undef X
#pragma clang diagnostic pop

#define X(number, name) {number, #name},
static const struct {
  u32 number;
  char name[20];
} syscall_names[] = {LINUX_SYSCALLS(X) PRIVATE_SYSCALLS(X)};
#undef X

// How often each call was entered since boot, by all tasks on all harts.
u64 syscall_counts[SYSCALL_LIMIT];
u64 private_syscall_counts[PRIVATE_SYSCALL_LIMIT];
u64 other_syscall_count; // numbers that neither table has room for

static u64 *count_of(u64 number) {
  if (number < SYSCALL_LIMIT) return &syscall_counts[number];
  if (number - PRIVATE_SYSCALL_BASE < PRIVATE_SYSCALL_LIMIT) {
    return &private_syscall_counts[number - PRIVATE_SYSCALL_BASE];
  }
  return &other_syscall_count;
}

u64 syscall_count(u64 number) { return __atomic_load_n(count_of(number), __ATOMIC_RELAXED); }

// The start of every system call.
PROBEABLE void syscall_enter(u64 number) {
  __atomic_add_fetch(count_of(number), 1, __ATOMIC_RELAXED);
  current_task()->syscalls++;
}

static syscall_function function_of(u64 number) {
  if (number < SYSCALL_LIMIT) return linux_syscalls[number];
  if (number - PRIVATE_SYSCALL_BASE < PRIVATE_SYSCALL_LIMIT) return private_syscalls[number - PRIVATE_SYSCALL_BASE];
  return NULL;
}

// A whole system call, from the user's registers to its result.
PROBEABLE long syscall_dispatch(struct task *task, struct trap_frame *frame) {
  (void)task;
  syscall_enter(frame->a7);
  syscall_function function = function_of(frame->a7);
  if (function == NULL) return -ENOSYS;
  return function(frame->a0, frame->a1, frame->a2, frame->a3, frame->a4, frame->a5);
}

// /proc/syscalls: number, count, name of every call that was made.
void syscall_list(struct text_buffer *buffer) {
  for (u64 i = 0; i < ARRAY_LENGTH(syscall_names); i++) {
    u64 count = syscall_count(syscall_names[i].number);
    if (count > 0) text_printf(buffer, "%4u %8lu %s\n", syscall_names[i].number, count, syscall_names[i].name);
  }
  if (other_syscall_count > 0) text_printf(buffer, "   - %8lu other\n", other_syscall_count);
}
