"""A host without HTTP, for tests: its clients, its users, its outbox, and the requests of a login."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from typing import Any, Callable, Dict, List, Optional, Union

from otp_grant import (
    SMS_GRANT_TYPE,
    Address,
    AsyncServer,
    AuthSource,
    Channel,
    Client,
    Delivery,
    Keyring,
    MemoryDirectory,
    MemoryStore,
    Reply,
    Request,
    Server,
    Settings,
    SigningKey,
    User,
    UserStatus,
)

CLIENT = {"client_id": "web", "client_secret": "a long random value"}
PHONE = "+8613612345678"
ISSUER = "https://login.example.com"
OPEN = Settings(danger_without_send_quotas=True)
KEYRING = Keyring.generate()
KEY = SigningKey.generate("ES256")


def directory() -> MemoryDirectory:
    """A client, an auth source, and two users."""
    web = Client("web", secret="a long random value", auth_sources=["sms"], scopes="openid profile")
    app = Client("app", public=True, auth_sources=["sms"], may_send=True)
    known = MemoryDirectory(clients=[web, app], auth_sources=[AuthSource("sms", Channel.SMS)])
    known.add_user(User("ada"), Address.phone_number(PHONE), claims={"name": "Ada"})
    known.add_user(User("locked", UserStatus.LOCKED), Address.phone_number("+8613600000000"))
    return known


class Host:
    """A server whose deliveries are kept."""

    def __init__(self, kind: str = "sync", **options: Any) -> None:
        self.sent: List[Delivery] = []
        self.kind = kind
        given = {"issuer": ISSUER, "keyring": KEYRING, "signing_key": KEY, "settings": OPEN, "store": MemoryStore()}
        given.update(directory=directory(), deliver=self.sent.append)
        given.update(options)
        make: Callable[..., Union[Server, AsyncServer]] = Server if kind == "sync" else AsyncServer
        self.server = make(**given)

    def run(self, answer: Any) -> Any:
        """Waits for the answer of the server, if it is a coroutine."""
        return asyncio.run(answer) if self.kind == "async" else answer

    def handle(self, request: Request) -> Optional[Reply]:
        return self.run(self.server.handle(request))  # type: ignore[no-any-return]

    def post(self, path: str, body: Dict[str, Any], *, form: bool = False) -> Reply:
        reply = self.handle(post(path, body, form=form))
        assert reply is not None
        return reply

    def send(self, phone: str = PHONE, **members: Any) -> Dict[str, Any]:
        """Sends a code, and returns the login that redeems it."""
        reply = self.post("/otp/send", send(phone, **members))
        assert reply.status == 200, reply
        return login(reply.json(), self.sent[-1].code, phone)

    def log_in(self, phone: str = PHONE, **members: Any) -> Dict[str, Any]:
        """Logs in, and returns the tokens."""
        reply = self.post("/oauth2/token", {**self.send(phone), **members})
        assert reply.status == 200, reply
        tokens: Dict[str, Any] = reply.json()
        return tokens

    def refresh(self, refresh_token: str) -> Reply:
        return self.post("/oauth2/token", refresh(refresh_token), form=True)


def send(phone: str = PHONE, **members: Any) -> Dict[str, Any]:
    return {**CLIENT, "auth_source_id": "sms", "phone_number": phone, **members}


def login(sent: Dict[str, Any], code: str, phone: str = PHONE) -> Dict[str, Any]:
    return {**send(phone), "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code}


def refresh(refresh_token: str) -> Dict[str, Any]:
    return {**CLIENT, "grant_type": "refresh_token", "refresh_token": refresh_token}


def post(path: str, body: Dict[str, Any], *, form: bool = False) -> Request:
    type_ = "application/x-www-form-urlencoded" if form else "application/json"
    content = urllib.parse.urlencode(body) if form else json.dumps(body)
    return Request("POST", path, [("Content-Type", type_)], content.encode())
