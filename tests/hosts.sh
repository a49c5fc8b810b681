#!/usr/bin/env bash
# Logs in and lives with the tokens over HTTP on each example host, with each algorithm, as the contract's samples say.
set -euo pipefail
cd "$(dirname "$0")/.."
hosts=(axum actix blocking)
cargo build --locked --quiet "${hosts[@]/#/--package=otp-grant-example-}"
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

login() { # example, algorithm
    : >"$dir/outbox"; : >"$dir/log"
    "${CARGO_TARGET_DIR:-target}/debug/otp-grant-example-$1" --listen 127.0.0.1:0 --alg "$2" --outbox "$dir/outbox" >"$dir/log" 2>&1 &
    host=$!
    for _ in $(seq 300); do
        url=$(grep -oE '127\.0\.0\.1:[0-9]+' "$dir/log" | head -n 1) && break
        sleep 0.1
    done
    python3 tests/login_over_http.py "http://$url" "$dir/outbox" "$2" || { echo "$1 with $2 failed" >&2; exit 1; }
    stop
}

for example in "${hosts[@]}"; do
    for algorithm in RS256 PS256 ES256 EdDSA; do
        login "$example" "$algorithm"
    done
done
