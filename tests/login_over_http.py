"""Logs in over HTTP and lives with the tokens: login_over_http.py URL OUTBOX ALGORITHM [ISSUER [KEY.pem]].

The published key must be that of the file, which has a P-256 key. Uses the standard library alone, and openssl to read
the file.
"""

import base64
import http.client
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

URL, OUTBOX, ALGORITHM, *OPTIONAL = sys.argv[1:]
ISSUER = OPTIONAL[0] if OPTIONAL else "https://sample.portal.example.com"
KEY = OPTIONAL[1] if len(OPTIONAL) > 1 else None
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
API = {"client_id": "API_CLIENT_ID", "client_secret": "API_CLIENT_SECRET"}
USER = {"sub": "MOCK_USER_ID", "email": "MOCK_USERNAME@example.com", "email_verified": True}
# A host's reader that stops at the limit answers 413. What it hands over, the authorization server refuses.
TOO_MUCH = (400, 413)
INVALID_TOKEN = (401, "invalid_token")
NO_REFRESH = (400, {"error": "invalid_grant", "error_description": "Unknown or expired refresh_token"})


def call(path, body=None, *, form=None, method=None, bearer=None):
    """Gives status, headers and JSON; the last is None where the body is empty."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if form is not None:  # urllib names its Content-Type itself.
        data = urllib.parse.urlencode(form).encode()
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    request = urllib.request.Request(URL + path, data, headers, method=method)
    try:
        reply = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        text = reply.read()
        return reply.status, reply.headers, json.loads(text) if text else None


def call_with(method, path, headers, body=b"", *, chunked=False):
    """The same with these headers and no others, some of them twice."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(URL).netloc, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))))
    connection.endheaders(iter([body[:9], body[9:]]) if chunked else body, encode_chunked=chunked)
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, reply.headers, json.loads(text) if text else None


def sent_codes():
    with open(OUTBOX) as lines:
        return [json.loads(line)["code"] for line in lines]


def last_code():
    return sent_codes()[-1]


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: {got!r} instead of {expected!r}")


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def log_in(kind, channel, address):
    """Redeems a code, after a wrong guess at it."""
    source = {"auth_source_id": f"MOCK_{kind.upper()}_OTP_AUTH_SOURCE_ID", channel: address}
    status, headers, sent = call("/otp/send", {**CLIENT, **source})
    check("send", status, 200)
    check("cache", headers["Cache-Control"], "no-store")
    grant = {"grant_type": f"http://tencentciam.com/oauth2/grant-type/otp/{kind}", **CLIENT, **source,
             "otp_token": sent["otp_token"], "scope": "openid email offline_access"}
    right = last_code()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    status, _, refused = call("/oauth2/token", {**grant, "otp": wrong})
    check("wrong code", (status, refused), (400, {"error": "invalid_grant", "attempts_remaining": 4,
                                                  "error_description": "Unknown or expired OTP"}))
    status, headers, tokens = call("/oauth2/token", {**grant, "otp": right})
    check("login", status, 200)
    check("type", headers["Content-Type"], "application/json;charset=UTF-8")
    check_tokens(tokens)
    status, _, again = call("/oauth2/token", {**grant, "otp": right})
    check("the code again", (status, again["error_description"]), (400, "Unknown or expired otp_token"))
    return tokens


def check_tokens(tokens):
    _, headers, keys = call("/oauth2/jwks")
    check("caching of the keys", headers["Cache-Control"], "public, max-age=300")
    for name in ["access_token", "id_token"]:
        header, claims = [decode(part) for part in tokens[name].split(".")[:2]]
        check("alg", header["alg"], ALGORITHM)
        check("kid", header["kid"], keys["keys"][0]["kid"])
        check("iss", claims["iss"], ISSUER)
        check("sub", claims["sub"], "MOCK_USER_ID")


def check_key(file):
    """The key set has the public half of the key in the file, and no other key."""
    command = ["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"]
    point = subprocess.run(command, check=True, capture_output=True).stdout[-64:]
    x, y = [base64.urlsafe_b64encode(half).decode().rstrip("=") for half in [point[:32], point[32:]]]
    _, _, keys = call("/oauth2/jwks")
    published = [[key.get(name) for name in ["kty", "crv", "x", "y"]] for key in keys["keys"]]
    check("the published key", published, [["EC", "P-256", x, y]])


def refresh(tokens):
    form = {"grant_type": "refresh_token", **CLIENT, "refresh_token": tokens["refresh_token"]}
    status, _, answer = call("/oauth2/token", form=form)
    return status, answer


def refreshed(tokens):
    status, answer = refresh(tokens)
    check("refresh", status, 200)
    check_tokens(answer)
    return answer


def introspect(token):
    status, headers, answer = call("/oauth2/introspect", form={**API, "token": token})
    check("introspection", (status, headers["Cache-Control"]), (200, "no-store"))
    return answer


def revoke(token):
    status, _, answer = call("/oauth2/revoke", form={**CLIENT, "token": token})
    check("revocation", (status, answer), (200, None))


def check_good(access_token):
    answer = introspect(access_token)
    check("introspection", {name: answer.get(name) for name in ["active", "sub", "client_id", "scope"]},
          {"active": True, "sub": "MOCK_USER_ID", "client_id": "TENANT_CLIENT_ID",
           "scope": "openid email offline_access"})
    for presented in [{"bearer": access_token}, {"bearer": access_token, "method": "POST"},
                      {"form": {"access_token": access_token}}]:
        status, headers, answer = call("/userinfo", **presented)
        check("userinfo", (status, headers["Cache-Control"], answer), (200, "no-store", USER))


def check_dead(access_token):
    check("introspection", introspect(access_token), {"active": False})
    for presented in [{"bearer": access_token}, {"form": {"access_token": access_token}}]:
        status, headers, answer = call("/userinfo", **presented)
        check("userinfo", (status, answer["error"]), INVALID_TOKEN)
        check("challenge", headers["WWW-Authenticate"].split(",")[0], 'Bearer error="invalid_token"')


def check_headers(access_token):
    """Of a header that is there twice neither is taken, and one that is no text names nobody."""
    right, wrong = [f"Basic {base64.b64encode(pair).decode()}" for pair in [b"API_CLIENT_ID:API_CLIENT_SECRET", b"a:b"]]
    body, form = f"token={access_token}".encode(), ("Content-Type", "application/x-www-form-urlencoded")

    def as_client(*credentials):
        headers = [form, *(("Authorization", value) for value in credentials)]
        status, headers, answer = call_with("POST", "/oauth2/introspect", headers, body)
        return status, headers["WWW-Authenticate"], answer.get("error")

    check("Basic", as_client(right), (200, None, None))
    for credentials in [(right, right), (right, wrong), (wrong, right), (right, ""), (right, "Bearer x")]:
        check(f"Authorization {len(credentials)} times", as_client(*credentials), (401, "Basic", "invalid_client"))
    good, bad = f"Bearer {access_token}", "Bearer x"
    check("Bearer", call_with("GET", "/userinfo", [("authorization", good)])[0], 200)
    for tokens in [(good, good), (good, bad), (bad, good)]:
        headers = [("Authorization", token) for token in tokens]
        check("two tokens", call_with("GET", "/userinfo", headers)[0], 400)
    one, other = [("Authorization", right), form], ("content-type", "application/json")
    for headers in [[*one, form], [*one, other], [other, *one]]:
        status, _, answer = call_with("POST", "/oauth2/introspect", headers, body)
        check("two types", (status, answer["error"]), (400, "invalid_request"))


def check_bodies(access_token):
    """A body is taken as a whole or not at all, and that of a GET means nothing."""
    sms = {"auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": "13699999999"}
    send, is_json = json.dumps({**CLIENT, **sms}).encode(), [("Content-Type", "application/json")]
    before = sent_codes()
    address = urllib.parse.urlsplit(URL)
    for head in [f"Content-Length: {len(send) + 1}\r\n\r\n", f"Transfer-Encoding: chunked\r\n\r\n{len(send):x}\r\n"]:
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            head = f"POST /otp/send HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{head}"
            connection.sendall(head.encode() + send)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(100)
            check("cut short", answer[9:12] in [b"", b"400", b"411"], True)
    check("nothing is sent for a body that was cut short", sent_codes(), before)
    # A host whose framework does not notice that such a body was cut short wants to know its length.
    in_parts = call_with("POST", "/otp/send", is_json, send, chunked=True)[0]
    if in_parts != 411:
        check("a body in parts", in_parts, 200)
        check("one code more", len(sent_codes()), len(before) + 1)
        status, _, refused = call_with("POST", "/otp/send", is_json, b" " * 20_000, chunked=True)
        check("too much in parts", (status in TOO_MUCH, refused["error"]), (True, "invalid_request"))

    bearer, form = ("Authorization", f"Bearer {access_token}"), ("Content-Type", "application/x-www-form-urlencoded")
    body = f"access_token={access_token}".encode()
    check("two tokens", call_with("POST", "/userinfo", [bearer, form], body)[0], 400)
    check("the body of a GET", call_with("GET", "/userinfo", [bearer, form], body)[0], 200)
    check("a token in the body of a GET", call_with("GET", "/userinfo", [form], body)[0], 400)
    status, headers, answer = call_with("HEAD", "/userinfo", [bearer])
    check("HEAD /userinfo", (status, headers["Cache-Control"], answer), (200, "no-store", None))
    check("a query", call("/userinfo?a=b", bearer=access_token)[0], 200)


if KEY:
    check_key(KEY)
on_phone = log_in("sms", "phone_number", "13612345678")
on_laptop = log_in("email", "email", "MOCK_USERNAME@example.com")
check_good(on_phone["access_token"])
check_dead(on_phone["id_token"])
check("userinfo without a token", call("/userinfo")[0], 400)

# The answer to a refresh is lost, and asked for again.
second = refreshed(on_phone)
check("the same refresh token", refreshed(on_phone)["refresh_token"], second["refresh_token"])
# Its successor is used, and then it comes back: it was stolen, and its session is over for everybody.
third = refreshed(second)
check_good(third["access_token"])
check("replay", refresh(on_phone), NO_REFRESH)
check("refresh after a replay", refresh(third), NO_REFRESH)
for tokens in [on_phone, second, third]:
    check_dead(tokens["access_token"])

# The other session goes on: it loses an access token, and then it is signed out.
check_good(on_laptop["access_token"])
check_headers(on_laptop["access_token"])
check_bodies(on_laptop["access_token"])
revoke(on_laptop["access_token"])
check_dead(on_laptop["access_token"])
newer = refreshed(on_laptop)
check_good(newer["access_token"])
revoke(newer["refresh_token"])
check_dead(newer["access_token"])
check("refresh after sign-out", refresh(newer), NO_REFRESH)
revoke(newer["refresh_token"])
revoke("no token at all")

documents = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
endpoints = {"otp_send_endpoint": "/otp/send", "token_endpoint": "/oauth2/token", "jwks_uri": "/oauth2/jwks",
             "revocation_endpoint": "/oauth2/revoke", "introspection_endpoint": "/oauth2/introspect",
             "userinfo_endpoint": "/userinfo"}
for path in documents:
    status, headers, document = call(path)
    check("document", (status, headers["Cache-Control"]), (200, "public, max-age=300"))
    check("issuer", document["issuer"], ISSUER)
    check("scopes", "offline_access" in document["scopes_supported"], True)
    found = {name: document[name] for name in endpoints if name in document}
    check("endpoints", found, {name: ISSUER + endpoints[name] for name in found})
check("all endpoints are named", found.keys(), endpoints.keys())
check("algorithms", document["id_token_signing_alg_values_supported"], [ALGORITHM])
check("claims", "email_verified" in document["claims_supported"], True)

for path in ["/otp/send", "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"]:
    status, headers, _ = call(path)
    check(f"GET {path}", (status, headers["Allow"]), (405, "POST"))
for path in ["/oauth2/jwks", *documents]:
    check(f"POST {path}", call(path, {})[0], 405)
    check(f"HEAD {path}", call(path, method="HEAD")[0], 200)
status, headers, _ = call("/userinfo", method="DELETE")
check("DELETE /userinfo", (status, headers["Allow"]), (405, "GET, HEAD, POST"))
check("no such endpoint", call("/oauth2/nothing")[0], 404)
status, _, refused = call("/oauth2/token", b" " * 20_000)
check("too much", (status in TOO_MUCH, refused["error"]), (True, "invalid_request"))
print(f"{URL}: logged in over SMS and e-mail, refreshed, caught a replay and signed out with {ALGORITHM}")
