"""What the example hosts do before the core is asked."""

from __future__ import annotations

import socket

import pytest
from servers import Host


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_a_body_that_is_far_too_long_is_refused_before_it_is_read(framework: str) -> None:
    with Host(framework, "--alg", "ES256") as host:
        address, _, port = host.url.removeprefix("http://").partition(":")
        with socket.create_connection((address, int(port)), 5) as connection:
            # The body never comes.
            connection.sendall(b"POST /otp/send HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n")
            assert connection.recv(64).startswith(b"HTTP/1.1 413 ")
