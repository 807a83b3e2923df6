#!/bin/sh
# Builds the Python guest: `build.sh OUT.wasm [SCRATCH]`. SCRATCH keeps the tools; without it they are fetched each time.
# `build.sh --missing` says what is missing, and fails, if anything is.
set -eu

COMPONENTIZE=componentize-py==0.25.1

here=$(cd "$(dirname "$0")" && pwd -P)
guests=$(dirname "$here")
python=${PYTHON:-python3}

if [ "${1:-}" = --missing ]; then
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && exit 0
    echo "no Python of 3.10 or later with venv; on Debian: apt-get install python3-venv"
    exit 1
fi
out=${1:?OUT.wasm}
scratch=${2:-}
if [ -z "$scratch" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
fi

[ -x "$scratch/venv/bin/componentize-py" ] || {
    "$python" -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$COMPONENTIZE"
}
"$scratch/venv/bin/componentize-py" --quiet -d "$guests/wit" -d "$guests/wit-command" -w guests:command/command \
    componentize -p "$here" -o "$out" classify
