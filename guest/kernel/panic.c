// The end: says what happened and where, stops the other harts, and shuts the machine down with "system failure".
//
// Rules
// - The output is one fact a line, so that a program on the host can find the addresses and name them:
//     kernel panic: MESSAGE
//     panic: cpu C hart H task PID COMM
//     panic: reg NAME HEX           (every register, if there is a trap frame)
//     panic: backtrace HEX          (innermost first: where the call returns to, so look up the byte before; with
//                                   registers the first one is the pc itself)
//     panic: end
// - Nothing here takes a lock.

#include "defs.h"

static u32 panicking;

bool panic_in_progress(void) { return __atomic_load_n(&panicking, __ATOMIC_RELAXED) != 0; }

static bool plausible_frame(u64 frame_pointer) {
  if ((frame_pointer & 7) != 0) return false;
  if (frame_pointer >= KERNEL_STACKS) {
    u64 offset = frame_pointer - KERNEL_STACKS;
    return offset <= MAX_TASKS * KERNEL_STACK_SLOT && (offset - 16) % KERNEL_STACK_SLOT >= KERNEL_STACK_SIZE;
  }
  return frame_pointer >= KERNEL_PHYSICAL + KERNEL_OFFSET + 16 &&
         frame_pointer <= boot_info.memory_base + boot_info.memory_size + KERNEL_OFFSET;
}

// A frame pointer points behind the saved return address (at -8) and the caller's frame pointer (at -16).
static void print_backtrace(u64 frame_pointer) {
  for (int depth = 0; depth < 32 && plausible_frame(frame_pointer); depth++) {
    const u64 *frame = (const u64 *)frame_pointer;
    u64 caller = frame[-2];
    if (frame[-1] == 0) break;
    printk("panic: backtrace %p\n", (void *)frame[-1]);
    if (caller <= frame_pointer) break;
    frame_pointer = caller;
  }
}

static void print_registers(const struct trap_frame *frame) {
  static const char names[][8] = {"pc", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0", "a1",
                                  "a2", "a3", "a4", "a5", "a6",  "a7",  "s2", "s3", "s4", "s5", "s6", "s7",
                                  "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "status", "badaddr", "cause"};
  const u64 *values = (const u64 *)frame;
  for (u64 i = 0; i < ARRAY_LENGTH(names); i++) printk("panic: reg %s %p\n", names[i], (void *)values[i]);
}

static void panic_begin(void) {
  irq_off();
  if (__atomic_exchange_n(&panicking, 1, __ATOMIC_RELAXED) != 0) {
    for (;;) wait_for_interrupt(); // another hart, or this one, is at it
  }
  for (int i = 0; i < ncpus; i++) {
    if (cpus[i].online && &cpus[i] != this_cpu()) sbi_send_ipi(cpus[i].hartid);
  }
}

static NORETURN void panic_end(void) {
  printk("panic: end\n");
  sbi_system_reset(SBI_SHUTDOWN, true);
}

static void print_place(void) {
  struct cpu *cpu = this_cpu();
  struct task *task = cpu->current;
  printk("panic: cpu %u hart %u task %d %s\n", cpu->index, cpu->hartid, task != NULL ? task->pid : 0,
         task != NULL ? task->comm : "-");
}

static void print_message(const char *format, __builtin_va_list arguments) {
  char line[200];
  struct text_buffer buffer = {.bytes = line, .size = sizeof(line) - 1};
  text_vprintf(&buffer, format, arguments);
  line[text_stored(&buffer)] = 0;
  printk("kernel panic: %s\n", line);
}

PROBEABLE void panic(const char *format, ...) {
  panic_begin();
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  print_message(format, arguments);
  __builtin_va_end(arguments);
  print_place();
  print_backtrace((u64)__builtin_frame_address(0));
  panic_end();
}

PROBEABLE void panic_with_registers(const struct trap_frame *frame, const char *format, ...) {
  panic_begin();
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  print_message(format, arguments);
  __builtin_va_end(arguments);
  print_place();
  print_registers(frame);
  printk("panic: backtrace %p\n", (void *)frame->epc);
  print_backtrace(frame->s0);
  panic_end();
}

// From trap_entry: the stack of this hart's task has no room for a trap frame.
__attribute__((used)) NORETURN void panic_stack_overflow(u64 pc, u64 stack_pointer) {
  panic("kernel stack overflow: sp %p at pc %p", (void *)stack_pointer, (void *)pc);
}
