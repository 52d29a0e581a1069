/* Functions that call each other across files; static ones share a name. */
#include "shared.h"

struct account {
	long balance;
	struct account *next;
};

/* Only declared here. */
struct secret;

extern int deposit(struct account *into, int amount);
extern int unused_secret(const struct secret *secret);
int scale(int amount, int by);

__attribute__((noinline)) static int step(int value)
{
	return value + (int)bpf_get_prandom_u32() * 0 + 1;
}

/* Here the weak one is first. */
__weak int rate(int of)
{
	return of * 3 + (int)bpf_get_prandom_u32() * 0;
}

/* Both files have it, both weakly: the first stays. */
__weak __attribute__((noinline)) int fee(int of)
{
	return of + 7 + (int)bpf_get_prandom_u32() * 0;
}

__hidden __attribute__((noinline)) int doubled(int value)
{
	return step(value) * 2;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	int kept = step(4);

	return scale(kept, 10) + rate(2) + fee(1);
}

char LICENSE[] SEC("license") = "GPL";
