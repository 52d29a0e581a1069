/*
 * What libbpf and the running kernel take for an object, from its bytes to loaded programs, in nanoseconds: one line
 * for each round, the first of which is that of a fresh process.
 *
 * usage: libbpf-load OBJECT ROUNDS PROGRAM...
 */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int quiet(enum libbpf_print_level level, const char *format, va_list list)
{
	(void)level, (void)format, (void)list;
	return 0;
}

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* What tools set before they load: sizes of any kind that will do. */
static void set_sizes(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		enum bpf_map_type type = bpf_map__type(map);

		if (type == BPF_MAP_TYPE_STACK_TRACE && bpf_map__value_size(map) == 0)
			bpf_map__set_value_size(map, 127 * 8);
		if (bpf_map__max_entries(map) != 0 || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			continue;
		bpf_map__set_max_entries(map, type == BPF_MAP_TYPE_RINGBUF ? 1 << 18 : 16);
	}
}

int main(int argc, char **argv)
{
	static char bytes[16 << 20];
	FILE *file = fopen(argv[1], "rb");
	size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	libbpf_set_print(quiet);
	for (int round = 0; round < atoi(argv[2]); round++) {
		long long start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		struct bpf_object *object = bpf_object__open_mem(bytes, size, NULL);
		struct bpf_program *program;
		int failure;

		if (!object)
			return 2;
		bpf_object__for_each_program(program, object) {
			int is_wanted = 0;

			for (int i = 3; i < argc; i++)
				is_wanted |= !strcmp(argv[i], bpf_program__name(program));
			bpf_program__set_autoload(program, is_wanted);
		}
		set_sizes(object);
		failure = bpf_object__load(object);
		long long took = now(CLOCK_MONOTONIC) - start;

		cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		if (failure) {
			fprintf(stderr, "%s: load: %d\n", argv[1], failure);
			return 1;
		}
		/* The time in which other processes run is left out. */
		printf("%lld\n", took < cpu ? took : cpu);
		bpf_object__close(object);
	}
	return 0;
}
