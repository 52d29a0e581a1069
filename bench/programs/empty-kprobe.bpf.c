// SPDX-License-Identifier: MIT
#define SEC(name) __attribute__((section(name), used))

SEC("kprobe/syscall_enter") int empty(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "Dual MIT/GPL";
