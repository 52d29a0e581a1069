// The first instructions, on every hart: from physical addresses to the upper half.
//
// Entry (SBI): a0 = hartid, a1 = device tree (boot hart) or index of the cpu (harts started through HSM),
// translation off, interrupts off. Until the jump only pc-relative addresses are used, which are physical.

#include "asm_offsets.h"
#include "memlayout.h"

#define GIGAPAGE(physical, bits) (((physical) >> 12 << 10) | (bits))
#define VALID_RWX_GLOBAL_ACCESSED_DIRTY 0xef

    .section .text.start, "ax"
    .globl _start
    .type _start, @function
_start:
    mv s0, a0
    mv s1, a1
    lla t0, boot_hart_taken
    li t1, 1
    amoswap.w.aqrl t1, t1, (t0)
    bnez t1, late_hart
    lla t0, bss_start
    lla t1, bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    sd zero, 8(t0)
    sd zero, 16(t0)
    sd zero, 24(t0)
    sd zero, 32(t0)
    sd zero, 40(t0)
    sd zero, 48(t0)
    sd zero, 56(t0)
    addi t0, t0, 64
    j 1b
2:  li s2, 0
    lla s3, kernel_main
    j .Lenter_upper_half

    .size _start, . - _start

// A hart that was told to begin at secondary_start and came to _start all the same: OpenSBI 1.1 marks a hart as
// started before it has noted where, and a hart that wakes in between takes the address of the boot hart. Its index
// is the one that kernel_main has reserved for its hartid.
    .type late_hart, @function
late_hart:
    lla t0, cpus
    li s2, 0
    li t2, MAX_CPUS
1:  addi t0, t0, CPU_SIZE
    addi s2, s2, 1
    beq s2, t2, late_hart
    lwu t1, CPU_HARTID(t0)
    bne t1, s0, 1b
    lla s3, secondary_main
    j .Lenter_upper_half
    .size late_hart, . - late_hart

    .globl secondary_start
    .type secondary_start, @function
secondary_start:
    mv s0, a0
    mv s2, a1
    lla s3, secondary_main

// s0 = hartid, s1 = device tree, s2 = index of the cpu, s3 = C function (physical)
.Lenter_upper_half:
    csrw sie, zero
    lla t0, boot_page_table
    srli t0, t0, PAGE_SHIFT
    li t1, 8 << 60
    or t0, t0, t1
    sfence.vma
    csrw satp, t0
    sfence.vma
    li t2, KERNEL_OFFSET
    lla t0, 1f
    add t0, t0, t2
    jr t0
1:  add s3, s3, t2
    lla tp, cpus
    li t0, CPU_SIZE
    mul t0, t0, s2
    add tp, tp, t0
    // Each hart's idle task runs on its boot stack.
    lla sp, boot_stacks
    addi t0, s2, 1
    li t1, KERNEL_STACK_SLOT
    mul t0, t0, t1
    add sp, sp, t0
    csrw sscratch, zero
    lla t0, trap_entry
    csrw stvec, t0
    mv a0, s0
    mv a1, s1
    mv a2, s2
    li s0, 0
    li ra, 0
    jr s3
    .size secondary_start, . - secondary_start

    .data
    .balign 4
    .type boot_hart_taken, @object
    .size boot_hart_taken, 4
boot_hart_taken:
    .word 0

// Two gigabytes, mapped where they are (for the jump) and in the upper half: devices and RAM. Replaced by vm.c.
    .section .data.boot_page_table, "aw"
    .balign PAGE_SIZE
boot_page_table:
    .dword GIGAPAGE(0, VALID_RWX_GLOBAL_ACCESSED_DIRTY)
    .dword 0
    .dword GIGAPAGE(RAM_PHYSICAL, VALID_RWX_GLOBAL_ACCESSED_DIRTY)
    .zero (256 - 3) * 8
    .dword GIGAPAGE(0, VALID_RWX_GLOBAL_ACCESSED_DIRTY)
    .dword 0
    .dword GIGAPAGE(RAM_PHYSICAL, VALID_RWX_GLOBAL_ACCESSED_DIRTY)
    .zero (256 - 3) * 8

// One slot a cpu, shaped as the slots of kernel stacks are: the lower half must stay unused.
    .section .stacks, "aw", @nobits
    .balign KERNEL_STACK_SLOT
boot_stacks:
    .zero MAX_CPUS * KERNEL_STACK_SLOT
// Where trap_entry goes when a kernel stack has overflowed. One for all: the kernel ends there.
    .globl overflow_stack
overflow_stack:
    .zero PAGE_SIZE
