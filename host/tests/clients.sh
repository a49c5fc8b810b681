#!/usr/bin/env bash
# Clients that are not ours use the reference host: oauth4webapi and openid-client, with DPoP, private_key_jwt and code
# challenges, and the example client in Rust. Once with the demo, and once with a host that requires its nonces in every
# proof and lets a proof be used once everywhere. OTP_GRANT_HOST can name a host that is built already.
set -euo pipefail
binary=${OTP_GRANT_HOST:+$(realpath "$OTP_GRANT_HOST")}
cd "$(dirname "$0")/../.."
built=${CARGO_TARGET_DIR:-target}/debug
[ -n "$binary" ] || cargo build --locked --quiet -p otp-grant-host
cargo build --locked --quiet -p otp-grant-example-client
dir=$(mktemp -d)
host=
stop() { if [ -n "$host" ]; then kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; host=; fi; }
trap 'stop; rm -rf "$dir"' EXIT

# Node looks for packages beside the script.
cp host/tests/clients/* "$dir"
npm ci --prefix "$dir" --silent --no-audit --no-fund
node "$dir/make_key.js" "$dir/private.jwk" "$dir/public.jwk"

check() { # nonces-are-required or nothing, arguments of the host
    : >"$dir/outbox"
    "${binary:-$built/otp-grant-host}" "${@:2}" --listen "$address" --issuer "http://$address" --outbox "$dir/outbox" >"$dir/log" 2>&1 &
    host=$!
    for _ in $(seq 300); do
        grep -q 'listening on' "$dir/log" && break
        if ! kill -0 "$host" 2>/dev/null; then cat "$dir/log" >&2; exit 1; fi
        sleep 0.1
    done
    for client in oauth4webapi openid_client; do
        node "$dir/$client.js" "http://$address" "$dir/outbox" "$dir/private.jwk" "$1"
    done
    "$built/otp-grant-example-client" "http://$address" "$dir/outbox"
    stop
}

# The discovery document names the issuer's URLs, so the port has to be known before the host listens.
address=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
check "" --demo --alg ES256 --send-quota off --keyed-client-jwk "$dir/public.jwk"

# The demo's clients and users, with what is stricter than there.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/signing.pem" 2>/dev/null
master=$(openssl rand -base64 32)
{
    printf 'keys = { index = "%s", sealing = "%s" }\nsigning = { active = { file = "signing.pem" } }\n' "$master" "$master"
    sed -e 's/^dpop = "on"/dpop = "strict"\ndanger = { without_send_quotas = true }/' \
        -e 's/^dpop = "\(accepted\|required\)"/dpop = "required_with_nonce"/' \
        -e 's/^auth_method = "private_key_jwt"/keys = [{ file = "public.jwk" }]/' host/src/demo.toml
} >"$dir/strict.toml"
check nonces-are-required --config "$dir/strict.toml"
