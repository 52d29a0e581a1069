// The whole address map of the kernel, on one page. Included by C, assembly and the linker script.
//
// Physical (QEMU's "virt" board; devices are found through the device tree, these are its usual places)
//   0x0c000000  PLIC
//   0x10000000  UART 16550 (irq 10)
//   0x10001000  virtio-mmio slots, 8 of 0x1000 bytes (irq 1..8)
//   0x80000000  RAM: firmware (OpenSBI, or nothing on a machine that is its own firmware)
//   0x80200000  this kernel: text, read-only data, data, bss, boot stacks; then free pages to the end of RAM
//
// Virtual (Sv39, the same satp in user and kernel mode: every address space holds both halves)
//   0x00000000_00000000 .. 0x00000000_3fffffff  user: one gigabyte
//     0x00010000  the program: text, data, bss, then the heap (brk)
//     0x20000000  regions given out by mmap
//     0x3fffb000  the stack: USER_STACK_PAGES below USER_STACK_TOP; the last page of the gigabyte stays unmapped
//   0xffffffc0_00000000 .. (shared) all physical memory, at physical + KERNEL_OFFSET:
//     0xffffffc0_0c000000  devices, read and write, never executable
//     0xffffffc0_80200000  the kernel itself: text read+execute, read-only data read, the rest read+write
//     the RAM behind the kernel: read+write, never executable
//   0xffffffff_c0000000 .. (shared) kernel stacks: a slot of 16 KiB for each task, its lower half unmapped as a guard
#pragma once

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096

#define KERNEL_OFFSET 0xffffffc000000000
#define KERNEL_PHYSICAL 0x80200000
#define RAM_PHYSICAL 0x80000000
#define RAM_MAX 0x40000000

#define UART_PHYSICAL 0x10000000
#define PLIC_PHYSICAL 0x0c000000

// A stack occupies the upper half of its slot, so bit KERNEL_STACK_SIZE_SHIFT of a good stack pointer is 1.
#define KERNEL_STACKS 0xffffffffc0000000
#define KERNEL_STACK_SLOT 0x4000
#define KERNEL_STACK_SIZE 0x2000
#define KERNEL_STACK_SIZE_SHIFT 13

#define USER_BASE 0x10000
#define USER_MMAP_BASE 0x20000000
#define USER_MMAP_END 0x30000000
#define USER_TOP 0x40000000
#define USER_STACK_TOP (USER_TOP - PAGE_SIZE)
#define USER_STACK_PAGES 4

#define MAX_CPUS 4
#define MAX_TASKS 64
