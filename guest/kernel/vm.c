// Address spaces: Sv39 page tables for the kernel and for each process. The map itself is in memlayout.h.
//
// Rules
// - Every table shares the upper half: its top-level entries are copied from the kernel's, which do not change
//   after boot. So the kernel sees user memory and its own through whichever table is in satp.
// - Pages of a process are all present: they are made when it asks for them, not when it touches them. A fault on
//   a user address is therefore always an error.
// - No page of a process is shared with another one. Regions of the tracer are not inherited by fork.

#include "defs.h"

#define PTE_VALID (1ul << 0)
#define PTE_READ (1ul << 1)
#define PTE_WRITE (1ul << 2)
#define PTE_EXEC (1ul << 3)
#define PTE_USER (1ul << 4)
#define PTE_GLOBAL (1ul << 5)
#define PTE_ACCESSED (1ul << 6)
#define PTE_DIRTY (1ul << 7)
#define PTE_LEAF (PTE_READ | PTE_WRITE | PTE_EXEC)

#define TABLE_ENTRIES 512
#define KERNEL_HALF 256
#define MEGAPAGE 0x200000ul
#define GIGAPAGE 0x40000000ul

extern char kernel_text_end[], kernel_rodata_end[];

static u64 *kernel_page_table;

static u64 pte_make(u64 physical, u64 bits) {
  return physical >> PAGE_SHIFT << 10 | bits | PTE_VALID | PTE_ACCESSED | PTE_DIRTY;
}
static u64 pte_physical(u64 pte) { return pte >> 10 << PAGE_SHIFT; }
static u64 *pte_table(u64 pte) { return kernel_address(pte_physical(pte)); }
static u64 table_index(u64 va, int level) { return va >> (PAGE_SHIFT + 9 * level) & (TABLE_ENTRIES - 1); }
static u64 satp_of(const u64 *table) { return SATP_SV39 | physical_address(table) >> PAGE_SHIFT; }

// The entry for va at the given level (0: pages, 1: megapages, 2: gigapages), making the tables above if make is
// set. NULL if there is none, or no memory for it.
static u64 *entry_of(u64 *table, u64 va, int level, bool make) {
  for (int at = 2; at > level; at--) {
    u64 *entry = &table[table_index(va, at)];
    if (!(*entry & PTE_VALID)) {
      u64 *next = make ? page_alloc_zeroed() : NULL;
      if (next == NULL) return NULL;
      *entry = physical_address(next) >> PAGE_SHIFT << 10 | PTE_VALID;
    }
    table = pte_table(*entry);
  }
  return &table[table_index(va, level)];
}

static void kernel_map(u64 va, u64 physical, int level, u64 bits) {
  u64 *entry = entry_of(kernel_page_table, va, level, true);
  if (entry == NULL) panic("no memory for the kernel's page table");
  *entry = pte_make(physical, bits | PTE_GLOBAL);
}

static u64 kernel_page_bits(u64 va) {
  if (va < (u64)kernel_text_end) return PTE_READ | PTE_EXEC;
  if (va < (u64)kernel_rodata_end) return PTE_READ;
  return PTE_READ | PTE_WRITE;
}

void kernel_vm_init(void) {
  kernel_page_table = page_alloc_zeroed();
  kernel_map(KERNEL_OFFSET, 0, 2, PTE_READ | PTE_WRITE); // devices

  u64 start = KERNEL_PHYSICAL + KERNEL_OFFSET;
  u64 end = boot_info.memory_base + boot_info.memory_size + KERNEL_OFFSET;
  u64 image_end = start;
  while (image_end < (u64)kernel_rodata_end) image_end += MEGAPAGE;
  for (u64 va = start; va < image_end; va += PAGE_SIZE) kernel_map(va, va - KERNEL_OFFSET, 0, kernel_page_bits(va));
  for (u64 va = image_end; va < end; va += MEGAPAGE) kernel_map(va, va - KERNEL_OFFSET, 1, PTE_READ | PTE_WRITE);

  for (u64 i = 0; i < MAX_TASKS; i++) {
    u64 slot = KERNEL_STACKS + i * KERNEL_STACK_SLOT;
    for (u64 offset = KERNEL_STACK_SIZE; offset < KERNEL_STACK_SLOT; offset += PAGE_SIZE) {
      void *page = page_alloc();
      if (page == NULL) panic("no memory for kernel stacks");
      kernel_map(slot + offset, physical_address(page), 0, PTE_READ | PTE_WRITE);
    }
  }
}

u64 kernel_satp(void) { return satp_of(kernel_page_table); }

void kernel_vm_enter(void) {
  csr_write(satp, kernel_satp());
  tlb_flush();
}

u64 mm_satp(const struct address_space *mm) { return satp_of(mm->page_table); }

int mm_create(struct address_space *mm) {
  memset(mm, 0, sizeof(*mm));
  mm->page_table = page_alloc();
  if (mm->page_table == NULL) return -ENOMEM;
  memset(mm->page_table, 0, KERNEL_HALF * sizeof(u64));
  memcpy(mm->page_table + KERNEL_HALF, kernel_page_table + KERNEL_HALF, KERNEL_HALF * sizeof(u64));
  return 0;
}

static u64 user_bits(u32 prot) {
  u64 bits = PTE_USER | PTE_READ;
  if (prot & PROT_WRITE) bits |= PTE_WRITE;
  if (prot & PROT_EXEC) bits |= PTE_EXEC;
  return bits;
}

// Maps zeroed pages at va, which must be free. On failure nothing is left mapped.
int mm_map_new(struct address_space *mm, u64 va, u64 pages, u32 prot) {
  for (u64 i = 0; i < pages; i++) {
    u64 *entry = entry_of(mm->page_table, va + i * PAGE_SIZE, 0, true);
    void *page = entry != NULL ? page_alloc_zeroed() : NULL;
    if (page == NULL) {
      mm_unmap(mm, va, i);
      return -ENOMEM;
    }
    ASSERT(!(*entry & PTE_VALID));
    *entry = pte_make(physical_address(page), user_bits(prot));
    mm->pages++;
  }
  return 0;
}

// Frees what is mapped in the range; holes are skipped. The caller flushes the TLB if the table is in use.
void mm_unmap(struct address_space *mm, u64 va, u64 pages) {
  for (u64 i = 0; i < pages; i++) {
    u64 *entry = entry_of(mm->page_table, va + i * PAGE_SIZE, 0, false);
    if (entry == NULL || !(*entry & PTE_VALID)) continue;
    page_free(pte_table(*entry));
    *entry = 0;
    mm->pages--;
  }
}

// Where the kernel sees the byte at va, or NULL if nothing is mapped there.
void *mm_kernel_address(const struct address_space *mm, u64 va) {
  if (va >= USER_TOP) return NULL;
  u64 *entry = entry_of(mm->page_table, va, 0, false);
  if (entry == NULL || !(*entry & PTE_VALID)) return NULL;
  return (u8 *)pte_table(*entry) + (va & (PAGE_SIZE - 1));
}

// Copies the tables below *from into the empty table to: user pages by contents. level is that of the tables.
static int copy_table(struct address_space *mm, u64 *to, const u64 *from, int level, u64 entries) {
  for (u64 i = 0; i < entries; i++) {
    u64 pte = from[i];
    if (!(pte & PTE_VALID)) continue;
    void *page = level == 0 ? page_alloc() : page_alloc_zeroed();
    if (page == NULL) return -ENOMEM;
    to[i] = physical_address(page) >> PAGE_SHIFT << 10 | (pte & 0x3ff);
    if (level == 0) {
      memcpy(page, pte_table(pte), PAGE_SIZE);
      mm->pages++;
    } else {
      int error = copy_table(mm, page, pte_table(pte), level - 1, TABLE_ENTRIES);
      if (error != 0) return error;
    }
  }
  return 0;
}

static void free_table(u64 *table, int level, u64 entries) {
  for (u64 i = 0; i < entries; i++) {
    if (!(table[i] & PTE_VALID)) continue;
    if (level > 0) free_table(pte_table(table[i]), level - 1, TABLE_ENTRIES);
    page_free(pte_table(table[i]));
  }
}

// User space is the first gigabyte: one entry of the top level.
#define USER_TOP_LEVEL_ENTRIES (USER_TOP / GIGAPAGE)

PROBEABLE int mm_copy(struct address_space *to, const struct address_space *from) {
  int error = mm_create(to);
  if (error != 0) return error;
  error = copy_table(to, to->page_table, from->page_table, 2, USER_TOP_LEVEL_ENTRIES);
  to->heap_start = from->heap_start;
  to->heap_end = from->heap_end;
  memcpy(to->regions, from->regions, sizeof(to->regions));
  for (u64 i = 0; i < MAX_REGIONS; i++) {
    struct region *region = &to->regions[i];
    if (!region->tracer) continue;
    if (error == 0) mm_unmap(to, region->start, region->pages);
    memset(region, 0, sizeof(*region));
  }
  if (error != 0) mm_destroy(to);
  return error;
}

// Frees all. The table must not be in any hart's satp.
PROBEABLE void mm_destroy(struct address_space *mm) {
  free_table(mm->page_table, 2, USER_TOP_LEVEL_ENTRIES);
  page_free(mm->page_table);
  memset(mm, 0, sizeof(*mm));
}

static u64 page_round_up(u64 va) { return (va + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1); }

// brk(2): the new end, or the old one if it cannot be had.
long mm_set_heap_end(struct address_space *mm, u64 end) {
  if (end < mm->heap_start || end > USER_MMAP_BASE) return (long)mm->heap_end;
  u64 old_top = page_round_up(mm->heap_end), new_top = page_round_up(end);
  if (new_top > old_top) {
    if (mm_map_new(mm, old_top, (new_top - old_top) >> PAGE_SHIFT, PROT_READ | PROT_WRITE) != 0) {
      return (long)mm->heap_end;
    }
  } else {
    mm_unmap(mm, new_top, (old_top - new_top) >> PAGE_SHIFT);
  }
  tlb_flush();
  mm->heap_end = end;
  return (long)end;
}

static bool region_overlaps(const struct address_space *mm, u64 start, u64 end) {
  for (u64 i = 0; i < MAX_REGIONS; i++) {
    const struct region *region = &mm->regions[i];
    if (region->pages != 0 && start < region->start + region->pages * PAGE_SIZE && region->start < end) return true;
  }
  return false;
}

// A region for mmap: a free slot of the list, with a start where so many pages have room. NULL if there is none.
struct region *mm_find_room(struct address_space *mm, u64 pages) {
  struct region *slot = NULL;
  for (u64 i = 0; i < MAX_REGIONS && slot == NULL; i++) {
    if (mm->regions[i].pages == 0) slot = &mm->regions[i];
  }
  if (slot == NULL || pages > (USER_MMAP_END - USER_MMAP_BASE) / PAGE_SIZE) return NULL;
  // The lowest free place begins at the base or at the end of another region.
  u64 start = USER_MMAP_BASE;
  for (u64 i = 0; region_overlaps(mm, start, start + pages * PAGE_SIZE); i++) {
    if (i == MAX_REGIONS) return NULL;
    start = mm->regions[i].start + mm->regions[i].pages * PAGE_SIZE;
  }
  if (start < USER_MMAP_BASE || start + pages * PAGE_SIZE > USER_MMAP_END) return NULL;
  slot->start = start;
  return slot;
}
