/*
 * A process whose memory and system calls belong to somebody else: it does what it reads on standard input.
 *
 * A request is { u64 operation, u64 arguments[7] }, an answer one s64, then bytes where the operation has some.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALL, READ, WRITE, ALLOCATE, FREE };

static void transfer(ssize_t (*move)(int, void *, size_t), int fd, void *at, size_t size)
{
	while (size > 0) {
		ssize_t done = move(fd, at, size);

		if (done <= 0)
			exit(0);
		at = (char *)at + done;
		size -= done;
	}
}

static ssize_t put(int fd, void *at, size_t size)
{
	return write(fd, at, size);
}

int main(void)
{
	for (;;) {
		uint64_t request[8], *a = request + 1;
		int64_t answer = 0;

		transfer(read, 0, request, sizeof(request));
		switch (request[0]) {
		case CALL:
			answer = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
			if (answer == -1)
				answer = -errno;
			break;
		case WRITE:
			transfer(read, 0, (void *)a[0], a[1]);
			break;
		case ALLOCATE:
			answer = (int64_t)calloc(1, a[0]);
			break;
		case FREE:
			free((void *)a[0]);
			break;
		}
		transfer(put, 1, &answer, sizeof(answer));
		if (request[0] == READ)
			transfer(put, 1, (void *)a[0], a[1]);
	}
}
