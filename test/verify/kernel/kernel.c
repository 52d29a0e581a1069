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
