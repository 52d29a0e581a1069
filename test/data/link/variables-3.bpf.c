/* A third file: more of what the others have, and a section of theirs of its own. */
#include "shared.h"

extern int later;
extern int counter;
static volatile short local = 3;
long aligned_one __attribute__((aligned(64))) = 12;
char tail = 'z';

SEC("tc")
int read_third(struct __sk_buff *skb)
{
	local--;
	return later + counter + local + (int)aligned_one + tail;
}

int _version SEC("version") = 7;
