// SPDX-License-Identifier: MIT
// For kernel-functions.test.ts: work that a task does when it has ended what it is in the middle of.
#include "kfuncs.h"

struct task_struct {
	int pid;
};
struct bpf_map {
	__u32 id;
};

extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					      int (*callback)(struct bpf_map *map, void *key, void *value),
					      void *aux__prog) __ksym;
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					      int (*callback)(struct bpf_map *map, void *key, void *value),
					      void *aux__prog) __ksym;

struct working {
	__u64 before;
	struct bpf_task_work work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct working);
} works SEC(".maps");

static int done(struct bpf_map *map, void *key, void *value)
{
	struct working *of = value;

	out[0]++;
	out[1] = *(__u32 *)key;
	out[2] = of->before;
	of->before = 8;
	return 0;
}

SEC("syscall") int by_signal__schedules(void *context)
{
	__u32 key = 1;
	struct working *value = bpf_map_lookup_elem(&works, &key);

	if (!value)
		return 1;
	value->before = 7;
	out[10] = bpf_task_work_schedule_signal_impl(bpf_get_current_task_btf(), &value->work, &works, done, 0);
	out[11] = out[0];
	return 0;
}

SEC("syscall") int by_signal__later(void *context)
{
	__u32 key = 1;
	struct working *value = bpf_map_lookup_elem(&works, &key);

	if (value)
		out[12] = value->before;
	return 0;
}

SEC("syscall") int on_resume__schedules(void *context)
{
	__u32 key = 2;
	struct working *value = bpf_map_lookup_elem(&works, &key);

	if (!value)
		return 1;
	value->before = 5;
	out[10] = bpf_task_work_schedule_resume_impl(bpf_get_current_task_btf(), &value->work, &works, done, 0);
	out[11] = out[0];
	return 0;
}

SEC("syscall") int on_resume__later(void *context)
{
	__u32 key = 2;
	struct working *value = bpf_map_lookup_elem(&works, &key);

	if (value)
		out[12] = value->before;
	return 0;
}
