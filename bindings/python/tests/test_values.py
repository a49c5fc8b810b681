"""Values and configurations: what is wrong is refused at once, by its place."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any, Dict

import pytest
from hosting import KEY, KEYRING, Host, post

import otp_grant
from otp_grant import (
    Address,
    AuthSource,
    Channel,
    Client,
    CodePolicy,
    ConfigurationError,
    Keyring,
    Quota,
    Record,
    Reply,
    Request,
    Settings,
    SigningKey,
    SigningQuestion,
    StoreError,
)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"issuer": "not a URL"}, "issuer"),
        ({"keyring": Keyring("c2hvcnQ=", KEYRING.sealing)}, "keys.index"),
        ({"keyring": Keyring(KEYRING.index, "%")}, "keys.sealing"),
        ({"signing_key": SigningKey.from_pem("no key")}, "signing.active"),
        ({"signing_key": SigningKey.generate("RS256")}, "signing.active"),
        ({"signing_key": SigningKey({"generate": "ES256"}, algorithm="PS256")}, "signing.algorithm"),
        ({"settings": Settings(send_quotas=[])}, "quotas"),
        ({"settings": Settings(guesses_per_code=0)}, "quotas.guesses_per_code"),
        ({"settings": Settings(guesses_per_code=-1)}, "quotas.guesses_per_code"),
        ({"settings": Settings(send_quotas=[Quota(1, timedelta(seconds=-1))])}, "quotas.sends"),
        ({"settings": Settings(code=CodePolicy(length=1))}, "codes"),
        ({"settings": Settings(country_code="+86x")}, "addresses.country_code"),
        ({"settings": Settings(endpoints={"tokens": "/t"})}, "endpoints"),
        ({"settings": Settings(endpoints={"token": "t"})}, "endpoints"),
        ({"settings": Settings(repeat_answer_within=timedelta(hours=1))}, "repeat_answer_within"),
        ({"settings": Settings(usages=["login"])}, "usages"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_place(options: Dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigurationError, match=place.replace(".", r"\.")) as refused:
        Host(**options)
    assert isinstance(refused.value, ValueError)
    assert KEYRING.index not in str(refused.value) and KEYRING.sealing not in str(refused.value)


@pytest.mark.parametrize(
    "members",
    [
        {"id": "", "public": True},
        {"id": "web", "public": True, "scopes": "openid", "default_scopes": "profile"},
        {"id": "web", "public": True, "scopes": 'a"b'},
        {"id": "web", "public": True, "grants": ["password"]},
        {"id": "web", "public": True, "refresh": "sometimes"},
        {"id": "web", "public": True, "refresh": "stable"},
        {"id": "web", "secret": "a", "secret_sha256": "00" * 32},
        {"id": "web", "secret_sha256": "00"},
        {"id": "web", "secret": "a", "retry_window": timedelta(hours=1)},
    ],
)
def test_a_wrong_client_is_refused(members: Dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Client(**members)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"secret": None},
        {"secret_sha256": None},
        {"public": False},
        {"secret": "a", "public": True},
        {"secret_sha256": "00" * 32, "public": True},
        {"secret": "a", "secret_sha256": "00" * 32},
    ],
)
def test_a_client_is_public_only_where_it_says_so(members: Dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="either secret, or secret_sha256, or keys, or public"):
        Client("web", **members)
    assert Client("web", public=True) != Client("web", secret="a", public=False)


def test_a_wrong_auth_source_is_refused() -> None:
    for code in (CodePolicy(length=99), CodePolicy(validity=timedelta(days=400)), CodePolicy(alphabet="a")):
        with pytest.raises(ConfigurationError):
            AuthSource("sms", Channel.SMS, code)


def test_secrets_are_not_shown() -> None:
    shown = repr([KEYRING, KEY, Client("web", secret="a long random value"), SigningKey.from_pem("-----BEGIN")])
    for secret in (KEYRING.index, KEYRING.sealing, "a long random value", "BEGIN"):
        assert secret not in shown
    host = Host()
    login = host.send()
    assert host.sent[0].code not in repr(host.sent)
    request = post("/oauth2/token", login)
    reply = host.handle(request)
    assert reply is not None and reply.status == 200
    for secret in (login["otp"], login["client_secret"], login["otp_token"]):
        assert secret not in repr(request)
    bearer = "Bearer " + reply.json()["access_token"]
    assert reply.json()["access_token"] not in repr([reply, Request("GET", "/userinfo", [("Authorization", bearer)])])
    # What an error tracker shows of the variables of a frame.
    request = Request("POST", "/oauth2/token", [("Authorization", "Basic c2VjcmV0")], b"otp=123456")
    shown = repr([request, Reply(200, [("x-token", "eyJh")], b"eyJh"), SigningQuestion(b"eyJh", "ES256", "key")])
    for secret in ("c2VjcmV0", "123456", "eyJh"):
        assert secret not in shown


def test_clients_are_values() -> None:
    client = Client("web", secret="a", auth_sources=("sms",))
    assert client == Client("web", secret="a", auth_sources=("sms",)) and client != Client("app", secret="a")
    assert hash(client) == hash(copy.copy(client))


def test_addresses_are_read() -> None:
    assert Address.phone_number("136 1234 5678", country_code="86").text == "+8613612345678"
    assert str(Address.email("Ada@EXAMPLE.com")) == "ada@example.com"
    for wrong in ("", "abc", "12"):
        with pytest.raises(ConfigurationError):
            Address.phone_number(wrong)
        with pytest.raises(ConfigurationError):
            Address.email(wrong)


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(bytes(range(16)), 1_800_000_000_000, b'{"session":{"a":"}"}}')
    written = record.to_bytes()
    assert Record.from_bytes(written) == record
    assert written == b'{"tag":"AAECAwQFBgcICQoLDA0ODw","delete_after":1800000000000,"body":{"session":{"a":"}"}}}'
    # The core finds out what is wrong within a body.
    for wrong in (b"", b"{}", written[:60], written + b" ", b"[" + written, written.replace(b"1800000000000", b"x")):
        with pytest.raises(StoreError):
            Record.from_bytes(wrong)


def test_all_names_are_there() -> None:
    for name in otp_grant.__all__:
        assert getattr(otp_grant, name) is not None
    assert sorted(otp_grant.__all__) == sorted(set(otp_grant.__all__))
    for name in otp_grant.__all__:
        if isinstance(getattr(otp_grant, name), type):
            assert getattr(otp_grant, name).__doc__, name
