#!/usr/bin/env bash
# Builds the guest: build/kernel.elf (the kernel, with its user programs inside) and build/disk.img.
#
#   guest/build.sh           builds into guest/build
#   guest/build.sh --check   builds elsewhere, from another directory, and compares with guest/build byte by byte
#
# Needs clang-19, ld.lld-19, llvm-objcopy-19 and pahole. The output depends on nothing else: no time, no path.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-clang-19} LD=${LD:-ld.lld-19} OBJCOPY=${OBJCOPY:-llvm-objcopy-19} PAHOLE=${PAHOLE:-pahole}

target=(--target=riscv64-unknown-elf -march=rv64imac_zicsr_zifencei -mabi=lp64)
common=(-ffreestanding -fno-pic -fno-common -fno-ident -ffunction-sections -fdata-sections -mno-relax
  -fdebug-compilation-dir=. -I include)
c_flags=(-std=gnu17 -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-variable-declarations)
# Backtraces and return probes see every call: each function keeps a frame, and none is left by a jump.
kernel_flags=(-O2 -g -mcmodel=medany -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -fno-optimize-sibling-calls
  -fno-builtin -I kernel)
user_flags=(-Os -mcmodel=medany -I user/lib)

compile() { # objects-directory, flags..., sources...
  local objects=$1 source
  shift
  local flags=() sources=() argument
  for argument in "$@"; do
    case $argument in *.c | *.S) sources+=("$argument") ;; *) flags+=("$argument") ;; esac
  done
  for source in "${sources[@]}"; do
    local object="$objects/$(basename "${source%.*}")${source##*.}.o"
    case $source in
    *.c) "$CC" "${target[@]}" "${common[@]}" "${c_flags[@]}" "${flags[@]}" -c "$source" -o "$object" ;;
    *.S) "$CC" "${target[@]}" "${common[@]}" "${flags[@]}" -g0 -c "$source" -o "$object" ;;
    esac
  done
}

# The files of the root file system, as a list for the assembler: "path in the guest", mode, file here.
list_initfs() { # programs-directory
  local file
  for file in "$1"/*; do printf '/bin/%s 0755 %s\n' "$(basename "$file")" "$file"; done
  (cd root && find . -type f | sort) | while read -r file; do printf '%s 0644 root/%s\n' "${file#.}" "${file#./}"; done
}

write_initfs() { # programs-directory
  local path mode file number=0 table=''
  echo '.section .initfs, "a"'
  while read -r path mode file; do
    printf '.balign 8\n.Linitfs_data_%d: .incbin "%s"\n.Linitfs_end_%d: .byte 0\n.Linitfs_path_%d: .asciz "%s"\n' \
      "$number" "$file" "$number" "$number" "$path"
    table+=".dword .Linitfs_path_$number, .Linitfs_data_$number, .Linitfs_end_$number, $mode"$'\n'
    number=$((number + 1))
  done < <(list_initfs "$1")
  printf '.balign 8\n.globl initfs_entries\ninitfs_entries:\n%s.dword 0, 0, 0, 0\n' "$table"
}

# A quarter of a megabyte with something to read in each kilobyte: its number.
write_disk_image() {
  awk 'BEGIN {
    for (block = 0; block < 256; block++) {
      line = sprintf("block %04d of the anybpf guest disk\n", block)
      text = ""
      while (length(text) + length(line) <= 1024) text = text line
      while (length(text) < 1023) text = text "."
      printf "%s\n", text
    }
  }'
}

build() { # output-directory, objects-directory
  local output=$1 objects=$2
  rm -rf "$objects"
  mkdir -p "$output" "$objects"/{kernel,lib,user,bin}

  compile "$objects/lib" "${user_flags[@]}" user/lib/*.[cS]
  local source name
  for source in user/*.c; do
    name=$(basename "$source" .c)
    compile "$objects/user" "${user_flags[@]}" "$source"
    "$LD" -m elf64lriscv --gc-sections -z max-page-size=4096 -z noseparate-code -T user/user.ld --strip-all \
      -o "$objects/bin/$name" "$objects/user/${name}c.o" "$objects"/lib/*.o
  done

  write_initfs "$objects/bin" >"$objects/initfs.S"
  compile "$objects/kernel" "${kernel_flags[@]}" kernel/*.c kernel/*.S "$objects/initfs.S"
  "$CC" "${target[@]}" -E -P -x c -I kernel kernel/kernel.lds -o "$objects/kernel.ld"
  "$LD" -m elf64lriscv -T "$objects/kernel.ld" --no-relax -o "$objects/kernel.full.elf" "$objects"/kernel/*.o

  "$PAHOLE" --btf_encode_detached="$objects/kernel.btf" "$objects/kernel.full.elf"
  # The symbols that begin with $ mark code and data for disassemblers; all the others stay, static functions too.
  "$OBJCOPY" --strip-debug --discard-locals --wildcard --strip-symbol='$*' --add-section .BTF="$objects/kernel.btf" \
    "$objects/kernel.full.elf" "$output/kernel.elf"
  write_disk_image >"$output/disk.img"
}

cd "$here"
if [ "${1:-}" = --check ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  cp -r include kernel user root build.sh "$scratch/"
  (cd "$scratch" && ./build.sh)
  for artefact in kernel.elf disk.img; do
    if ! cmp "build/$artefact" "$scratch/build/$artefact"; then
      echo "guest/build/$artefact is not what the sources give" >&2
      exit 1
    fi
  done
  echo "guest/build: the committed artefacts are what the sources give"
else
  build build obj
  rm -rf obj
fi
