/*
 * What libbpf and the running kernel make of an object: opens and loads it for real, runs the programs that can be
 * test-run on each packet, and prints what came of it as JSON lines. Nothing is attached. libbpf's words and the
 * verifier's go to standard error.
 *
 * usage: libbpf-linux OBJECT [PACKET...]     (packets in hexadecimal)
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print(enum libbpf_print_level level, const char *format, va_list list)
{
	(void)level;
	return vfprintf(stderr, format, list);
}

static size_t bytes_of(const char *hex, unsigned char *bytes)
{
	size_t length = strlen(hex) / 2;

	for (size_t i = 0; i < length; i++)
		sscanf(hex + i * 2, "%2hhx", &bytes[i]);
	return length;
}

static int can_run(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_XDP || type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SOCKET_FILTER;
}

static void print_hex(const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; bytes && i < length; i++)
		printf("%02x", bytes[i]);
}

int main(int argc, char **argv)
{
	static unsigned char packet[4096], out[8192];
	struct bpf_object *object = bpf_object__open_file(argv[1], (libbpf_set_print(print), NULL));
	struct bpf_program *program;
	struct bpf_map *map;
	int failure;

	if (!object) {
		printf("{\"kind\":\"refused\",\"at\":\"open\",\"errno\":%d}\n", errno);
		return 0;
	}
	failure = bpf_object__load(object);
	if (failure) {
		printf("{\"kind\":\"refused\",\"at\":\"load\",\"errno\":%d}\n", -failure);
		return 0;
	}
	bpf_object__for_each_program(program, object) {
		const unsigned char *code = (const unsigned char *)bpf_program__insns(program);

		printf("{\"kind\":\"program\",\"name\":\"%s\",\"type\":%d,\"instructions\":\"",
		       bpf_program__name(program), bpf_program__type(program));
		print_hex(code, bpf_program__insn_cnt(program) * 8);
		printf("\"}\n");
		if (!can_run(bpf_program__type(program)))
			continue;
		for (int i = 2; i < argc; i++) {
			LIBBPF_OPTS(bpf_test_run_opts, options);

			options.data_in = packet;
			options.data_size_in = bytes_of(argv[i], packet);
			options.data_out = out;
			options.data_size_out = sizeof(out);
			options.repeat = 1;
			failure = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
			printf("{\"kind\":\"run\",\"name\":\"%s\",\"errno\":%d,\"returned\":%u,\"out\":\"",
			       bpf_program__name(program), failure ? -failure : 0, options.retval);
			print_hex(out, failure ? 0 : options.data_size_out);
			printf("\"}\n");
		}
	}
	bpf_object__for_each_map(map, object) {
		static unsigned char value[65536];
		unsigned int zero = 0, is_value = bpf_map__is_internal(map) && bpf_map__value_size(map) <= sizeof(value);

		if (is_value && bpf_map_lookup_elem(bpf_map__fd(map), &zero, value))
			is_value = 0;
		printf("{\"kind\":\"map\",\"name\":\"%s\",\"fd\":%d,\"value\":\"", bpf_map__name(map), bpf_map__fd(map));
		print_hex(value, is_value ? bpf_map__value_size(map) : 0);
		printf("\"}\n");
	}
	bpf_object__close(object);
	return 0;
}
