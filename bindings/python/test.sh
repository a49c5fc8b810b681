#!/usr/bin/env bash
# Builds the wheel without link-time optimisation, installs it into a fresh environment, and tests what was installed:
# types, unit tests, the conformance suite on real servers, the hosts over HTTP, the attacks, and leaks.
#
#   ./test.sh [LOGINS of the leak test, 5000 by default]
#
# It needs Python 3.9 or later with venv, cargo, openssl, redis-server, and PostgreSQL in /usr/lib/postgresql.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
venv=$target/python/venv
wheels=$target/python/wheels
begun=$SECONDS
step() { printf '\n-- %s (%d s)\n' "$*" $((SECONDS - begun)); }

step "environment"
rm -rf "$venv" "$wheels"
python3 -m venv "$venv"
export PATH=$venv/bin:$PATH VIRTUAL_ENV=$venv
pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt

step "wheel"
CARGO_PROFILE_DEV_DEBUG=0 maturin build --locked --profile dev --quiet --out "$wheels"
pip install --quiet --disable-pip-version-check "$wheels"/*.whl
cd tests # Not the folder whose `python` is the source.

step "one command gives a login"
python -m otp_grant </dev/null | tail -n 4

step "types"
(cd .. && mypy && pyright)
python -m mypy.stubtest otp_grant._core
(cd .. && mypy --strict --ignore-missing-imports --allow-untyped-decorators examples/*.py)
mypy --strict --ignore-missing-imports *.py

step "tests"
python -m pytest --quiet --numprocesses 4 --dist worksteal --durations 12 .

step "hosts"
python hosts.py login

step "attacks"
python hosts.py attack

step "leaks"
python leaks.py "${1:-5000}"
step "done"
