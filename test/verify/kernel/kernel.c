/* A kernel of which only the types are looked at. */
typedef unsigned int u32;

struct sock {
	int state;
};

struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

struct bpf_struct_ops_tcp_congestion_ops {
	u32 refcnt;
	u32 state;
	struct tcp_congestion_ops data __attribute__((aligned(64)));
};

struct bpf_struct_ops_tcp_congestion_ops value;
struct task_struct {
	int pid;
} *task;

void bpf_rcu_read_lock(void) {}
void bpf_rcu_read_unlock(void) {}
int bpf_lsm_file_open(struct task_struct *file) { return 0; }

struct sk_buff {
	u32 len;
};

struct bpf_sk_buff_ptr {
	struct sk_buff *skb;
};

struct Qdisc {
	u32 limit;
	u32 handle;
};

struct Qdisc_ops {
	char id[16];
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *sch);
};

struct bpf_struct_ops_Qdisc_ops {
	u32 refcnt;
	u32 state;
	struct Qdisc_ops data __attribute__((aligned(64)));
};

struct bpf_struct_ops_Qdisc_ops qdisc_value;

int Qdisc_ops__enqueue(struct sk_buff *skb__ref, struct Qdisc *sch, struct sk_buff **to_free) { return 0; }
struct sk_buff *Qdisc_ops__dequeue(struct Qdisc *sch) { return 0; }
void bpf_kfree_skb(struct sk_buff *skb) {}
void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free_list) {}
