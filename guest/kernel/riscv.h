// The processor as C sees it: control and status registers, their bits, and the instructions without a C form.
// Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture.
#pragma once

#include "types.h"

#define SSTATUS_SIE (1ul << 1)  // interrupts are taken in supervisor mode
#define SSTATUS_SPIE (1ul << 5) // SIE before the trap
#define SSTATUS_SPP (1ul << 8)  // the trap came from supervisor mode
#define SSTATUS_SUM (1ul << 18) // supervisor mode may touch user pages

#define SIE_SOFTWARE (1ul << 1)
#define SIE_TIMER (1ul << 5)
#define SIE_EXTERNAL (1ul << 9)

#define SATP_SV39 (8ul << 60)

#define SCAUSE_INTERRUPT (1ul << 63)
enum interrupt_cause { IRQ_SOFTWARE = 1, IRQ_TIMER = 5, IRQ_EXTERNAL = 9 };
enum exception_cause {
  EXC_FETCH_MISALIGNED = 0,
  EXC_FETCH_ACCESS = 1,
  EXC_ILLEGAL = 2,
  EXC_BREAKPOINT = 3,
  EXC_LOAD_MISALIGNED = 4,
  EXC_LOAD_ACCESS = 5,
  EXC_STORE_MISALIGNED = 6,
  EXC_STORE_ACCESS = 7,
  EXC_USER_ECALL = 8,
  EXC_FETCH_PAGE = 12,
  EXC_LOAD_PAGE = 13,
  EXC_STORE_PAGE = 15,
};

#define csr_read(csr)                                                                                                  \
  ({                                                                                                                   \
    u64 value_;                                                                                                        \
    __asm__ volatile("csrr %0, " #csr : "=r"(value_) : : "memory");                                                    \
    value_;                                                                                                            \
  })
#define csr_write(csr, value) __asm__ volatile("csrw " #csr ", %0" : : "rK"((u64)(value)) : "memory")
#define csr_set(csr, bits) __asm__ volatile("csrs " #csr ", %0" : : "rK"((u64)(bits)) : "memory")
#define csr_clear(csr, bits) __asm__ volatile("csrc " #csr ", %0" : : "rK"((u64)(bits)) : "memory")

static inline u64 read_time(void) {
  u64 value;
  __asm__ volatile("rdtime %0" : "=r"(value));
  return value;
}

static inline void irq_on(void) { csr_set(sstatus, SSTATUS_SIE); }
static inline void irq_off(void) { csr_clear(sstatus, SSTATUS_SIE); }
static inline bool irq_is_on(void) { return (csr_read(sstatus) & SSTATUS_SIE) != 0; }

static inline void tlb_flush(void) { __asm__ volatile("sfence.vma" : : : "memory"); }
static inline void fence_i(void) { __asm__ volatile("fence.i" : : : "memory"); }
static inline void wait_for_interrupt(void) { __asm__ volatile("wfi" : : : "memory"); }
// Orders memory against device registers, both ways.
static inline void fence_io(void) { __asm__ volatile("fence iorw, iorw" : : : "memory"); }
