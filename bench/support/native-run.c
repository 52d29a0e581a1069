/* Times `run` of a benchmark program compiled natively: prints its result and the ns of each round, of CPU time. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(int count, char **words)
{
	void *library = dlopen(words[1], RTLD_NOW);
	int (*run)(void *) = library ? (int (*)(void *))dlsym(library, "run") : 0;
	unsigned int repeat = atoi(words[2]), rounds = atoi(words[3]);
	unsigned int result;

	if (count < 4 || !run)
		return 1;
	result = run(0);
	printf("%u", result);
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned long long start = now();

		for (unsigned int n = 0; n < repeat; n++)
			result += run(0);
		printf(" %.2f", (double)(now() - start) / repeat);
	}
	printf(result == 0x12345 ? " \n" : "\n");
	return 0;
}
