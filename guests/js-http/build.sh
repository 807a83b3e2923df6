#!/bin/sh
# Builds the guest: `build.sh OUT.wasm [SCRATCH]`, or `build.sh --missing`; guests/javascript.sh says more.
here=$(cd "$(dirname "$0")" && pwd -P)
exec "$here/../javascript.sh" "$here/function.js" "$here/function.wit" function '' "$@"
