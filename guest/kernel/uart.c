// The 16550 UART: output by polling, input by interrupt.
// Source: PC16550D datasheet, section 8.

#include "defs.h"

#define RBR 0 // read: the byte that arrived
#define THR 0 // write: the byte to send
#define IER 1
#define IER_RECEIVED 1
#define FCR 2
#define FCR_ENABLE_CLEAR 7
#define LCR 3
#define LCR_8N1 3
#define LSR 5
#define LSR_DATA_READY 1
#define LSR_THR_EMPTY 0x20

static struct spinlock uart_lock = {.name = "uart"};

static volatile u8 *uart_register(u64 index) { return (volatile u8 *)kernel_address(boot_info.uart_base) + index; }

void uart_init(void) {
  *uart_register(IER) = 0;
  *uart_register(LCR) = LCR_8N1;
  *uart_register(FCR) = FCR_ENABLE_CLEAR;
  *uart_register(IER) = IER_RECEIVED;
  plic_enable(boot_info.uart_irq);
}

static void uart_send(char byte) {
  while ((*uart_register(LSR) & LSR_THR_EMPTY) == 0) {
  }
  *uart_register(THR) = (u8)byte;
}

// The bytes stay together on the line. A newline gets its carriage return.
PROBEABLE void uart_write(const char *bytes, size_t size) {
  bool lock = !panic_in_progress();
  if (lock) spin_lock(&uart_lock);
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] == '\n') uart_send('\r');
    uart_send(bytes[i]);
  }
  if (lock) spin_unlock(&uart_lock);
}

PROBEABLE void uart_interrupt(void) {
  while (*uart_register(LSR) & LSR_DATA_READY) console_input(*uart_register(RBR));
}
