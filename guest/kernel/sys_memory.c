// System calls on the address space.

#include "defs.h"
#include "sysno.h"

PROBEABLE long sys_brk(u64 end) { return mm_set_heap_end(&current_task()->mm, end); }

// Anonymous private memory, or a descriptor of the tracer. For the latter the kernel makes zeroed pages and tells the
// tracer where they are (a0 is the address, otherwise the call is as the user made it); from then on both see them.
PROBEABLE long sys_mmap(u64 address, u64 length, u64 prot, u64 flags, u64 fd, u64 offset) {
  struct task *task = current_task();
  struct address_space *mm = &task->mm;
  u64 pages = (length + PAGE_SIZE - 1) >> PAGE_SHIFT;
  bool anonymous = (flags & MAP_ANONYMOUS) != 0;
  (void)address; // a wish; MAP_FIXED, which would make it more, is not offered
  if (length == 0 || length > USER_TOP || (flags & MAP_FIXED) != 0 || offset % PAGE_SIZE != 0) return -EINVAL;
  if (!anonymous && (int)fd < TRACER_FD_BASE) {
    return file_get(task, (u64)(u32)fd) == NULL ? -EBADF : -ENODEV;
  }
  struct region *region = mm_find_room(mm, pages);
  if (region == NULL || mm_map_new(mm, region->start, pages, (u32)prot) != 0) return -ENOMEM;
  region->pages = (u32)pages;
  region->tracer = !anonymous;
  tlb_flush();
  if (anonymous) return (long)region->start;
  long result = tracer_forward(task, SYS_mmap, region->start, length, prot, flags, fd, offset);
  if (result >= 0) return (long)region->start;
  mm_unmap(mm, region->start, pages);
  tlb_flush();
  region->pages = 0;
  return result == -ENOSYS ? -EBADF : result;
}

// A whole region at a time: parts of one cannot be given back.
PROBEABLE long sys_munmap(u64 address, u64 length) {
  struct task *task = current_task();
  u64 pages = (length + PAGE_SIZE - 1) >> PAGE_SHIFT;
  if (address % PAGE_SIZE != 0 || length == 0 || length > USER_TOP) return -EINVAL;
  for (u64 i = 0; i < MAX_REGIONS; i++) {
    struct region *region = &task->mm.regions[i];
    if (region->pages == 0 || region->start != address || region->pages != pages) continue;
    if (region->tracer) tracer_forward(task, SYS_munmap, address, length, 0, 0, 0, 0);
    mm_unmap(&task->mm, address, pages);
    tlb_flush();
    region->pages = 0;
    return 0;
  }
  return -EINVAL;
}
