"""What the example hosts do before the core is asked."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from servers import EXAMPLES, Host

from otp_grant import Record
from otp_grant.stores.sqlalchemy import SqlAlchemyStore


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_a_body_that_is_far_too_long_is_refused_before_it_is_read(framework: str) -> None:
    with Host(framework, "--alg", "ES256") as host:
        address, _, port = host.url.removeprefix("http://").partition(":")
        with socket.create_connection((address, int(port)), 5) as connection:
            # The body never comes.
            connection.sendall(b"POST /otp/send HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n")
            assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
@pytest.mark.parametrize("address", ["8080", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "192.0.2.1:80"])
def test_an_address_that_is_not_one_is_an_error_of_the_option(framework: str, address: str) -> None:
    command = [sys.executable, os.path.join(EXAMPLES, f"{framework}_host.py"), "--alg", "ES256", "--listen", address]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "error: argument --listen: " in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_host_with_a_table_purges_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    support = importlib.import_module("support")
    monkeypatch.setattr(support, "PURGE_INTERVAL", 0.05)
    monkeypatch.setattr(support, "PURGED_AT_ONCE", 2)
    url = f"sqlite:///{tmp_path}/records.db"
    monkeypatch.setattr(sys, "argv", ["host", "--store", url])
    observer = SqlAlchemyStore.from_url(url)
    observer.migrate()

    def store_expired_rows() -> None:
        for key in range(5):
            assert observer.swap(bytes([key]) * 32, None, Record(bytes(16), 1, b"{}"))

    def is_purged() -> bool:
        return all(observer.load(bytes([key]) * 32) is None for key in range(5))

    async def in_asyncio() -> None:
        options = support.Options()
        store = await options.async_store()
        for _ in range(2):
            store_expired_rows()
            await wait_for(is_purged)
        # It goes on after a failure.
        purge, store.purge = store.purge, fail
        await asyncio.sleep(0.2)
        store.purge = purge
        store_expired_rows()
        await wait_for(is_purged)

    def in_threads() -> None:
        store = support.Options().store()
        for _ in range(2):
            store_expired_rows()
            asyncio.run(wait_for(is_purged))
        purge, store.purge = store.purge, fail
        time.sleep(0.2)
        store.purge = purge
        store_expired_rows()
        asyncio.run(wait_for(is_purged))

    def fail(**_: Any) -> Any:
        raise RuntimeError("the database is down")

    asyncio.run(in_asyncio()) if kind == "asyncio" else in_threads()
    assert "purge: the database is down" in capsys.readouterr().err


async def wait_for(is_done: Any) -> None:
    """Waits up to 10 seconds."""
    for _ in range(200):
        if is_done():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the rows are still there")
