/* Variables of every kind of section, shared by name, and static ones of one name. */
#include "shared.h"

enum mood { CALM = 1, HASTY = 2 };
enum mood_later;

typedef unsigned long long u64_t;

struct point {
	int x;
	int y;
};

int counter = 5;
u64_t many[3] = { 1, 2, 3 };
volatile const int limit = 9;
struct point origin;
char odd[3] = "ab";
enum mood mood = HASTY;
static volatile int local = 17;
static volatile const char local_text[5] = "rock";
int placed SEC(".data.placed") = 4;

extern int later;
extern volatile const int fixed;
extern struct point centre;
extern enum mood_later *nowhere __weak;

__weak int preset = 1;
__weak volatile const int choice = 3;

extern unsigned LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig __weak;
extern const void not_there __ksym __weak;

SEC("tc")
int read_first(struct __sk_buff *skb)
{
	local++;
	origin.x = local_text[1];
	return counter + (int)many[1] + limit + origin.y + odd[0] + mood + local + placed + later + fixed + centre.x +
	       preset + choice + (LINUX_KERNEL_VERSION > 0) + CONFIG_BPF + (&not_there == 0);
}

char LICENSE[] SEC("license") = "GPL";
