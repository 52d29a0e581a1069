#include "bench.h"

/* 100 times fib(6) by calls; the kernel allows no recursion, so each depth is a function. */
u32 rounds = 100;
u32 start = 1;

static __noinline u64 fib1(u64 n) { return n; }
static __noinline u64 fib2(u64 n) { return fib1(n) + 1; }
#define FIB(n, below, two_below) \
	static __noinline u64 fib##n(u64 x) { return below(x) + two_below(x); }
FIB(3, fib2, fib1)
FIB(4, fib3, fib2)
FIB(5, fib4, fib3)
FIB(6, fib5, fib4)

PROGRAM
{
	u64 sum = 0;

	for (u32 i = 0; i < 100; i++)
		sum += fib6(start + i);
	return (u32)sum;
}
