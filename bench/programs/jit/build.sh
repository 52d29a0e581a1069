#!/usr/bin/env bash
# Compiles the compiler's benchmark programs; each object lies beside its source.
set -euo pipefail
cd "$(dirname "$0")"
for source in *.bpf.c; do
  clang-19 -target bpf -mcpu=v3 -O2 -g -I/usr/include/"$(uname -m)"-linux-gnu -ffile-prefix-map="$PWD"=. \
    -c "$source" -o "${source%.c}.o"
  llvm-strip-19 -g "${source%.c}.o"
done
