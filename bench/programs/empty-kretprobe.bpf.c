// SPDX-License-Identifier: MIT
#define SEC(name) __attribute__((section(name), used))

SEC("kretprobe/syscall_dispatch") int empty(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "Dual MIT/GPL";
