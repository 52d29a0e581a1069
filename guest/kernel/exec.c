// Runs a program: reads an ELF file of the RAM file system into a new address space and lays out its stack.
//
// Rules
// - The new address space is complete before the old one is given up: on an error the caller goes on as it was.
// - The stack begins as Linux's does: argc, argv[], 0, envp[], 0, the auxiliary vector; sp is a multiple of 16.

#include "defs.h"

#define ELF_MAGIC 0x464c457f
#define EM_RISCV 243
#define ET_EXEC 2
#define PT_LOAD 1
#define PF_X 1
#define PF_W 2

struct elf_header {
  u32 magic;
  u8 ident[12];
  u16 type, machine;
  u32 version;
  u64 entry, phoff, shoff;
  u32 flags;
  u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct program_header {
  u32 type, flags;
  u64 offset, vaddr, paddr, filesz, memsz, align;
};

static long load_segment(struct address_space *mm, struct node *node, const struct program_header *segment) {
  if (segment->memsz == 0) return 0;
  u64 start = segment->vaddr & ~(u64)(PAGE_SIZE - 1);
  if (segment->filesz > segment->memsz || segment->vaddr < USER_BASE || segment->memsz > USER_MMAP_BASE ||
      segment->vaddr > USER_MMAP_BASE - segment->memsz || start < mm->heap_start) {
    return -ENOEXEC;
  }
  u64 end = (segment->vaddr + segment->memsz + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
  u32 prot = PROT_READ | (segment->flags & PF_W ? PROT_WRITE : 0) | (segment->flags & PF_X ? PROT_EXEC : 0);
  int error = mm_map_new(mm, start, (end - start) >> PAGE_SHIFT, prot);
  if (error != 0) return error;
  for (u64 done = 0; done < segment->filesz;) {
    u64 va = segment->vaddr + done;
    u64 size = MIN(PAGE_SIZE - (va & (PAGE_SIZE - 1)), segment->filesz - done);
    if (node_read(node, segment->offset + done, mm_kernel_address(mm, va), size) != (long)size) return -ENOEXEC;
    done += size;
  }
  mm->heap_start = mm->heap_end = end;
  return 0;
}

// Writes the strings and the vectors below USER_STACK_TOP. The stack pointer through *sp.
static long build_stack(struct address_space *mm, const struct exec_strings *strings, u64 *sp) {
  u64 base = USER_STACK_TOP - USER_STACK_PAGES * PAGE_SIZE;
  int error = mm_map_new(mm, base, USER_STACK_PAGES, PROT_READ | PROT_WRITE);
  if (error != 0) return error;
  u64 strings_at = (USER_STACK_TOP - strings->used) & ~15ul;
  u64 words = 1 + strings->argument_count + 1 + strings->environment_count + 1 + 4;
  u64 vectors_at = (strings_at - words * 8) & ~15ul;
  for (u64 i = 0; i < strings->used; i++) {
    *(char *)mm_kernel_address(mm, strings_at + i) = strings->bytes[i];
  }
  // The vectors fit in the page that they begin in, or in two: each word is placed on its own.
  u64 at = vectors_at, string = strings_at;
#define PUSH(value) (*(u64 *)mm_kernel_address(mm, at) = (value), at += 8)
  PUSH(strings->argument_count);
  for (u32 i = 0; i < strings->argument_count + strings->environment_count; i++) {
    if (i == strings->argument_count) PUSH(0);
    PUSH(string);
    string += strlen(strings->bytes + (string - strings_at)) + 1;
  }
  if (strings->environment_count == 0) PUSH(0);
  PUSH(0);
  PUSH(AT_PAGESZ);
  PUSH(PAGE_SIZE);
  PUSH(AT_NULL);
  PUSH(0);
#undef PUSH
  *sp = vectors_at;
  return 0;
}

static long load_program(struct address_space *mm, struct node *node, const struct exec_strings *strings, u64 *entry,
                         u64 *sp) {
  struct elf_header header;
  if (node_read(node, 0, &header, sizeof(header)) != (long)sizeof(header)) return -ENOEXEC;
  if (header.magic != ELF_MAGIC || header.machine != EM_RISCV || header.type != ET_EXEC) return -ENOEXEC;
  if (header.phentsize != sizeof(struct program_header) || header.phnum > 16) return -ENOEXEC;
  for (u32 i = 0; i < header.phnum; i++) {
    struct program_header segment;
    u64 offset = header.phoff + i * sizeof(segment);
    if (node_read(node, offset, &segment, sizeof(segment)) != (long)sizeof(segment)) return -ENOEXEC;
    if (segment.type != PT_LOAD) continue;
    long error = load_segment(mm, node, &segment);
    if (error != 0) return error;
  }
  *entry = header.entry;
  return build_stack(mm, strings, sp);
}

// Gives the task a new address space with the program at path in it. The task is the current one or a new one.
PROBEABLE long exec_load(struct task *task, const char *path, struct exec_strings *strings) {
  struct node *node;
  long error = path_lookup(task->cwd, path, &node);
  if (error != 0) return error;
  struct address_space mm, old = task->mm;
  u64 entry = 0, sp = 0;
  error = node->kind == NODE_REGULAR && (node->mode & 0111) ? 0 : -EACCES;
  if (error == 0) error = mm_create(&mm);
  if (error == 0) {
    error = load_program(&mm, node, strings, &entry, &sp);
    if (error != 0) mm_destroy(&mm);
  }
  if (error != 0) {
    node_put(node);
    return error;
  }
  task_set_comm(task, node->name);
  node_put(node);

  push_irq_off();
  task->mm = mm;
  task->stale_icache = ~0u;
  if (task == current_task()) {
    csr_write(satp, mm_satp(&task->mm));
    tlb_flush();
    task->stale_icache &= ~(1u << this_cpu()->index);
    fence_i();
  }
  pop_irq_off();
  if (old.page_table != NULL) mm_destroy(&old);

  struct trap_frame *frame = user_frame(task);
  memset(frame, 0, sizeof(*frame));
  frame->epc = entry;
  frame->sp = sp;
  frame->status = SSTATUS_SPIE; // to user mode, with interrupts on
  return 0;
}
