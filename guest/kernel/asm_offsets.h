// Offsets of C structures that assembly uses; trap.c asserts that they agree with task.h.
#pragma once

#define CPU_CURRENT 0
#define CPU_SAVED_SP 8
#define CPU_KERNEL_STACK_TOP 16
#define CPU_HARTID 28
#define CPU_SIZE 72

#define FRAME_EPC 0
#define FRAME_RA 8
#define FRAME_SP 16
#define FRAME_TP 32
#define FRAME_S0 64
#define FRAME_STATUS 256
#define FRAME_BADADDR 264
#define FRAME_CAUSE 272
#define FRAME_ORIG_A0 280
#define FRAME_SIZE 288
