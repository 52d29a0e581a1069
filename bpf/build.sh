#!/usr/bin/env bash
# Builds every bpf/*.bpf.c into the bpf/*.bpf.o beside it. The objects are committed; the same sources give
# the same bytes wherever this runs: paths are relative, and of the debug information only BTF is kept.
# Needs clang 19 and libbpf's headers (Debian: clang-19 llvm-19 libbpf-dev). OUT=DIR writes elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
clang=${CLANG:-clang-19}
strip=${LLVM_STRIP:-llvm-strip-19}
out=${OUT:-bpf}
mkdir -p "$out"

for source in bpf/*.bpf.c; do
	object=$out/$(basename "$source" .c).o
	"$clang" -target bpf -mcpu=v3 -O2 -g -Wall -Werror \
		-fdebug-compilation-dir=. -ffile-prefix-map="$PWD"=. -fno-ident \
		-idirafter /usr/include -c "$source" -o "$object"
	"$strip" -g "$object"
	echo "$object $(stat -c %s "$object") bytes"
done
