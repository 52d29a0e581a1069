/* Functions of a file that are static and global, several to a section. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int add_one(int x)
{
	return x + 1;
}

static __noinline int add_two(int x)
{
	return add_one(x) + 1;
}

__noinline int square(int x)
{
	return x * x;
}

__noinline int square_plus(int x, int y)
{
	return square(x) + add_two(y);
}

SEC("classifier")
int calls(struct __sk_buff *skb)
{
	return square_plus(skb->len & 15, 3) + add_one(4);
}

char LICENSE[] SEC("license") = "GPL";
