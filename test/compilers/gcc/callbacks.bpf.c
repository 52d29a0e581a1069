/* Functions whose addresses helpers take. The kernel wants types of them, which GCC 12 does not write. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int add_two(int x)
{
	return x + 2;
}

struct walk {
	long sum;
	int factor;
};

static long step(__u32 index, struct walk *walk)
{
	walk->sum += add_two(index) * walk->factor;
	return index == 6;
}

static long back(__u32 index, struct walk *walk)
{
	walk->sum -= index;
	return 0;
}

SEC("classifier")
int loops(struct __sk_buff *skb)
{
	struct walk walk = { 0, 3 };

	bpf_loop(10, step, &walk, 0);
	bpf_loop(4, back, &walk, 0);
	return walk.sum;
}

char LICENSE[] SEC("license") = "GPL";
