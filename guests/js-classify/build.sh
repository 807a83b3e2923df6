#!/bin/sh
# Builds the JavaScript guest: `build.sh OUT.wasm [SCRATCH]`. SCRATCH keeps the tools; without it they are fetched each
# time. `build.sh --missing` says what is missing, and fails, if anything is.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
guests=$(dirname "$here")

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
mkdir -p "$scratch/wit/deps"
cp "$here/package.json" "$here/classify.js" "$scratch/"
cp "$guests/wit-command/command.wit" "$scratch/wit/"
cp "$guests/wit/wasi-nn.wit" "$scratch/wit/deps/"
cd "$scratch"
[ -d node_modules ] || npm install --loglevel=error --no-package-lock --no-audit --no-fund --ignore-scripts
node_modules/.bin/componentize-js classify.js --wit wit -n command-with-arguments -d http -d fetch-event -o "$out"
