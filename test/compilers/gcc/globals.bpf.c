/* Several variables to a section, global and static ones, scalars and arrays. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int limit = 40;
const int steps[4] = { 1, 10, 100, 1000 };
static const char word[] = "gcc";

long before = 7;
int table[8] = { 1, 2, 3, 5, 8, 13, 21, 34 };
int after = 9;
static int hidden = 11;
unsigned char tail[3] = { 1, 2, 3 };

long runs;
int last[4];
static unsigned int hidden_runs;

SEC("xdp")
int globals(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int at, sum;

	if (data + 2 > end)
		return XDP_ABORTED;
	at = data[0] & 7;
	sum = table[at] + table[2] + after + hidden + (int)before + steps[data[1] & 3] + word[at & 1] + tail[1];
	if (sum > limit)
		after++;
	hidden += 2;
	table[5]++;
	runs++;
	last[3] = sum;
	last[at & 3] += 1;
	hidden_runs += data[1];
	return sum;
}

SEC("xdp")
int read_back(struct xdp_md *ctx)
{
	return last[3] + (int)runs * 1000 + (int)hidden_runs + table[5] + hidden;
}

char LICENSE[] SEC("license") = "GPL";
