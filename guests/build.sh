#!/bin/sh
# Builds every guest as a component: `guests/build.sh [--out DIR] [--target-dir DIR] [GUEST...]`.
#
# With rustup's target wasm32-wasip1 or wasm32-wasip2 installed, that is a plain cargo build. Where no target can be
# installed, Debian's rustc-web builds the standard library from Debian's source, with the linkers of rustup's toolchain
# (rust-lld, and wasm-component-ld, which embeds the adapter from preview 1 and makes a component of the core module).
# Debian's wasi-libc is too old for the standard library of wasm32-wasip2, hence preview 1.
set -eu

GUESTS="wit-classify wit-embed wit-cases"
PACKAGES="rustc-web rust-web-src wasi-libc"
WASI_LIBC=/usr/lib/wasm32-wasi
DEBIAN_RUSTC=/usr/bin/rustc

here=$(cd "$(dirname "$0")" && pwd -P)
out=$here/bin
target_dir=$(dirname "$here")/target/guests

usage() {
    echo "usage: build.sh [--out DIR] [--target-dir DIR] [GUEST...]   (guests: $GUESTS)"
}

fail() {
    echo "error: $1" >&2
    shift
    for hint in "$@"; do echo "hint: $hint" >&2; done
    exit 1
}

chosen=
while [ $# -gt 0 ]; do
    case $1 in
    --out | --target-dir)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        mkdir -p "$2"
        dir=$(cd "$2" && pwd -P)
        if [ "$1" = --out ]; then out=$dir; else target_dir=$dir; fi
        shift 2
        ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *)
        case " $GUESTS " in
        *" $1 "*) chosen="$chosen $1" ;;
        *) usage >&2; exit 2 ;;
        esac
        shift
        ;;
    esac
done
[ -n "$chosen" ] || chosen=$GUESTS

for tool in cargo rustc; do
    command -v "$tool" >/dev/null || fail "no $tool in PATH" "install Rust with rustup, or put its bin folder into PATH"
done

has_target() {
    libdir=$(rustc --print target-libdir --target "$1" 2>/dev/null) && ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

# Makes Debian's rustc able to link for wasm32-wasip1. Idempotent; sets sysroot.
prepare_debian() {
    install_hint="rustup target add wasm32-wasip1, where rustup has a network; or, on Debian:"
    apt_hint="apt-get install --no-install-recommends $PACKAGES"
    [ -x "$DEBIAN_RUSTC" ] || fail "no Rust target wasm32-wasip1 and no $DEBIAN_RUSTC" "$install_hint" "$apt_hint"
    [ -f "$WASI_LIBC/crt1-reactor.o" ] || fail "no WASI libc in $WASI_LIBC" "$apt_hint"
    sysroot=$("$DEBIAN_RUSTC" --print sysroot)
    rustlib=$sysroot/lib/rustlib
    [ -d "$rustlib/src/rust/library/std" ] || fail "no source of the standard library in $rustlib/src" "$apt_hint"

    host=$("$DEBIAN_RUSTC" -vV | sed -n 's/^host: //p')
    linkers=$(rustc --print sysroot)/lib/rustlib/$host/bin
    [ -x "$linkers/wasm-component-ld" ] ||
        fail "no wasm-component-ld in $linkers" "put rustup's toolchain first in PATH: its rustc brings the linkers"

    lib=$rustlib/wasm32-wasip1/lib/self-contained
    mkdir -p "$rustlib/$host/bin" "$lib" 2>/dev/null && [ -w "$rustlib/$host/bin" ] && [ -w "$lib" ] ||
        fail "cannot write to $rustlib, where the linkers and libc have to be linked" "run this once as root"
    # With Debian's own rustc first in PATH the two are one folder, linked by an earlier run.
    if [ "$linkers" != "$rustlib/$host/bin" ]; then
        for file in rust-lld wasm-component-ld gcc-ld; do
            ln -sfn "$linkers/$file" "$rustlib/$host/bin/$file"
        done
    fi
    for file in crt1-command.o crt1-reactor.o libc.a; do
        ln -sfn "$WASI_LIBC/$file" "$lib/$file"
    done
}

build_std=
constructors=
target=wasm32-wasip1
if has_target wasm32-wasip1; then
    sysroot=$(rustc --print sysroot)
elif has_target wasm32-wasip2; then
    sysroot=$(rustc --print sysroot)
    target=wasm32-wasip2
else
    prepare_debian
    export RUSTC="$DEBIAN_RUSTC" RUSTC_BOOTSTRAP=1
    build_std=-Zbuild-std=std,panic_abort
    # This libc's `_start` leaves its constructors to the linker, which then calls them around *every* export: also
    # around `cabi_realloc`, in which a component must not call its host, as they do once there is a directory to see.
    # `_initialize` calls them too; the linker sees that and keeps out, and the component runs it once, at its start.
    constructors=-Clink-arg=$WASI_LIBC/crt1-reactor.o
fi

cd "$here"
cargo fetch --quiet --locked

# Panic messages carry the paths of source files. Make them the same everywhere, and no one's business.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sources=$sysroot/lib/rustlib/src/rust
separator=$(printf '\037')
flags=
remap() {
    [ -z "$1" ] || flags="$flags${flags:+$separator}--remap-path-prefix=$1=$2"
}
remap "$cargo_home" /cargo
for registry in "$cargo_home"/registry/src/*; do remap "$registry" /crates; done
remap "$target_dir" /target
remap "$here" /guests
remap "$sources" /rust
remap "$(readlink -f "$sources" || true)" /rust
export CARGO_ENCODED_RUSTFLAGS="$flags" CARGO_TARGET_DIR="$target_dir"

mkdir -p "$out"
for guest in $chosen; do
    # The linker stands here and not in the flags above, which would build the standard library once more.
    # shellcheck disable=SC2086 # empty, or one word without spaces
    cargo rustc --release --locked $build_std --target "$target" -p "$guest" -- \
        -Clinker=wasm-component-ld $constructors
    built=$target_dir/$target/release/$guest.wasm
    for path in "$here" "$cargo_home" "$target_dir"; do
        if grep -qF "$path" "$built"; then fail "$built contains the path $path"; fi
    done
    cp "$built" "$out/$guest.wasm"
done
for guest in $chosen; do
    printf '%8d bytes  %s\n' "$(wc -c <"$out/$guest.wasm")" "$guest.wasm"
done
