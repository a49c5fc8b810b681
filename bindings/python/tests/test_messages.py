"""Devices, test identities, the send guard, and what the support staff does, with methods and with coroutines."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List

import pytest
from hosting import CLIENT, PHONE, Host, directory, login, post, send

from otp_grant import (
    Address,
    AuthSource,
    Channel,
    Client,
    ConfigurationError,
    Delivery,
    DevicePolicy,
    GuardMode,
    MemoryDirectory,
    MemoryStore,
    MessageBudget,
    Quota,
    Reply,
    SendGuard,
    Settings,
    TestIdentity,
    Threshold,
    Unavailable,
    User,
    VerificationError,
    Verdict,
)

DAY = timedelta(days=1)
REVIEWER = "+8613600000001"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def few_guesses() -> Settings:
    """Five guesses lock an address."""
    return Settings(
        danger_without_send_quotas=True,
        guesses_per_address=Quota(5, DAY),
        devices=DevicePolicy(Quota(9, DAY), [Quota(8, DAY)], timedelta(days=30)),
    )


def lock(host: Host) -> None:
    """Uses up all guesses of those who have no device token."""
    sent = host.send()
    for _ in range(5):
        wrong = "000000" if sent["otp"] != "000000" else "000001"
        assert host.post("/oauth2/token", {**sent, "otp": wrong}).status == 400
    refused = host.post("/otp/send", send())
    assert (refused.status, refused.json()["error"]) == (400, "sms_rate_limit_exceeded")


def test_a_known_device_logs_in_where_an_attacker_has_locked(kind: str) -> None:
    events: List[Any] = []
    host = Host(kind, settings=few_guesses(), observer=events.append)
    device = {"device_token": host.log_in(remember_device=True)["device_token"]}
    lock(host)
    sent = host.send(**device)
    assert host.post("/oauth2/token", sent).status == 400
    assert host.post("/oauth2/token", {**sent, **device}).status == 200
    kinds = [event["kind"] for event in events]
    assert "device_remembered" in kinds and "locked_out" in kinds

    # A code of another usage is redeemed with the device token also.
    body = {**CLIENT, "usage": "signup", "phone_number": PHONE, **device}
    sent = host.post("/otp/send", body).json()
    about: Dict[str, Any] = {"client_id": "web", "usage": "signup", "address": Address(Channel.SMS, PHONE)}
    about.update(otp_token=sent["otp_token"], otp=host.sent[-1].code)
    for token in (None, "no device token"):
        with pytest.raises(VerificationError) as refused:
            host.run(host.server.verify(**about, device_token=token))
        assert refused.value.code == "unknown_otp_token"
    assert host.run(host.server.verify(**about, **device)).usage == "signup"


def test_the_staff_explains_unlocks_and_forgets(kind: str) -> None:
    host = Host(kind, settings=few_guesses())
    address = Address(Channel.SMS, PHONE)
    untouched = host.run(host.server.explain(address))
    assert (untouched.is_locked, untouched.guesses.left, untouched.sends.left) == (False, 5, None)
    assert (untouched.challenges, untouched.devices) == ((), ())

    device = {"device_token": host.log_in(remember_device=True)["device_token"]}
    lock(host)
    now = datetime.now(timezone.utc)
    state = host.run(host.server.explain(address))
    assert (state.is_locked, state.guesses.left) == (True, 0)
    assert now < state.guesses.available_at < now + DAY + timedelta(minutes=1)
    known = state.devices[0]
    # What lifts the send quotas lifts those of devices also.
    assert (known.guesses.left, known.guesses.available_at, known.sends.left) == (9, None, None)
    assert known.known_until - now > timedelta(days=29)
    challenge = state.challenges[-1]
    assert challenge.guesses_left == 0 and now < challenge.code_expires_at < challenge.expires_at

    assert host.run(host.server.unlock(address)) is None
    assert host.run(host.server.explain(address)).guesses == untouched.guesses
    assert host.log_in()
    assert host.run(host.server.forget_devices(address)) is None
    assert host.run(host.server.explain(address)).devices == ()
    lock(host)
    assert host.post("/otp/send", send(**device)).status == 400

    with pytest.raises(ConfigurationError):
        host.run(host.server.explain(Address(Channel.EMAIL, PHONE)))


def test_a_store_that_fails_explains_nothing(kind: str) -> None:
    class Broken(MemoryStore):
        def load(self, key: bytes) -> Any:
            raise OSError("the disk is on fire")

    host = Host(kind, store=Broken())
    for verb in (host.server.explain, host.server.unlock, host.server.forget_devices):
        with pytest.raises(Unavailable) as failed:
            host.run(verb(Address(Channel.SMS, PHONE)))
        assert isinstance(failed.value.__cause__, OSError)


def test_a_server_that_remembers_no_device_gives_no_token() -> None:
    host = Host(settings=Settings(devices=False))
    assert "device_token" not in host.log_in(remember_device=True)


def test_a_reviewer_logs_in_without_a_telephone(kind: str) -> None:
    known = directory()
    address = Address.phone_number(REVIEWER)
    known.add_user(User("reviewer"), address)
    identity = TestIdentity(address, "246810", ["web"], datetime.now(timezone.utc) + DAY)
    assert "246810" not in repr(identity)
    settings = Settings(danger_without_send_quotas=True, test_identities=[identity])
    events: List[Any] = []
    host = Host(kind, settings=settings, directory=known, observer=events.append)

    def attempt(code: str) -> Reply:
        sent = host.post("/otp/send", send(REVIEWER))
        assert sent.status == 200
        return host.post("/oauth2/token", login(sent.json(), code, REVIEWER))

    assert attempt("246810").json()["error_description"] == "User not found"
    known.add_user(User("reviewer", is_test=True), address)
    assert attempt("246811").status == 400
    tokens = attempt("246810").json()
    claims = host.server.verify_access_token(tokens["access_token"])
    assert (claims.subject, claims.amr) == ("reviewer", ("test",))
    assert host.sent == []
    assert [event["kind"] for event in events].count("test_identity_used") == 4


def test_a_test_identity_has_a_code_a_client_and_an_end() -> None:
    address = Address.phone_number(REVIEWER)
    end = datetime.now(timezone.utc) + DAY

    def place(identity: TestIdentity) -> str:
        with pytest.raises(ConfigurationError) as refused:
            Host(settings=Settings(test_identities=[identity]))
        return str(refused.value).partition(":")[0]

    assert place(TestIdentity(address, "24681", ["web"], end)) == "test_identities"
    assert place(TestIdentity(address, "246810", ["web"], end + 90 * DAY)) == "test_identities"
    assert place(TestIdentity(address, "246810", [], end)) == "test_identities[0].clients"
    assert place(TestIdentity(Address(Channel.EMAIL, "x"), "246810", ["web"], end)) == "test_identities[0].email"
    with pytest.raises(ConfigurationError):
        TestIdentity(address, "246810", ["web"], datetime(2030, 1, 1))


def test_a_send_that_is_not_trusted_passes_with_a_verdict(kind: str) -> None:
    guard = SendGuard(
        GuardMode.ENFORCE, ["86", "1"], ["1876"], block=Threshold(2, 2, 0), country=Threshold(300, 100), shards=1
    )
    events: List[Any] = []
    host = Host(kind, settings=Settings(send_guard=guard), observer=events.append)

    def ask(phone: str, verdict: Verdict = Verdict.NONE) -> Any:
        reply = host.run(host.server.handle(post("/otp/send", send(phone)), verdict=verdict))
        return reply.json().get("error")

    assert [ask(f"+861361234000{number}") for number in range(5)] == [None] * 4 + ["challenge_required"]
    assert ask("+8613612340005", Verdict.ALLOW) is None
    assert ask("+8613700000000", Verdict.CHALLENGE) == "challenge_required"
    assert ask("+8613700000000", Verdict.REFUSE) == "insufficient_sms_quota"
    assert ask("+18765550123", Verdict.ALLOW) == "invalid_phone_number"
    causes = [(event["kind"], event["cause"]) for event in events if "cause" in event]
    assert causes == [
        ("send_challenged", "block"),
        ("send_challenged", "verdict"),
        ("send_refused", "verdict"),
        ("send_refused", "country_not_allowed"),
    ]


def test_a_guard_that_observes_tells_and_a_client_has_a_budget(kind: str) -> None:
    events: List[Any] = []
    budget = MessageBudget(4, 4)
    web = Client("web", secret=CLIENT["client_secret"], auth_sources=["sms"], message_budget=budget)
    known = MemoryDirectory(clients=[web], auth_sources=[AuthSource("sms", Channel.SMS)])
    guard = SendGuard(GuardMode.OBSERVE, block=Threshold(1, 1), email_domain=Threshold(9, 9), shards=1)
    host = Host(kind, settings=Settings(send_guard=guard), directory=known, observer=events.append)
    for number in range(5):
        assert host.send(f"+861361234000{number}")
    kinds = {event["kind"] for event in events}
    assert kinds >= {"send_would_be_refused", "client_budget_half_used", "client_budget_used"}


@pytest.mark.parametrize(
    "settings, place",
    [
        (Settings(devices=DevicePolicy(Quota(26, DAY))), "devices"),
        (Settings(devices=DevicePolicy(sends=[])), "devices.sends"),
        (Settings(send_guard=SendGuard(GuardMode.ENFORCE, ["+1"])), "send_guard.countries.allow[0]"),
        (Settings(send_guard=SendGuard(GuardMode.ENFORCE, except_countries=["1876"])), "send_guard.countries.allow"),
        (Settings(send_guard=SendGuard(GuardMode.ENFORCE, shards=1025)), "send_guard"),
        (Settings(send_guard=SendGuard(GuardMode.OFF, block=Threshold(3, 4))), "send_guard.thresholds.block.per_hour"),
    ],
)
def test_an_error_names_the_place(settings: Settings, place: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Host(settings=settings)
    assert str(refused.value).partition(": ")[0] == place


def test_a_message_budget_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="message_budget.per_hour"):
        Client("web", public=True, message_budget=MessageBudget(0, 5))


def test_a_second_message_with_the_same_code_says_so(kind: str) -> None:
    host = Host(kind)
    first, second = host.send(), host.send()
    assert first["otp"] == second["otp"]
    assert [delivery.attempt for delivery in host.sent] == [1, 2]
    assert Delivery(Address(Channel.SMS, PHONE), "1", "login", "web", "sms", DAY).attempt == 1


def test_the_directory_says_who_is_a_test_subject(kind: str) -> None:
    known = directory()
    asked: List[User] = []

    def granted(user: User, client_id: str, requested: str) -> str:
        asked.append(user)
        return requested

    known.granted_scope = granted  # type: ignore[attr-defined]
    address = Address.phone_number(REVIEWER)
    known.add_user(User("reviewer", is_test=True), address)
    identity = TestIdentity(address, "246810", ["web"], datetime.now(timezone.utc) + DAY)
    host = Host(kind, settings=Settings(test_identities=[identity]), directory=known)
    sent = host.post("/otp/send", send(REVIEWER)).json()
    assert host.post("/oauth2/token", login(sent, "246810", REVIEWER)).status == 200
    assert host.log_in()
    assert [user.is_test for user in asked] == [True, False]
