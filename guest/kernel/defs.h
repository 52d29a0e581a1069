// Every function that one file of the kernel offers to the others, by file.
#pragma once

#include "abi.h"
#include "errno.h"
#include "file.h"
#include "memlayout.h"
#include "riscv.h"
#include "task.h"
#include "types.h"

// string.c
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
void copy_name(char *to, const char *from, size_t size);

// format.c
// Stores what is printed from position skip on, as far as size bytes go; length counts all that was printed.
struct text_buffer {
  char *bytes;
  u64 size, skip, length;
};
u64 text_stored(const struct text_buffer *buffer);
void text_printf(struct text_buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void text_vprintf(struct text_buffer *buffer, const char *format, __builtin_va_list arguments);

// printk.c
void printk(const char *format, ...) PRINTF_LIKE(1, 2);

// panic.c
NORETURN void panic(const char *format, ...) PRINTF_LIKE(1, 2);
NORETURN void panic_with_registers(const struct trap_frame *frame, const char *format, ...) PRINTF_LIKE(2, 3);
bool panic_in_progress(void);
#define ASSERT(condition)                                                                                              \
  do {                                                                                                                 \
    if (!(condition)) panic("%s: not true: %s", __func__, #condition);                                                 \
  } while (0)

// sbi.c
struct sbi_result {
  long error, value;
};
struct sbi_result sbi_call(u64 extension, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
bool sbi_has_extension(u64 extension);
void sbi_set_timer(u64 time);
void sbi_send_ipi(u64 hartid);
long sbi_start_hart(u64 hartid, u64 physical_entry, u64 argument);
enum sbi_reset { SBI_SHUTDOWN = 0, SBI_COLD_REBOOT = 1 };
NORETURN void sbi_system_reset(enum sbi_reset kind, bool failure);

// fdt.c
struct virtio_slot {
  u64 base;
  u32 irq;
};
struct boot_info {
  u64 memory_base, memory_size;
  u64 timebase_hz;
  u32 hartids[MAX_CPUS];
  int harts;
  u64 uart_base, plic_base;
  u32 uart_irq;
  struct virtio_slot virtio[8];
  int virtio_slots;
  char bootargs[PATH_MAX];
};
extern struct boot_info boot_info;
void fdt_read(const void *blob);
bool boot_argument(const char *name, char *value, size_t size);

// spinlock.c
void push_irq_off(void);
void pop_irq_off(void);
void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
bool spin_holding(const struct spinlock *lock);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

// palloc.c
void page_allocator_init(void);
void *page_alloc(void);
void *page_alloc_zeroed(void);
void page_free(void *page);
u64 pages_total(void);
u64 pages_free(void);

// vm.c
void kernel_vm_init(void);
void kernel_vm_enter(void);
u64 kernel_satp(void);
int mm_create(struct address_space *mm);
void mm_destroy(struct address_space *mm);
int mm_copy(struct address_space *to, const struct address_space *from);
int mm_map_new(struct address_space *mm, u64 va, u64 pages, u32 prot);
void mm_unmap(struct address_space *mm, u64 va, u64 pages);
void *mm_kernel_address(const struct address_space *mm, u64 va);
u64 mm_satp(const struct address_space *mm);
long mm_set_heap_end(struct address_space *mm, u64 end);
struct region *mm_find_room(struct address_space *mm, u64 pages);

static inline u64 physical_address(const void *kernel_address) { return (u64)kernel_address - KERNEL_OFFSET; }
static inline void *kernel_address(u64 physical) { return (void *)(physical + KERNEL_OFFSET); }

// usercopy.c
long copy_from_user(void *to, u64 from, u64 size);
long copy_to_user(u64 to, const void *from, u64 size);
long clear_user(u64 to, u64 size);
long copy_string_from_user(char *to, u64 from, u64 size);

// switch.S, trap.S, trap.c
void context_switch(struct context *from, struct context *to);
void fork_return(void);
void trap_handler(struct trap_frame *frame);
void trap_init_hart(void);

// sched.c
extern struct spinlock sched_lock;
void sched_init_hart(struct task *idle);
NORETURN void idle_loop(void);
void make_runnable(struct task *task);
void yield(void);
void sched_tick(void);
NORETURN void sched_exit(void);
#define FOREVER (~0ul)
enum sleep_kind { UNINTERRUPTIBLE, INTERRUPTIBLE };
long sleep_locked(struct wait_queue *queue, u64 deadline, enum sleep_kind kind);
long sleep_on(struct wait_queue *queue, struct spinlock *lock, u64 deadline, enum sleep_kind kind);
void wake_all(struct wait_queue *queue);
void wake_all_locked(struct wait_queue *queue);

// task.c
void task_init(void);
void task_start_first(void);
long task_fork(struct task *parent);
NORETURN void task_exit(int status);
long task_wait(int pid, int *status, int options);
long task_kill(int pid, u32 signal);
struct task *task_find(int pid);
void task_set_comm(struct task *task, const char *name);
void task_list(struct text_buffer *buffer);

// exec.c
#define MAX_EXEC_STRINGS 64
struct exec_strings {
  char *bytes; // one page: arguments, then environment, each with its 0
  u64 used;
  u32 argument_count, environment_count;
};
long exec_load(struct task *task, const char *path, struct exec_strings *strings);

// time.c
u64 ticks_from_ns(u64 ns);
u64 ns_from_ticks(u64 ticks);
u64 time_ns(void);
u64 realtime_ns(void);

// syscall.c
#define SYSCALL_LIMIT 512
extern u64 syscall_counts[SYSCALL_LIMIT], private_syscall_counts[16], other_syscall_count;
long syscall_dispatch(struct task *task, struct trap_frame *frame);
u64 syscall_count(u64 number);
void syscall_list(struct text_buffer *buffer);

// file.c
void file_init(void);
struct file *file_alloc(void);
void file_hold(struct file *file);
void file_put(struct file *file);
struct file *file_get(struct task *task, u64 fd);
long fd_install(struct task *task, struct file *file, u64 lowest, bool close_on_exec);
long fd_close(struct task *task, u64 fd);
void files_copy(struct task *to, struct task *from);
void files_close_all(struct task *task);
void files_close_on_exec(struct task *task);

// pipe.c
void pipe_init(void);
long pipe_create(struct file **read_end, struct file **write_end);

// ramfs.c
void ramfs_init(void);
struct node *ramfs_root(void);
long path_lookup(struct node *start, const char *path, struct node **found);
long path_create(struct node *start, const char *path, enum node_kind kind, u32 mode, bool exclusive,
                 struct node **made);
long path_remove(struct node *start, const char *path, bool directory);
long path_rename(struct node *from_start, const char *from, struct node *to_start, const char *to);
void node_hold(struct node *node);
void node_put(struct node *node);
long node_path(struct node *node, char *path, size_t size);
void node_stat(const struct node *node, struct stat *stat);
long directory_read(struct node *directory, u64 position, struct node **entry);
struct node *ramfs_add(const char *path, enum node_kind kind, u32 mode);
extern struct mutex tree_lock;

// ramfs_contents.c
long node_read(struct node *node, u64 offset, void *to, u64 size);
long node_truncate(struct node *node, u64 size);
void node_free_contents(struct node *node);
extern const struct file_ops regular_file_ops, directory_ops;

// procfs.c, devices.c
extern const struct file_ops text_file_ops;
void procfs_init(void);
void devices_init(void);

// console.c
void console_init(void);
void console_input(int byte);
extern const struct file_ops console_ops;

// uart.c
void uart_early_init(void);
void uart_init(void);
void uart_write_byte(char byte);
void uart_write(const char *bytes, size_t size);
void uart_interrupt(void);

// plic.c
void plic_init(void);
void plic_init_hart(void);
void plic_enable(u32 irq);
u32 plic_claim(void);
void plic_complete(u32 irq);

// virtio_blk.c
struct buffer;
void virtio_blk_init(void);
u64 virtio_blk_bytes(void);
enum virtio_blk_request { VIRTIO_BLK_READ = 0, VIRTIO_BLK_WRITE = 1, VIRTIO_BLK_FLUSH = 4 };
void virtio_blk_submit(struct buffer *buffer, enum virtio_blk_request request);
long virtio_blk_wait(struct buffer *buffer);
bool virtio_blk_can_flush(void);
void virtio_blk_interrupt(void);
u32 virtio_blk_irq(void);

// buffer_cache.c
#define BLOCK_SIZE 1024
struct buffer {
  u32 block;
  bool valid;     // bytes are the block's
  bool dirty;     // ... and newer than the disk's
  bool in_flight; // the device owns the bytes
  u8 status;      // of the last request, VIRTIO_BLK_S_*
  int references;
  struct mutex lock;
  struct wait_queue done;
  struct buffer *older, *newer;
  u8 *bytes;
};
void buffer_cache_init(void);
long buffer_get(u32 block, bool read, struct buffer **buffer);
void buffer_release(struct buffer *buffer);
long buffer_sync_all(void);

// tracer.c
bool tracer_present(void);
long tracer_forward(struct task *task, u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
void tracer_notify(struct task *task, u64 number, u64 a0);

// probe_target.S
u64 probe_target_all_forms(u64 seed);

// start.S, main.c
void secondary_start(void);
