"""What the example hosts share: the options, the sample directory, the key, the store and the outbox."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import socket
import sys
import threading
import time
from typing import Any, Tuple

from otp_grant import (
    Address,
    AuthSource,
    Channel,
    Client,
    Delivery,
    Keyring,
    MemoryDirectory,
    MemoryStore,
    Settings,
    SigningKey,
    User,
    UserStatus,
)

SCOPES = "openid profile email phone offline_access"
MOST_READ = 65536
"""More than the 16 KiB that the core accepts. The core can then report that a body is too long."""
PURGE_INTERVAL = 60.0
"""Seconds between two purges of a table."""
PURGED_AT_ONCE = 1000


class Options:
    """The options of the command line."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--listen", default="127.0.0.1:8080", type=listen_address, metavar="ADDRESS:PORT")
        parser.add_argument("--issuer", default="https://sample.portal.example.com", metavar="URL")
        parser.add_argument("--alg", default="RS256", choices=["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
        parser.add_argument("--key", metavar="FILE.pem", help="the signing key, instead of a new one of --alg")
        parser.add_argument("--outbox", metavar="FILE", help="appends the codes to a file")
        parser.add_argument("--send-quota", default="on", choices=["on", "off"])
        parser.add_argument("--store", default="memory", metavar="memory|redis://…|postgres://…|sqlite:///…")
        options = parser.parse_args()
        self.listen: Tuple[str, int] = options.listen
        self.issuer: str = options.issuer
        self.algorithm: str = options.alg
        self._key, self._outbox, self._store = options.key, options.outbox, options.store
        self._send_quota: bool = options.send_quota == "on"
        self._parser = parser

    def bind(self) -> socket.socket:
        """Listens, and tells where."""
        family = socket.AF_INET6 if ":" in self.listen[0] else socket.AF_INET
        try:
            listener = socket.create_server(self.listen, family=family, backlog=1024)
        except OSError as error:
            self._parser.error(f"argument --listen: {error}")
        # Replies are small. Without it the end of a reply can wait for the acknowledgement of its beginning.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("listening on http://{}:{} ({})".format(*listener.getsockname()[:2], self.algorithm), flush=True)
        return listener

    def server(self) -> dict[str, Any]:
        """Returns the arguments of a server, but for its store."""
        claims = ("name", "preferred_username", "email", "email_verified", "phone_number", "phone_number_verified")
        return {
            "issuer": self.issuer,
            "keyring": keyring(),
            "signing_key": self._signing_key(),
            "settings": Settings(
                claims_supported=claims, scopes_supported=SCOPES, danger_without_send_quotas=not self._send_quota
            ),
            "directory": sample_directory(),
            "deliver": Outbox(self._outbox).send,
        }

    def store(self) -> Any:
        """Returns the store of ``--store``, for threads."""
        if self._store.startswith("redis"):
            from otp_grant.stores.redis import RedisStore

            return RedisStore.from_url(self._store)
        if self._store == "memory":
            return MemoryStore()
        from otp_grant.stores.sqlalchemy import SqlAlchemyStore

        store = SqlAlchemyStore.from_url(self._store)
        store.migrate()
        threading.Thread(target=purge_regularly, args=(store,), name="purge", daemon=True).start()
        return store

    async def async_store(self) -> Any:
        """Returns the store of ``--store``, for asyncio."""
        if self._store.startswith("redis"):
            from otp_grant.stores.redis import AsyncRedisStore

            return AsyncRedisStore.from_url(self._store)
        if self._store == "memory":
            return MemoryStore()
        from otp_grant.stores.sqlalchemy import AsyncSqlAlchemyStore

        store = AsyncSqlAlchemyStore.from_url(self._store)
        await store.migrate()
        # An event loop keeps no task alive by itself.
        self._purging = asyncio.create_task(async_purge_regularly(store))
        return store

    def _signing_key(self) -> SigningKey:
        if self._key:
            with open(self._key, encoding="ascii") as file:
                return SigningKey.from_pem(file.read())
        if self.algorithm in ("RS256", "PS256"):
            return SigningKey.from_pem(made_rsa_key(), algorithm=self.algorithm)
        return SigningKey.generate(self.algorithm)


def listen_address(text: str) -> Tuple[str, int]:
    """Reads ``ADDRESS:PORT``, or ``[ADDRESS]:PORT`` for IPv6."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def purge_regularly(store: Any) -> None:
    """Deletes the expired rows of a table. Without this, the table grows."""
    while True:
        try:
            while store.purge(limit=PURGED_AT_ONCE) == PURGED_AT_ONCE:
                pass
        except Exception as error:
            print(f"purge: {error}", file=sys.stderr, flush=True)
        time.sleep(PURGE_INTERVAL)


async def async_purge_regularly(store: Any) -> None:
    """Does the same for asyncio."""
    while True:
        try:
            while await store.purge(limit=PURGED_AT_ONCE) == PURGED_AT_ONCE:
                pass
        except Exception as error:
            print(f"purge: {error}", file=sys.stderr, flush=True)
        await asyncio.sleep(PURGE_INTERVAL)


class Outbox:
    """Stands for the SMS and mail providers: prints the codes, and appends them to a file as JSON lines."""

    def __init__(self, path: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if path else None

    def send(self, delivery: Delivery) -> None:
        """Stands for sending a code. A real host would queue the message. A client could otherwise time the delivery."""
        valid = math.ceil(delivery.valid_for.total_seconds())
        print(f"to {delivery.address}: {delivery.code} is your code for {delivery.usage}, valid for {valid} seconds")
        if self._file is not None:
            line = {"to": delivery.address.text, "code": delivery.code, "usage": delivery.usage}
            # In one call: the reader of the file sees whole lines.
            os.write(self._file, (json.dumps(line) + "\n").encode())


def keyring() -> Keyring:
    """The secrets of the environment, which hosts on one store share. Otherwise new ones, lost with the process."""
    index, sealing = os.environ.get("OTP_GRANT_INDEX_SECRET"), os.environ.get("OTP_GRANT_SEALING_SECRET")
    return Keyring(index, sealing) if index and sealing else Keyring.generate()


def sample_directory() -> MemoryDirectory:
    """The clients, auth sources and users of the contract's samples, and an API that introspects tokens."""
    sources = ["MOCK_SMS_OTP_AUTH_SOURCE_ID", "MOCK_EMAIL_OTP_AUTH_SOURCE_ID"]
    directory = MemoryDirectory(
        clients=[
            Client("TENANT_CLIENT_ID", secret="TENANT_CLIENT_SECRET", auth_sources=sources, scopes=SCOPES),
            Client("TENANT_SPA_CLIENT_ID", public=True, auth_sources=sources, scopes=SCOPES, may_send=True),
            Client("OTHER_CLIENT_ID", secret="OTHER_CLIENT_SECRET"),
            # The API logs no user in. Clients call it with tokens of the tenant's clients.
            Client("API_CLIENT_ID", secret="API_CLIENT_SECRET", grants=[], introspects_every_token=True),
        ],
        auth_sources=[AuthSource(sources[0], Channel.SMS), AuthSource(sources[1], Channel.EMAIL)],
    )
    claims = {
        "name": "Mock User",
        "preferred_username": "MOCK_USERNAME",
        "email": "MOCK_USERNAME@example.com",
        "email_verified": True,
        "phone_number": "+8613612345678",
        "phone_number_verified": True,
    }
    phone, email = Address.phone_number, Address.email
    directory.add_user(User("MOCK_USER_ID"), phone("13612345678"), email("MOCK_USERNAME@example.com"), claims=claims)
    locked = User("LOCKED_USER_ID", UserStatus.LOCKED)
    directory.add_user(locked, phone("13600000000"), email("locked@example.com"))
    return directory


def made_rsa_key() -> str:
    """The core makes no RSA keys. ``openssl genpkey`` makes them, or the package ``cryptography`` as here."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
