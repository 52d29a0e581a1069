// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: dynptrs, strings, sets of CPUs.
#include "kfuncs.h"

struct __sk_buff {
	__u32 len;
};
struct xdp_md {
	__u32 data;
};
struct cpumask {
	unsigned long bits[1];
};
struct bpf_cpumask {
	struct cpumask cpumask;
};

extern int bpf_dynptr_adjust(const struct bpf_dynptr *p, __u32 start, __u32 end) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone) __ksym;
extern int bpf_dynptr_copy(struct bpf_dynptr *dst, __u32 dst_off, struct bpf_dynptr *src, __u32 src_off, __u32 size) __ksym;
extern int bpf_dynptr_memset(struct bpf_dynptr *p, __u32 offset, __u32 size, __u8 val) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *s, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_from_xdp(struct xdp_md *x, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern bool bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym;
extern bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u32 offset, void *buffer, __u32 size) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, __u32 offset, void *buffer, __u32 size) __ksym;
extern int bpf_probe_read_kernel_dynptr(struct bpf_dynptr *d, __u32 off, __u32 size, const void *from) __ksym;
extern int bpf_probe_read_kernel_str_dynptr(struct bpf_dynptr *d, __u32 off, __u32 size, const void *from) __ksym;
extern int bpf_strcmp(const char *a, const char *b) __ksym;
extern int bpf_strcasecmp(const char *a, const char *b) __ksym;
extern int bpf_strchr(const char *s, char c) __ksym;
extern int bpf_strchrnul(const char *s, char c) __ksym;
extern int bpf_strnchr(const char *s, __u64 count, char c) __ksym;
extern int bpf_strrchr(const char *s, int c) __ksym;
extern int bpf_strlen(const char *s) __ksym;
extern int bpf_strnlen(const char *s, __u64 count) __ksym;
extern int bpf_strspn(const char *s, const char *accept) __ksym;
extern int bpf_strcspn(const char *s, const char *reject) __ksym;
extern int bpf_strstr(const char *a, const char *b) __ksym;
extern int bpf_strnstr(const char *a, const char *b, __u64 len) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *m) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *m) __ksym;
extern __u32 bpf_cpumask_first(const struct cpumask *m) __ksym;
extern __u32 bpf_cpumask_first_zero(const struct cpumask *m) __ksym;
extern __u32 bpf_cpumask_first_and(const struct cpumask *a, const struct cpumask *b) __ksym;
extern __u32 bpf_cpumask_weight(const struct cpumask *m) __ksym;
extern bool bpf_cpumask_empty(const struct cpumask *m) __ksym;
extern bool bpf_cpumask_full(const struct cpumask *m) __ksym;
extern bool bpf_cpumask_equal(const struct cpumask *a, const struct cpumask *b) __ksym;
extern bool bpf_cpumask_intersects(const struct cpumask *a, const struct cpumask *b) __ksym;
extern bool bpf_cpumask_subset(const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask *m) __ksym;
extern void bpf_cpumask_clear_cpu(__u32 cpu, struct bpf_cpumask *m) __ksym;
extern bool bpf_cpumask_test_cpu(__u32 cpu, const struct cpumask *m) __ksym;
extern bool bpf_cpumask_test_and_set_cpu(__u32 cpu, struct bpf_cpumask *m) __ksym;
extern bool bpf_cpumask_test_and_clear_cpu(__u32 cpu, struct bpf_cpumask *m) __ksym;
extern void bpf_cpumask_setall(struct bpf_cpumask *m) __ksym;
extern void bpf_cpumask_clear(struct bpf_cpumask *m) __ksym;
extern bool bpf_cpumask_and(struct bpf_cpumask *d, const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_or(struct bpf_cpumask *d, const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_xor(struct bpf_cpumask *d, const struct cpumask *a, const struct cpumask *b) __ksym;
extern void bpf_cpumask_copy(struct bpf_cpumask *d, const struct cpumask *a) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[64]);
} buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

static __u64 sum(const void *p, int bytes)
{
	__u64 all = 0;

	for (int i = 0; i < bytes; i++)
		all = all * 31 + ((const __u8 *)p)[i];
	return all;
}

SEC("tc")
int local_dynptrs(void *ctx)
{
	struct bpf_dynptr ptr, other;
	__u8 small[16] = {}, *slice;
	__u32 key = 0;
	char *buffer = bpf_map_lookup_elem(&buffers, &key);

	if (!buffer)
		return 1;
	for (int i = 0; i < 64; i++)
		buffer[i] = i * 7;
	out[0] = bpf_dynptr_from_mem(buffer, 64, 1, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_is_null(&ptr);
	out[3] = bpf_dynptr_is_rdonly(&ptr);
	out[4] = bpf_dynptr_adjust(&ptr, 0, 0);
	out[5] = bpf_dynptr_clone(&ptr, &other);
	out[6] = bpf_dynptr_copy(&ptr, 0, &ptr, 0, 1);
	out[7] = bpf_dynptr_memset(&ptr, 0, 1, 1);
	out[8] = bpf_dynptr_read(small, 1, &ptr, 0, 0);
	return 0;
}

SEC("tc")
int sliced_dynptrs(void *ctx)
{
	struct bpf_dynptr ptr, other;
	__u8 small[16] = {}, *slice;
	__u32 key = 0;
	char *buffer = bpf_map_lookup_elem(&buffers, &key);

	if (!buffer)
		return 1;
	for (int i = 0; i < 64; i++)
		buffer[i] = i * 7;
	out[0] = bpf_dynptr_from_mem(buffer, 64, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	slice = bpf_dynptr_slice(&ptr, 5, small, 16);
	out[2] = slice ? sum(slice, 16) : 0;
	slice = bpf_dynptr_slice_rdwr(&ptr, 48, small, 16);
	if (slice)
		slice[15] = 200;
	out[3] = (__u8)buffer[63];
	slice = bpf_dynptr_slice(&ptr, 49, small, 16);
	out[4] = slice != 0;
	slice = bpf_dynptr_slice(&ptr, 60, 0, 4);
	out[5] = slice ? sum(slice, 4) : 0;
	out[6] = bpf_dynptr_adjust(&ptr, 10, 50);
	out[7] = bpf_dynptr_size(&ptr);
	slice = bpf_dynptr_slice(&ptr, 5, small, 16);
	out[8] = slice ? sum(slice, 16) : 0;
	out[9] = bpf_dynptr_adjust(&ptr, 10, 9);
	out[10] = bpf_dynptr_adjust(&ptr, 10, 41);
	out[11] = bpf_dynptr_clone(&ptr, &other);
	out[12] = bpf_dynptr_adjust(&other, 4, 24);
	out[13] = bpf_dynptr_size(&other) * 100 + bpf_dynptr_size(&ptr);
	out[14] = bpf_dynptr_copy(&ptr, 3, &other, 0, 20);
	out[15] = sum(buffer, 64);
	out[16] = bpf_dynptr_copy(&ptr, 30, &other, 0, 11);
	out[17] = bpf_dynptr_copy(&ptr, 0, &other, 10, 11);
	out[18] = bpf_dynptr_memset(&other, 2, 5, 0x55);
	out[19] = bpf_dynptr_memset(&other, 16, 5, 0x55);
	out[20] = sum(buffer, 64);
	out[21] = bpf_dynptr_write(&other, 1, small, 8, 0);
	out[22] = bpf_dynptr_write(&other, 15, small, 8, 0);
	out[23] = bpf_dynptr_write(&other, 1, small, 8, 1);
	out[24] = bpf_dynptr_read(small, 8, &other, 3, 0);
	out[25] = sum(small, 16);
	slice = bpf_dynptr_data(&other, 12, 8);
	out[26] = slice ? sum(slice, 8) : 0;
	out[27] = bpf_dynptr_is_rdonly(&other);
	out[28] = bpf_probe_read_kernel_dynptr(&other, 2, 6, "kernel");
	out[29] = bpf_probe_read_kernel_dynptr(&other, 18, 6, "kernel");
	out[30] = bpf_probe_read_kernel_str_dynptr(&other, 0, 4, "string");
	out[31] = bpf_probe_read_kernel_str_dynptr(&other, 8, 12, "string");
	out[32] = sum(buffer, 64);
	out[33] = bpf_probe_read_kernel_dynptr(&other, 2, 6, (void *)-8);
	return 0;
}

SEC("tc")
int ring_dynptrs(void *ctx)
{
	struct bpf_dynptr ptr;
	__u8 small[8] = { 1, 2, 3 }, *slice;

	out[0] = bpf_ringbuf_reserve_dynptr(&ring, 32, 0, &ptr);
	out[1] = bpf_dynptr_size(&ptr);
	out[2] = bpf_dynptr_adjust(&ptr, 8, 24);
	out[3] = bpf_dynptr_write(&ptr, 0, small, 8, 0);
	slice = bpf_dynptr_slice_rdwr(&ptr, 0, small, 8);
	out[4] = slice ? sum(slice, 8) : 1;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	out[5] = bpf_ringbuf_query(&ring, 0);
	return 0;
}

SEC("tc")
int skb_dynptrs(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr, other;
	__u8 small[16] = {}, *slice;

	out[0] = bpf_dynptr_from_skb(skb, 1, &ptr);
	out[1] = bpf_dynptr_is_null(&ptr);
	out[2] = bpf_dynptr_from_skb(skb, 0, &other);
	out[3] = bpf_dynptr_size(&other);
	out[4] = bpf_dynptr_is_rdonly(&other);
	slice = bpf_dynptr_slice(&other, 10, small, 16);
	out[5] = slice ? sum(slice, 16) : 0;
	slice = bpf_dynptr_slice_rdwr(&other, 30, small, 16);
	if (slice) {
		slice[0] = 0xaa;
		slice[1] = 0xbb;
	}
	slice = bpf_dynptr_slice(&other, 49, small, 16);
	out[6] = slice != 0;
	slice = bpf_dynptr_slice(&other, 48, 0, 16);
	out[7] = slice ? sum(slice, 16) : 0;
	out[8] = bpf_dynptr_read(small, 16, &other, 28, 0);
	out[9] = sum(small, 16);
	out[10] = bpf_dynptr_write(&other, 16, small, 16, 0);
	out[11] = bpf_dynptr_write(&other, 50, small, 16, 0);
	out[12] = bpf_dynptr_data(&other, 0, 4) != 0;
	out[13] = bpf_dynptr_adjust(&other, 4, 40);
	out[14] = bpf_dynptr_memset(&other, 30, 6, 0x77);
	out[15] = bpf_dynptr_copy(&other, 0, &other, 30, 6);
	return 0;
}

SEC("socket")
int socket_dynptrs(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 small[16] = {}, *slice;

	out[2] = bpf_dynptr_from_skb(skb, 0, &ptr);
	out[3] = bpf_dynptr_size(&ptr);
	out[4] = bpf_dynptr_is_rdonly(&ptr);
	slice = bpf_dynptr_slice(&ptr, 10, small, 16);
	out[5] = slice ? sum(slice, 16) : 0;
	out[6] = bpf_dynptr_memset(&ptr, 0, 6, 0x77);
	out[7] = bpf_dynptr_write(&ptr, 0, small, 16, 0);
	out[8] = bpf_dynptr_copy(&ptr, 0, &ptr, 30, 6);
	return 0;
}

SEC("xdp")
int xdp_dynptrs(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr;
	__u8 small[16] = {}, *slice;

	out[2] = bpf_dynptr_from_xdp(xdp, 0, &ptr);
	out[3] = bpf_dynptr_size(&ptr);
	out[4] = bpf_dynptr_is_rdonly(&ptr);
	slice = bpf_dynptr_slice(&ptr, 10, small, 16);
	out[5] = slice ? sum(slice, 16) : 0;
	slice = bpf_dynptr_slice_rdwr(&ptr, 30, small, 16);
	if (slice)
		slice[3] = 0xaa;
	out[6] = bpf_dynptr_write(&ptr, 16, small, 16, 0);
	out[7] = bpf_dynptr_write(&ptr, 16, small, 16, 1);
	out[8] = bpf_dynptr_memset(&ptr, 60, 6, 0x77);
	out[9] = bpf_dynptr_memset(&ptr, 58, 6, 0x77);
	return 2;
}

char long_text[70000];

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

static void note(int at, __s64 value)
{
	if (at >= 0 && at < OUT)
		out[at] = out[at] * 1000003 + value + 200;
}

static const char pool[] = "\0hello\0Hello\0hello world\0lo\0o w\0world!\0aaaabaaab\0aab\0zzz\0hel\0\xe9t\xe9\0\xc9T\xc9\0@AZ[`az{";

SEC("syscall")
int strings(void *ctx)
{
	struct bpf_iter_num i, j;
	int *v, *w;

	bpf_iter_num_new(&i, 0, sizeof(pool) - 1);
	while ((v = bpf_iter_num_next(&i))) {
		const char *a = pool + (*v & 127);
		int n = *v;

		note(0, bpf_strlen(a));
		note(1, bpf_strnlen(a, n % 7u));
		note(2, bpf_strchr(a, 'l'));
		note(3, bpf_strchr(a, 0));
		note(4, bpf_strchrnul(a, 'o'));
		note(5, bpf_strrchr(a, 'a'));
		note(6, bpf_strrchr(a, 0));
		note(7, bpf_strnchr(a, n % 6u, 'l'));
		bpf_iter_num_new(&j, 0, sizeof(pool) - 1);
		while ((w = bpf_iter_num_next(&j))) {
			const char *b = pool + (*w & 127);

			note(8, bpf_strcmp(a, b));
			note(9, bpf_strcasecmp(a, b));
			note(10, bpf_strspn(a, b));
			note(11, bpf_strcspn(a, b));
			note(12, bpf_strstr(a, b));
			note(13, bpf_strnstr(a, b, (unsigned)n % 9));
		}
		bpf_iter_num_destroy(&j);
	}
	bpf_iter_num_destroy(&i);
	return 0;
}

SEC("syscall")
int long_strings(void *ctx)
{
	struct bpf_iter_num i;
	int *v;

	bpf_iter_num_new(&i, 0, sizeof(long_text));
	while ((v = bpf_iter_num_next(&i))) {
		unsigned at = *v;

		if (at < sizeof(long_text))
			long_text[at] = 'x';
	}
	bpf_iter_num_destroy(&i);
	out[0] = bpf_strlen(long_text);
	out[1] = bpf_strnlen(long_text, 5);
	out[2] = bpf_strnlen(long_text, 65535);
	out[3] = bpf_strnlen(long_text, 65536);
	out[4] = bpf_strchr(long_text, 'y');
	out[5] = bpf_strchrnul(long_text, 'y');
	out[6] = bpf_strrchr(long_text, 'x');
	out[7] = bpf_strcmp(long_text, long_text);
	out[9] = bpf_strcspn(long_text, "y");
	out[10] = bpf_strspn(long_text, "x");
	out[11] = bpf_strstr(long_text, "y");
	out[12] = bpf_strnstr(long_text, "y", 10);
	out[13] = bpf_strlen((char *)-8);
	out[14] = bpf_strcmp("a", (char *)-8);
	out[15] = bpf_strnchr(long_text, 65536, 'y');
	out[16] = bpf_strnchr(long_text, 65535, 'y');
	return 0;
}

#define mask(m) ((const struct cpumask *)(m))

SEC("syscall")
int cpu_sets(void *ctx)
{
	struct bpf_cpumask *a, *b, *c;

	a = bpf_cpumask_create();
	if (!a)
		return 1;
	b = bpf_cpumask_create();
	if (!b) {
		bpf_cpumask_release(a);
		return 2;
	}
	out[0] = bpf_cpumask_empty(mask(a));
	out[1] = bpf_cpumask_first(mask(a));
	out[2] = bpf_cpumask_first_zero(mask(a));
	bpf_cpumask_set_cpu(1, a);
	bpf_cpumask_set_cpu(100000, a);
	out[3] = bpf_cpumask_weight(mask(a));
	out[4] = bpf_cpumask_first(mask(a));
	out[5] = bpf_cpumask_test_cpu(1, mask(a)) * 2 + bpf_cpumask_test_cpu(0, mask(a));
	out[6] = bpf_cpumask_test_and_set_cpu(1, a);
	out[7] = bpf_cpumask_test_and_set_cpu(0, a);
	out[8] = bpf_cpumask_full(mask(a));
	bpf_cpumask_setall(b);
	out[9] = bpf_cpumask_full(mask(b));
	out[10] = bpf_cpumask_equal(mask(a), mask(b));
	bpf_cpumask_clear_cpu(0, b);
	out[11] = bpf_cpumask_weight(mask(b));
	out[12] = bpf_cpumask_subset(mask(b), mask(a)) * 2 + bpf_cpumask_subset(mask(a), mask(b));
	out[13] = bpf_cpumask_test_and_clear_cpu(1, a);
	out[14] = bpf_cpumask_intersects(mask(a), mask(b));
	out[15] = bpf_cpumask_first_and(mask(a), mask(b));
	out[16] = bpf_cpumask_and(a, mask(a), mask(b));
	bpf_cpumask_or(a, mask(a), mask(b));
	out[17] = bpf_cpumask_weight(mask(a));
	bpf_cpumask_xor(a, mask(a), mask(b));
	out[18] = bpf_cpumask_empty(mask(a));
	bpf_cpumask_copy(a, mask(b));
	out[19] = bpf_cpumask_equal(mask(a), mask(b));
	out[20] = bpf_cpumask_first_zero(mask(b));
	c = bpf_cpumask_acquire(b);
	bpf_cpumask_release(b);
	bpf_cpumask_clear(c);
	out[21] = bpf_cpumask_empty(mask(c));
	bpf_cpumask_release(c);
	bpf_cpumask_release(a);
	return 0;
}
