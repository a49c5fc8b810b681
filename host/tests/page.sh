#!/usr/bin/env bash
# Signs in on the login page in headless Chromium, as people do: page.sh [FOLDER FOR SCREENSHOTS]
#
# Needs Node, npm and Debian's chromium. What it installs goes into a temporary directory.
set -euo pipefail
screenshots=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."
cargo build --locked --quiet --package otp-grant-host
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

# Node looks for packages beside the script.
cp host/tests/page/* "$dir"
npm ci --prefix "$dir" --silent --no-audit --no-fund

: >"$dir/outbox"
"${CARGO_TARGET_DIR:-target}/debug/otp-grant-host" --demo --listen 127.0.0.1:0 --alg ES256 --outbox "$dir/outbox" \
    >"$dir/out" 2>"$dir/log" &
host=$!
for _ in $(seq 100); do
    url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$dir/out" | head -n 1) && break
    if ! kill -0 "$host" 2>/dev/null; then cat "$dir/log" >&2; exit 1; fi
    sleep 0.1
done
node "$dir/page.js" "$url" "$dir/outbox" "${screenshots:-$dir/screenshots}"
