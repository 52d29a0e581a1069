/* Programs that own an argument: the packet that a queueing discipline is given. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct sk_buff {
	unsigned int len;
} __attribute__((preserve_access_index));

struct bpf_sk_buff_ptr {
	struct sk_buff *skb;
} __attribute__((preserve_access_index));

struct Qdisc {
	unsigned int limit;
	unsigned int handle;
} __attribute__((preserve_access_index));

struct Qdisc_ops {
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *sch);
};

extern void bpf_kfree_skb(struct sk_buff *skb) __ksym;
extern void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free) __ksym;

char _license[] SEC("license") = "GPL";

SEC("struct_ops/dropped")
int BPF_PROG(dropped, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	sch->limit = skb->len;
	bpf_qdisc_skb_drop(skb, to_free);
	return 1;
}

SEC("struct_ops/kept")
int BPF_PROG(kept, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	return skb->len != 0;
}

SEC("struct_ops/again")
int again(unsigned long long *ctx)
{
	bpf_kfree_skb((struct sk_buff *)ctx[0]);
	bpf_kfree_skb((struct sk_buff *)*(volatile unsigned long long *)ctx);
	return 0;
}

SEC("struct_ops/elsewhere")
int BPF_PROG(elsewhere, struct sk_buff *skb, struct Qdisc *sch)
{
	sch->handle = 1;
	bpf_kfree_skb(skb);
	return 0;
}

SEC("struct_ops/out")
struct sk_buff *BPF_PROG(out, struct Qdisc *sch)
{
	bpf_qdisc_skb_drop(0, 0);
	return 0;
}

SEC(".struct_ops.link")
struct Qdisc_ops first = { .enqueue = (void *)dropped, .dequeue = (void *)out };

SEC(".struct_ops.link")
struct Qdisc_ops second = { .enqueue = (void *)kept };

SEC(".struct_ops.link")
struct Qdisc_ops third = { .enqueue = (void *)again };

SEC(".struct_ops.link")
struct Qdisc_ops fourth = { .enqueue = (void *)elsewhere };
