// Calls to the firmware. Source: RISC-V Supervisor Binary Interface Specification 3.0.

#include "defs.h"

#define SBI_BASE 0x10
#define SBI_BASE_PROBE_EXTENSION 3
#define SBI_TIME 0x54494d45
#define SBI_IPI 0x735049
#define SBI_HSM 0x48534d
#define SBI_SRST 0x53525354

struct sbi_result sbi_call(u64 extension, u64 function, u64 arg0, u64 arg1, u64 arg2, u64 arg3, u64 arg4, u64 arg5) {
  register u64 a0 __asm__("a0") = arg0;
  register u64 a1 __asm__("a1") = arg1;
  register u64 a2 __asm__("a2") = arg2;
  register u64 a3 __asm__("a3") = arg3;
  register u64 a4 __asm__("a4") = arg4;
  register u64 a5 __asm__("a5") = arg5;
  register u64 a6 __asm__("a6") = function;
  register u64 a7 __asm__("a7") = extension;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a6), "r"(a7) : "memory");
  return (struct sbi_result){.error = (long)a0, .value = (long)a1};
}

bool sbi_has_extension(u64 extension) {
  struct sbi_result result = sbi_call(SBI_BASE, SBI_BASE_PROBE_EXTENSION, extension, 0, 0, 0, 0, 0);
  return result.error == 0 && result.value != 0;
}

void sbi_set_timer(u64 time) { sbi_call(SBI_TIME, 0, time, 0, 0, 0, 0, 0); }

void sbi_send_ipi(u64 hartid) { sbi_call(SBI_IPI, 0, 1, hartid, 0, 0, 0, 0); }

long sbi_start_hart(u64 hartid, u64 physical_entry, u64 argument) {
  return sbi_call(SBI_HSM, 0, hartid, physical_entry, argument, 0, 0, 0).error;
}

void sbi_system_reset(enum sbi_reset kind, bool failure) {
  sbi_call(SBI_SRST, 0, kind, failure ? 1 : 0, 0, 0, 0, 0);
  for (;;) wait_for_interrupt(); // no such extension
}
