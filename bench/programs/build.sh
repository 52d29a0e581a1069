#!/usr/bin/env bash
# Compiles the benchmarks' eBPF programs; each object lies beside its source.
set -euo pipefail
cd "$(dirname "$0")"
for source in *.bpf.c; do
  clang-19 -target bpf -mcpu=v3 -O2 -ffile-prefix-map="$PWD"=. -c "$source" -o "${source%.c}.o"
done
