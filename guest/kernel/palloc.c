// Physical pages. Pages never used before are taken in order; freed ones are reused first, last in, first out.
// A page's contents are what they were: nothing is cleared that nobody asked to be, so that boot is quick.

#include "defs.h"

struct free_page {
  struct free_page *next;
};

extern char kernel_end[];

static struct {
  struct spinlock lock;
  struct free_page *free;
  u64 next_fresh, end; // kernel addresses
  u64 total, available;
} pages = {.lock = {.name = "pages"}};

void page_allocator_init(void) {
  pages.next_fresh = ((u64)kernel_end + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
  pages.end = (boot_info.memory_base + boot_info.memory_size + KERNEL_OFFSET) & ~(u64)(PAGE_SIZE - 1);
  pages.total = pages.available = (pages.end - pages.next_fresh) >> PAGE_SHIFT;
}

// A page, or NULL if there is none. Its contents are arbitrary.
PROBEABLE void *page_alloc(void) {
  void *page = NULL;
  spin_lock(&pages.lock);
  if (pages.free != NULL) {
    page = pages.free;
    pages.free = pages.free->next;
  } else if (pages.next_fresh < pages.end) {
    page = (void *)pages.next_fresh;
    pages.next_fresh += PAGE_SIZE;
  }
  if (page != NULL) pages.available--;
  spin_unlock(&pages.lock);
  return page;
}

void *page_alloc_zeroed(void) {
  void *page = page_alloc();
  return page != NULL ? memset(page, 0, PAGE_SIZE) : NULL;
}

PROBEABLE void page_free(void *page) {
  ASSERT(((u64)page & (PAGE_SIZE - 1)) == 0 && (u64)page >= (u64)kernel_end && (u64)page < pages.end);
  struct free_page *freed = page;
  spin_lock(&pages.lock);
  freed->next = pages.free;
  pages.free = freed;
  pages.available++;
  spin_unlock(&pages.lock);
}

u64 pages_total(void) { return pages.total; }
u64 pages_free(void) { return pages.available; }
