// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: objects, lists, trees, counts, pointers in maps, exceptions.
#include "kfuncs.h"

#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define private(name) SEC(".bss." #name) __hidden __attribute__((aligned(8)))

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym;
extern void *bpf_percpu_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_percpu_obj_drop_impl(void *kptr, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *kptr, void *meta) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym;
extern struct bpf_list_node *bpf_list_back(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (*less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_root(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_left(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern struct bpf_rb_node *bpf_rbtree_right(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern void bpf_throw(__u64 cookie) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

struct item {
	struct bpf_list_node link;
	__u64 value;
};

struct leaf {
	__u64 key;
	struct bpf_rb_node node;
	__u64 value;
};

struct shared {
	struct bpf_rb_node node;
	struct bpf_list_node link;
	__u64 key;
	struct bpf_refcount count;
};

struct plain {
	__u64 a, b;
};

#define local_id(type) __builtin_btf_type_id(*(typeof(type) *)0, 0)
#define new(type) ((type *)bpf_obj_new_impl(local_id(type), 0))
#define drop(p) bpf_obj_drop_impl(p, 0)

private(A) struct bpf_spin_lock list_lock;
private(A) struct bpf_list_head list __contains(item, link);
private(B) struct bpf_spin_lock tree_lock;
private(B) struct bpf_rb_root tree __contains(leaf, node);
private(C) struct bpf_spin_lock shared_lock;
private(C) struct bpf_rb_root shared_tree __contains(shared, node);
private(C) struct bpf_list_head shared_list __contains(shared, link);

static __u64 note(int at, __u64 value)
{
	if (at < 0 || at >= OUT)
		return 0;
	return out[at] = out[at] * 1000003 + value + 1;
}

static int add_item(__u64 value, bool front)
{
	struct item *item = new(struct item);

	if (!item)
		return -1;
	item->value = value;
	bpf_spin_lock(&list_lock);
	if (front)
		bpf_list_push_front_impl(&list, &item->link, 0, 0);
	else
		bpf_list_push_back_impl(&list, &item->link, 0, 0);
	bpf_spin_unlock(&list_lock);
	return 0;
}

static __u64 take_item(bool front)
{
	struct bpf_list_node *link;
	struct item *item;
	__u64 value;

	bpf_spin_lock(&list_lock);
	link = front ? bpf_list_pop_front(&list) : bpf_list_pop_back(&list);
	bpf_spin_unlock(&list_lock);
	if (!link)
		return 0xdead;
	item = container_of(link, struct item, link);
	value = item->value;
	drop(item);
	return value;
}

static __u64 look(bool front)
{
	struct bpf_list_node *link;
	__u64 value = 0xdead;

	bpf_spin_lock(&list_lock);
	link = front ? bpf_list_front(&list) : bpf_list_back(&list);
	if (link)
		value = container_of(link, struct item, link)->value;
	bpf_spin_unlock(&list_lock);
	return value;
}

SEC("tc")
int lists(void *ctx)
{
	note(0, take_item(true));
	add_item(1, true);
	add_item(2, true);
	add_item(3, false);
	note(1, look(true));
	note(1, look(false));
	note(2, take_item(true));
	note(2, take_item(false));
	note(2, take_item(false));
	note(2, take_item(false));
	note(2, look(true));
	add_item(4, false);
	add_item(5, false);
	note(3, take_item(true));
	// One stays: it goes with the map.
	return look(false);
}

static bool by_key(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, node)->key < container_of(b, struct leaf, node)->key;
}

static int add_leaf(__u64 key, __u64 value)
{
	struct leaf *leaf = new(struct leaf);

	if (!leaf)
		return -1;
	leaf->key = key;
	leaf->value = value;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&tree, &leaf->node, by_key, 0, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}

/* Goes down from the root as the bits of `way` say, and tells what it saw. */
static void walk(int at, __u32 way)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_root(&tree);
	for (int i = 0; i < 7; i++) {
		if (!node) {
			note(at, 0xe);
			break;
		}
		note(at, container_of(node, struct leaf, node)->key);
		if (way & (1u << i))
			node = bpf_rbtree_right(&tree, node);
		else
			node = bpf_rbtree_left(&tree, node);
	}
	bpf_spin_unlock(&tree_lock);
}

static __u64 take_first(void)
{
	struct bpf_rb_node *node;
	__u64 key;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&tree);
	if (!node) {
		bpf_spin_unlock(&tree_lock);
		return 0xdead;
	}
	node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return 0xbeef;
	key = container_of(node, struct leaf, node)->key;
	drop(container_of(node, struct leaf, node));
	return key;
}

/* The node at the end of a way from the root, taken out. */
static __u64 take_at(__u32 way, int depth)
{
	struct bpf_rb_node *node;
	__u64 key;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_root(&tree);
	for (int i = 0; i < 3; i++) {
		if (!node)
			break;
		if (i >= depth)
			break;
		if (way & (1u << i))
			node = bpf_rbtree_right(&tree, node);
		else
			node = bpf_rbtree_left(&tree, node);
	}
	if (!node) {
		bpf_spin_unlock(&tree_lock);
		return 0xdead;
	}
	node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&tree_lock);
	if (!node)
		return 0xbeef;
	key = container_of(node, struct leaf, node)->key;
	drop(container_of(node, struct leaf, node));
	return key;
}

__u32 seed = 12345;

static __u32 next_random(void)
{
	seed = seed * 1103515245 + 12345;
	return seed >> 8;
}

SEC("syscall")
int trees(void *ctx)
{
	struct bpf_iter_num it;
	int *v;

	note(0, take_first());
	bpf_iter_num_new(&it, 0, 60);
	while ((v = bpf_iter_num_next(&it)))
		add_leaf(next_random() % 100, *v);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it)))
		walk(1, *v);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, 25);
	while ((v = bpf_iter_num_next(&it))) {
		__u32 r = next_random();

		note(2, take_at(r & 15, (r >> 4) & 3));
		walk(3, r >> 8);
		if ((__u32)*v % 5 == 0)
			add_leaf(r % 77, 0);
	}
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, 64);
	while ((v = bpf_iter_num_next(&it)))
		walk(4, *v);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, 30);
	while ((v = bpf_iter_num_next(&it)))
		note(5, take_first());
	bpf_iter_num_destroy(&it);
	return 0;
}

static bool by_shared(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct shared, node)->key < container_of(b, struct shared, node)->key;
}

SEC("tc")
int counted(void *ctx)
{
	struct shared *one = new(struct shared), *two;
	struct bpf_rb_node *node;
	struct bpf_list_node *link;

	if (!one)
		return 1;
	one->key = 7;
	two = bpf_refcount_acquire_impl(one, 0);
	bpf_spin_lock(&shared_lock);
	out[0] = bpf_rbtree_add_impl(&shared_tree, &one->node, by_shared, 0, 0);
	out[1] = bpf_list_push_back_impl(&shared_list, &two->link, 0, 0);
	bpf_spin_unlock(&shared_lock);
	bpf_spin_lock(&shared_lock);
	link = bpf_list_pop_front(&shared_list);
	bpf_spin_unlock(&shared_lock);
	if (!link)
		return 2;
	two = container_of(link, struct shared, link);
	out[2] = two->key;
	two->key = 8;
	// It is in the tree already: refused, and let go.
	bpf_spin_lock(&shared_lock);
	out[3] = bpf_rbtree_add_impl(&shared_tree, &two->node, by_shared, 0, 0);
	bpf_spin_unlock(&shared_lock);
	bpf_spin_lock(&shared_lock);
	node = bpf_rbtree_first(&shared_tree);
	if (!node) {
		bpf_spin_unlock(&shared_lock);
		return 3;
	}
	node = bpf_rbtree_remove(&shared_tree, node);
	bpf_spin_unlock(&shared_lock);
	if (!node)
		return 4;
	out[4] = container_of(node, struct shared, node)->key;
	drop(container_of(node, struct shared, node));
	return 0;
}

struct holder {
	struct plain __kptr *plain;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct holder);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct holder);
} slots SEC(".maps");

SEC("syscall")
int pointers(void *ctx)
{
	struct holder empty = {}, *found;
	struct plain *plain, *old;
	__u32 key = 1;

	empty.bytes = 5;
	bpf_map_update_elem(&holders, &key, &empty, 0);
	found = bpf_map_lookup_elem(&holders, &key);
	if (!found)
		return 1;
	plain = new(struct plain);
	if (!plain)
		return 2;
	plain->a = 42;
	plain->b = 43;
	old = bpf_kptr_xchg(&found->plain, plain);
	out[0] = old != 0;
	if (old)
		drop(old);
	plain = new(struct plain);
	if (!plain)
		return 3;
	plain->a = 44;
	old = bpf_kptr_xchg(&found->plain, plain);
	if (!old)
		return 4;
	out[1] = old->a * 100 + old->b;
	drop(old);
	// The new element has no pointer, and the old one's is let go.
	empty.bytes = 6;
	bpf_map_update_elem(&holders, &key, &empty, 0);
	old = bpf_kptr_xchg(&found->plain, 0);
	out[2] = old != 0;
	if (old)
		drop(old);
	found = bpf_map_lookup_elem(&holders, &key);
	if (!found)
		return 5;
	out[3] = found->bytes;
	old = bpf_kptr_xchg(&found->plain, 0);
	out[4] = old != 0;
	if (old)
		drop(old);
	key = 0;
	found = bpf_map_lookup_elem(&slots, &key);
	if (!found)
		return 6;
	plain = new(struct plain);
	if (!plain)
		return 7;
	plain->a = 9;
	old = bpf_kptr_xchg(&found->plain, plain);
	if (old)
		drop(old);
	bpf_map_update_elem(&slots, &key, &empty, 0);
	out[5] = found->bytes;
	old = bpf_kptr_xchg(&found->plain, 0);
	out[6] = old != 0;
	if (old)
		drop(old);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct holder);
} per_cpu_holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct holder);
} lru_holders SEC(".maps");

#define replaced(map, at)                                                                              \
	({                                                                                             \
		struct holder fresh = { .bytes = 5 }, *value;                                          \
		struct plain *held;                                                                    \
		__u32 one = 1;                                                                         \
		bpf_map_update_elem(&map, &one, &fresh, 0);                                            \
		value = bpf_map_lookup_elem(&map, &one);                                               \
		held = new(struct plain);                                                              \
		if (!value || !held) {                                                                 \
			if (held)                                                                      \
				drop(held);                                                            \
			return 1;                                                                      \
		}                                                                                      \
		held = bpf_kptr_xchg(&value->plain, held);                                             \
		if (held)                                                                              \
			drop(held);                                                                    \
		fresh.bytes = 6;                                                                       \
		bpf_map_update_elem(&map, &one, &fresh, 0);                                            \
		value = bpf_map_lookup_elem(&map, &one);                                               \
		if (!value)                                                                            \
			return 2;                                                                      \
		held = bpf_kptr_xchg(&value->plain, 0);                                                \
		out[at] = value->bytes * 10 + (held != 0);                                             \
		if (held)                                                                              \
			drop(held);                                                                    \
	})

SEC("tc")
int replaced_pointers(void *ctx)
{
	replaced(holders, 0);
	replaced(per_cpu_holders, 1);
	replaced(lru_holders, 2);
	replaced(slots, 3);
	return 0;
}

struct counters {
	__u64 hits;
	__u64 more;
};

struct per_cpu {
	struct counters __percpu_kptr *counters;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct per_cpu);
} per_cpu SEC(".maps");

SEC("tc")
int per_cpu_objects(void *ctx)
{
	struct counters *made, *part;
	struct per_cpu *value;
	__u32 key = 0;

	value = bpf_map_lookup_elem(&per_cpu, &key);
	if (!value)
		return 1;
	made = bpf_percpu_obj_new_impl(local_id(struct counters), 0);
	if (!made)
		return 2;
	made = bpf_kptr_xchg(&value->counters, made);
	out[0] = made != 0;
	if (made)
		bpf_percpu_obj_drop_impl(made, 0);
	bpf_rcu_read_lock();
	made = value->counters;
	if (made) {
		part = bpf_this_cpu_ptr(made);
		part->hits = 1;
		part->more = 3;
		part->hits += 10;
		out[1] = part->hits + part->more;
		part = bpf_per_cpu_ptr(made, 100000);
		out[2] = part != 0;
	}
	bpf_rcu_read_unlock();
	return 0;
}

static __noinline int throws(__u64 cookie)
{
	if (cookie > 2)
		bpf_throw(cookie);
	out[0] += cookie;
	return 0;
}

SEC("tc")
int exceptions(void *ctx)
{
	throws(1);
	throws(2);
	throws(77);
	out[0] = 1000;
	return 5;
}

__noinline int caught(__u64 cookie)
{
	out[5] = cookie;
	return cookie * 2;
}

static __noinline int throwing(__u32 index)
{
	out[1] = index;
	if (index == 3)
		bpf_throw(1234);
	return 0;
}

SEC("tc")
__attribute__((btf_decl_tag("exception_callback:caught")))
int exceptions_caught(void *ctx)
{
	throwing(2);
	throwing(3);
	out[2] = 1;
	return 5;
}
