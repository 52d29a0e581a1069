#!/usr/bin/env bash
# Rebuilds every committed artefact from its source: the same bytes, or the artefact was not what its source says.
# With --check, fails if a byte differs from what was there, and puts the old bytes back.
set -euo pipefail
cd "$(dirname "$0")/.."

artefacts() { git ls-files 'bpf/*.bpf.o' 'guest/build/*' 'bench/programs/*.elf' 'bench/programs/*.bpf.o'; }

check=
if [ "${1:-}" = --check ]; then
	check=$(mktemp -d)
	trap 'rm -rf "$check"' EXIT
	artefacts | tar -cf - -T - | tar -xf - -C "$check"
fi

for build in bpf/build.sh guest/build.sh bench/programs/build*.sh; do
	if [ -e "$build" ]; then bash "$build"; fi
done

if [ -n "$check" ]; then
	failed=
	for artefact in $(artefacts); do
		if ! cmp "$check/$artefact" "$artefact"; then
			cp "$check/$artefact" "$artefact"
			failed="$failed $artefact"
		fi
	done
	if [ -n "$failed" ]; then
		echo "not what the sources say:$failed" >&2
		exit 1
	fi
	echo "all artefacts are what their sources say"
fi
