#include "fixture.h"

SEC("kprobe/do_exit")
int copy(void *ctx)
{
	char buffer[8];

	return bpf_copy_from_user(buffer, sizeof(buffer), ctx); /* rejected here */
}
