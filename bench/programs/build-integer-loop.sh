#!/usr/bin/env bash
# Builds integer-loop.elf, which is committed beside its source.
set -euo pipefail
cd "$(dirname "$0")"
${CLANG:-clang-19} --target=riscv64-unknown-elf -march=rv64imac -mabi=lp64 -mcmodel=medany -O2 -Wall -Werror \
  -ffreestanding -fno-builtin -nostdlib -fuse-ld="${LD:-lld-19}" -Wl,--build-id=none,-s,-T,integer-loop.ld \
  -o integer-loop.elf integer-loop.c
