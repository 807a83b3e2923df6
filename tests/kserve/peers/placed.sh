#!/bin/sh
# One model here and by a remote engine: guests must print the same, and no call may fail while it moves. Run by hand:
#
#   placed.sh MODEL.onnx HOST:PORT [ENGINE…]
#
# ENGINE is started, in a folder of its own, and ended; without it an engine is asked that runs. Paths are absolute:
#
#   S=$PWD/tests/kserve/peers M=$PWD/target/nn/models/efficientnet-lite0/1/model.onnx
#   $S/placed.sh $M 127.0.0.1:9001 VENV/bin/python $S/triton_server.py $M 9001
#
# It takes `cargo build --workspace --bins` and `cargo xtask setup`. NN_BIN names another folder of programs, MOVE_SECONDS how
# long it moves, 20 by default.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
bin=${NN_BIN:-$root/target/debug} seconds=${MOVE_SECONDS:-20}
model=$1 endpoint=$2
shift 2
dir=$(mktemp -d) running=
ends() {
    for pid in $running; do { kill "$pid" && wait "$pid"; } 2>/dev/null || true; done
    rm -rf "$dir"
}
trap ends EXIT
trap 'exit 1' INT TERM
export NN_SOCKET="$dir/run/nn.sock"

# Until it succeeds, a minute at most.
soon() {
    tries=0
    until "$@" >"$dir/said" 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || { cat "$dir/said" >&2; tail -n 20 "$dir"/*.log >&2; exit 1; }
        sleep 0.5
    done
}

# What guests of both interfaces say: of the picture that they have built in, and of an input that is made, every bit.
guests() {
    for guest in wit-classify witx-classify; do
        "$bin/nn-host" run "$root/guests/bin/$guest.wasm" efficientnet-lite0
        "$bin/nn-host" run "$root/guests/bin/$guest.wasm" --fill lcg:7 --checksum efficientnet-lite0
    done
}

if [ $# -gt 0 ]; then
    mkdir "$dir/engine"
    (cd "$dir/engine" && exec "$@") >"$dir/engine.log" 2>&1 &
    running=$!
fi
printf '[remote]\nendpoints = ["%s"]\n' "$endpoint" >"$dir/nn-daemon.toml"
printf '[kserve]\nendpoints = ["%s"]\n' "$endpoint" >"$dir/model.toml"
"$bin/nn-daemon" --config "$dir/nn-daemon.toml" --runtime-dir "$dir/run" --state-dir "$dir/state" 2>"$dir/daemon.log" &
running="$! $running"
soon "$bin/nnctl" list
"$bin/nnctl" load efficientnet-lite0 "$model" --manifest "$dir/model.toml" >/dev/null
guests >"$dir/here"
soon "$bin/nnctl" place efficientnet-lite0 kserve
guests >"$dir/there"
cat "$dir/here"
diff "$dir/here" "$dir/there" && echo "the same by $endpoint"

"$bin/nnctl" --json bench efficientnet-lite0 --concurrency 8 --seconds "$seconds" --shape images=1x3x224x224 >"$dir/bench" &
bench=$! moves=0
while kill -0 "$bench" 2>/dev/null; do
    for placement in local kserve; do
        "$bin/nnctl" place efficientnet-lite0 "$placement" >/dev/null
        moves=$((moves + 1))
        guests | diff "$dir/here" -
        sleep 1
    done
done
wait "$bench"
number() { sed -n "s/^ *\"$1\": *\([0-9]*\),*$/\1/p" "$dir/bench"; }
calls=$(number calls) failed=$(number failed)
echo "$moves moves under load: $calls calls, $failed failed"
[ "$failed" = 0 ]
