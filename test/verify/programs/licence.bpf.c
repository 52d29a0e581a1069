#define LICENSE "Proprietary"
#include "fixture.h"

SEC("kprobe/do_exit")
int read(void *ctx)
{
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), ctx); /* rejected here */
	return word & 1;
}
