// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: types with members of the kernel's, as values of maps.
#include "kfuncs.h"

#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uptr __attribute__((btf_type_tag("uptr")))

struct bpf_res_spin_lock {
	__u32 val;
};
struct item {
	struct bpf_list_node link;
	struct bpf_rb_node node;
	struct bpf_refcount count;
	__u64 value;
};
struct plain {
	__u64 a, b;
};

struct v_none {
	__u64 a;
};
struct v_lock {
	__u64 a;
	struct bpf_spin_lock lock;
};
struct v_timer {
	struct bpf_timer timer;
};
struct v_wq {
	__u64 a;
	struct bpf_wq wq;
};
struct v_work {
	struct bpf_task_work work;
	__u64 a;
};
struct v_kptr {
	__u32 a;
	struct plain __kptr *plain;
};
struct v_untrusted {
	struct plain __kptr_untrusted *plain[2];
};
struct v_percpu {
	struct plain __percpu_kptr *plain;
};
struct v_refcount {
	struct bpf_refcount count;
	__u32 behind;
};
struct v_list {
	struct bpf_spin_lock lock;
	struct bpf_list_head head __contains(item, link);
};
struct v_tree {
	struct bpf_spin_lock lock;
	struct bpf_rb_root root __contains(item, node);
};
struct v_res {
	struct bpf_res_spin_lock lock;
};
struct v_nested {
	__u64 before;
	struct {
		struct bpf_timer timer;
		struct plain __kptr *plain;
	} inner[1];
	__u64 behind;
};
struct v_uptr {
	struct plain __uptr *plain;
};

// So that the object has their types.
int values(struct v_none *, struct v_lock *, struct v_timer *, struct v_wq *, struct v_work *);
struct all {
	struct v_none none;
	struct v_lock lock;
	struct v_timer timer;
	struct v_wq wq;
	struct v_work work;
	struct v_kptr kptr;
	struct v_untrusted untrusted;
	struct v_percpu percpu;
	struct v_refcount refcount;
	struct v_list list;
	struct v_tree tree;
	struct v_res res;
	struct v_nested nested;
	struct v_uptr uptr;
	struct item item;
};

SEC("socket")
int nothing(void *ctx)
{
	struct all *all = 0;

	return sizeof(*all) == 0;
}

__noinline int shows(struct all *all)
{
	return all != 0;
}

SEC("socket")
int types(void *ctx)
{
	return shows(0);
}
