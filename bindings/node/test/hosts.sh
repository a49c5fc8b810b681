#!/usr/bin/env bash
# Logs in and lives with the tokens over HTTP on each example host, with each algorithm: hosts.sh FOLDER REPOSITORY. The
# folder has the package and the examples.
set -euo pipefail
tests=$2/tests
cd "$1"
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

for example in express fastify hono; do
    for algorithm in RS256 ES256 EdDSA; do
        : >"$dir/outbox"; : >"$dir/log"
        node "examples/$example.mjs" --listen 127.0.0.1:0 --alg "$algorithm" --outbox "$dir/outbox" >"$dir/log" 2>&1 &
        host=$!
        for _ in $(seq 300); do
            url=$(grep -oE '127\.0\.0\.1:[0-9]+' "$dir/log" | head -n 1) && break
            sleep 0.1
        done
        python3 "$tests/login_over_http.py" "http://$url" "$dir/outbox" "$algorithm" ||
            { cat "$dir/log"; echo "$example with $algorithm failed" >&2; exit 1; }
        stop
    done
done
