// SPDX-License-Identifier: MIT
// For usdt.test.ts: for each line `N` on its input, passes its marked places N times, and prints what it made of that.
#include <stdio.h>

/* What sys/sdt.h does: a nop, and a note that says what is where. SEMAPHORE is the name of a counter, or 0. */
#define MARK(name, semaphore, arguments, ...)                                            \
	__asm__ volatile("990: nop\n"                                                      \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                            \
			 ".balign 4\n"                                                         \
			 ".4byte 992f-991f, 994f-993f, 3\n"                                    \
			 "991: .asciz \"stapsdt\"\n"                                           \
			 "992: .balign 4\n"                                                    \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n"                   \
			 ".asciz \"marked\", \"" name "\", \"" arguments "\"\n"                \
			 "994: .balign 4\n"                                                    \
			 ".popsection\n"                                                       \
			 ".ifndef _.stapsdt.base\n"                                            \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n"                                              \
			 ".hidden _.stapsdt.base\n"                                            \
			 "_.stapsdt.base: .space 1\n"                                          \
			 ".size _.stapsdt.base, 1\n"                                           \
			 ".popsection\n"                                                       \
			 ".endif\n"                                                            \
			 :                                                                     \
			 : __VA_ARGS__)

__attribute__((section(".probes"), used)) volatile unsigned short marked_enabled;

int main(void)
{
	int count;

	setvbuf(stdout, 0, _IOLBF, 0);
	puts("ready");
	while (scanf("%d", &count) == 1) {
		int seen = 0;

		for (int i = 0; i < count; i++) {
			int small = -i;
			unsigned char byte = 250;
			volatile long in_memory = 1000L * i - 1;
			long *array = (long[]){ 5, 6, 7, i };

			/* A register, one byte of it, memory on the stack or behind a register, a constant. */
			MARK("step", "0", "-4@%0 1@%b1 -8@%2 8@$-9",
			     "r"(small), "q"(byte), "m"(in_memory));
			MARK("behind", "0", "8@24(%0) -8@(%0)", "r"(array), "m"(*(long(*)[4])array));
			if (marked_enabled) {
				seen++;
				MARK("asked", "marked_enabled", "-4@%0", "r"(seen));
			}
		}
		/* Another place of the same name, with other arguments. */
		MARK("step", "0", "-4@$100 1@$1 8@$2 8@$3", "i"(0));
		printf("%d\n", seen);
	}
	return 0;
}
