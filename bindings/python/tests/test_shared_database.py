"""A host in Rust and one in Python share one database: what the one began, the other one goes on with.

It needs the reference host: ``cargo build -p otp-grant-host``, or its path in ``OTP_GRANT_HOST``.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict

import pytest
from hosting import CLIENT, KEYRING, OPEN, PHONE, Host, login, refresh, send
from servers import Postgres, Redis, answers, free_port

from otp_grant import SigningKey, Unavailable
from otp_grant.stores.redis import RedisStore
from otp_grant.stores.sqlalchemy import SqlAlchemyStore

TARGET = os.environ.get("CARGO_TARGET_DIR", str(Path(__file__).resolve().parents[3] / "target"))
BINARY = os.environ.get("OTP_GRANT_HOST", os.path.join(TARGET, "debug", "otp-grant-host"))


@pytest.mark.skipif(not os.path.exists(BINARY), reason="otp-grant-host is not built")
@pytest.mark.parametrize("kind", ["redis", "postgres", "sqlite"])
def test_hosts_in_both_languages_share_a_database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pem = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ED25519"], check=True, capture_output=True, text=True
    ).stdout
    (tmp_path / "signing.pem").write_text(pem)
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    (tmp_path / "host.toml").write_text(f"""
issuer = "{issuer}"
keys = {{ index = "{KEYRING.index}", sealing = "{KEYRING.sealing}" }}
signing = {{ active = {{ file = "signing.pem" }} }}
auth_sources.sms = {{ channel = "sms" }}
danger.without_send_quotas = true
[clients.web]
secret = "{CLIENT["client_secret"]}"
auth_sources = ["sms"]
[[users.list]]
subject = "ada"
phone_number = "{PHONE}"
""")
    if kind == "redis":
        redis: Redis = request.getfixturevalue("redis_server")
        url, store = f"{redis.url}/1", RedisStore.from_url(f"{redis.url}/1")  # type: Any, Any
    elif kind == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres_server")
        url, store = postgres.url, SqlAlchemyStore.from_url(postgres.url)
    else:
        url, store = f"sqlite:{tmp_path}/records.db", SqlAlchemyStore.from_url(f"sqlite:///{tmp_path}/records.db")
    outbox = tmp_path / "outbox"
    outbox.touch()
    command = [BINARY, "--config", str(tmp_path / "host.toml"), "--listen", f"127.0.0.1:{port}", "--store", url]
    with subprocess.Popen([*command, "--outbox", str(outbox), "--log-level", "warn"]) as rust:
        try:
            deadline = time.monotonic() + 30
            while not answers(port):
                assert rust.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            python = Host(store=store, issuer=issuer, signing_key=SigningKey.from_pem(pem), settings=OPEN)
            # The host in Rust makes its table after it listens.
            while not is_ready(python):
                assert rust.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            assert python.run(python.server.check_keyring()) is True

            # Sent in Rust, guessed and redeemed in Python, refreshed in Rust, and then in Python.
            sent = call(issuer, "/otp/send", send())
            code = json.loads(outbox.read_text().splitlines()[-1])["code"]
            there = login(sent, code)
            wrong = {**there, "otp": "000000" if code != "000000" else "000001"}
            assert call(issuer, "/oauth2/token", wrong)["attempts_remaining"] == 4
            assert python.post("/oauth2/token", wrong).json()["attempts_remaining"] == 3
            tokens = python.post("/oauth2/token", there).json()
            assert call(issuer, "/oauth2/token", there)["error"] == "invalid_grant"
            second = call(issuer, "/oauth2/token", refresh(tokens["refresh_token"]))
            third = python.refresh(second["refresh_token"]).json()
            assert python.run(python.server.check_access_token(third["access_token"])).subject == "ada"
            # The use of a superseded token in Rust ends the session in Python.
            assert call(issuer, "/oauth2/token", refresh(tokens["refresh_token"]))["error"] == "invalid_grant"
            assert python.refresh(third["refresh_token"]).status == 400

            # Sent in Python, redeemed in Rust.
            again = python.send()
            assert "access_token" in call(issuer, "/oauth2/token", again)
            assert python.post("/oauth2/token", again).status == 400
        finally:
            rust.terminate()


def is_ready(host: Host) -> bool:
    try:
        host.run(host.server.check_keyring())
    except Unavailable:
        return False
    return True


def call(issuer: str, path: str, body: Dict[str, Any]) -> Any:
    """Posts JSON to the host in Rust."""
    request = urllib.request.Request(issuer + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())
