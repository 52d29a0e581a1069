/*
 * Asks the Linux kernel that runs the tests what it makes of BPF programs.
 *
 * Each line of standard input is one question:
 *     PROG_TYPE LICENSE INSTRUCTIONS [DATA [REPEAT]]
 * in which INSTRUCTIONS and DATA are hex. The program is loaded at log level 1 and, where there is DATA and it was
 * accepted, run REPEAT times (once) on it with BPF_PROG_TEST_RUN. The answer is one line:
 *     ERRNO LOG RUN_ERRNO RETVAL DURATION
 * in which LOG is hex, RUN_ERRNO is -1 where nothing was run, and DURATION is the mean in nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char log_buffer[1 << 22];

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Decodes in place and says how many bytes there are. */
static size_t from_hex(char *text)
{
	size_t length = strlen(text) / 2;

	for (size_t i = 0; i < length; i++)
		text[i] = (char)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return length;
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static void answer(char *line)
{
	union bpf_attr attr = { 0 };
	char *rest = line;
	int type = atoi(strsep(&rest, " "));
	char *license = strsep(&rest, " ");
	char *program = strsep(&rest, " ");
	char *data = strsep(&rest, " ");
	int repeat = rest ? atoi(rest) : 1;
	size_t length = from_hex(program);
	long fd;

	attr.prog_type = type;
	attr.insns = (unsigned long)program;
	attr.insn_cnt = length / 8;
	attr.license = (unsigned long)license;
	attr.log_buf = (unsigned long)log_buffer;
	attr.log_size = sizeof(log_buffer);
	attr.log_level = 1;
	log_buffer[0] = 0;
	fd = bpf(BPF_PROG_LOAD, &attr);
	printf("%d ", fd < 0 ? errno : 0);
	for (char *at = log_buffer; *at; at++)
		printf("%02x", (unsigned char)*at);
	if (fd >= 0 && data) {
		size_t size = from_hex(data);
		long status;

		memset(&attr, 0, sizeof(attr));
		attr.test.prog_fd = fd;
		attr.test.data_in = (unsigned long)data;
		attr.test.data_size_in = size;
		attr.test.repeat = repeat;
		status = bpf(BPF_PROG_TEST_RUN, &attr);
		printf(" %d %u %u\n", status < 0 ? errno : 0, attr.test.retval, attr.test.duration);
	} else {
		printf(" -1 0 0\n");
	}
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	while ((length = getline(&line, &capacity, stdin)) > 0) {
		if (line[length - 1] == '\n')
			line[length - 1] = 0;
		answer(line);
	}
	free(line);
	return 0;
}
