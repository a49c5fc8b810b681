"""Logs in on each example host with each algorithm, and attacks them: hosts.py [login] [attack]."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time

from servers import HERE, Host, Postgres, Redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
LOGIN = os.path.join(ROOT, "tests", "login_over_http.py")
ATTACK = os.path.join(ROOT, "bindings", "attack_over_http.py")


def log_in() -> None:
    """Runs the checks that the Rust hosts pass."""
    for framework in ("fastapi", "flask", "django"):
        for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
            with Host(framework, "--alg", algorithm) as host:
                subprocess.run([sys.executable, LOGIN, host.url, host.outbox, algorithm], check=True)
    with tempfile.TemporaryDirectory() as folder:
        key, issuer = os.path.join(folder, "key.pem"), "https://login.example.org"
        make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]
        subprocess.run(make, check=True)
        with Host("fastapi", "--alg", "ES256", "--key", key, "--issuer", issuer) as host:
            subprocess.run([sys.executable, LOGIN, host.url, host.outbox, "ES256", issuer, key], check=True)


def attack() -> None:
    """Runs the attacks, under asyncio and under threads, with real servers."""
    # The hosts of one store share their secrets. A host with others refuses to start.
    for name in ("OTP_GRANT_INDEX_SECRET", "OTP_GRANT_SEALING_SECRET"):
        os.environ[name] = base64.b64encode(secrets.token_bytes(32)).decode()
    with contextlib.ExitStack() as stack:
        redis, postgres = stack.enter_context(Redis()), stack.enter_context(Postgres())
        for framework in ("fastapi", "flask"):
            for store in (redis.url, postgres.url):
                options = ("--alg", "ES256", "--send-quota", "off", "--store", store)
                with Host(framework, *options) as host:
                    name = f"{framework} on {store.partition(':')[0]}"
                    subprocess.run([sys.executable, ATTACK, host.url, host.outbox, name], check=True)


if __name__ == "__main__":
    steps = {"login": log_in, "attack": attack}
    for step in sys.argv[1:] or steps:
        begun = time.monotonic()
        steps[step]()
        print(f"{step}: {time.monotonic() - begun:.0f} s", flush=True)
