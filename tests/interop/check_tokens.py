"""Checks the tokens of a running host with PyJWT and joserfc: check_tokens.py ISSUER OUTBOX ALGORITHM.

Logs in over SMS. Both libraries have to accept what the host issues and to refuse what is wrong with it; the host has
to refuse what PyJWT signs with another key.
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import warnings

import joserfc.errors
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import KeySet

ISSUER, OUTBOX, ALGORITHM = sys.argv[1:]
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
API = {"client_id": "API_CLIENT_ID", "client_secret": "API_CLIENT_SECRET"}
OTHER_ALGORITHM = "ES256" if ALGORITHM == "RS256" else "RS256"
REQUIRED = {"access_token": ["iss", "aud", "exp", "iat", "sub", "jti", "nbf", "scope", "sid"],
            "id_token": ["iss", "aud", "exp", "iat", "sub", "jti", "azp", "auth_time", "amr", "sid"]}
# RFC 9864 has another name for it, "Ed25519"; what most libraries know is the older one.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")
# How long what the host issues may live, in seconds.
VALIDITY = {"access_token": 300, "id_token": 1800}


def call(url, data=None, **headers):
    try:
        reply = urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        return reply.status, json.load(reply)


def post_json(url, body):
    return call(url, json.dumps(body).encode(), **{"Content-Type": "application/json"})


def post_form(url, body):
    return call(url, urllib.parse.urlencode(body).encode())


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: {got!r} instead of {expected!r}")


def refuses(what, errors, verify):
    try:
        claims = verify()
    except errors:
        return
    sys.exit(f"{what}: accepted with {claims!r}")


def log_in():
    source = {"auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": "13612345678"}
    status, sent = post_json(document["otp_send_endpoint"], {**CLIENT, **source})
    check("send", status, 200)
    with open(OUTBOX) as lines:
        code = json.loads(lines.readlines()[-1])["code"]
    grant_type = next(name for name in document["grant_types_supported"] if name.endswith("/otp/sms"))
    grant = {"grant_type": grant_type, **CLIENT, **source, "otp_token": sent["otp_token"], "otp": code}
    status, tokens = post_json(document["token_endpoint"], grant)
    check("login", status, 200)
    return tokens


def refresh(tokens):
    form = {"grant_type": "refresh_token", **CLIENT, "refresh_token": tokens["refresh_token"]}
    status, tokens = post_form(document["token_endpoint"], form)
    check("refresh", status, 200)
    return tokens


def with_pyjwt(name, token, options=None, **changes):
    """Verifies as an API would that uses PyJWT: the key is the one that the token names."""
    expected = {"algorithms": [ALGORITHM], "audience": CLIENT["client_id"], "issuer": ISSUER, **changes}
    key = jwks_client.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, options={"require": REQUIRED[name], **(options or {})}, **expected)


def with_joserfc(name, token, algorithm=ALGORITHM, audience=CLIENT["client_id"], issuer=ISSUER, now=None):
    """The same with joserfc."""
    decoded = joserfc.jwt.decode(token, key_set, algorithms=[algorithm])
    rules = {claim: {"essential": True} for claim in REQUIRED[name]}
    rules |= {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}
    joserfc.jwt.JWTClaimsRegistry(now=now, **rules).validate(decoded.claims)
    return decoded.claims


def check_accepted(tokens):
    """Both libraries accept both tokens, and read the same."""
    for name in REQUIRED:
        claims = with_pyjwt(name, tokens[name])
        check(f"claims of the {name}", with_joserfc(name, tokens[name]), claims)
        check("sub", claims["sub"], "MOCK_USER_ID")
        check(f"validity of the {name}", claims["exp"] - claims["iat"], VALIDITY[name])
        header = jwt.get_unverified_header(tokens[name])
        check("header", header, {"kid": header["kid"], "typ": "JWT", "alg": ALGORITHM})
        # The key identifier is the thumbprint of the key (RFC 7638), as joserfc computes it.
        check("thumbprint", key_set.get_by_kid(header["kid"]).thumbprint(), header["kid"])


def check_refused(tokens):
    """Both libraries refuse altered tokens, and genuine ones where something else is expected."""
    for name in REQUIRED:
        token = tokens[name]
        header, payload, signature = token.split(".")
        claims = jwt.decode(token, options={"verify_signature": False})
        other_payload = encode({**claims, "sub": "SOMEBODY_ELSE"})
        # The first character: the last one has bits that mean nothing.
        other_signature = ("A" if signature[0] != "A" else "B") + signature[1:]
        for altered in [f"{header}.{other_payload}.{signature}", f"{header}.{payload}.{other_signature}"]:
            refuses("altered, PyJWT", jwt.InvalidSignatureError, lambda: with_pyjwt(name, altered))
            refuses("altered, joserfc", joserfc.errors.BadSignatureError, lambda: with_joserfc(name, altered))

        refuses("audience, PyJWT", jwt.InvalidAudienceError, lambda: with_pyjwt(name, token, audience="OTHER"))
        refuses("issuer, PyJWT", jwt.InvalidIssuerError, lambda: with_pyjwt(name, token, issuer=ISSUER + "/"))
        refuses("algorithm, PyJWT", jwt.InvalidAlgorithmError,
                lambda: with_pyjwt(name, token, algorithms=[OTHER_ALGORITHM]))
        # PyJWT can't be told what time it is; with this leeway it looks at the end of the token's time.
        at_the_end = {"leeway": -VALIDITY[name], "options": {"verify_iat": False, "verify_nbf": False}}
        refuses("expired, PyJWT", jwt.ExpiredSignatureError, lambda: with_pyjwt(name, token, **at_the_end))

        invalid = joserfc.errors.InvalidClaimError
        refuses("audience, joserfc", invalid, lambda: with_joserfc(name, token, audience="OTHER"))
        refuses("issuer, joserfc", invalid, lambda: with_joserfc(name, token, issuer=ISSUER + "/"))
        refuses("algorithm, joserfc", joserfc.errors.UnsupportedAlgorithmError,
                lambda: with_joserfc(name, token, algorithm=OTHER_ALGORITHM))
        refuses("expired, joserfc", joserfc.errors.ExpiredTokenError,
                lambda: with_joserfc(name, token, now=claims["exp"] + 1))


def check_forgeries(tokens):
    """The host refuses what it did not sign, however well it is made."""
    genuine = tokens["access_token"]
    claims = jwt.decode(genuine, options={"verify_signature": False})
    check("its own token", host_says(genuine), (200, True))

    key = foreign_key()
    public = jwt.get_algorithm_by_name(ALGORITHM).to_jwk(key.public_key(), as_dict=True)
    kid = jwt.get_unverified_header(genuine)["kid"]
    for headers in [{"kid": kid}, {}, {"kid": kid, "jwk": public}]:
        forged = jwt.encode(claims, key, algorithm=ALGORITHM, headers=headers)
        # It is a good token, but of another key.
        jwt.decode(forged, key.public_key(), algorithms=[ALGORITHM], audience=CLIENT["client_id"], issuer=ISSUER)
        check(f"forged with {list(headers)}", host_says(forged), (401, False))
        if list(headers) == ["kid"]:
            refuses("forged, PyJWT", jwt.InvalidSignatureError, lambda: with_pyjwt("access_token", forged))
            refuses("forged, joserfc", joserfc.errors.BadSignatureError, lambda: with_joserfc("access_token", forged))
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": kid})
    check("unsigned", host_says(unsigned), (401, False))


def host_says(token):
    """The status of userinfo, and whether introspection calls the token active."""
    status, _ = call(document["userinfo_endpoint"], Authorization=f"Bearer {token}")
    introspected, answer = post_form(document["introspection_endpoint"], {**API, "token": token})
    check("introspection", introspected, 200)
    return status, answer["active"]


def foreign_key():
    match ALGORITHM:
        case "RS256" | "PS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()


def encode(claims):
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


_, document = call(ISSUER + "/.well-known/openid-configuration")
check("issuer", document["issuer"], ISSUER)
check("algorithms", document["id_token_signing_alg_values_supported"], [ALGORITHM])
jwks_client = jwt.PyJWKClient(document["jwks_uri"])
key_set = KeySet.import_key_set(call(document["jwks_uri"])[1])

tokens = log_in()
check_accepted(tokens)
check_refused(tokens)
tokens = refresh(tokens)
check_accepted(tokens)
check_forgeries(tokens)
print(f"{ALGORITHM}: PyJWT {jwt.__version__} and joserfc {joserfc.__version__} agree with the host")
