#!/bin/sh
# Builds the guests: `guests/build.sh [--out DIR] [--target-dir DIR] [GUEST... | all]`. Without names, those that are
# checked in: the Rust guests, and the C guest where there is a compiler for it. `all` adds Python and JavaScript.
#
# With rustup's target wasm32-wasip1 or wasm32-wasip2 installed, that is a plain cargo build. Where no target can be
# installed, Debian's rustc-web builds the standard library from Debian's source, with the linkers of rustup's toolchain
# (rust-lld, and wasm-component-ld, which embeds the adapter from preview 1 and makes a component of the core module).
# Debian's wasi-libc is too old for the standard library of wasm32-wasip2, hence preview 1.
set -eu

COMPONENTS="wit-classify wit-label wit-embed wit-orientation wit-vad wit-cases wit-values wit-conform bench-wit bench-picture bench-http http-classify http-cases example-page example-text example-vision"
# Of these, those that answer HTTP: libraries in cargo's eyes, over an adapter that wants no more than wasi:http/proxy has.
HTTP="bench-http http-classify http-cases example-page example-text example-vision"
MODULES="witx-cases witx-values witx-conform witx-classify witx-label witx-classify-04 witx-classify-05 bench-witx"
CHECKED_IN="$COMPONENTS $MODULES c-classify"
GUESTS="$CHECKED_IN python-classify python-http js-classify js-http"
PACKAGES="rustc-web rust-web-src wasi-libc"
WASI_LIBC=/usr/lib/wasm32-wasi
DEBIAN_RUSTC=/usr/bin/rustc

here=$(cd "$(dirname "$0")" && pwd -P)
out=$here/bin
target_dir=$(dirname "$here")/target/guests

usage() {
    echo "usage: build.sh [--out DIR] [--target-dir DIR] [GUEST... | all]   (guests: $GUESTS)"
}

fail() {
    echo "error: $1" >&2
    shift
    for hint in "$@"; do echo "hint: $hint" >&2; done
    exit 1
}

chosen=
named=yes
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
    all) chosen=$GUESTS named=; shift ;;
    *)
        case " $GUESTS " in
        *" $1 "*) chosen="$chosen $1" ;;
        *) usage >&2; exit 2 ;;
        esac
        shift
        ;;
    esac
done
[ -n "$chosen" ] || { chosen=$CHECKED_IN; named=; }
built=

is_one_of() {
    case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# A guest that cannot be built here: an error if it was asked for by name.
skip() {
    [ -z "$named" ] || fail "cannot build $1: $2"
    echo "skipped $1: $2" >&2
}

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

# Finds a compiler for the Rust guests and sets how to call it.
prepare_rust() {
    for tool in cargo rustc; do
        command -v "$tool" >/dev/null || fail "no $tool in PATH" "install Rust with rustup, or put its bin folder into PATH"
    done
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
}

no_foreign_path() {
    for path in "$here" "${CARGO_HOME:-$HOME/.cargo}" "$target_dir"; do
        if grep -qF "$path" "$1"; then fail "$1 contains the path $path"; fi
    done
}

# What turns the module into a component stands here and not in the flags above, which would build the standard library
# once more.
build_rust() {
    linker=
    if is_one_of "$1" "$COMPONENTS"; then
        linker="-Clinker=wasm-component-ld $constructors"
    elif [ "$target" != wasm32-wasip1 ]; then
        skip "$1" "a core module needs the Rust target wasm32-wasip1"
        return
    fi
    file=$target_dir/$target/release/$1.wasm
    if is_one_of "$1" "$HTTP"; then
        file=$target_dir/$target/release/$(echo "$1" | tr - _).wasm
        # A library has its `_initialize` from rustc.
        linker=-Clinker=wasm-component-ld
        [ "$target" != wasm32-wasip1 ] || linker="$linker -Clink-arg=--wasi-adapter=proxy"
    fi
    # shellcheck disable=SC2086 # words without spaces, or nothing
    cargo rustc --release --locked $build_std --target "$target" -p "$1" -- $linker
    no_foreign_path "$file"
    cp "$file" "$out/$1.wasm"
    built="$built $1"
}

build_other() {
    reason=$("$here/$1/build.sh" --missing) || { skip "$1" "$reason"; return; }
    "$here/$1/build.sh" "$out/$1.wasm" "$target_dir/$1"
    built="$built $1"
}

mkdir -p "$out"
ready=
for guest in $chosen; do
    if is_one_of "$guest" "$COMPONENTS $MODULES"; then
        [ -n "$ready" ] || prepare_rust
        ready=yes
        build_rust "$guest"
    else
        build_other "$guest"
    fi
done
for guest in $built; do
    printf '%8d bytes  %s\n' "$(wc -c <"$out/$guest.wasm")" "$guest.wasm"
done
