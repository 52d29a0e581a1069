/* Prints a value of the test's choice by its type. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define DATA_BYTES 4096
#define TEXT_BYTES 16384

unsigned char data[DATA_BYTES] SEC(".data.value");
unsigned char text[TEXT_BYTES] SEC(".data.text");

struct {
	struct btf_ptr at;
	unsigned long long flags;
	unsigned int room;
	unsigned int pointer_bytes;
	long long result;
} request;

SEC("syscall") int prints(void *context)
{
	struct btf_ptr pointer = request.at;
	unsigned int room = request.room;

	if (pointer.ptr == 0)
		pointer.ptr = data;
	if (room < 1 || room > TEXT_BYTES)
		return 1;
	request.result = bpf_snprintf_btf((char *)text, room, &pointer, request.pointer_bytes == 8 ? 8 : sizeof(pointer),
					  request.flags);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
