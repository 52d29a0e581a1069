#include "fixture.h"

SEC("kprobe/do_exit")
int copy(void *ctx)
{
	char buffer[16] = {};
	__u64 size = bpf_get_current_pid_tgid() & 0xff;

	bpf_probe_read_kernel(buffer, size, ctx); /* rejected here */
	return buffer[0];
}
