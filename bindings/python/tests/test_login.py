"""The life of a login, with ordinary methods and with coroutines."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List

import pytest
from hosting import CLIENT, KEY, KEYRING, PHONE, Host, directory, refresh, send

from otp_grant import (
    AccessTokenError,
    Address,
    Channel,
    Keyring,
    KeyringError,
    MemoryStore,
    Reply,
    Request,
    Settings,
    SigningKey,
    User,
    UserStatus,
    VerificationError,
)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_login_is_refreshed_and_signed_out(kind: str) -> None:
    host = Host(kind)
    tokens = host.log_in(scope="openid profile")
    claims = host.run(host.server.check_access_token(tokens["access_token"], client_id="web", scope="profile"))
    assert (claims.subject, claims.client_id, claims.scopes) == ("ada", "web", ["openid", "profile"])
    assert claims.expires_at - claims.issued_at == timedelta(minutes=5)
    userinfo = host.handle(Request("GET", "/userinfo", [("Authorization", "Bearer " + tokens["access_token"])]))
    assert userinfo and userinfo.json() == {"sub": "ada", "name": "Ada"}

    second = host.refresh(tokens["refresh_token"]).json()
    assert host.refresh(tokens["refresh_token"]).json()["refresh_token"] == second["refresh_token"]
    assert host.post("/oauth2/revoke", {**CLIENT, "token": second["refresh_token"]}, form=True).status == 200
    for token in (tokens, second):
        with pytest.raises(AccessTokenError) as refused:
            host.run(host.server.check_access_token(token["access_token"]))
        assert (refused.value.code, refused.value.reply.status) == ("revoked", 401)
        # Offline, nothing is known of the sign-out.
        assert host.server.verify_access_token(token["access_token"]).subject == "ada"
    assert host.refresh(second["refresh_token"]).status == 400


def test_a_code_logs_in_once_and_has_five_guesses(kind: str) -> None:
    host = Host(kind)
    login = host.send()
    wrong = {**login, "otp": "000000" if login["otp"] != "000000" else "000001"}
    for left in (4, 3, 2, 1, 0):
        reply = host.post("/oauth2/token", wrong)
        assert (reply.status, reply.json()["attempts_remaining"]) == (400, left)
    assert host.post("/oauth2/token", login).json()["error_description"] == "Unknown or expired otp_token"
    login = host.send()
    assert host.post("/oauth2/token", login).status == 200
    assert host.post("/oauth2/token", login).status == 400


def test_what_the_client_did_wrong_is_told(kind: str) -> None:
    host = Host(kind)
    assert host.handle(Request("GET", "/nothing")) is None
    assert Reply.not_found().status == 404
    assert host.post("/otp/send", {**CLIENT, "phone_number": "1"}).status == 400
    reply = host.post("/otp/send", {**send(), "client_secret": "x"})
    assert (reply.status, reply.json()) == (401, {"error": "invalid_client"})
    method = host.handle(Request("GET", "/otp/send"))
    assert method and (method.status, dict(method.headers)["Allow"]) == (405, "POST")
    locked = host.send("+8613600000000")
    assert host.post("/oauth2/token", locked).json()["error_description"] == "Abnormal user status"
    unknown = host.send("+8613611111111")
    assert host.post("/oauth2/token", unknown).json()["error_description"] == "User not found"
    assert host.post("/oauth2/token", {**unknown, "auto_signup": True}).status == 200


def test_a_session_is_revoked_by_the_host(kind: str) -> None:
    host = Host(kind)
    tokens = host.log_in()
    session = host.server.verify_access_token(tokens["access_token"]).session
    host.run(host.server.revoke_session(session))
    host.run(host.server.revoke_session(session))
    assert host.refresh(tokens["refresh_token"]).status == 400


def test_all_sessions_of_a_user_end(kind: str) -> None:
    known = directory()
    host = Host(kind, directory=known)
    tokens = host.log_in()
    known.add_user(User("ada", tokens_valid_after=datetime.now(timezone.utc) + timedelta(seconds=30)))
    assert host.refresh(tokens["refresh_token"]).status == 400
    known.add_user(User("ada", UserStatus.FROZEN))
    with pytest.raises(AccessTokenError):
        host.run(host.server.check_access_token(tokens["access_token"]))


def test_a_code_of_another_usage_verifies_its_address(kind: str) -> None:
    host = Host(kind)
    body = {**CLIENT, "usage": "reset_password", "phone_number": PHONE}
    sent = host.post("/otp/send", body).json()
    address = host.server.address(Channel.SMS, PHONE)
    asked: Dict[str, Any] = {"client_id": "web", "usage": "reset_password", "otp_token": sent["otp_token"]}
    code = host.sent[-1].code
    wrong = "000000" if code != "000000" else "000001"
    with pytest.raises(VerificationError) as refused:
        host.run(host.server.verify(address=address, otp=wrong, **asked))
    assert (refused.value.code, refused.value.attempts_remaining) == ("unknown_otp", 4)
    with pytest.raises(VerificationError) as refused:
        other = Address.phone_number("+8613611111111")
        host.run(host.server.verify(address=other, otp=code, **asked))
    assert refused.value.code == "mismatched_otp_token"
    verified = host.run(host.server.verify(address=address, otp=code, **asked))
    assert (verified.address, verified.usage) == (address, "reset_password")
    with pytest.raises(VerificationError) as refused:
        host.run(host.server.verify(address=address, otp=code, **asked))
    assert refused.value.code == "unknown_otp_token"


def test_secrets_of_another_host_are_found(kind: str) -> None:
    store = MemoryStore()
    assert Host(kind, store=store).run(Host(kind, store=store).server.check_keyring()) is True
    other = Host(kind, store=store, keyring=Keyring.generate())
    with pytest.raises(KeyringError) as refused:
        other.run(other.server.check_keyring())
    assert refused.value.code == "other_index_secret"
    same_index = Host(kind, store=store, keyring=Keyring(KEYRING.index, Keyring.generate().sealing))
    with pytest.raises(KeyringError) as refused:
        same_index.run(same_index.server.check_keyring())
    assert refused.value.code == "no_shared_sealing_secret"
    same_index.run(same_index.server.announce_new_keyring())
    assert same_index.run(same_index.server.check_keyring()) is True


def test_a_bearer_token_is_read_or_refused() -> None:
    assert Request("GET", "/", [(b"authorization", b"Bearer abc")]).bearer_token() == "abc"
    for headers in ([], [("Authorization", "Basic YTpi")], [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]):
        with pytest.raises(AccessTokenError) as refused:
            Request("GET", "/", headers).bearer_token()
        assert refused.value.reply.status in (400, 401)
        assert "WWW-Authenticate" in dict(refused.value.reply.headers)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_AUTHORIZATION": "Bearer a, Bearer b"}
    with pytest.raises(AccessTokenError):
        Request.from_wsgi(environ).bearer_token()


def test_a_token_of_another_server_is_refused() -> None:
    host, other = Host(), Host(signing_key=SigningKey.generate("EdDSA"))
    tokens = other.log_in()
    with pytest.raises(AccessTokenError):
        host.server.verify_access_token(tokens["access_token"])
    token = host.log_in()["access_token"]
    for wrong, code in (({"client_id": "app"}, "wrong_audience"), ({"scope": "profile"}, "insufficient_scope")):
        with pytest.raises(AccessTokenError) as refused:
            host.server.verify_access_token(token, **wrong)
        assert refused.value.code == code


def test_a_public_client_logs_in_and_settings_hold() -> None:
    settings = Settings(
        access_token_validity=timedelta(seconds=90), endpoints={"introspection": False, "token": "/token"},
        country_code="86", scopes_supported="openid profile",
    )
    host = Host(settings=settings)
    body = {"client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678"}
    sent = host.post("/otp/send", body).json()
    assert host.sent[0].address.text == PHONE
    # The first second can have begun before the message is handed over.
    assert timedelta(0) <= timedelta(minutes=3) - host.sent[0].valid_for <= timedelta(seconds=1)
    grant = {**body, "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "otp": host.sent[0].code}
    tokens = host.post("/token", {**grant, "otp_token": sent["otp_token"]}).json()
    assert tokens["expires_in"] in (89, 90)
    assert host.handle(Request("POST", "/oauth2/introspect")) is None
    assert {route.endpoint: route.path for route in host.server.routes}["token"] == "/token"
    # Once in 30 seconds.
    assert host.post("/otp/send", body).json()["error"] == "sms_rate_limit_exceeded"


def test_an_external_key_signs(kind: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    import base64

    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode(), "kid": "kms-1"}
    asked: List[str] = []

    def sign(question: Any) -> bytes:
        asked.append(question.algorithm)
        return key.sign(question.message)

    host = Host(kind, signing_key=SigningKey.external(jwk), signer=sign)
    tokens = host.log_in()
    assert asked == ["EdDSA", "EdDSA"]
    assert host.server.verify_access_token(tokens["access_token"]).subject == "ada"
    wrong = Host(kind, signing_key=SigningKey.external(jwk), signer=lambda question: b"x" * 64)
    login = wrong.send()
    assert wrong.post("/oauth2/token", login).status == 503
    without = Host(kind, signing_key=SigningKey.external(jwk))
    assert without.post("/oauth2/token", without.send()).status == 503


def test_events_reach_the_observer(kind: str) -> None:
    events: List[Any] = []
    host = Host(kind, observer=events.append)
    tokens = host.log_in()
    host.post("/oauth2/token", {**refresh(tokens["refresh_token"]), "client_secret": "x"}, form=True)
    assert [event["kind"] for event in events] == ["sent", "logged_in", "client_refused"]
    assert events[1]["subject"] == "ada"

    def fails(event: Any) -> None:
        raise ValueError("observer")

    assert Host(kind, observer=fails).log_in()


def test_numbering_plan_and_budget_are_asked() -> None:
    plan = {"1361234567": PHONE, PHONE: PHONE}.get
    host = Host(numbering_plan=plan, budget=lambda address: address.text.lower())
    assert host.server.address(Channel.SMS, "1361234567") == Address(Channel.SMS, PHONE)
    with pytest.raises(ValueError):
        host.server.address(Channel.SMS, "1361234568")
    assert host.log_in()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_addresses_whose_budget_fails_share_one() -> None:
    def fails(_: Address) -> str:
        raise LookupError("no such user")

    for budget in (fails, lambda _: None):
        host = Host(budget=budget)
        budgets = [host.server._engine.normalise_address("sms", phone) for phone in (PHONE, "+8613612345679")]
        assert len({json.loads(named)["budget"] for named in budgets}) == 1
        assert host.log_in()


def test_the_key_set_and_the_issuer_are_known() -> None:
    host = Host()
    assert host.server.issuer == "https://login.example.com"
    reply = host.handle(Request("GET", "/oauth2/jwks"))
    assert reply and reply.json() == host.server.key_set()
    assert [key["alg"] for key in host.server.key_set()["keys"]] == ["ES256"]
    assert "generate" not in json.dumps(host.server.key_set()) and KEY.key_id is None


def test_one_command_gives_a_login() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "otp_grant"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout
    assert '"name": "Ada"' in shown and "401" in shown and "Your code is" in shown
