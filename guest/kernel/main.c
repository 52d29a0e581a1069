// Boot, one line a subsystem.

#include "defs.h"

__attribute__((used)) NORETURN void kernel_main(u64 hartid, u64 device_tree) {
  u64 started = read_time();
  task_init();
  cpus[0].hartid = (u32)hartid;
  fdt_read(kernel_address(device_tree));
  page_allocator_init();
  kernel_vm_init();
  kernel_vm_enter();
  console_init();
  file_init();
  pipe_init();
  ramfs_init();
  procfs_init();
  devices_init();
  virtio_blk_init();
  buffer_cache_init();
  sched_init_hart(cpus[0].idle);
  plic_init_hart();
  trap_init_hart();
  for (int i = 0; i < boot_info.harts && ncpus < MAX_CPUS; i++) {
    if (boot_info.hartids[i] == hartid) continue;
    cpus[ncpus].hartid = boot_info.hartids[i];
    if (sbi_start_hart(cpus[ncpus].hartid, physical_address(secondary_start), (u64)ncpus) == 0) ncpus++;
  }
  printk("anybpf guest: %d %s, %lu KiB free, %lu us to here\n", ncpus, ncpus == 1 ? "hart" : "harts",
         pages_free() * 4, ns_from_ticks(read_time() - started) / 1000);
  task_start_first();
  idle_loop();
}

__attribute__((used)) NORETURN void secondary_main(u64 hartid, u64 unused, u64 index) {
  (void)hartid, (void)unused;
  kernel_vm_enter();
  sched_init_hart(cpus[index].idle);
  plic_init_hart();
  trap_init_hart();
  idle_loop();
}
