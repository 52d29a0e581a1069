/* Programs that need what a kernel has: its functions, symbols, settings, structs of functions and hooks. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct sock;

struct tcp_congestion_ops {
	unsigned int (*undo_cwnd)(struct sock *sk);
	char name[16];
};

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void not_there(void) __ksym __weak;
extern void bpf_rcu_read_lock___old(int *lock) __ksym __weak;
extern void bpf_rcu_read_unlock___new(void) __ksym __weak;
extern const void init_task __ksym;
extern const int CONFIG_HZ __kconfig __weak;
extern const unsigned int LINUX_KERNEL_VERSION __kconfig;

char _license[] SEC("license") = "GPL";

SEC("tc")
int function(void *context)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	if (not_there)
		not_there();
	return 0;
}

/* The lock has another form in this kernel, the unlock is as the flavour says. */
SEC("tc")
int flavours(void *context)
{
	if (bpf_rcu_read_lock___old)
		bpf_rcu_read_lock___old(0);
	else
		bpf_rcu_read_lock();
	if (bpf_rcu_read_unlock___new)
		bpf_rcu_read_unlock___new();
	return 0;
}

SEC("socket")
int symbol(void *context)
{
	return &init_task != 0 ? CONFIG_HZ : 1;
}

SEC("socket")
int guarded(void *context)
{
	return LINUX_KERNEL_VERSION < 6 << 16 ? *(volatile int *)8 : 0;
}

SEC("struct_ops/undo")
unsigned int BPF_PROG(undo, struct sock *sk)
{
	return 2;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops mine = {
	.undo_cwnd = (void *)undo,
	.name = "mine",
};

SEC("lsm.s/file_open")
int BPF_PROG(hook, void *file, int ret)
{
	return ret;
}

SEC("lsm/no_such_hook")
int nowhere(void *context)
{
	return 0;
}
