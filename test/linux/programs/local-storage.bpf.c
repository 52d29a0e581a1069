// SPDX-License-Identifier: MIT
// For local-storage.test.ts: what stands for a control group's storage in a test run.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} shared SEC(".maps"), other SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} each_cpu SEC(".maps");

__s64 state;
unsigned char left[24];

SEC("?cgroup_skb/egress") int counts(struct __sk_buff *packet)
{
	__u64 *one = bpf_get_local_storage(&shared, 0);
	__u64 *two = bpf_get_local_storage(&each_cpu, 0);

	*one += 1;
	*two += 100;
	state = *one + *two;
	return 1;
}

SEC("?cgroup_skb/egress") int two_of_a_kind(struct __sk_buff *packet)
{
	__u64 *one = bpf_get_local_storage(&shared, 0);
	__u64 *two = bpf_get_local_storage(&other, 0);

	return *one == *two;
}

SEC("?tc") int encrypted(struct __sk_buff *packet)
{
	struct bpf_xfrm_state xfrm;

	__builtin_memset(&xfrm, 0x55, sizeof(xfrm));
	state = bpf_skb_get_xfrm_state(packet, 0, &xfrm, sizeof(xfrm), 0);
	__builtin_memcpy(left, &xfrm, sizeof(left));
	return 0;
}
