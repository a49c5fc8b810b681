#!/usr/bin/env bash
# Signs in on the login page in headless Chromium, as people do: page.sh [FOLDER FOR SCREENSHOTS]
#
# Needs Node, npm and Debian's chromium. What it installs goes into a temporary directory. OTP_GRANT_HOST can name a host
# that is built already.
set -euo pipefail
screenshots=${1:+$(realpath "$1")}
binary=${OTP_GRANT_HOST:+$(realpath "$OTP_GRANT_HOST")}
cd "$(dirname "$0")/../.."
[ -n "$binary" ] || cargo build --locked --quiet --package otp-grant-host
binary=${binary:-${CARGO_TARGET_DIR:-target}/debug/otp-grant-host}
dir=$(mktemp -d)
hosts=()
stop() {
    if [ ${#hosts[@]} -gt 0 ]; then kill "${hosts[@]}" 2>/dev/null || true; wait "${hosts[@]}" 2>/dev/null || true; fi
    hosts=()
}
trap 'stop; rm -rf "$dir"' EXIT
screenshots=${screenshots:-$dir/screenshots}

# Node looks for packages beside the script.
cp host/tests/page/* host/page/proof.js "$dir"
cp -r host/tests/browsers "$dir"
cp host/page/proof.js "$dir/browsers"
npm ci --prefix "$dir" --silent --no-audit --no-fund

# Starts a host in a folder of its own, with these arguments, at $listen. Its file `url` says where it listens.
listen=127.0.0.1:0
start() {
    local at=$1
    shift
    touch "$at/outbox" "$at/out"
    "$binary" --listen "$listen" --outbox "$at/outbox" "$@" >"$at/out" 2>"$at/log" &
    local host=$!
    hosts+=("$host")
    for _ in $(seq 100); do
        if grep -oEm 1 'http://127\.0\.0\.1:[0-9]+' "$at/out" >"$at/url"; then return; fi
        if ! kill -0 "$host" 2>/dev/null; then cat "$at/log" >&2; exit 1; fi
        sleep 0.1
    done
    echo "the host does not start" >&2
    exit 1
}

# Starts a host whose page has a client with these settings, and more settings of the page. No limit of messages is in the
# way.
configured() {
    local at=$dir/$1
    mkdir "$at"
    cat >"$at/host.toml" <<END
issuer = "https://login.example.com"
dpop = "$2"
keys = { index = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=", sealing = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=" }
signing = { active = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }
auth_sources = { sms = { channel = "sms" }, email = { channel = "email" } }
danger.without_send_quotas = true
page = { client = "page", sms = "sms", scopes = "openid phone"${4:-} }
[clients.page]
public = true
may_send = true
auth_sources = ["sms", "email"]
scopes = "openid phone offline_access"
$3
END
    local number
    for number in $(seq 0 9) 110 130 $(seq 200 209); do
        printf '[[users.list]]\nsubject = "user-%s"\nphone_number = "+86137%08d"\n' "$number" "$number" >>"$at/host.toml"
    done
    start "$at" --config "$at/host.toml"
}

mkdir "$dir/demo"
start "$dir/demo" --demo --alg ES256
node "$dir/page.js" "$(cat "$dir/demo/url")" "$dir/demo/outbox" "$screenshots"

configured accepted on 'dpop = "accepted"'
configured required strict 'dpop = "required"'
configured nonce strict $'dpop = "required_with_nonce"\ncode_challenge_required = true'
configured off off 'code_challenge_required = true'
configured devices off ""
configured appearance on "" ', email = "email", locale = "auto", sign_up = true'
node "$dir/appearance.js" "$screenshots" "$dir/appearance"
node "$dir/devices.js" "$screenshots" "$dir/devices"
node "$dir/proofs.js" "$screenshots" "$dir/accepted" "$dir/required" "$dir/nonce" "$dir/off"

# An application on another origin. Its port is in the host's file, and the host's own in its issuer.
node "$dir/browsers/serve.mjs" >"$dir/spa-port" &
hosts+=("$!")
for _ in $(seq 100); do if [ -s "$dir/spa-port" ]; then break; fi; sleep 0.1; done
spa=$(cat "$dir/spa-port")
listen=127.0.0.1:$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
mkdir "$dir/spa"
cat >"$dir/spa/host.toml" <<END
issuer = "http://$listen"
dpop = "on"
keys = { index = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=", sealing = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=" }
signing = { active = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }
auth_sources.sms = { channel = "sms" }
END
client() {
    printf '[clients.%s]\npublic = true\nmay_send = true\nauth_sources = ["sms"]\nscopes = "openid phone offline_access"\n' "$1"
    printf 'default_scopes = "openid phone offline_access"\nallowed_origins = ["%s"]\n%s\n' "$2" "${3:-}"
}
{
    client spa "http://localhost:$spa"
    client bound "http://localhost:$spa" 'dpop = "required_with_nonce"'
    client other "http://other.localhost:$spa"
    for number in 1 2; do printf '[[users.list]]\nsubject = "user-%s"\nphone_number = "+8613700000%03d"\n' "$number" "$number"; done
} >>"$dir/spa/host.toml"
start "$dir/spa" --config "$dir/spa/host.toml"
node "$dir/cross_origin.js" "$screenshots" "$dir/spa" "$spa"
