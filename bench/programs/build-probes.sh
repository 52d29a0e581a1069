#!/usr/bin/env bash
# Compiles the eBPF programs of bench/probes.ts; each object lies beside its source.
set -euo pipefail
cd "$(dirname "$0")"
for name in empty-kprobe empty-kretprobe; do
	clang-19 -target bpf -mcpu=v3 -O2 -ffile-prefix-map="$PWD"=. -c "$name.bpf.c" -o "$name.bpf.o"
done
