#!/usr/bin/env bash
# Logs in and lives with the tokens over HTTP on each example host, with each algorithm, and once with the
# host's own key and issuer: hosts.sh FOLDER REPOSITORY. The folder has the package and the examples.
set -euo pipefail
tests=$2/tests
cd "$1"
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

# EXAMPLE ALGORITHM [ISSUER KEY.pem]
log_in() {
    local options=(--listen 127.0.0.1:0 --alg "$2" --outbox "$dir/outbox")
    if [ $# -gt 2 ]; then options+=(--issuer "$3" --key "$4"); fi
    : >"$dir/outbox"; : >"$dir/log"
    node "examples/$1.mjs" "${options[@]}" >"$dir/log" 2>&1 &
    host=$!
    for _ in $(seq 300); do
        url=$(grep -oE '127\.0\.0\.1:[0-9]+' "$dir/log" | head -n 1) && break
        sleep 0.1
    done
    python3 "$tests/login_over_http.py" "http://$url" "$dir/outbox" "${@:2}" ||
        { cat "$dir/log"; echo "$1 with ${*:2} failed" >&2; exit 1; }
    stop
}

for example in express fastify hono; do
    for algorithm in RS256 PS256 ES256 EdDSA; do
        log_in "$example" "$algorithm"
    done
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/key.pem"
log_in express ES256 https://login.example.org "$dir/key.pem"
