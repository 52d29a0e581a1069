#include "fixture.h"

SEC("kprobe/do_exit")
int redirect(void *ctx)
{
	return bpf_redirect(1, 0); /* rejected here */
}
