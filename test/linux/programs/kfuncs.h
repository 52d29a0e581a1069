// SPDX-License-Identifier: MIT
// What the programs of kernel-functions.test.ts share: types of the kernel that they name, and where they leave results.
#include "../../../bpf/guest.h"
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter_num {
	__u64 opaque[1];
};
struct bpf_iter_bits {
	__u64 opaque[2];
};
#pragma clang attribute pop

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
