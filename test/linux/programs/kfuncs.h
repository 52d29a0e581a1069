// SPDX-License-Identifier: MIT
// What the programs of kernel-functions.test.ts share: types of the kernel that they name, and where they leave results.
#include "../../../bpf/guest.h"

enum {
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter_num {
	__u64 opaque[1];
};
struct bpf_iter_bits {
	__u64 opaque[2];
};
#pragma clang attribute pop

struct bpf_spin_lock {
	__u32 val;
};
struct bpf_timer {
	__u64 opaque[2];
};
struct bpf_wq {
	__u64 opaque[2];
};
struct bpf_task_work {
	__u64 opaque;
};
struct bpf_list_head {
	__u64 opaque[2];
};
struct bpf_list_node {
	__u64 opaque[3];
};
struct bpf_rb_root {
	__u64 opaque[2];
};
struct bpf_rb_node {
	__u64 opaque[4];
};
struct bpf_refcount {
	__u32 opaque;
};
struct bpf_dynptr {
	__u64 opaque[2];
};

// The condition of a loop that the kernel ends at some time.
#define can_loop                                                                                       \
	({                                                                                             \
		__label__ done, next;                                                                  \
		bool more = true;                                                                      \
		asm volatile goto("may_goto %l[done]" :: :: done);                                      \
		goto next;                                                                             \
done:                                                                                                  \
		more = false;                                                                          \
next:;                                                                                                 \
		more;                                                                                  \
	})

#define OUT 64
__u64 out[OUT];

char _license[] SEC("license") = "GPL";
