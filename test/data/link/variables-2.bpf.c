#include "shared.h"

enum mood { CALM = 1, HASTY = 2 };

struct point {
	int x;
	int y;
};

struct tagged {
	int kept __tag(kept);
	int __attribute__((btf_type_tag("user"))) *far;
} __tag(whole);

char shift = 1;
int later = 40;
volatile const int fixed = 50;
struct point centre = { 60, 61 };
struct tagged tagged;
static volatile int local = 1000;
static volatile const char local_text[9] = "mountain";
long wide SEC(".data.placed") __attribute__((aligned(32))) = 6;

extern int counter;
extern unsigned long long many[3];
extern volatile const int limit;
extern enum mood mood;

int preset = 2;
__weak volatile const int choice = 4;

extern unsigned LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig __weak;

SEC("tc")
int read_second(struct __sk_buff *skb)
{
	local += shift;
	tagged.kept++;
	tagged.far = 0;
	return counter + (int)many[2] + limit + mood + local + local_text[0] + (int)wide + preset + choice + tagged.kept +
	       (LINUX_KERNEL_VERSION > 0) + (CONFIG_HZ > 0);
}

SEC("socket")
int other_type(struct __sk_buff *skb)
{
	return later + fixed + centre.y;
}

char LICENSE[] SEC("license") = "GPL";
