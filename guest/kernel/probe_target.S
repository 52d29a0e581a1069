// u64 probe_target_all_forms(u64 seed): one function with each instruction form of RV64IMAC that supervisor mode
// may execute, for the tests of the probes: a probe on any of its instructions must not change its result.
//
// Rules
// - Every result goes into a hash (s1); the same seed gives the same hash wherever the function is linked:
//   addresses enter only as differences.
// - 32-bit forms stand in norvc regions; compressed ones are written with their c. names.
// - Interrupts are off (sys_probe_forms): sepc is used as a register to write to.
// - Not here, because they would not come back, or not the same: ecall, ebreak, sret, wfi, and reads of counters
//   other than one whose value is thrown away.
// - A probe between lr and sc makes the sc fail: a prober may refuse those places. The result of a sc is therefore
//   only used to try again.

#define K s2

    // s1 = (s1 ^ value) * K, with 32-bit instructions.
    .macro mix register
    xor s1, s1, \register
    mul s1, s1, K
    .endm

    .section .rodata
    .balign 8
.Ltable:
    .dword 0x8877665544332211, 0xf0e1d2c3b4a59687
.Lauipc_place_absolute:
    .dword .Lauipc_place
.Ljal_link_absolute:
    .dword .Ljal_link

    .bss
    .balign 16
.Lscratch:
    .zero 64

    .text
    .balign 4
    .globl probe_target_all_forms
    .type probe_target_all_forms, @function
probe_target_all_forms:
    .option push
    .option rvc
    c.addi16sp sp, -64
    c.sdsp ra, 48(sp)
    c.sdsp s0, 40(sp)
    c.sdsp s1, 32(sp)
    c.sdsp s2, 24(sp)
    c.addi4spn s0, sp, 64
    c.mv s1, a0
    .option norvc
    lui K, 0x9e377
    addi K, K, 0x79b
    slli K, K, 12
    ori K, K, 1
    mv a6, s1
    xor a6, a6, K // operands come from this snapshot: from s1 itself they could cancel out in mix
    mix a6
    mix a0

    // Upper immediates and pc-relative ones
    lui t0, 0xfffff
    mix t0
.Lauipc_place:
    auipc t0, 0
    lla t1, .Lauipc_place_absolute
    ld t1, 0(t1)
    sub t0, t0, t1
    mix t0
    auipc t0, 0x12345
    auipc t1, 0x12345
    sub t0, t1, t0
    mix t0

    // Immediate arithmetic
    li t0, 0x1234567890abcdef
    addi t1, t0, -2048
    mix t1
    slti t1, t0, -1
    mix t1
    sltiu t1, t0, -1
    mix t1
    xori t1, t0, 0x555
    mix t1
    ori t1, t0, -256
    mix t1
    andi t1, t0, 0x7f0
    mix t1
    slli t1, t0, 37
    mix t1
    srli t1, t0, 37
    mix t1
    srai t1, a6, 37
    mix t1
    addiw t1, t0, 2047
    mix t1
    slliw t1, t0, 7
    mix t1
    srliw t1, t0, 7
    mix t1
    sraiw t1, t0, 7
    mix t1

    // Register arithmetic
    add t1, t0, a6
    mix t1
    sub t1, t0, a6
    mix t1
    sll t1, t0, a6
    mix t1
    slt t1, t0, a6
    mix t1
    sltu t1, t0, a6
    mix t1
    xor t1, t0, a6
    mix t1
    srl t1, t0, a6
    mix t1
    sra t1, t0, a6
    mix t1
    or t1, t0, a6
    mix t1
    and t1, t0, a6
    mix t1
    addw t1, t0, a6
    mix t1
    subw t1, t0, a6
    mix t1
    sllw t1, t0, a6
    mix t1
    srlw t1, t0, a6
    mix t1
    sraw t1, t0, a6
    mix t1

    // Multiplication and division, with the divisor 0 and the overflow too
    mul t1, t0, a6
    mix t1
    mulh t1, t0, a6
    mix t1
    mulhsu t1, a6, t0
    mix t1
    mulhu t1, t0, a6
    mix t1
    mulw t1, t0, a6
    mix t1
    ori t2, a6, 1
    div t1, t0, t2
    mix t1
    divu t1, t0, t2
    mix t1
    rem t1, t0, t2
    mix t1
    remu t1, t0, t2
    mix t1
    divw t1, t0, t2
    mix t1
    divuw t1, t0, t2
    mix t1
    remw t1, t0, t2
    mix t1
    remuw t1, t0, t2
    mix t1
    div t1, t0, zero
    mix t1
    rem t1, t0, zero
    mix t1
    li t1, -1
    slli t2, t1, 63
    div t3, t2, t1
    mix t3
    rem t3, t2, t1
    mix t3

    // Loads and stores of each size
    lla t2, .Ltable
    lb t1, 7(t2)
    mix t1
    lbu t1, 7(t2)
    mix t1
    lh t1, 6(t2)
    mix t1
    lhu t1, 6(t2)
    mix t1
    lw t1, 4(t2)
    mix t1
    lwu t1, 4(t2)
    mix t1
    ld t1, 8(t2)
    mix t1
    lla t2, .Lscratch
    sd a6, 0(t2)
    sw t0, 4(t2)
    sh t0, 2(t2)
    sb t0, 1(t2)
    ld t1, 0(t2)
    mix t1
    sd t0, 0(sp)
    sw a6, 4(sp)
    ld t1, 0(sp)
    mix t1

    // Atomics
    sd t0, 0(t2)
    li t4, 0x0123456789abcdef
    amoswap.d t1, t4, (t2)
    mix t1
    amoadd.d t1, t0, (t2)
    mix t1
    amoxor.d.aq t1, t0, (t2)
    mix t1
    amoand.d.rl t1, a6, (t2)
    mix t1
    amoor.d.aqrl t1, t4, (t2)
    mix t1
    amomin.d t1, a6, (t2)
    mix t1
    amomax.d t1, t0, (t2)
    mix t1
    amominu.d t1, a6, (t2)
    mix t1
    amomaxu.d t1, t4, (t2)
    mix t1
    amoswap.w t1, t4, (t2)
    mix t1
    amoadd.w t1, t0, (t2)
    mix t1
    amoxor.w t1, t0, (t2)
    mix t1
    amoand.w t1, a6, (t2)
    mix t1
    amoor.w t1, t4, (t2)
    mix t1
    amomin.w t1, a6, (t2)
    mix t1
    amomax.w t1, t0, (t2)
    mix t1
    amominu.w t1, a6, (t2)
    mix t1
    amomaxu.w t1, t4, (t2)
    mix t1
1:  lr.d t1, (t2)
    sc.d t3, t0, (t2)
    bnez t3, 1b
    mix t1
1:  lr.w.aq t1, (t2)
    sc.w.rl t3, a6, (t2)
    bnez t3, 1b
    mix t1
    ld t1, 0(t2)
    mix t1

    // Branches: each taken and not taken, forwards; then one backwards
    li t0, -5
    li t1, 5
    .macro branch instruction, a, b
    li t3, 1
    \instruction \a, \b, 7f
    li t3, 2
7:  mix t3
    .endm
    branch beq, t0, t0
    branch beq, t0, t1
    branch bne, t0, t1
    branch bne, t0, t0
    branch blt, t0, t1
    branch blt, t1, t0
    branch bge, t1, t0
    branch bge, t0, t1
    branch bltu, t1, t0
    branch bltu, t0, t1
    branch bgeu, t0, t1
    branch bgeu, t1, t0
    li t3, 3
1:  addi t3, t3, -1
    mix t3
    bne t3, zero, 1b

    // Jumps: link in ra, in another register, nowhere; through a register with and without a link
    jal ra, 1f
.Ljal_link:
    j 2f
1:  lla t1, .Ljal_link_absolute
    ld t1, 0(t1)
    sub t1, ra, t1
    mix t1
    jalr zero, 0(ra)
2:  jal t5, 1f
    j 2f
1:  mix t3
    jalr zero, 0(t5)
2:  lla t1, 1f
    jalr t6, -4(t1)
    j 2f
    addi t3, t3, 9
1:  mix t3
    jr t6
2:  lla t1, 1f
    jalr t1, 0(t1) // the register of the target is also that of the link
    j 2f
1:  mix t3
    jr t1
2:  jal zero, 1f
    li t3, 77
1:  mix t3
    lla ra, 1f
    jalr ra, 0(ra)
    j 2f
1:  ret
2:  mix t3

    // System instructions. stvec and satp are only read, and only compared with themselves.
    csrr t0, sepc
    li t1, 0x5a5a5a50
    csrrw t2, sepc, t1
    sub t2, t2, t0
    mix t2
    li t1, 0x0ff0
    csrrs t2, sepc, t1
    mix t2
    csrrc t2, sepc, t1
    mix t2
    csrrwi t2, sepc, 20
    mix t2
    csrrsi t2, sepc, 10
    mix t2
    csrrci t2, sepc, 16
    mix t2
    csrr t2, sepc
    mix t2
    csrw sepc, t0
    csrr t0, sscratch
    mix t0
    csrr t0, satp
    csrr t1, satp
    sub t0, t0, t1
    mix t0
    rdtime t0
    sub t0, t0, t0
    mix t0
    fence rw, rw
    fence iorw, iorw
    fence.tso
    fence.i
    sfence.vma zero, zero
    lla t0, .Lscratch
    sfence.vma t0, zero

    // The hint encodings, and a write to x0
    nop
    addi zero, t0, 5
    mix zero

    // Compressed forms. Those with three-bit fields need x8 to x15.
    .option rvc
    c.mv a3, s1 // a snapshot, as a6 above
    lla a4, .Lscratch
    c.li a0, -17
    mix a0
    c.lui a0, 0xfffe1
    mix a0
    c.addi a0, 31
    mix a0
    c.addiw a0, -7
    mix a0
    c.slli a0, 13
    mix a0
    c.srli a0, 5
    mix a0
    c.mv a1, a3
    c.srai a1, 9
    mix a1
    c.andi a1, -9
    mix a1
    c.mv a5, a0
    c.add a5, a1
    mix a5
    c.sub a5, a0
    mix a5
    c.xor a5, a1
    mix a5
    c.or a5, a0
    mix a5
    c.and a5, a1
    mix a5
    c.mv a5, a3
    c.addw a5, a0
    mix a5
    c.subw a5, a1
    mix a5
    c.sd a3, 8(a4)
    c.sw a5, 12(a4)
    c.ld a0, 8(a4)
    mix a0
    c.lw a0, 8(a4)
    mix a0
    c.sdsp a5, 8(sp)
    c.swsp a0, 12(sp)
    c.ldsp a0, 8(sp)
    mix a0
    c.lwsp a0, 8(sp)
    mix a0
    c.addi4spn a0, sp, 16
    sub a0, a0, sp
    mix a0
    c.addi16sp sp, -32
    c.addi16sp sp, 32
    c.nop
    c.li a0, 0
    c.li a1, 1
    c.beqz a0, 1f
    c.li a1, 2
1:  mix a1
    c.beqz a1, 1f
    c.li a1, 3
1:  mix a1
    c.bnez a1, 1f
    c.li a1, 4
1:  mix a1
    c.bnez a0, 1f
    c.li a1, 5
1:  mix a1
    c.li a0, 3
1:  c.addi a0, -1
    mix a0
    c.bnez a0, 1b
    c.j 1f
    c.li a1, 6
1:  mix a1
    lla t0, 1f
    c.jalr t0
    c.j 2f
1:  mix a1
    c.jr ra
2:  lla t0, 1f
    c.jr t0
    c.li a1, 7
1:  mix a1
    lla ra, 1f
    c.jalr ra // as above: the link overwrites the register of the target
    c.j 2f
1:  c.jr ra
2:  mix a1

    c.mv a0, s1
    c.ldsp ra, 48(sp)
    c.ldsp s0, 40(sp)
    c.ldsp s1, 32(sp)
    c.ldsp s2, 24(sp)
    c.addi16sp sp, 64
    c.jr ra
    .option pop
    .size probe_target_all_forms, . - probe_target_all_forms
