"""What a server does when a port of the host fails, or gives an answer that is none."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Dict, List, Optional

import pytest
from hosting import CLIENT, PHONE, Host, directory

from otp_grant import (
    AuthSource,
    Channel,
    Client,
    ConfigurationError,
    DeliveryError,
    DeliveryFailure,
    Header,
    MemoryDirectory,
    MemoryStore,
    PortAnswerError,
    Record,
    Request,
    Unavailable,
    User,
)

SEND = {**CLIENT, "auth_source_id": "sms", "phone_number": PHONE}


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Failing(MemoryStore):
    """A store that fails at its n-th call, before or after it has done its work."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.fails_at: Optional[int] = None
        self.is_done = False

    def load(self, key: bytes) -> Optional[Record]:
        self.fail(False)
        record = super().load(key)
        self.fail(True)
        return record

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        self.fail(False)
        stored = super().swap(key, expected, record)
        self.fail(True)
        return stored

    def fail(self, is_done: bool) -> None:
        self.calls += not is_done
        if self.calls == self.fails_at and is_done == self.is_done:
            raise ConnectionError("the store is gone")


@pytest.mark.parametrize("is_done", [False, True])
def test_a_store_that_fails_once_costs_no_login(kind: str, is_done: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "otp_grant")
    failures = 0
    for number in range(1, 20):
        store = Failing()
        host = Host(kind, store=store)
        login = host.send()
        store.fails_at, store.is_done = store.calls + number, is_done
        reply = host.post("/oauth2/token", login)
        has_failed = store.calls >= store.fails_at
        assert reply.status in (200, 503), reply
        if reply.status == 503:
            failures += 1
            assert reply.json()["error"] == "temporarily_unavailable"
            assert host.post("/oauth2/token", login).status == 200
        if not has_failed:
            break
    assert failures > 0


def test_a_failing_port_is_logged_and_told(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Failing()
    events: List[Any] = []
    host = Host(kind, store=store, observer=events.append)
    tokens = host.log_in()
    store.fails_at = store.calls + 1
    with pytest.raises(Unavailable) as failed:
        host.run(host.server.check_access_token(tokens["access_token"]))
    assert isinstance(failed.value.__cause__, ConnectionError)
    assert events[-1]["kind"] == "store_failed" and "the store is gone" in events[-1]["error"]
    assert "the port failed that answers 'load'" in caplog.text and "ConnectionError" in caplog.text
    store.fails_at = store.calls + 1
    with pytest.raises(Unavailable):
        host.run(host.server.check_keyring())


class Unspeakable(Exception):
    """An error whose text fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the log out of the report of a test. pytest-xdist can't pass on a surrogate."""
    monkeypatch.setattr(logging.getLogger("otp_grant"), "disabled", True)


@pytest.mark.parametrize(
    "error", [DeliveryError(), ValueError("\udcff"), Unspeakable()], ids=["delivery", "surrogate", "no-text"]
)
@pytest.mark.usefixtures("unlogged")
def test_whatever_a_port_raises_is_a_503(kind: str, error: Exception) -> None:
    events: List[Any] = []
    store = MemoryStore()

    def load(key: bytes) -> Optional[Record]:
        raise error

    store.load = load  # type: ignore[method-assign]
    host = Host(kind, store=store, observer=events.append)
    assert host.post("/otp/send", SEND).status == 503
    assert events[-1]["kind"] == "store_failed" and events[-1]["error"].startswith(type(error).__name__)


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        (DeliveryError(DeliveryFailure.ADDRESS_REFUSED), 400, "invalid_phone_number"),
        (DeliveryError(DeliveryFailure.INSUFFICIENT_QUOTA), 400, "insufficient_sms_quota"),
        (DeliveryError(), 503, "temporarily_unavailable"),
        (RuntimeError("the provider"), 503, "temporarily_unavailable"),
    ],
)
def test_a_delivery_that_fails_is_told(kind: str, failure: Exception, status: int, error: str) -> None:
    def deliver(delivery: Any) -> None:
        raise failure

    reply = Host(kind, deliver=deliver).post("/otp/send", SEND)
    assert (reply.status, reply.json()["error"]) == (status, error)


@pytest.mark.parametrize("failure", [DeliveryError(), OSError("/var/\udcff: not found")])
@pytest.mark.usefixtures("unlogged")
def test_an_exception_of_another_port_is_a_503_whatever_it_is(kind: str, failure: Exception) -> None:
    class Raises(MemoryDirectory):
        def client(self, id: str) -> Optional[Client]:
            raise failure

    reply = Host(kind, directory=Raises()).post("/otp/send", SEND)
    assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")


class Wrong:
    """A directory or a store, one method of which gives a wrong answer."""

    def __init__(self, right: Any, name: str, answer: Any) -> None:
        self.right, self.name, self.answer = right, name, answer
        self.is_wrong = True

    def __getattr__(self, name: str) -> Any:
        if name == self.name and self.is_wrong:
            return lambda *_: self.answer
        return getattr(self.right, name)


WRONG: Dict[str, Any] = {
    "client": "web",
    "auth_source": {"id": "sms"},
    "user_by_address": True,
    "user_claims": None,
    "load": b"{}",
    "swap": 1,
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_answer_is_a_503_and_is_logged(kind: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    is_store = name in ("load", "swap")
    right = MemoryStore() if is_store else directory()
    host = Host(kind, **{"store" if is_store else "directory": Wrong(right, name, WRONG[name])})
    statuses = [host.post("/otp/send", SEND).status]
    if statuses == [200]:
        login = {**SEND, "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "otp": host.sent[0].code}
        sent = host.post("/otp/send", SEND).json()
        reply = host.post("/oauth2/token", {**login, "otp_token": sent["otp_token"]})
        statuses.append(reply.status)
        if reply.status == 200:
            headers = [("Authorization", "Bearer " + reply.json()["access_token"])]
            userinfo = host.handle(Request("GET", "/userinfo", headers))
            assert userinfo is not None
            statuses.append(userinfo.status)
    assert statuses[-1] == 503, statuses
    assert PortAnswerError.__name__ in caplog.text


def test_a_client_of_another_identifier_is_refused(kind: str) -> None:
    other = Client("other", secret="a long random value", auth_sources=["sms"])
    reply = Host(kind, directory=Wrong(directory(), "client", other)).post("/otp/send", SEND)
    assert reply.status >= 400


def test_malformed_records_and_users_are_a_503(kind: str) -> None:
    for record in (Record(b"x", 0, b"{}"), Record(b"x" * 16, 0, b"{}"), Record(b"x" * 16, 0, b"\xff")):
        assert Host(kind, store=Wrong(MemoryStore(), "load", record)).post("/otp/send", SEND).status == 503
    for user in (User(""), User("ada", tokens_valid_after=datetime(2030, 1, 1))):
        host = Host(kind, directory=Wrong(directory(), "user_by_address", user))
        assert host.post("/oauth2/token", host.send()).status == 503
    claims = Wrong(directory(), "user_claims", {"a": float("nan")})
    host = Host(kind, directory=claims)
    headers = [("Authorization", "Bearer " + host.log_in()["access_token"])]
    reply = host.handle(Request("GET", "/userinfo", headers))
    assert reply is not None and reply.status == 503


def test_a_scope_is_narrowed_and_claims_are_added(kind: str) -> None:
    class Narrow(MemoryDirectory):
        def granted_scope(self, user: User, client_id: str, requested: str) -> Optional[str]:
            assert (user.subject, client_id) == ("ada", "web")
            return None if requested == "profile" else "openid"

        def access_token_claims(self, subject: str, client_id: str, scope: str) -> Dict[str, Any]:
            return {"tenant": "t-1", "scope_then": scope}

    known = Narrow(
        clients=[Client("web", secret="a long random value", auth_sources=["sms"], scopes="openid profile")],
        auth_sources=[AuthSource("sms", Channel.SMS)],
    )
    known.add_user(User("ada"), Host().server.address(Channel.SMS, PHONE))
    host = Host(kind, directory=known)
    tokens = host.log_in(scope="openid profile")
    assert tokens["scope"] == "openid"
    assert host.server.verify_access_token(tokens["access_token"]).custom == {"tenant": "t-1", "scope_then": "openid"}
    refused = host.post("/oauth2/token", {**host.send(), "scope": "profile"})
    assert refused.json()["error"] == "invalid_scope"


def test_what_interrupts_the_process_is_not_swallowed() -> None:
    class Interrupted(MemoryStore):
        def load(self, key: bytes) -> Optional[Record]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Host(store=Interrupted()).post("/otp/send", SEND)


def test_a_host_without_a_port_is_refused_at_once() -> None:
    for options, missing in (({"store": object()}, "load"), ({"directory": MemoryStore()}, "client"),
                             ({"deliver": None}, "deliver")):
        with pytest.raises(ConfigurationError, match=missing):
            Host(**options)


def test_headers_that_are_no_text_are_a_client_s_error(kind: str) -> None:
    headers: List[Header] = [(b"\xff", b"\xff"), (b"authorization", b"Basic \xff"), ("content-type", "application/json")]
    reply = Host(kind).handle(Request("POST", "/otp/send", headers, b"{}"))
    assert reply is not None and 400 <= reply.status < 500
