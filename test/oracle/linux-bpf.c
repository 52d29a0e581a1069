/*
 * Performs a script of bpf(2) operations on the running kernel and prints what each gave, one line for a line:
 * the reference that tests compare maps and helpers with.
 *
 * Numbers are decimal, bytes are hex, `-` is none. Maps and programs are kept in numbered slots; a pseudo map
 * load in a program (`src` 1 or 2) names a map's slot in `imm`, which is replaced by its descriptor.
 *
 * A map that could take more than MOST_BYTES is never asked of the kernel: it would be given, at the cost of
 * everything else on the machine (and a per-CPU array of 2^31 entries that does not fit brings 6.18 down).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 64
#define BYTES (1 << 18)
#define MOST_BYTES (64ull << 20)

static int maps[SLOTS], programs[SLOTS];
static unsigned int key_sizes[SLOTS], value_sizes[SLOTS], map_ids[SLOTS];
static unsigned char key[BYTES], value[BYTES], out[BYTES];
static char line[2 * BYTES + 4096], log_text[1 << 16];

static long bpf(int cmd, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static int from_hex(const char *text, unsigned char *bytes)
{
	int count = 0;

	if (text[0] == '-')
		return -1;
	for (; sscanf(text + 2 * count, "%2hhx", &bytes[count]) == 1; count++)
		;
	return count;
}

static void print_hex(const unsigned char *bytes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

static int possible_cpus(void)
{
	int first = 0, last = 0;
	FILE *file = fopen("/sys/devices/system/cpu/possible", "r");

	if (!file || fscanf(file, "%d-%d", &first, &last) < 1)
		exit(2);
	fclose(file);
	return (last > first ? last : first) + 1;
}

static int is_affordable(unsigned long long key_size, unsigned long long value_size,
			 unsigned long long max_entries)
{
	return max_entries * (key_size + (value_size + 8) * possible_cpus() + 128) <= MOST_BYTES;
}

static unsigned int map_id(int fd)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (unsigned long)&info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 ? 0 : info.id;
}

/* create SLOT TYPE KEY VALUE ENTRIES FLAGS EXTRA NODE [INNER SLOT] */
static void create(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot, type, key_size, value_size, max_entries, flags, node;
	unsigned long long extra;
	int inner = -1;
	long fd;

	sscanf(rest, "%u %u %u %u %u %u %llu %u %d", &slot, &type, &key_size, &value_size, &max_entries,
	       &flags, &extra, &node, &inner);
	if (!is_affordable(key_size, value_size, max_entries)) {
		printf("unaffordable\n");
		return;
	}
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = max_entries;
	attr.map_flags = flags;
	attr.map_extra = extra;
	attr.numa_node = node;
	if (inner >= 0)
		attr.inner_map_fd = maps[inner];
	fd = bpf(BPF_MAP_CREATE, &attr);
	if (maps[slot] > 0)
		close(maps[slot]);
	maps[slot] = fd > 0 ? fd : 0;
	key_sizes[slot] = key_size;
	value_sizes[slot] = value_size;
	if (type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	    type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE)
		value_sizes[slot] = (value_size + 7) / 8 * 8 * possible_cpus();
	map_ids[slot] = fd > 0 ? map_id(fd) : 0;
	printf("%ld\n", fd > 0 ? 0 : fd);
}

/* contains SLOT VALUE: what a lookup that is given a value answers */
static void contains(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot;
	int at = 0;

	sscanf(rest, "%u %n", &slot, &at);
	from_hex(rest + at, value);
	attr.map_fd = maps[slot];
	attr.value = (unsigned long)value;
	printf("%ld\n", bpf(BPF_MAP_LOOKUP_ELEM, &attr));
}

/* insert SLOT KEY INNER FLAGS: an entry of a map of maps; a slot without a map is a bad descriptor */
static void insert(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot, inner, at = 0;
	unsigned long long flags;
	char text[512];

	sscanf(rest, "%u %511s %u %llu", &slot, text, &inner, &flags);
	from_hex(text, key);
	at = maps[inner] > 0 ? maps[inner] : 9999;
	attr.map_fd = maps[slot];
	attr.key = (unsigned long)key;
	attr.value = (unsigned long)&at;
	attr.flags = flags;
	printf("%ld\n", bpf(BPF_MAP_UPDATE_ELEM, &attr));
}

/* which SLOT KEY: the slot of the map that is the entry */
static void which(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot, id = 0;
	char text[512];
	long result;

	sscanf(rest, "%u %511s", &slot, text);
	from_hex(text, key);
	attr.map_fd = maps[slot];
	attr.key = (unsigned long)key;
	attr.value = (unsigned long)&id;
	result = bpf(BPF_MAP_LOOKUP_ELEM, &attr);
	for (int i = 0; result == 0 && i < SLOTS; i++)
		if (maps[i] > 0 && map_ids[i] == id)
			result = i;
	printf("%ld\n", result);
}

/* batch COMMAND SLOT TOKEN COUNT KEYS VALUES ELEM_FLAGS FLAGS: result, count, token, keys, values */
static void batch(char *rest)
{
	static unsigned char keys[BYTES], values[BYTES];
	unsigned char in[1024] = {}, token[1024] = {};
	union bpf_attr attr = {};
	char *words[8] = {};
	int slot, has_data;
	long result;

	words[0] = strtok(rest, " \n");
	for (int i = 1; i < 8; i++)
		words[i] = strtok(NULL, " \n");
	slot = atoi(words[1]);
	memset(keys, 0, sizeof(keys));
	memset(values, 0, sizeof(values));
	attr.batch.map_fd = maps[slot];
	attr.batch.in_batch = from_hex(words[2], in) < 0 ? 0 : (unsigned long)in;
	attr.batch.out_batch = words[0][0] == 'u' || words[0][0] == 'd' ? 0 : (unsigned long)token;
	attr.batch.count = atoi(words[3]);
	from_hex(words[4], keys);
	from_hex(words[5], values);
	attr.batch.keys = (unsigned long)keys;
	attr.batch.values = words[0][0] == 'd' ? 0 : (unsigned long)values;
	attr.batch.elem_flags = strtoull(words[6], NULL, 10);
	attr.batch.flags = strtoull(words[7], NULL, 10);
	result = bpf(!strcmp(words[0], "lookup") ? BPF_MAP_LOOKUP_BATCH :
		     !strcmp(words[0], "take") ? BPF_MAP_LOOKUP_AND_DELETE_BATCH :
		     !strcmp(words[0], "update") ? BPF_MAP_UPDATE_BATCH : BPF_MAP_DELETE_BATCH, &attr);
	printf("%ld %u", result, attr.batch.count);
	has_data = words[0][0] == 'l' || words[0][0] == 't';
	if (!has_data) {
		printf("\n");
		return;
	}
	printf(" ");
	for (unsigned int i = 0; i < (key_sizes[slot] > 4 ? key_sizes[slot] : 4); i++)
		printf("%02x", token[i]);
	printf(" ");
	if (result < 0 && result != -ENOENT) {
		printf("\n");
		return;
	}
	for (unsigned int i = 0; i < attr.batch.count * key_sizes[slot]; i++)
		printf("%02x", keys[i]);
	printf(" ");
	print_hex(values, attr.batch.count * value_sizes[slot]);
}

static void element(int cmd, char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot;
	unsigned long long flags = 0;
	int at = 0;
	char *words[3] = { "-", "-", "0" };
	int wanted = cmd == BPF_MAP_UPDATE_ELEM ? 3 : 2;
	long result;

	sscanf(rest, "%u %n", &slot, &at);
	rest = strtok(rest + at, " \n");
	for (int i = 0; i < wanted && rest; i++, rest = strtok(NULL, " \n"))
		words[i] = rest;
	sscanf(words[wanted - 1], "%llu", &flags);
	attr.map_fd = maps[slot];
	attr.key = from_hex(words[0], key) < 0 ? 0 : (unsigned long)key;
	if (cmd == BPF_MAP_GET_NEXT_KEY) {
		attr.next_key = (unsigned long)out;
	} else if (cmd == BPF_MAP_UPDATE_ELEM) {
		from_hex(words[1], value);
		attr.value = (unsigned long)value;
		attr.flags = flags;
	} else if (cmd != BPF_MAP_DELETE_ELEM) {
		attr.value = (unsigned long)out;
		attr.flags = flags;
	}
	result = bpf(cmd, &attr);
	if (result < 0 || cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_DELETE_ELEM)
		printf("%ld\n", result);
	else
		print_hex(out, cmd == BPF_MAP_GET_NEXT_KEY ? key_sizes[slot] : value_sizes[slot]);
}

/* load SLOT TYPE SLEEPABLE HEX */
static void load(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot, type, sleepable;
	int at = 0, count;
	struct bpf_insn *instructions = (struct bpf_insn *)value;
	long fd;

	sscanf(rest, "%u %u %u %n", &slot, &type, &sleepable, &at);
	count = from_hex(rest + at, value) / 8;
	for (int i = 0; i < count; i++) {
		if (instructions[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (instructions[i].src_reg == 1 || instructions[i].src_reg == 2)
			instructions[i].imm = maps[instructions[i].imm];
		i++;
	}
	attr.prog_type = type;
	attr.prog_flags = sleepable ? BPF_F_SLEEPABLE : 0;
	attr.insns = (unsigned long)instructions;
	attr.insn_cnt = count;
	attr.license = (unsigned long)"GPL";
	attr.log_level = 1;
	attr.log_buf = (unsigned long)log_text;
	attr.log_size = sizeof(log_text);
	log_text[0] = 0;
	if (programs[slot] > 0)
		close(programs[slot]);
	fd = bpf(BPF_PROG_LOAD, &attr);
	programs[slot] = fd > 0 ? fd : 0;
	printf("%ld ", fd > 0 ? 0 : fd);
	for (char *c = log_text; fd < 0 && *c; c++)
		putchar(*c == '\n' ? '|' : *c);
	printf("\n");
}

/* run SLOT CONTEXT: -errno, or the return value and the context afterwards */
static void run(char *rest)
{
	union bpf_attr attr = {};
	unsigned int slot;
	int at = 0;
	long result;

	sscanf(rest, "%u %n", &slot, &at);
	attr.test.prog_fd = programs[slot];
	attr.test.ctx_size_in = from_hex(rest + at, out);
	attr.test.ctx_in = (unsigned long)out;
	result = bpf(BPF_PROG_TEST_RUN, &attr);
	if (result < 0) {
		printf("%ld\n", result);
		return;
	}
	printf("%u ", attr.test.retval);
	print_hex(out, attr.test.ctx_size_in);
}

/* ring SLOT SIZE CONSUMER: sets the consumer position (-1: leaves it), prints both positions and the data */
static void ring(char *rest)
{
	unsigned int slot, size;
	long long consumer;
	unsigned long *writable;
	unsigned char *readable;

	sscanf(rest, "%u %u %lld", &slot, &size, &consumer);
	writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, maps[slot], 0);
	readable = mmap(NULL, 4096 + 2 * size, PROT_READ, MAP_SHARED, maps[slot], 4096);
	if (writable == MAP_FAILED || readable == MAP_FAILED) {
		printf("%d\n", -errno);
		return;
	}
	if (consumer >= 0)
		*writable = consumer;
	printf("%lu %lu ", *writable, *(unsigned long *)readable);
	print_hex(readable + 4096, size);
	munmap(writable, 4096);
	munmap(readable, 4096 + 2 * size);
}

static void freeze(char *rest)
{
	union bpf_attr attr = {};

	attr.map_fd = maps[atoi(rest)];
	printf("%ld\n", bpf(BPF_MAP_FREEZE, &attr));
}

int main(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	while (fgets(line, sizeof(line), stdin)) {
		char *rest = strchr(line, ' ');

		if (!rest)
			rest = strchr(line, '\n');
		*rest++ = 0;
		if (!strcmp(line, "cpus"))
			printf("%d\n", possible_cpus());
		else if (!strcmp(line, "create"))
			create(rest);
		else if (!strcmp(line, "lookup"))
			element(BPF_MAP_LOOKUP_ELEM, rest);
		else if (!strcmp(line, "update"))
			element(BPF_MAP_UPDATE_ELEM, rest);
		else if (!strcmp(line, "delete"))
			element(BPF_MAP_DELETE_ELEM, rest);
		else if (!strcmp(line, "next"))
			element(BPF_MAP_GET_NEXT_KEY, rest);
		else if (!strcmp(line, "take"))
			element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, rest);
		else if (!strcmp(line, "freeze"))
			freeze(rest);
		else if (!strcmp(line, "contains"))
			contains(rest);
		else if (!strcmp(line, "insert"))
			insert(rest);
		else if (!strcmp(line, "which"))
			which(rest);
		else if (!strcmp(line, "batch"))
			batch(rest);
		else if (!strcmp(line, "load"))
			load(rest);
		else if (!strcmp(line, "run"))
			run(rest);
		else if (!strcmp(line, "ring"))
			ring(rest);
		else
			return 2;
	}
	return 0;
}
