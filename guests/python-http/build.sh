#!/bin/sh
# Builds the guest: `build.sh OUT.wasm [SCRATCH]`, or `build.sh --missing`; guests/python.sh says more.
here=$(cd "$(dirname "$0")" && pwd -P)
exec "$here/../python.sh" "$here/function.py" "$here/../wit-http" guests:function/function "$@"
