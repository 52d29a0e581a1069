#!/usr/bin/env bash
# Rebuilds every committed artefact from its source. Afterwards `git status` is clean, or an artefact was not
# what its source says.
set -euo pipefail
cd "$(dirname "$0")/.."
bash bpf/build.sh
if [ -e guest/build.sh ]; then bash guest/build.sh; fi
