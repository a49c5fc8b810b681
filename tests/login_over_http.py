"""Logs in over HTTP: login_over_http.py URL OUTBOX ALGORITHM. Uses the standard library alone."""

import base64
import json
import sys
import urllib.error
import urllib.request

URL, OUTBOX, ALGORITHM = sys.argv[1:]
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}


def call(path, body=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers, json.load(reply)
    except urllib.error.HTTPError as reply:
        return reply.code, reply.headers, json.load(reply)


def last_code():
    with open(OUTBOX) as lines:
        return json.loads(lines.readlines()[-1])["code"]


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: {got!r} instead of {expected!r}")


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


for kind, channel, address in [("sms", "phone_number", "13612345678"), ("email", "email", "MOCK_USERNAME@example.com")]:
    source = {"auth_source_id": f"MOCK_{kind.upper()}_OTP_AUTH_SOURCE_ID", channel: address}
    status, headers, sent = call("/otp/send", {**CLIENT, **source})
    check("send", status, 200)
    check("cache", headers["Cache-Control"], "no-store")
    grant = {"grant_type": f"http://tencentciam.com/oauth2/grant-type/otp/{kind}", **CLIENT, **source,
             "otp_token": sent["otp_token"]}
    right = last_code()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    status, _, refused = call("/oauth2/token", {**grant, "otp": wrong})
    check("wrong code", (status, refused), (400, {"error": "invalid_grant", "error_description": "Unknown or expired OTP",
                                                  "attempts_remaining": 4}))
    status, headers, tokens = call("/oauth2/token", {**grant, "otp": right})
    check("login", status, 200)
    check("type", headers["Content-Type"], "application/json;charset=UTF-8")
    _, _, keys = call("/oauth2/jwks")
    for name in ["access_token", "id_token"]:
        header, claims = [decode(part) for part in tokens[name].split(".")[:2]]
        check("alg", header["alg"], ALGORITHM)
        check("kid", header["kid"], keys["keys"][0]["kid"])
        check("sub", claims["sub"], "MOCK_USER_ID")
    status, _, again = call("/oauth2/token", {**grant, "otp": right})
    check("the code again", (status, again["error_description"]), (400, "Unknown or expired otp_token"))
status, _, refused = call("/oauth2/token", b" " * 20_000)
check("too much", (status, refused["error"]), (400, "invalid_request"))
print(f"{URL}: logged in over SMS and e-mail with {ALGORITHM}")
