#!/usr/bin/env bash
# Checks tokens and key sets of the axum host with libraries that are not ours, with each algorithm: PyJWT and joserfc
# in Python, jose in Node. The libraries are installed into a temporary directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --locked --quiet -p otp-grant-example-axum
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

# Node looks for packages beside the script.
cp tests/interop/* "$dir"
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$dir/requirements.txt"
npm ci --prefix "$dir" --silent --no-audit --no-fund

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

check() { # algorithm
    # The discovery document names the issuer's URLs, so the port has to be known before the host listens.
    address=127.0.0.1:$(free_port)
    : >"$dir/outbox"; : >"$dir/log"
    "${CARGO_TARGET_DIR:-target}/debug/otp-grant-example-axum" --listen "$address" --issuer "http://$address" \
        --alg "$1" --outbox "$dir/outbox" >"$dir/log" 2>&1 &
    host=$!
    for _ in $(seq 300); do
        grep -q listening "$dir/log" && break
        if ! kill -0 "$host" 2>/dev/null; then cat "$dir/log" >&2; exit 1; fi
        sleep 0.1
    done
    # PyJWT does not know the name of RFC 9864.
    if [ "$1" != Ed25519 ]; then
        "$dir/venv/bin/python" "$dir/check_tokens.py" "http://$address" "$dir/outbox" "$1"
    fi
    node "$dir/check_tokens.js" "http://$address" "$dir/outbox" "$1"
    stop
}

for algorithm in RS256 PS256 ES256 EdDSA Ed25519; do
    check "$algorithm"
done
