#!/bin/sh
# Builds a guest in Python: `python.sh MODULE.py WIT-FOLDER WORLD OUT.wasm [SCRATCH]`. SCRATCH keeps the tools; without it they
# are fetched each time. `--missing` in the place of OUT.wasm says what is missing, and fails, if anything is.
set -eu

COMPONENTIZE=componentize-py==0.25.1

module=${1:?MODULE.py} wit=${2:?WIT-FOLDER} world=${3:?WORLD}
shift 3
guests=$(cd "$(dirname "$0")" && pwd -P)
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
"$scratch/venv/bin/componentize-py" --quiet -d "$guests/wit" -d "$wit" -w "$world" \
    componentize -p "$(dirname "$module")" -o "$out" "$(basename "$module" .py)"
