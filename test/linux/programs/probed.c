// SPDX-License-Identifier: MIT
// For uprobe.test.ts: for each line `N` on its input, calls work(0) ... work(N - 1) and getppid() N times, and
// prints the sum of the results.
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int work(int number)
{
	__asm__ volatile("" : "+r"(number));
	return number * 3 - 50;
}

int main(void)
{
	int count;

	setvbuf(stdout, 0, _IOLBF, 0);
	puts("ready");
	while (scanf("%d", &count) == 1) {
		long sum = 0;

		for (int i = 0; i < count; i++) {
			sum += work(i);
			syscall(SYS_getppid);
		}
		printf("%ld\n", sum);
	}
	return 0;
}
