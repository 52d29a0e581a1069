// SPDX-License-Identifier: MIT
// For uprobe-multi.test.ts: for each line `N` on its input, calls step_one() N times and step_two() 2 * N times.
#include <stdio.h>

#define FUNCTION(name) __attribute__((noinline, noclone)) int name(int number) { __asm__ volatile("" : "+r"(number)); return number + 1; }

FUNCTION(step_one)
FUNCTION(step_two)
FUNCTION(walk)

int main(void)
{
	int count;

	setvbuf(stdout, 0, _IOLBF, 0);
	puts("ready");
	while (scanf("%d", &count) == 1) {
		int sum = 0;

		for (int i = 0; i < count; i++)
			sum += step_one(i) + step_two(i) + step_two(walk(i));
		printf("%d\n", sum);
	}
	return 0;
}
