// The device tree that the firmware hands over: memory, harts, console, interrupt controller, disks, boot arguments.
//
// It is read once, before any page is given out, because it may lie anywhere in RAM.
// Source: Devicetree Specification 0.4, chapter 5 (flattened format).

#include "defs.h"

#define FDT_MAGIC 0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE 2
#define FDT_PROP 3
#define FDT_NOP 4
#define FDT_END 9
#define MAX_DEPTH 8

struct boot_info boot_info = {
    .memory_base = RAM_PHYSICAL,
    .memory_size = 64 << 20,
    .timebase_hz = 10000000,
    .uart_base = UART_PHYSICAL,
    .uart_irq = 10,
    .plic_base = PLIC_PHYSICAL,
};

struct property {
  const u8 *bytes; // NULL: the node has none
  u32 size;
};

// What is known of a node once its properties have been read.
struct fdt_node {
  const char *name;
  u32 address_cells, size_cells; // of its children
  struct property compatible, reg, interrupts, interrupts_extended, status;
};

static u32 read_be32(const u8 *bytes) {
  return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

static u64 read_cells(const struct property *property, u32 cell, u32 cells) {
  u64 value = 0;
  for (u32 i = cell; i < cell + cells && i * 4 + 4 <= property->size; i++) {
    value = value << 32 | read_be32(property->bytes + i * 4);
  }
  return value;
}

// Whether one of the strings of the list is the given one.
static bool list_contains(const struct property *list, const char *wanted) {
  u32 length = (u32)strlen(wanted) + 1;
  for (u32 at = 0; at + length <= list->size; at++) {
    if ((at == 0 || list->bytes[at - 1] == 0) && memcmp(list->bytes + at, wanted, length) == 0) return true;
  }
  return false;
}

static bool name_is(const char *name, const char *wanted) {
  u64 length = strlen(wanted);
  return strncmp(name, wanted, length) == 0 && (name[length] == 0 || name[length] == '@');
}

static u32 interrupt_of(const struct fdt_node *node) {
  if (node->interrupts.bytes != NULL) return (u32)read_cells(&node->interrupts, 0, 1);
  return (u32)read_cells(&node->interrupts_extended, 1, 1); // behind the controller's phandle
}

static void add_hart(u32 hartid) {
  if (boot_info.harts < MAX_CPUS) boot_info.hartids[boot_info.harts++] = hartid;
}

static void node_done(const struct fdt_node *node, const struct fdt_node *parent) {
  if (node->status.bytes != NULL && list_contains(&node->status, "disabled")) return;
  u64 base = read_cells(&node->reg, 0, parent->address_cells);
  if (name_is(node->name, "memory") && name_is(parent->name, "")) {
    boot_info.memory_base = base;
    boot_info.memory_size = MIN(read_cells(&node->reg, parent->address_cells, parent->size_cells), (u64)RAM_MAX);
  } else if (name_is(node->name, "cpu") && name_is(parent->name, "cpus")) {
    add_hart((u32)base);
  } else if (list_contains(&node->compatible, "ns16550a")) {
    boot_info.uart_base = base;
    boot_info.uart_irq = interrupt_of(node);
  } else if (list_contains(&node->compatible, "riscv,plic0") ||
             list_contains(&node->compatible, "sifive,plic-1.0.0")) {
    boot_info.plic_base = base;
  } else if (list_contains(&node->compatible, "virtio,mmio")) {
    if (boot_info.virtio_slots < (int)ARRAY_LENGTH(boot_info.virtio)) {
      boot_info.virtio[boot_info.virtio_slots++] = (struct virtio_slot){.base = base, .irq = interrupt_of(node)};
    }
  }
}

static void property_read(struct fdt_node *node, const char *name, struct property property) {
  if (strcmp(name, "compatible") == 0) node->compatible = property;
  if (strcmp(name, "reg") == 0) node->reg = property;
  if (strcmp(name, "interrupts") == 0) node->interrupts = property;
  if (strcmp(name, "interrupts-extended") == 0) node->interrupts_extended = property;
  if (strcmp(name, "status") == 0) node->status = property;
  if (strcmp(name, "#address-cells") == 0) node->address_cells = (u32)read_cells(&property, 0, 1);
  if (strcmp(name, "#size-cells") == 0) node->size_cells = (u32)read_cells(&property, 0, 1);
  if (strcmp(name, "timebase-frequency") == 0) boot_info.timebase_hz = read_cells(&property, 0, 1);
  if (strcmp(name, "bootargs") == 0 && name_is(node->name, "chosen") && property.size > 0) {
    copy_name(boot_info.bootargs, (const char *)property.bytes, sizeof(boot_info.bootargs));
  }
}

void fdt_read(const void *blob) {
  const u8 *header = blob;
  if (read_be32(header) != FDT_MAGIC) panic("no device tree at %p", blob);
  const u8 *at = header + read_be32(header + 8);
  const char *strings = (const char *)header + read_be32(header + 12);
  struct fdt_node path[MAX_DEPTH];
  int depth = -1;
  for (;;) {
    u32 token = read_be32(at);
    at += 4;
    if (token == FDT_BEGIN_NODE) {
      if (++depth == MAX_DEPTH) panic("device tree: deeper than %d", MAX_DEPTH);
      memset(&path[depth], 0, sizeof(path[depth]));
      path[depth].name = (const char *)at;
      path[depth].address_cells = 2;
      path[depth].size_cells = 1;
      at += (strlen((const char *)at) + 4) & ~3ul;
    } else if (token == FDT_END_NODE) {
      if (depth > 0) node_done(&path[depth], &path[depth - 1]);
      depth--;
    } else if (token == FDT_PROP) {
      struct property property = {.size = read_be32(at), .bytes = at + 8};
      property_read(&path[depth], strings + read_be32(at + 4), property);
      at += 8 + ((property.size + 3) & ~3u);
    } else if (token == FDT_END) {
      break;
    } else if (token != FDT_NOP) {
      panic("device tree: unknown token %x", token);
    }
  }
}

// The value of name=VALUE on the kernel's command line.
bool boot_argument(const char *name, char *value, size_t size) {
  u64 length = strlen(name);
  for (const char *at = boot_info.bootargs; *at != 0;) {
    u64 word = 0;
    while (at[word] != 0 && at[word] != ' ') word++;
    if (word > length && strncmp(at, name, length) == 0 && at[length] == '=') {
      u64 copied = MIN(word - length - 1, size - 1);
      memcpy(value, at + length + 1, copied);
      value[copied] = 0;
      return true;
    }
    at += word;
    while (*at == ' ') at++;
  }
  return false;
}
