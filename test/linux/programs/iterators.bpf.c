// SPDX-License-Identifier: MIT
// For iterators.test.ts: what iterators write, of what the test has made.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define KNOWN __attribute__((preserve_access_index))

struct seq_file;
struct counter {
	__s64 counter;
};
struct bpf_map {
	__u32 id;
	__u32 key_size, value_size, max_entries;
	char name[16];
} KNOWN;
struct bpf_prog_aux {
	__u32 id;
	char name[16];
} KNOWN;
struct bpf_prog {
	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	struct bpf_prog_aux *aux;
} KNOWN;
struct bpf_link {
	__u32 id;
	struct bpf_prog *prog;
} KNOWN;
struct task_struct {
	int pid;
} KNOWN;
struct kallsym_iter {
	char name[512];
	char type;
} KNOWN;
struct bpf_iter_meta {
	union { struct seq_file *seq; };
	__u64 session_id;
	__u64 seq_num;
} KNOWN;
struct bpf_iter__bpf_map_elem {
	union { struct bpf_iter_meta *meta; };
	union { struct bpf_map *map; };
	union { void *key; };
	union { void *value; };
} KNOWN;
struct bpf_iter__bpf_map {
	union { struct bpf_iter_meta *meta; };
	union { struct bpf_map *map; };
} KNOWN;
struct bpf_iter__bpf_prog {
	union { struct bpf_iter_meta *meta; };
	union { struct bpf_prog *prog; };
} KNOWN;
struct bpf_iter__bpf_link {
	union { struct bpf_iter_meta *meta; };
	union { struct bpf_link *link; };
} KNOWN;
struct bpf_iter__task {
	union { struct bpf_iter_meta *meta; };
	union { struct task_struct *task; };
} KNOWN;
struct bpf_iter__ksym {
	union { struct bpf_iter_meta *meta; };
	union { struct kallsym_iter *ksym; };
} KNOWN;

extern __s64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym __weak;

#define SAY(seq, text, ...)                                                                                         \
	({                                                                                                          \
		static const char format[] = text;                                                                  \
		__u64 words[] = { __VA_ARGS__ };                                                                    \
		bpf_seq_printf(seq, format, sizeof(format), words, sizeof(words));                                  \
	})

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 40);
	__type(key, __u32);
	__type(value, __u64);
} elements SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} each_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, __u64);
} constants SEC(".maps");

/* Of this object; what else the kernel has is passed over. */
__u32 wanted;
/* Asks to be run again this often, at the element with this number. */
__u32 again_at, again_times;
__u64 results[8];
unsigned char padding[65536];

/* As many blanks as the value says, a line that tells where it is, and its end: 1 at the first refusal. */
SEC("?iter/bpf_map_elem") int lines(struct bpf_iter__bpf_map_elem *context)
{
	struct seq_file *seq = context->meta->seq;
	__u32 *key = context->key;
	__u64 *value = context->value;

	if (!key || !value) {
		SAY(seq, "end after %llu\n", context->meta->seq_num);
		return 0;
	}
	if (*key == again_at && again_times > 0) {
		again_times--;
		SAY(seq, "lost\n", 0);
		return 1;
	}
	SAY(seq, "%llu: %u ", context->meta->seq_num, *key);
	__u64 size = *value;
	if (size <= sizeof(padding))
		results[0] = bpf_seq_write(seq, padding, size);
	results[1] = SAY(seq, ".\n", 0);
	*value += 1;
	return 0;
}

SEC("?iter/bpf_map_elem") int sums(struct bpf_iter__bpf_map_elem *context)
{
	__u32 *key = context->key;
	__u32 *value = context->value;

	if (!key || !value)
		return 0;
	SAY(context->meta->seq, "%u = %u, %u\n", *key, value[0], value[2]);
	return 0;
}

/* Reaches beyond a value of 4 bytes. */
SEC("?iter/bpf_map_elem") int pairs(struct bpf_iter__bpf_map_elem *context)
{
	__u32 *key = context->key;
	__u64 *value = context->value;

	if (key && value)
		SAY(context->meta->seq, "%u = %llu\n", *key, *value);
	return 0;
}

SEC("?iter/bpf_map") int maps(struct bpf_iter__bpf_map *context)
{
	struct bpf_map *map = context->map;
	struct seq_file *seq = context->meta->seq;

	if (!map) {
		SAY(seq, "that is all\n", 0);
		return 0;
	}
	if (map->id != wanted)
		return 0;
	SAY(seq, "%s: %u %u %u", (__u64)map->name, map->key_size, map->value_size, map->max_entries);
	SAY(seq, ", %d\n", bpf_map_sum_elem_count(map));
	return 0;
}

SEC("?iter/bpf_prog") int programs(struct bpf_iter__bpf_prog *context)
{
	struct bpf_prog *prog = context->prog;

	if (!prog)
		return 0;
	struct bpf_prog_aux *aux = prog->aux;
	if (aux->id == wanted)
		SAY(context->meta->seq, "%s: %u %u\n", (__u64)aux->name, prog->type, prog->expected_attach_type);
	return 0;
}

SEC("?iter/bpf_link") int links(struct bpf_iter__bpf_link *context)
{
	struct bpf_link *link = context->link;

	if (!link || link->id != wanted)
		return 0;
	struct bpf_prog *prog = link->prog;
	SAY(context->meta->seq, "by %s\n", (__u64)prog->aux->name);
	return 0;
}

SEC("?iter/task") int tasks(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;

	if (task && (wanted == 0 || task->pid == wanted))
		SAY(context->meta->seq, "task %d\n", task->pid);
	return 0;
}

SEC("?iter/ksym") int symbols(struct bpf_iter__ksym *context)
{
	struct kallsym_iter *symbol = context->ksym;

	if (symbol)
		SAY(context->meta->seq, "%s %c\n", (__u64)symbol->name, symbol->type);
	return 0;
}

/* What the helpers say of bad arguments, in `results`. */
SEC("?iter/bpf_map") int misuse(struct bpf_iter__bpf_map *context)
{
	struct seq_file *seq = context->meta->seq;
	struct btf_ptr pointer = { .ptr = padding, .type_id = 0 };
	static const char endless[] = { 'a', 'b', 'c' };
	static const char bad[] = "%y";
	__u64 word = 1;

	if (context->map)
		return 0;
	results[0] = bpf_seq_printf(seq, endless, sizeof(endless), 0, 0);
	results[1] = bpf_seq_printf(seq, bad, sizeof(bad), &word, sizeof(word));
	results[2] = bpf_seq_printf(seq, bad, sizeof(bad), &word, 4);
	results[3] = bpf_seq_printf(seq, bad, sizeof(bad), 0, 0);
	results[4] = bpf_seq_write(seq, padding, 0);
	results[5] = bpf_seq_printf_btf(seq, &pointer, sizeof(pointer), 0);
	results[6] = bpf_seq_printf_btf(seq, &pointer, sizeof(pointer), 16);
	results[7] = bpf_seq_printf_btf(seq, &pointer, 8, 0);
	return 0;
}
