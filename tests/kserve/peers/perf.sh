#!/bin/sh
# perf_analyzer of Triton against one server after the other, each with concurrency 1 and 4:
#
#   perf.sh PERF_ANALYZER MODEL SHAPE URL…        perf.sh …/bin/perf_analyzer identity-u8 input:16 127.0.0.1:8001 127.0.0.1:9001
#
# The binary: pip download --no-deps tritonclient==2.51.0 nvidia-cuda-runtime-cu12, unzipped; LD_LIBRARY_PATH names the folders of
# libcudart.so.12 and libb64.so.0d (Debian: libb64-0d).
set -eu
analyzer=$1 model=$2 shape=$3
shift 3
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for url in "$@"; do
    for concurrency in 1 4; do
        printf '%s %s %s, concurrency %s: ' "$url" "$model" "$shape" "$concurrency"
        if "$analyzer" -i grpc -u "$url" -m "$model" --shape "$shape" --concurrency-range "$concurrency" \
            --measurement-interval 1500 --stability-percentage 50 --max-trials 10 --percentile 50 >"$said" 2>&1; then
            awk '/Throughput:/ {rate = $2} /p50 latency:/ {p50 = $3} /p99 latency:/ {p99 = $3}
                 END {printf "%s infer/s, p50 %s µs, p99 %s µs\n", rate, p50, p99}' "$said"
        else
            echo "failed"
            tail -n 5 "$said"
        fi
    done
done
