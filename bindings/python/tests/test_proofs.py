"""Tokens that are bound to a key, clients that prove theirs, and codes that only who asked can redeem.

joserfc makes the proofs (RFC 9449) and the assertions (RFC 7523).
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Optional, Tuple, Union

import pytest
from hosting import ISSUER, PHONE, Host, login
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from otp_grant import (
    AccessTokenError,
    ApiRequest,
    AuthSource,
    Channel,
    Client,
    ConfigurationError,
    MemoryDirectory,
    Reply,
    Request,
    Settings,
    User,
    VerificationError,
)

API = "https://api.example.com/orders"
ALGORITHMS = ("ES256", "EdDSA", "Ed25519", "PS256", "RS256")
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Clients and servers write this name of Ed25519 still.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
VERIFIER = "a-verifier-that-is-long-enough-to-be-one-1234"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Prover:
    """The holder of a key."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.key: Union[ECKey, OKPKey, RSAKey]
        if algorithm == "ES256":
            self.key = ECKey.generate_key("P-256")
        elif algorithm in ("PS256", "RS256"):
            self.key = RSAKey.generate_key(2048)
        else:
            self.key = OKPKey.generate_key("Ed25519")

    def jwk(self) -> Dict[str, Any]:
        return {**self.key.as_dict(private=False), "alg": self.algorithm}

    def sign(self, header: Dict[str, Any], claims: Dict[str, Any]) -> str:
        return jwt.encode({**header, "alg": self.algorithm}, claims, self.key, algorithms=[self.algorithm])

    def proof(self, method: str, url: str, **claims: Any) -> str:
        header = {"typ": "dpop+jwt", "jwk": self.key.as_dict(private=False)}
        always = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        return self.sign(header, {**always, **claims})

    def to(self, path: str, **claims: Any) -> str:
        return self.proof("POST", ISSUER + path, **claims)

    def assertion(self, **changes: Any) -> Dict[str, str]:
        claims = {"iss": "app", "sub": "app", "aud": ISSUER, "exp": int(time.time()) + 60, "jti": str(uuid.uuid4())}
        return {"client_assertion_type": JWT_BEARER, "client_assertion": self.sign({}, {**claims, **changes})}


def sha256(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def host(kind: str, client: Dict[str, Any], **settings: Any) -> Host:
    known = MemoryDirectory(
        clients=[Client("app", auth_sources=["sms"], **client)], auth_sources=[AuthSource("sms", Channel.SMS)]
    )
    known.add_user(User("ada"), *[Host().server.address(Channel.SMS, PHONE)])
    return Host(kind, directory=known, settings=Settings(danger_without_send_quotas=True, **settings))


def public(**members: Any) -> Dict[str, Any]:
    return {"public": True, "may_send": True, **members}


def post(host: Host, path: str, body: Dict[str, Any], *proofs: str) -> Reply:
    headers: List[Tuple[str, str]] = [("Content-Type", "application/json"), *(("DPoP", proof) for proof in proofs)]
    reply = host.handle(Request("POST", path, headers, json.dumps(body).encode()))
    assert reply is not None
    return reply


def to_send(**members: Any) -> Dict[str, Any]:
    return {"client_id": "app", "auth_source_id": "sms", "phone_number": PHONE, **members}


def to_log_in(host: Host, sent: Reply, **members: Any) -> Dict[str, Any]:
    assert sent.status == 200, sent.body
    body = {**login(sent.json(), host.sent[-1].code), "client_id": "app", **members}
    del body["client_secret"]
    return body


def error(reply: Reply) -> Tuple[int, str]:
    return reply.status, reply.json()["error"]


def log_in(host: Host, prover: Prover) -> Dict[str, Any]:
    sent = post(host, "/otp/send", to_send(), prover.to("/otp/send"))
    reply = post(host, "/oauth2/token", to_log_in(host, sent), prover.to("/oauth2/token"))
    assert reply.status == 200, reply.body
    tokens: Dict[str, Any] = reply.json()
    return tokens


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_login_is_bound_to_the_key_of_its_proofs(kind: str, algorithm: str) -> None:
    served = host(kind, public(dpop="required"), dpop="on")
    prover, thief = Prover(algorithm), Prover()
    assert error(post(served, "/otp/send", to_send())) == (400, "invalid_dpop_proof")
    sent = post(served, "/otp/send", to_send(), prover.to("/otp/send"))
    asked = to_log_in(served, sent)
    proof = prover.to("/oauth2/token")
    assert error(post(served, "/oauth2/token", asked)) == (400, "invalid_dpop_proof")
    assert error(post(served, "/oauth2/token", asked, proof, proof)) == (400, "invalid_dpop_proof")
    assert error(post(served, "/oauth2/token", asked, prover.to("/otp/send"))) == (400, "invalid_dpop_proof")
    assert error(post(served, "/oauth2/token", asked, thief.to("/oauth2/token"))) == (400, "invalid_grant")
    tokens = post(served, "/oauth2/token", asked, proof).json()
    assert tokens["token_type"] == "DPoP"

    refresh = {"client_id": "app", "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert error(post(served, "/oauth2/token", refresh, proof)) == (400, "invalid_dpop_proof")
    assert error(post(served, "/oauth2/token", refresh, thief.to("/oauth2/token"))) == (400, "invalid_grant")
    assert post(served, "/oauth2/token", refresh, prover.to("/oauth2/token")).json()["token_type"] == "DPoP"


def test_a_proof_or_an_assertion_that_fifty_threads_send_is_good_once() -> None:
    prover = Prover()
    served = host("sync", public(dpop="required"), dpop="on")
    asked = to_log_in(served, post(served, "/otp/send", to_send(), prover.to("/otp/send")))
    proof = prover.to("/oauth2/token")
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: post(served, "/oauth2/token", asked, proof), range(50)))
    assert sorted(reply.status for reply in replies) == [200] + 49 * [400]
    assert {error(reply)[1] for reply in replies if reply.status == 400} <= {"invalid_dpop_proof", "invalid_grant"}

    tokens = next(reply.json() for reply in replies if reply.status == 200)
    refresh = {"client_id": "app", "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    proof = prover.to("/oauth2/token")
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: post(served, "/oauth2/token", refresh, proof), range(50)))
    # One refresh, and its repetitions within the retry window.
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json()["refresh_token"] for reply in replies}) == 1

    served = host("sync", {"keys": [prover.jwk()]}, client_assertions=True)
    used = prover.assertion()
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: post(served, "/otp/send", to_send(**used)), range(50)))
    assert sorted(reply.status for reply in replies) == [200] + 49 * [401]


def test_a_nonce_comes_in_a_header(kind: str) -> None:
    served = host(kind, public(dpop="required_with_nonce"), dpop="on")
    prover = Prover()
    reply = post(served, "/otp/send", to_send(), prover.to("/otp/send"))
    assert error(reply) == (400, "use_dpop_nonce")
    nonce = dict(reply.headers)["DPoP-Nonce"]
    reply = post(served, "/otp/send", to_send(), prover.to("/otp/send", nonce=nonce))
    nonce = dict(reply.headers)["DPoP-Nonce"]
    reply = post(served, "/oauth2/token", to_log_in(served, reply), prover.to("/oauth2/token", nonce=nonce))
    assert reply.status == 200
    token = reply.json()["access_token"]
    with pytest.raises(AccessTokenError) as refused:
        served.run(served.server.check_access_token(presented(token, prover.proof("GET", API, ath=sha256(token)))))
    assert refused.value.code == "use_dpop_nonce"
    headers = dict(refused.value.reply.headers)
    assert headers["WWW-Authenticate"].startswith('DPoP error="use_dpop_nonce"')
    proof = prover.proof("GET", API, ath=sha256(token), nonce=headers["DPoP-Nonce"])
    assert served.run(served.server.check_access_token(presented(token, proof))).subject == "ada"


def presented(token: str, *proofs: str, scheme: str = "DPoP") -> ApiRequest:
    headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]
    return Request("GET", "/orders", headers).at(API)


@pytest.mark.parametrize("online", [True, False])
def test_an_api_accepts_a_bound_token_with_its_proof_alone(kind: str, online: bool) -> None:
    served = host(kind, public(dpop="accepted"), dpop="on")
    prover, thief = Prover(), Prover()
    token = log_in(served, prover)["access_token"]
    good = prover.proof("GET", API, ath=sha256(token))
    old = prover.proof("GET", API, ath=sha256(token), iat=int(time.time()) - 90)

    def check(given: Union[str, ApiRequest], **needed: str) -> Any:
        if online:
            return served.run(served.server.check_access_token(given, client_id="app", **needed))
        return served.server.verify_access_token(given, client_id="app", **needed)

    claims = check(presented(token, good), scope="openid")
    assert (claims.subject, claims.key) == ("ada", prover.key.thumbprint())
    for given, code in (
        (token, "key_bound"),
        (presented(token, good, scheme="Bearer"), "key_bound"),
        (presented(token), "invalid_dpop_proof"),
        (presented(token, good, good), "invalid_dpop_proof"),
        (presented(token, thief.proof("GET", API, ath=sha256(token))), "invalid_dpop_proof"),
        (presented(token, prover.proof("GET", API)), "invalid_dpop_proof"),
        (presented(token, prover.proof("POST", API, ath=sha256(token))), "invalid_dpop_proof"),
        (presented(token, prover.proof("GET", API + "/1", ath=sha256(token))), "invalid_dpop_proof"),
        (presented(token, old), "invalid_dpop_proof"),
        (presented("garbage", good), "invalid_token"),
        (ApiRequest("GET", API), "no_token"),
    ):
        with pytest.raises(AccessTokenError) as refused:
            check(given)
        reply = refused.value.reply
        assert (refused.value.code, reply.status) == (code, 401), given
        assert "DPoP" in dict(reply.headers)["WWW-Authenticate"]
    for url in ("", "/orders", "api.example.com"):
        with pytest.raises(ConfigurationError, match="external_url"):
            check(ApiRequest("GET", url, [("Authorization", "DPoP a")]))
    bearer = served.post("/oauth2/token", to_log_in(served, post(served, "/otp/send", to_send()))).json()
    with pytest.raises(AccessTokenError) as refused:
        check(presented(bearer["access_token"], prover.proof("GET", API, ath=sha256(bearer["access_token"]))))
    assert refused.value.code == "not_key_bound"
    assert check(presented(bearer["access_token"], scheme="bearer")).key is None


def test_a_strict_server_accepts_a_proof_once(kind: str) -> None:
    served = host(kind, public(dpop="required"), dpop="strict")
    prover = Prover()
    token = log_in(served, prover)["access_token"]
    given = presented(token, prover.proof("GET", API, ath=sha256(token)))
    served.run(served.server.check_access_token(given))
    with pytest.raises(AccessTokenError) as refused:
        served.run(served.server.check_access_token(given))
    assert refused.value.code == "invalid_dpop_proof"


def test_headers_that_wsgi_has_joined_are_two() -> None:
    served = host("sync", public(dpop="required"), dpop="on")
    prover = Prover()
    body = json.dumps(to_send()).encode()

    def send(proof: str) -> Optional[Reply]:
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/otp/send", "CONTENT_TYPE": "application/json"}
        request = Request.from_wsgi({**environ, "HTTP_DPOP": proof}, body)
        assert [name.lower() for name, _ in request.headers].count("dpop") == proof.count(",") + 1
        return served.handle(request)

    proof = prover.to("/otp/send")
    reply = send(f"{proof},{proof}")
    assert reply is not None and error(reply) == (400, "invalid_dpop_proof")
    reply = send(proof)
    assert reply is not None and reply.status == 200


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_with_keys_signs_assertions(kind: str, algorithm: str) -> None:
    prover, thief = Prover(algorithm), Prover(algorithm)
    served = host(kind, {"keys": [prover.jwk()]}, client_assertions=True)
    for wrong in (
        {},
        thief.assertion(),
        prover.assertion(iss="other"),
        prover.assertion(iss="other", sub="other"),
        prover.assertion(aud=ISSUER + "/oauth2/token"),
        prover.assertion(exp=int(time.time()) - 60),
        {**prover.assertion(), "client_assertion": "garbage"},
    ):
        assert error(post(served, "/otp/send", to_send(**wrong))) == (401, "invalid_client"), wrong
    sent = post(served, "/otp/send", to_send(**prover.assertion()))
    used = prover.assertion()
    assert post(served, "/oauth2/token", to_log_in(served, sent, **used)).status == 200
    assert error(post(served, "/otp/send", to_send(**used))) == (401, "invalid_client")
    off = host(kind, {"keys": [prover.jwk()]})
    assert error(post(off, "/otp/send", to_send(**prover.assertion()))) == (401, "invalid_client")


def test_who_redeems_a_code_is_who_asked(kind: str) -> None:
    served = host(kind, public(code_challenge_required=True))
    assert error(post(served, "/otp/send", to_send())) == (400, "invalid_request")
    asked = to_send(code_challenge=sha256(VERIFIER), code_challenge_method="S256")
    sent = post(served, "/otp/send", asked)
    for wrong in ({}, {"code_verifier": "another-" + VERIFIER}):
        assert error(post(served, "/oauth2/token", to_log_in(served, sent, **wrong))) == (400, "invalid_grant")
    assert post(served, "/oauth2/token", to_log_in(served, sent, code_verifier=VERIFIER)).status == 200


def test_a_code_of_another_usage_needs_verifier_and_key(kind: str) -> None:
    served = host(kind, public(dpop="accepted"), dpop="on")
    prover, thief = Prover(), Prover()
    asked = {"client_id": "app", "usage": "reset_password", "phone_number": PHONE}
    asked.update(code_challenge=sha256(VERIFIER), code_challenge_method="S256")
    sent = post(served, "/otp/send", asked, prover.to("/otp/send"))
    given = {
        "client_id": "app",
        "usage": "reset_password",
        "address": served.server.address(Channel.SMS, PHONE),
        "otp_token": sent.json()["otp_token"],
        "otp": served.sent[-1].code,
    }

    def proof(of: Prover, url: str = API) -> ApiRequest:
        return ApiRequest("POST", API, [("DPoP", of.proof("POST", url))])

    for wrong, code in (
        ({}, "unknown_otp_token"),
        ({"code_verifier": VERIFIER}, "unknown_otp_token"),
        ({"proof": proof(prover)}, "unknown_otp_token"),
        ({"code_verifier": "another-" + VERIFIER, "proof": proof(prover)}, "unknown_otp_token"),
        ({"code_verifier": VERIFIER, "proof": proof(thief)}, "unknown_otp_token"),
        ({"code_verifier": VERIFIER, "proof": proof(prover, "https://evil.example/")}, "invalid_dpop_proof"),
        ({"code_verifier": VERIFIER, "proof": ApiRequest("POST", API)}, "invalid_dpop_proof"),
    ):
        with pytest.raises(VerificationError) as refused:
            served.run(served.server.verify(**given, **wrong))
        assert refused.value.code == code, wrong
    verified = served.run(served.server.verify(**given, code_verifier=VERIFIER, proof=proof(prover)))
    assert verified.usage == "reset_password"


def test_a_client_has_one_kind_of_credentials() -> None:
    jwk = Prover().jwk()
    one = Client("app", keys=[jwk], auth_method="private_key_jwt")
    assert one == Client("app", keys=[jwk], auth_method="private_key_jwt") and hash(one) == hash(one)
    assert jwk["x"] not in repr(one)
    Client("app", secret="s", auth_method="client_secret_post")
    Client("app", public=True, auth_method="none", dpop="required_with_nonce")
    for wrong, place in (
        ({"keys": [jwk], "secret": "s"}, "either"),
        ({"keys": []}, "keys"),
        ({"keys": [Prover().key.as_dict(private=True)]}, r"keys\[0\]"),
        ({"keys": [jwk], "auth_method": "client_secret_basic"}, "auth_method"),
        ({"public": True, "auth_method": "client_secret_post"}, "auth_method"),
        ({"public": True, "dpop": "on"}, "dpop"),
    ):
        with pytest.raises(ConfigurationError, match=place):
            Client("app", **wrong)
    with pytest.raises(ConfigurationError, match="dpop"):
        Host(settings=Settings(dpop="required"))


def test_proofs_are_not_shown() -> None:
    request = ApiRequest("GET", API, [("Authorization", "DPoP eyJh"), ("DPoP", "eyJh")])
    assert API in repr(request) and "eyJh" not in repr(request)
