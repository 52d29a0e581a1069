// The disk: a virtio block device on the memory-mapped transport, version 2 (not legacy).
//
// Rules
// - A request is a chain of descriptors: header, bytes (not for a flush), status. Several may be under way.
// - virtio_blk_submit hands a buffer to the device and returns; in_flight is set until virtio_blk_complete, which
//   the interrupt handler calls for each finished request. Whoever submitted waits with virtio_blk_wait.
// Source: Virtual I/O Device (VIRTIO) Version 1.2, sections 2.7, 4.2 and 5.2.

#include "defs.h"

#define MMIO_MAGIC 0x000
#define MMIO_VERSION 0x004
#define MMIO_DEVICE_ID 0x008
#define MMIO_DEVICE_FEATURES 0x010
#define MMIO_DEVICE_FEATURES_SELECT 0x014
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_FEATURES_SELECT 0x024
#define MMIO_QUEUE_SELECT 0x030
#define MMIO_QUEUE_SIZE_MAX 0x034
#define MMIO_QUEUE_SIZE 0x038
#define MMIO_QUEUE_READY 0x044
#define MMIO_QUEUE_NOTIFY 0x050
#define MMIO_INTERRUPT_STATUS 0x060
#define MMIO_INTERRUPT_ACK 0x064
#define MMIO_STATUS 0x070
#define MMIO_QUEUE_DESCRIPTORS 0x080
#define MMIO_QUEUE_DRIVER 0x090
#define MMIO_QUEUE_DEVICE 0x0a0
#define MMIO_CONFIG 0x100

#define MAGIC 0x74726976
#define BLOCK_DEVICE_ID 2
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define FEATURE_BLK_FLUSH (1ul << 9)
#define FEATURE_VERSION_1 (1ul << 32)

#define SECTOR_SIZE 512
#define QUEUE_SIZE 32
#define MAX_REQUESTS (QUEUE_SIZE / 3)
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_DEVICE_WRITES 2

struct descriptor {
  u64 address;
  u32 length;
  u16 flags, next;
};
struct available_ring {
  u16 flags, index;
  u16 ring[QUEUE_SIZE];
};
struct used_ring {
  u16 flags, index;
  struct {
    u32 id, length;
  } ring[QUEUE_SIZE];
};
struct request_header {
  u32 type, reserved;
  u64 sector;
};

// All that the device reads and writes by itself, in one page. Request i uses descriptors 3i to 3i+2.
struct queue_page {
  struct descriptor descriptors[QUEUE_SIZE];
  struct available_ring available;
  struct used_ring used __attribute__((aligned(8)));
  struct request_header headers[MAX_REQUESTS] __attribute__((aligned(16)));
  u8 status[MAX_REQUESTS];
};
_Static_assert(sizeof(struct queue_page) <= PAGE_SIZE, "one page");

static struct {
  struct spinlock lock;
  u64 base; // 0: there is no disk
  u32 irq;
  u64 sectors;
  bool can_flush;
  struct queue_page *queue;
  u16 used_seen;
  struct buffer *requests[MAX_REQUESTS]; // NULL: free
  struct wait_queue request_freed;
} disk = {.lock = {.name = "virtio_blk"}};

static volatile u32 *mmio(u64 base, u64 offset) { return (volatile u32 *)kernel_address(base + offset); }

static void write_address(u64 offset, const void *address) {
  *mmio(disk.base, offset) = (u32)physical_address(address);
  *mmio(disk.base, offset + 4) = (u32)(physical_address(address) >> 32);
}

static bool negotiate(void) {
  *mmio(disk.base, MMIO_DEVICE_FEATURES_SELECT) = 0;
  u64 offered = *mmio(disk.base, MMIO_DEVICE_FEATURES);
  *mmio(disk.base, MMIO_DEVICE_FEATURES_SELECT) = 1;
  offered |= (u64)*mmio(disk.base, MMIO_DEVICE_FEATURES) << 32;
  u64 accepted = offered & (FEATURE_VERSION_1 | FEATURE_BLK_FLUSH);
  *mmio(disk.base, MMIO_DRIVER_FEATURES_SELECT) = 0;
  *mmio(disk.base, MMIO_DRIVER_FEATURES) = (u32)accepted;
  *mmio(disk.base, MMIO_DRIVER_FEATURES_SELECT) = 1;
  *mmio(disk.base, MMIO_DRIVER_FEATURES) = (u32)(accepted >> 32);
  *mmio(disk.base, MMIO_STATUS) |= STATUS_FEATURES_OK;
  disk.can_flush = (accepted & FEATURE_BLK_FLUSH) != 0;
  return (*mmio(disk.base, MMIO_STATUS) & STATUS_FEATURES_OK) != 0 && (accepted & FEATURE_VERSION_1) != 0;
}

static bool set_up_queue(void) {
  *mmio(disk.base, MMIO_QUEUE_SELECT) = 0;
  if (*mmio(disk.base, MMIO_QUEUE_READY) != 0 || *mmio(disk.base, MMIO_QUEUE_SIZE_MAX) < QUEUE_SIZE) return false;
  disk.queue = page_alloc_zeroed();
  if (disk.queue == NULL) return false;
  *mmio(disk.base, MMIO_QUEUE_SIZE) = QUEUE_SIZE;
  write_address(MMIO_QUEUE_DESCRIPTORS, disk.queue->descriptors);
  write_address(MMIO_QUEUE_DRIVER, &disk.queue->available);
  write_address(MMIO_QUEUE_DEVICE, &disk.queue->used);
  *mmio(disk.base, MMIO_QUEUE_READY) = 1;
  return true;
}

// Looks for a block device in the slots of the device tree. Without one the kernel goes on, without a disk.
void virtio_blk_init(void) {
  for (int i = 0; i < boot_info.virtio_slots; i++) {
    const struct virtio_slot *slot = &boot_info.virtio[i];
    if (*mmio(slot->base, MMIO_MAGIC) != MAGIC || *mmio(slot->base, MMIO_DEVICE_ID) != BLOCK_DEVICE_ID) continue;
    if (*mmio(slot->base, MMIO_VERSION) != 2) {
      printk("virtio_blk: the device speaks the legacy interface; give QEMU virtio-mmio.force-legacy=false\n");
      continue;
    }
    disk.base = slot->base;
    disk.irq = slot->irq;
    break;
  }
  if (disk.base == 0) return;
  *mmio(disk.base, MMIO_STATUS) = 0;
  *mmio(disk.base, MMIO_STATUS) = STATUS_ACKNOWLEDGE;
  *mmio(disk.base, MMIO_STATUS) |= STATUS_DRIVER;
  if (!negotiate() || !set_up_queue()) {
    printk("virtio_blk: the device at %p refuses; going on without a disk\n", (void *)disk.base);
    disk.base = 0;
    return;
  }
  *mmio(disk.base, MMIO_STATUS) |= STATUS_DRIVER_OK;
  disk.sectors = *mmio(disk.base, MMIO_CONFIG) | (u64)*mmio(disk.base, MMIO_CONFIG + 4) << 32;
  plic_enable(disk.irq);
}

u64 virtio_blk_bytes(void) { return disk.sectors * SECTOR_SIZE; }
u32 virtio_blk_irq(void) { return disk.irq; }
bool virtio_blk_can_flush(void) { return disk.can_flush; }

static u16 take_request(struct buffer *buffer) {
  for (;;) {
    for (u16 i = 0; i < MAX_REQUESTS; i++) {
      if (disk.requests[i] != NULL) continue;
      disk.requests[i] = buffer;
      return i;
    }
    sleep_on(&disk.request_freed, &disk.lock, FOREVER, UNINTERRUPTIBLE);
  }
}

// Starts the transfer of a buffer's block. Waits only for a free request.
PROBEABLE void virtio_blk_submit(struct buffer *buffer, enum virtio_blk_request request) {
  spin_lock(&disk.lock);
  u16 slot = take_request(buffer);
  struct queue_page *queue = disk.queue;
  struct descriptor *chain = &queue->descriptors[slot * 3];
  u16 first = (u16)(slot * 3);
  bool has_bytes = request != VIRTIO_BLK_FLUSH;
  queue->headers[slot] = (struct request_header){
      .type = request,
      .sector = (u64)buffer->block * (BLOCK_SIZE / SECTOR_SIZE),
  };
  queue->status[slot] = 0xff;
  chain[0] = (struct descriptor){
      .address = physical_address(&queue->headers[slot]),
      .length = sizeof(struct request_header),
      .flags = DESCRIPTOR_NEXT,
      .next = (u16)(has_bytes ? first + 1 : first + 2),
  };
  chain[1] = (struct descriptor){
      .address = has_bytes ? physical_address(buffer->bytes) : 0,
      .length = BLOCK_SIZE,
      .flags = DESCRIPTOR_NEXT | (request == VIRTIO_BLK_READ ? DESCRIPTOR_DEVICE_WRITES : 0),
      .next = (u16)(first + 2),
  };
  chain[2] = (struct descriptor){
      .address = physical_address(&queue->status[slot]),
      .length = 1,
      .flags = DESCRIPTOR_DEVICE_WRITES,
  };
  buffer->in_flight = true;
  queue->available.ring[queue->available.index % QUEUE_SIZE] = first;
  fence_io();
  queue->available.index++;
  fence_io();
  *mmio(disk.base, MMIO_QUEUE_NOTIFY) = 0;
  spin_unlock(&disk.lock);
}

// The device is done with the buffer. Runs in the interrupt handler.
PROBEABLE void virtio_blk_complete(struct buffer *buffer, u32 status) {
  buffer->status = (u8)status;
  buffer->in_flight = false;
  wake_all(&buffer->done);
}

PROBEABLE void virtio_blk_interrupt(void) {
  spin_lock(&disk.lock);
  *mmio(disk.base, MMIO_INTERRUPT_ACK) = *mmio(disk.base, MMIO_INTERRUPT_STATUS) & 3;
  fence_io();
  volatile struct used_ring *used = &disk.queue->used;
  while (disk.used_seen != used->index) {
    fence_io();
    u32 slot = used->ring[disk.used_seen++ % QUEUE_SIZE].id / 3;
    struct buffer *buffer = disk.requests[slot];
    disk.requests[slot] = NULL;
    virtio_blk_complete(buffer, disk.queue->status[slot]);
    wake_all(&disk.request_freed);
  }
  spin_unlock(&disk.lock);
}

// 0 once the last request of the buffer has succeeded, or -EIO.
long virtio_blk_wait(struct buffer *buffer) {
  spin_lock(&disk.lock);
  while (buffer->in_flight) sleep_on(&buffer->done, &disk.lock, FOREVER, UNINTERRUPTIBLE);
  spin_unlock(&disk.lock);
  return buffer->status == 0 ? 0 : -EIO;
}
