// The only instructions of the kernel that touch user memory. Each may fault; then the trap handler goes on at the
// place that the table of fixups names. SUM is set only in here.

#define SSTATUS_SUM 0x40000

    .macro may_fault instruction:vararg
8888:
    \instruction
    .pushsection .fixups, "a"
    .dword 8888b, 9999f
    .popsection
    .endm

    .text
// u64 user_copy(void *to, const void *from, u64 size): the number of bytes that were not copied.
    .globl user_copy
    .type user_copy, @function
user_copy:
    li t6, SSTATUS_SUM
    csrs sstatus, t6
    xor t0, a0, a1
    andi t0, t0, 7
    bnez t0, 3f
1:  andi t0, a0, 7
    beqz t0, 2f
    beqz a2, 9999f
    may_fault lb t1, 0(a1)
    may_fault sb t1, 0(a0)
    addi a0, a0, 1
    addi a1, a1, 1
    addi a2, a2, -1
    j 1b
2:  li t0, 32
    bltu a2, t0, 4f
    may_fault ld t1, 0(a1)
    may_fault ld t2, 8(a1)
    may_fault ld t3, 16(a1)
    may_fault ld t4, 24(a1)
    may_fault sd t1, 0(a0)
    may_fault sd t2, 8(a0)
    may_fault sd t3, 16(a0)
    may_fault sd t4, 24(a0)
    addi a0, a0, 32
    addi a1, a1, 32
    addi a2, a2, -32
    j 2b
4:  li t0, 8
5:  bltu a2, t0, 3f
    may_fault ld t1, 0(a1)
    may_fault sd t1, 0(a0)
    addi a0, a0, 8
    addi a1, a1, 8
    addi a2, a2, -8
    j 5b
3:  beqz a2, 9999f
    may_fault lb t1, 0(a1)
    may_fault sb t1, 0(a0)
    addi a0, a0, 1
    addi a1, a1, 1
    addi a2, a2, -1
    j 3b
9999:
    csrc sstatus, t6
    mv a0, a2
    ret
    .size user_copy, . - user_copy

// u64 user_clear(void *to, u64 size): the number of bytes that were not cleared.
    .globl user_clear
    .type user_clear, @function
user_clear:
    li t6, SSTATUS_SUM
    csrs sstatus, t6
1:  beqz a1, 9999f
    may_fault sb zero, 0(a0)
    addi a0, a0, 1
    addi a1, a1, -1
    j 1b
9999:
    csrc sstatus, t6
    mv a0, a1
    ret
    .size user_clear, . - user_clear

// long user_copy_string(char *to, const char *from, u64 size): the length without the final 0; size if there was no
// 0 within it; -1 on a fault.
    .globl user_copy_string
    .type user_copy_string, @function
user_copy_string:
    li t6, SSTATUS_SUM
    csrs sstatus, t6
    li t0, 0
1:  beq t0, a2, 2f
    may_fault lb t1, 0(a1)
    sb t1, 0(a0)
    beqz t1, 2f
    addi a0, a0, 1
    addi a1, a1, 1
    addi t0, t0, 1
    j 1b
9999:
    li t0, -1
2:  csrc sstatus, t6
    mv a0, t0
    ret
    .size user_copy_string, . - user_copy_string
