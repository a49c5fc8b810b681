#!/usr/bin/env bash
# Builds the addon without link-time optimisation, packs the package, installs the packed file into an empty folder, and
# runs everything there: test.sh [LOGINS of the test for leaks, 5000 if there are none].
#
# Needs npm, python3, openssl, redis-server and PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")"
repository=$(cd ../.. && pwd)
logins=${1:-5000}
dir=$(mktemp -d)
demo=
trap 'if [ -n "$demo" ]; then kill "$demo" 2>/dev/null || true; fi; rm -rf "$dir"' EXIT
step() { printf -- '-- %s (%d s)\n' "$*" "$SECONDS"; }

step "build"
npm ci --no-audit --no-fund --silent
rm -rf dist
npx napi build --platform --output-dir dist --js native.js --dts native.d.ts
node build.mjs

step "pack, and install into an empty folder"
npm pack --silent --pack-destination "$dir" >/dev/null
mkdir "$dir/host"
cp -r test examples "$dir/host"
cd "$dir/host"
npm init -y >/dev/null
npm install --no-audit --no-fund --silent "$dir"/otp-grant-*.tgz

step "one command gives a login"
npx --no-install otp-grant --listen 127.0.0.1:0 >"$dir/demo" 2>&1 &
demo=$!
python3 test/demo.py "$dir/demo"
kill "$demo"; wait "$demo" 2>/dev/null || true; demo=

step "types"
# What the tests and the examples use beside the package. It has none of these dependencies itself.
peers=$(node -p "Object.entries(require('$repository/bindings/node/package.json').devDependencies)
    .filter(([name]) => name !== '@napi-rs/cli').map((entry) => entry.join('@')).join(' ')")
# shellcheck disable=SC2086
npm install --no-audit --no-fund --silent $peers
npx tsc -p test/types
npx tsc -p test/types/commonjs
npx tsc -p examples

step "tests"
REPOSITORY=$repository node --test --test-timeout=240000 --test-reporter=spec test/*.test.mjs

step "hosts"
test/hosts.sh "$PWD" "$repository"

step "leaks"
node --expose-gc --max-semi-space-size=2 test/leaks.mjs "$logins"
step "passed"
