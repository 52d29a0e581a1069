/*
 * Runs one program on the kernel of this machine and says how long a run takes.
 *
 * Lines of standard input:
 *     map INDEX TYPE KEY_SIZE VALUE_SIZE MAX_ENTRIES FLAGS
 *     value INDEX HEX            the first value of an array map
 *     load TYPE HEX              instructions; a pseudo load of a map (src 1 or 2) names its INDEX in imm
 *     run REPEAT ROUNDS HEX      on a packet; prints the return value and the ns of each round
 * Each line is answered by one: `ok ...` or `error ERRNO TEXT`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BYTES (1 << 20)
#define MOST_MAP_BYTES (16ull << 20)

static int maps[64];
static int program;
static unsigned char bytes[BYTES], out[BYTES];
static char line[2 * BYTES + 256], log_text[1 << 20];

static long bpf(int cmd, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static int from_hex(const char *text)
{
	int count = 0;

	for (; text[2 * count] >= '0' && text[2 * count + 1] >= '0' && count < BYTES; count++)
		bytes[count] = digit(text[2 * count]) << 4 | digit(text[2 * count + 1]);
	return count;
}

/* Time that this process has had a CPU. */
static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void map(const char *rest)
{
	union bpf_attr attr = {};
	int index;
	long fd;

	sscanf(rest, "%d %u %u %u %u %u", &index, &attr.map_type, &attr.key_size, &attr.value_size,
	       &attr.max_entries, &attr.map_flags);
	if ((unsigned long long)attr.max_entries * (attr.key_size + attr.value_size + 64) > MOST_MAP_BYTES) {
		printf("error 7 map too large for a benchmark\n");
		return;
	}
	fd = bpf(BPF_MAP_CREATE, &attr);
	maps[index] = fd;
	printf(fd < 0 ? "error %ld map\n" : "ok %ld\n", fd < 0 ? -fd : fd);
}

static void value(const char *rest)
{
	union bpf_attr attr = {};
	int index, at = 0, key = 0;
	long result;

	sscanf(rest, "%d %n", &index, &at);
	from_hex(rest + at);
	attr.map_fd = maps[index];
	attr.key = (unsigned long)&key;
	attr.value = (unsigned long)bytes;
	result = bpf(BPF_MAP_UPDATE_ELEM, &attr);
	printf(result < 0 ? "error %ld value\n" : "ok %ld\n", -result);
}

static void load(const char *rest)
{
	union bpf_attr attr = {};
	struct bpf_insn *instructions = (struct bpf_insn *)bytes;
	unsigned long long start;
	int at = 0, count;

	sscanf(rest, "%u %n", &attr.prog_type, &at);
	count = from_hex(rest + at) / 8;
	for (int i = 0; i < count; i++) {
		if (instructions[i].code != 0x18)
			continue;
		if (instructions[i].src_reg == 1 || instructions[i].src_reg == 2)
			instructions[i].imm = maps[instructions[i].imm];
		i++;
	}
	attr.insns = (unsigned long)instructions;
	attr.insn_cnt = count;
	attr.license = (unsigned long)"GPL";
	start = now();
	program = bpf(BPF_PROG_LOAD, &attr);
	if (program >= 0) {
		printf("ok %llu\n", now() - start);
		return;
	}
	attr.log_level = 1;
	attr.log_buf = (unsigned long)log_text;
	attr.log_size = sizeof(log_text);
	bpf(BPF_PROG_LOAD, &attr);
	for (char *c = log_text; *c; c++)
		if (*c == '\n')
			*c = '|';
	printf("error %d %.400s\n", -program, log_text + (strlen(log_text) > 400 ? strlen(log_text) - 400 : 0));
}

static void run(const char *rest)
{
	union bpf_attr attr = {};
	unsigned int repeat, rounds;
	int at = 0;
	long result = 0;

	sscanf(rest, "%u %u %n", &repeat, &rounds, &at);
	attr.test.prog_fd = program;
	attr.test.data_in = (unsigned long)bytes;
	attr.test.data_size_in = from_hex(rest + at);
	attr.test.data_out = (unsigned long)out;
	attr.test.data_size_out = sizeof(out);
	attr.test.repeat = repeat;
	for (unsigned int i = 0; i <= rounds; i++) {
		attr.test.data_size_out = sizeof(out);
		result = bpf(BPF_PROG_TEST_RUN, &attr);
		if (result < 0) {
			printf("error %ld run\n", -result);
			return;
		}
		if (i == 0)
			printf("ok %u", attr.test.retval);
		else
			printf(" %u", attr.test.duration);
	}
	printf("\n");
}

int main(void)
{
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "map ", 4))
			map(line + 4);
		else if (!strncmp(line, "value ", 6))
			value(line + 6);
		else if (!strncmp(line, "load ", 5))
			load(line + 5);
		else if (!strncmp(line, "run ", 4))
			run(line + 4);
		fflush(stdout);
	}
	return 0;
}
