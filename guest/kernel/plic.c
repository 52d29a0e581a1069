// The platform-level interrupt controller. Every hart may serve every interrupt: the first to claim it does.
// Source: RISC-V Platform-Level Interrupt Controller Specification 1.0.0, chapter 3 (memory map).

#include "defs.h"

#define PRIORITY(irq) (4ul * (irq))
#define ENABLE(context, irq) (0x2000ul + 0x80ul * (context) + (irq) / 32 * 4)
#define THRESHOLD(context) (0x200000ul + 0x1000ul * (context))
#define CLAIM(context) (THRESHOLD(context) + 4)

static u64 enabled_irqs; // bit per interrupt; complete before the other harts start

static volatile u32 *plic_register(u64 offset) { return (volatile u32 *)kernel_address(boot_info.plic_base + offset); }

// Each hart of the virt board has two contexts: machine mode, then supervisor mode.
static u64 supervisor_context(void) { return 2ul * this_cpu()->hartid + 1; }

void plic_enable(u32 irq) {
  enabled_irqs |= 1ul << irq;
  *plic_register(PRIORITY(irq)) = 1;
}

void plic_init_hart(void) {
  u64 context = supervisor_context();
  *plic_register(ENABLE(context, 0)) = (u32)enabled_irqs;
  *plic_register(ENABLE(context, 32)) = (u32)(enabled_irqs >> 32);
  *plic_register(THRESHOLD(context)) = 0;
}

u32 plic_claim(void) { return *plic_register(CLAIM(supervisor_context())); }
void plic_complete(u32 irq) { *plic_register(CLAIM(supervisor_context())) = irq; }
