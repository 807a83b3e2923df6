#!/bin/sh
# Builds a guest in JavaScript: `javascript.sh MODULE.js WORLD.wit WORLD FEATURES OUT.wasm [SCRATCH]`. FEATURES are those of the
# engine that it does without, each after `-d`. SCRATCH keeps the tools; without it they are fetched each time. `--missing` in
# the place of OUT.wasm says what is missing, and fails, if anything is.
set -eu

module=${1:?MODULE.js} wit=${2:?WORLD.wit} world=${3:?WORLD} features=$4
shift 4
guests=$(cd "$(dirname "$0")" && pwd -P)

if [ "${1:-}" = --missing ]; then
    node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null && exit 0
    echo "no Node.js of version 20 or later with npm"
    exit 1
fi
folder=$(cd "$(dirname "${1:?OUT.wasm}")" && pwd -P)
out=$folder/$(basename "$1")
scratch=${2:-}
if [ -z "$scratch" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
fi

# One folder has to hold all of the WIT.
rm -rf "$scratch/wit"
mkdir -p "$scratch/wit/deps"
cp "$guests/js-classify/package.json" "$module" "$scratch/"
cp "$wit" "$scratch/wit/"
cp "$guests/wit/wasi-nn.wit" "$scratch/wit/deps/"
cd "$scratch"
[ -d node_modules ] || npm install --loglevel=error --no-package-lock --no-audit --no-fund --ignore-scripts
# shellcheck disable=SC2086 # words without spaces, or nothing
node_modules/.bin/componentize-js "$(basename "$module")" --wit wit -n "$world" $features -o "$out"
