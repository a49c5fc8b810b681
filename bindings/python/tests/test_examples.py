"""What the example hosts do before the core is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from servers import EXAMPLES, Host


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
