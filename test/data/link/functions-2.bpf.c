#include "shared.h"

struct account {
	long balance;
	struct account *next;
};

struct secret {
	int code;
};

int doubled(int value);

__attribute__((noinline)) static int step(int value)
{
	return value + (int)bpf_get_prandom_u32() * 0 + 100;
}

/* Not weak: it takes the other one's place. */
__attribute__((noinline)) int rate(int of)
{
	return of * 5 + (int)bpf_get_prandom_u32() * 0;
}

__weak __attribute__((noinline)) int fee(int of)
{
	return of + 70 + (int)bpf_get_prandom_u32() * 0;
}

__attribute__((noinline)) int scale(int amount __tag(plain), int by)
{
	struct account one = { .balance = amount };

	return step((int)one.balance) * by + doubled(1);
}

__attribute__((noinline)) int code_of(struct secret *secret)
{
	return secret ? secret->code : 0;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	return step(1) + fee(2) + rate(1);
}

char LICENSE[] SEC("license") = "GPL";
