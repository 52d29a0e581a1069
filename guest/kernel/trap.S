// Into and out of the kernel.
//
// Rules
// - sscratch is 0 in kernel mode and the address of this hart's struct cpu in user mode; that is how an entry
//   knows where it came from, before it has a free register.
// - The whole register set goes to a struct trap_frame on the kernel stack.
// - tp is not restored on a return to kernel mode: the task may have moved to another hart meanwhile.

#include "asm_offsets.h"
#include "memlayout.h"

#define SSTATUS_SPP 0x100
#define SSTATUS_SUM 0x40000

    .text
    .balign 4
    .globl trap_entry
    .type trap_entry, @function
trap_entry:
    csrrw tp, sscratch, tp
    bnez tp, .Lfrom_user

.Lfrom_kernel:
    csrrw tp, sscratch, zero
    sd sp, CPU_SAVED_SP(tp)
    addi sp, sp, -FRAME_SIZE
    // Stacks fill the upper half of an aligned slot: this bit is 0 below a stack's end.
    srli sp, sp, KERNEL_STACK_SIZE_SHIFT
    andi sp, sp, 1
    beqz sp, stack_overflow
    ld sp, CPU_SAVED_SP(tp)
    addi sp, sp, -FRAME_SIZE
    sd ra, FRAME_RA(sp)
    sd tp, FRAME_TP(sp)
    j .Lsave_rest

.Lfrom_user:
    sd sp, CPU_SAVED_SP(tp)
    ld sp, CPU_KERNEL_STACK_TOP(tp)
    addi sp, sp, -FRAME_SIZE
    sd ra, FRAME_RA(sp)
    csrrw ra, sscratch, zero
    sd ra, FRAME_TP(sp)

.Lsave_rest:
    sd gp, 24(sp)
    sd t0, 40(sp)
    sd t1, 48(sp)
    sd t2, 56(sp)
    sd s0, 64(sp)
    sd s1, 72(sp)
    sd a0, 80(sp)
    sd a1, 88(sp)
    sd a2, 96(sp)
    sd a3, 104(sp)
    sd a4, 112(sp)
    sd a5, 120(sp)
    sd a6, 128(sp)
    sd a7, 136(sp)
    sd s2, 144(sp)
    sd s3, 152(sp)
    sd s4, 160(sp)
    sd s5, 168(sp)
    sd s6, 176(sp)
    sd s7, 184(sp)
    sd s8, 192(sp)
    sd s9, 200(sp)
    sd s10, 208(sp)
    sd s11, 216(sp)
    sd t3, 224(sp)
    sd t4, 232(sp)
    sd t5, 240(sp)
    sd t6, 248(sp)
    ld t0, CPU_SAVED_SP(tp)
    sd t0, FRAME_SP(sp)
    csrr s2, sstatus
    csrr t0, sepc
    csrr t1, stval
    csrr t2, scause
    sd s2, FRAME_STATUS(sp)
    sd t0, FRAME_EPC(sp)
    sd t1, FRAME_BADADDR(sp)
    sd t2, FRAME_CAUSE(sp)
    sd a0, FRAME_ORIG_A0(sp)
    // A copy to or from user space may have been interrupted; nothing else may touch user pages.
    li t0, SSTATUS_SUM
    csrc sstatus, t0
    // Backtraces end at the user's frame, but walk on through an interrupted kernel function.
    andi t0, s2, SSTATUS_SPP
    bnez t0, 1f
    li s0, 0
1:  mv a0, sp
    call trap_handler
    .size trap_entry, . - trap_entry
    // Goes on into:

    .globl trap_return
    .type trap_return, @function
trap_return:
    ld t0, FRAME_STATUS(sp)
    andi t1, t0, SSTATUS_SPP
    bnez t1, 1f
    addi t2, sp, FRAME_SIZE
    sd t2, CPU_KERNEL_STACK_TOP(tp)
    csrw sscratch, tp
    ld tp, FRAME_TP(sp)
1:  // A store-conditional must not succeed across a trap: this one uses up the reservation.
    ld t2, FRAME_EPC(sp)
    addi t3, sp, FRAME_EPC
    sc.d zero, t2, (t3)
    csrw sstatus, t0
    csrw sepc, t2
    ld ra, FRAME_RA(sp)
    ld gp, 24(sp)
    ld t0, 40(sp)
    ld t1, 48(sp)
    ld t2, 56(sp)
    ld s0, 64(sp)
    ld s1, 72(sp)
    ld a0, 80(sp)
    ld a1, 88(sp)
    ld a2, 96(sp)
    ld a3, 104(sp)
    ld a4, 112(sp)
    ld a5, 120(sp)
    ld a6, 128(sp)
    ld a7, 136(sp)
    ld s2, 144(sp)
    ld s3, 152(sp)
    ld s4, 160(sp)
    ld s5, 168(sp)
    ld s6, 176(sp)
    ld s7, 184(sp)
    ld s8, 192(sp)
    ld s9, 200(sp)
    ld s10, 208(sp)
    ld s11, 216(sp)
    ld t3, 224(sp)
    ld t4, 232(sp)
    ld t5, 240(sp)
    ld t6, 248(sp)
    ld sp, FRAME_SP(sp)
    sret
    .size trap_return, . - trap_return

// The overflowed stack cannot hold a frame: report from a stack of last resort.
    .type stack_overflow, @function
stack_overflow:
    lla sp, overflow_stack + PAGE_SIZE
    csrr a0, sepc
    ld a1, CPU_SAVED_SP(tp)
    tail panic_stack_overflow
    .size stack_overflow, . - stack_overflow

// The first instructions of a new task in the kernel: context_switch "returns" here, with sp at its frame.
    .globl fork_return
    .type fork_return, @function
fork_return:
    call sched_first_run
    j trap_return
    .size fork_return, . - fork_return
