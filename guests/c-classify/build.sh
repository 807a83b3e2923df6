#!/bin/sh
# Builds the C guest: `build.sh OUT.wasm [SCRATCH]`. `build.sh --missing` says what is missing, and fails, if anything is.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
clang=${CLANG:-clang}

if [ "${1:-}" = --missing ]; then
    printf '%s\n' '#include <stdio.h>' 'int main(void) { return puts(""); }' |
        "$clang" --target=wasm32-wasi -x c - -o /dev/null 2>/dev/null && exit 0
    echo "no clang for wasm32-wasi; on Debian: apt-get install --no-install-recommends clang lld wasi-libc libclang-rt-14-dev-wasm32"
    exit 1
fi
"$clang" --target=wasm32-wasi -std=c11 -O2 -Wall -Wextra -Werror -Wl,--strip-all "$here/main.c" -o "${1:?OUT.wasm}"
