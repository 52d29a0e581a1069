/* To be linked with itself in another name: both know a symbol of the kernel, without its type. */
#include "shared.h"

extern const void not_there __ksym __weak;

SEC("tc")
int NAME(struct __sk_buff *skb)
{
	return &not_there == 0;
}

char LICENSE[] SEC("license") = "GPL";
