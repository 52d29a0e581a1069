/* The helpers and maps of the benchmark programs as plain C: open addressing, no locks. */
#include <stdlib.h>
#include <string.h>

#define SEC(name)
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define PROGRAM int run(void *context)
#define BPF_ANY 0
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define __uint(name, value) int (*name)[value]
#define __type(name, type) type *name

struct slot { u32 used; u64 key; u64 value; };
static struct slot table[4096];
static u64 array[4096];
static u8 ring[1 << 16];
static u32 ring_at;

static inline struct slot *slot_of(u64 key)
{
	u32 at = (u32)((key * 0x9e3779b97f4a7c15ull) >> 52);

	while (table[at].used && table[at].key != key)
		at = (at + 1) & 4095;
	return &table[at];
}

#define lookup_hash(map, key) ({ struct slot *s_ = slot_of(*(key)); s_->used ? &s_->value : 0; })
#define update_hash(map, key_, value_) \
	({ struct slot *s_ = slot_of(*(key_)); s_->used = 1; s_->key = *(key_); s_->value = *(value_); 0; })
#define lookup_array(map, key) (*(key) < 256 ? &array[*(key)] : 0)
static inline void *bpf_ringbuf_reserve(void *map, u64 size, u64 flags)
{
	void *record = ring + ring_at;

	ring_at = (ring_at + 8 + size) & ((1 << 16) - 64);
	return record;
}
static inline void bpf_ringbuf_discard(void *record, u64 flags) {}
static inline void bpf_ringbuf_submit(void *record, u64 flags) {}
