"""Holds docs/openapi.yaml against replies of the host: openapi.py HOST_BINARY

Drives every endpoint through success and every error, and checks each reply's status, headers and body against the
description. Afterwards every status and every alternative of a body that the description names was seen, or is listed
below with the reason why it can't be provoked from outside. The errors of docs/wire.md have to be the same.

Its packages are installed into a temporary virtual environment.
"""

import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

HERE = pathlib.Path(__file__).resolve().parent
DESCRIPTION = HERE.parent.parent / "docs" / "openapi.yaml"

try:
    import yaml
    from joserfc import jwt
    from joserfc.jwk import ECKey
    from jsonschema import Draft202012Validator
    from openapi_spec_validator import validate
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012
except ImportError:
    if os.environ.get("OPENAPI_VENV"):
        raise
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement",
                        HERE / "openapi" / "requirements.txt"], check=True)
        command = [f"{folder}/bin/python", __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "OPENAPI_VENV": folder}).returncode)

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SMS, EMAIL = "http://tencentciam.com/oauth2/grant-type/otp/sms", "http://tencentciam.com/oauth2/grant-type/otp/email"
OWN = "https://login.example.com/oauth2/grant-type/otp/sms"
WEB = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
SPA = {"client_id": "TENANT_SPA_CLIENT_ID"}
OTHER = {"client_id": "OTHER_CLIENT_ID", "client_secret": "OTHER_CLIENT_SECRET"}
KEYED, NONCE = {"client_id": "DPOP_CLIENT_ID"}, {"client_id": "NONCE_CLIENT_ID"}
API = {"client_id": "API_CLIENT_ID", "client_secret": "API_CLIENT_SECRET"}
BASIC = "Basic " + base64.b64encode(b"TENANT_CLIENT_ID:TENANT_CLIENT_SECRET").decode()
BY_SMS = {"auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID"}
BY_EMAIL = {"auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID"}
PHONE, MAILBOX = {"phone_number": "13612345678"}, {"email": "MOCK_USERNAME@example.com"}
USERINFO, METADATA = "/userinfo", "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"

# What can't be provoked from outside: (path, method, status, schema), and why.
SLOW = "the host answers so when its store is slow, which a store that fails is not; the send endpoint shows the reply"
NOT_REACHABLE = {
    ("/oauth2/token", "post", "503", "TookTooLong"): SLOW,
    ("/oauth2/revoke", "post", "503", "TookTooLong"): SLOW,
    ("/oauth2/introspect", "post", "503", "TookTooLong"): SLOW,
    (USERINFO, "get", "503", "TookTooLong"): SLOW,
    (USERINFO, "post", "503", "TookTooLong"): SLOW,
}

# Headers of HTTP, and those that the reference host adds to every reply. It adds Vary where it looks at origins.
OF_THE_HOST = {"content-length", "date", "connection", "vary", "x-content-type-options", "x-request-id"}
WITHOUT_BODY = {"head"}

description = yaml.safe_load(DESCRIPTION.read_text())
KEY = ECKey.generate_key("P-256")
seen = set()
replies = 0


def fail(what):
    sys.exit(f"docs/openapi.yaml: {what}")


def deref(node):
    while "$ref" in node and len(node) == 1:
        target = description
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/")]
        node = target
    return node


def name_of(schema):
    return schema.get("$ref", "").rsplit("/", 1)[-1]


BASE = "urn:otp-grant"
# The demo's users have standard claims alone; a host's own may have any.
demo_description = json.loads(json.dumps(description))
demo_description["components"]["schemas"]["Userinfo"]["additionalProperties"] = False
registry = Registry().with_resource(BASE, Resource.from_contents(demo_description, DRAFT202012))


def absolute(schema):
    """The same schema, whose references lead into the description."""
    if isinstance(schema, dict):
        return {key: BASE + value if key == "$ref" else absolute(value) for key, value in schema.items()}
    return [absolute(value) for value in schema] if isinstance(schema, list) else schema


def errors(instance, schema):
    validator = Draft202012Validator(absolute(schema), registry=registry)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def check_claims(answer, claims_of_access):
    """The JWTs of a token response, whose claims are described beside it."""
    for member, schema in [("access_token", claims_of_access), ("id_token", "IdTokenClaims")]:
        if member in answer:
            header, claims = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
                              for part in answer[member].split(".")[:2]]
            for part, name in [(header, "JoseHeader"), (claims, schema)]:
                wrong = errors(part, {"$ref": f"#/components/schemas/{name}"})
                if wrong:
                    fail(f"{member}: {name}: {wrong}")
            expected = "at+jwt" if schema.startswith("Rfc9068") else "JWT"
            if header["typ"] != expected:
                fail(f"{member}: typ is {header['typ']}")


def check_reply(where, described, status, headers, body):
    """The reply is one that is described. Returns the name of its schema, where it has one."""
    if status not in described:
        fail(f"{where}: status {status} is not described")
    response = deref(described[status])
    for name, header in response.get("headers", {}).items():
        header = deref(header)
        value = headers.get(name)
        if value is None:
            if header.get("required"):
                fail(f"{where}: {status} has no {name}")
        elif wrong := errors(value, header["schema"]):
            fail(f"{where}: {status}: {name}: {wrong}")
    known = OF_THE_HOST | {name.lower() for name in response.get("headers", {})} | {"content-type"}
    if unknown := {name.lower() for name in headers.keys()} - known:
        fail(f"{where}: {status} has {unknown}, which are not described")
    if repeated := [name for name in headers.keys() if len(headers.get_all(name)) > 1]:
        fail(f"{where}: {status} has {repeated} twice")
    content = response.get("content", {})
    if not content:
        if body or headers.get("Content-Type"):
            fail(f"{where}: {status} has a body, which is not described: {body!r}")
        return None
    if headers.get("Content-Type") not in content:
        fail(f"{where}: {status} has the type {headers.get('Content-Type')!r} instead of {list(content)}")
    schema = content[headers["Content-Type"]]["schema"]
    if where.method in WITHOUT_BODY:
        if body:
            fail(f"{where}: {status} has a body")
        return None
    # No JSON is empty, so an empty body can stand for the empty text.
    instance = json.loads(body) if body else ""
    alternatives = deref(schema).get("anyOf") or [schema]
    matching = [name_of(alternative) for alternative in alternatives if not errors(instance, alternative)]
    if len(matching) != 1:
        detail = errors(instance, alternatives[0]) if len(alternatives) == 1 else matching
        fail(f"{where}: {status}: {instance} is none of those described, or more than one: {detail}")
    return matching[0]


class Where:
    def __init__(self, method, path):
        self.method, self.path = method.lower(), path

    def __str__(self):
        return f"{self.method.upper()} {self.path}"


class Host:
    """A host in a process of its own."""

    def __init__(self, folder, name, arguments, claims_of_access="AccessTokenClaims"):
        self.outbox = pathlib.Path(folder, f"{name}.outbox")
        self.claims_of_access = claims_of_access
        log = open(pathlib.Path(folder, f"{name}.log"), "w")
        command = [sys.argv[1], *arguments, "--listen", "127.0.0.1:0", "--outbox", str(self.outbox)]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.child.stdout:
            if "listening on http://" in line:
                self.address = line.split("http://")[1].split()[0]
                break
        else:
            sys.exit(pathlib.Path(log.name).read_text())
        # Codes are printed, and a standard output that is not read fills up.
        threading.Thread(target=lambda: [None for _ in self.child.stdout], daemon=True).start()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(timeout=40)

    def last_code(self):
        return json.loads(self.outbox.read_text().splitlines()[-1])["code"]

    def call(self, method, path, body=b"", kind=None, headers=(), expect=None):
        """Sends a request, checks that its reply is described, and that it is the expected one: (status, schema)."""
        global replies
        replies += 1
        where = Where(method, path)
        item = description["paths"][path]
        data = body
        if isinstance(body, dict):
            data = (urllib.parse.urlencode(body) if kind == FORM else json.dumps(body)).encode()
        sent = dict(headers)
        if kind:
            sent["Content-Type"] = kind
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request(method, path, data or None, sent)
        reply = connection.getresponse()
        answer = reply.read()
        connection.close()
        self.nonce = reply.headers.get("DPoP-Nonce")
        status = str(reply.status)
        operation = item.get(method.lower())
        described = operation["responses"] if operation else {"405": item["x-other-methods"]}
        schema = check_reply(where, described, status, reply.headers, answer)
        if operation:
            seen.add((path, method.lower(), status, schema))
        if operation and status == "200" and isinstance(body, dict):
            # What is accepted is described as well.
            request = deref(operation["requestBody"])["content"][kind]["schema"]
            if wrong := errors(body, request):
                fail(f"{where}: a request that was accepted is not described: {wrong}")
        if expect is not None and (reply.status, schema) != expect:
            fail(f"{where}: {reply.status} {schema} {answer!r} instead of {expect}")
        parsed = json.loads(answer) if answer else None
        if schema == "TokenResponse":
            check_claims(parsed, self.claims_of_access)
        return parsed

    def send(self, more, client=WEB, expect=(200, "SendResponse"), **how):
        return self.call("POST", "/otp/send", {**client, **more}, JSON, expect=expect, **how)

    def token(self, body, expect=(200, "TokenResponse"), kind=JSON, **how):
        return self.call("POST", "/oauth2/token", body, kind, expect=expect, **how)

    def log_in(self, to, source=BY_SMS, grant=SMS, client=WEB, **more):
        sent = self.send({**source, **to}, client)
        return self.token({"grant_type": grant, **client, **source, **to, "otp_token": sent["otp_token"],
                           "otp": self.last_code(), **more})

    def refresh(self, token, expect=(200, "TokenResponse"), client=WEB, kind=FORM, **more):
        body = {"grant_type": "refresh_token", **client, "refresh_token": token, **more}
        return self.token(body, expect, kind)

    def query(self, what, token, client=WEB, expect=None):
        return self.call("POST", f"/oauth2/{what}", {**client, "token": token}, FORM, expect=expect)

    def userinfo(self, method, token, expect, **proved):
        headers = {"Authorization": f"{'DPoP' if proved else 'Bearer'} {token}", **proved}
        return self.call(method, USERINFO, headers=headers, expect=expect)

    def proof(self, path, method="POST", token=None, nonce=None, **other):
        """A proof of the test's key, as the header of a request."""
        issuer = other.pop("issuer", f"http://{self.address}")
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": issuer + path, "iat": int(time.time()), **other}
        if nonce:
            claims["nonce"] = nonce
        if token:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.as_dict(private=False)}
        return {"DPoP": jwt.encode(header, claims, KEY, algorithms=["ES256"])}


def bound_tokens(host):
    """A client that proves its key, from the code to userinfo."""
    key = {**BY_SMS, **PHONE}
    host.send(key, KEYED, (400, "InvalidDpopProof"))
    host.send(key, KEYED, (400, "InvalidDpopProof"), headers=host.proof("/oauth2/token"))
    sent = host.send(key, KEYED, headers=host.proof("/otp/send"))
    grant = {"grant_type": SMS, **KEYED, **key, "otp_token": sent["otp_token"], "otp": host.last_code()}
    host.token(grant, (400, "InvalidDpopProof"))
    used = host.proof("/oauth2/token")
    tokens = host.token(grant, headers=used)
    if tokens["token_type"] != "DPoP":
        fail(f"a bound token is called {tokens['token_type']}")
    access = tokens["access_token"]
    if host.query("introspect", access, API, (200, "ActiveAccessToken"))["cnf"]["jkt"] != KEY.thumbprint():
        fail("the token is bound to another key")
    for method in ["GET", "HEAD", "POST"]:
        body = (lambda schema: None) if method == "HEAD" else (lambda schema: schema)
        host.userinfo(method, access, (200, body("Userinfo")), **host.proof(USERINFO, method, access))
        host.userinfo(method, access, (401, body("InvalidBoundToken")))
        host.userinfo(method, access, (401, body("InvalidDpopProof")), **host.proof(USERINFO, method, "another"))
    body = {"grant_type": "refresh_token", **KEYED, "refresh_token": tokens["refresh_token"]}
    host.token(body, (400, "InvalidDpopProof"), FORM, headers=used)
    host.token(body, kind=FORM, headers=host.proof("/oauth2/token"))


def nonces(host, issuer):
    """A client that needs a nonce in each proof."""
    def proof(path, method="POST", **more):
        return host.proof(path, method, issuer=issuer, **more)

    key = {**BY_SMS, **PHONE}
    host.send(key, NONCE, (400, "UseDpopNonce"), headers=proof("/otp/send"))
    nonce = host.nonce
    sent = host.send(key, NONCE, headers=proof("/otp/send", nonce=nonce))
    grant = {"grant_type": SMS, **NONCE, **key, "otp_token": sent["otp_token"], "otp": host.last_code()}
    host.token(grant, (400, "UseDpopNonce"), headers=proof("/oauth2/token"))
    access = host.token(grant, headers=proof("/oauth2/token", nonce=nonce))["access_token"]
    for method in ["GET", "POST"]:
        host.userinfo(method, access, (401, "UseDescribedDpopNonce"), **proof(USERINFO, method, token=access))
        host.userinfo(method, access, (200, "Userinfo"), **proof(USERINFO, method, token=access, nonce=nonce))


def send_endpoint(host):
    invalid = (400, "InvalidRequest")
    login = {**BY_SMS, "phone_number": "13600000001"}
    host.send({**login, "usage": None})
    host.send({**login, "phone_number": "+86 (136) 0000-0009"}, SPA)
    for usage in ["signup", "update_userinfo", "reset_password"]:
        host.send({"usage": usage, "email": f"{usage}@example.com"})
    host.send(login, OTHER, (400, "InvalidAuthSource"))
    host.send({**login, "phone_number": "1"}, expect=(400, "MalformedPhoneNumber"))
    host.send({**BY_EMAIL, "email": "mailbox"}, expect=(400, "MalformedEmail"))
    host.send(login, {"client_id": "unknown"}, (401, "InvalidClient"))
    host.send(login, {}, (401, "InvalidClient"), headers={"Authorization": "Basic YTpi"})
    host.send(login, {}, (200, "SendResponse"), headers={"Authorization": BASIC})
    for wrong in [{}, BY_SMS, PHONE, {**login, **MAILBOX}, {**login, "usage": "x"}, {**login, "usage": "signup"},
                  {**login, "phone_number": 1}, {**login, "phone_number": ""}, {**login, "auth_source_id": "\n"}]:
        host.send(wrong, expect=invalid)
    host.send(login, {}, invalid)
    host.send(login, WEB, invalid, headers={"Authorization": BASIC})
    host.send(login, {"client_id": "other"}, invalid, headers={"Authorization": BASIC})
    for body, kind in [(b"", None), (b"{", JSON), (b"[]", JSON), (b'{"usage":"login","usage":"login"}', JSON),
                       (b'{"a":1,"a":1}', JSON), (b"a=b", FORM), (b"{}", "text/plain")]:
        host.call("POST", "/otp/send", body, kind, expect=invalid)


def devices(host):
    """A device that is remembered, and its token along with every request."""
    tokens = host.log_in(PHONE, remember_device=True)
    if "device_token" not in tokens:
        fail("a client that asked for a device token has none")
    known = {**BY_SMS, **PHONE, "device_token": tokens["device_token"]}
    sent = host.send(known)
    again = host.token({"grant_type": SMS, **WEB, **known, "otp_token": sent["otp_token"], "otp": host.last_code(),
                        "remember_device": True})
    if "device_token" not in again:
        fail("a device is not renewed")
    host.send({**known, "device_token": "x"})


def check_test_identity(host):
    """The fixed code, and what the tokens say of it. The reply is like any other."""
    number = {**BY_SMS, "phone_number": "+8613600000001"}
    sent = host.send(number)
    if "13600000001" in host.outbox.read_text():
        fail("a message for the test identity")
    grant = {"grant_type": SMS, **WEB, **number, "otp_token": sent["otp_token"]}
    host.token({**grant, "otp": "246811"}, (400, "UnknownOtp"))
    tokens = host.token({**grant, "otp": "246810", "auto_signup": True})
    for member in ["access_token", "id_token"]:
        claims = tokens[member].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if claims["amr"] != ["test"] or claims["sub"] != "TEST_USER_ID":
            fail(f"the {member} of a test identity says {claims}")
    # At another client it is a number like any other, and the test user does not log in.
    sent = host.send(number, SPA)
    host.token({"grant_type": SMS, **SPA, **number, "otp_token": sent["otp_token"], "otp": host.last_code()},
               (400, "AbnormalUserStatus"))


def guarded(host):
    """The verdict of the proxy in front, and a block that has used up its messages."""
    def sent(number, verdict=None, expect=(200, "SendResponse")):
        headers = {} if verdict is None else {"X-Send-Verdict": verdict}
        host.send({**BY_SMS, "phone_number": f"1370000{number:04}"}, expect=expect, headers=headers)

    challenge = (400, "ChallengeRequired")
    for verdict in ["challenge", "what", "allow, allow"]:
        sent(0, verdict, challenge)
    sent(0, "refuse", (400, "InsufficientSmsQuota"))
    for number in range(6):
        sent(number, [None, "none"][number % 2])
    sent(6, None, challenge)
    sent(6, "none", challenge)
    sent(6, "allow")


def rate_limits(host):
    for to, source, error in [({"phone_number": "13600000002"}, BY_SMS, "SmsRateLimitExceeded"),
                              ({"email": "twice@example.com"}, BY_EMAIL, "EmailRateLimitExceeded")]:
        host.send({**source, **to})
        host.send({**source, **to}, expect=(400, error))


def token_endpoint(host):
    invalid = (400, "InvalidRequest")
    sent = host.send({**BY_SMS, **PHONE})
    code = host.last_code()
    grant = {"grant_type": SMS, **WEB, **BY_SMS, **PHONE, "otp_token": sent["otp_token"], "otp": code}
    for missing in ["grant_type", "client_id", "auth_source_id", "phone_number", "otp_token", "otp"]:
        host.token({name: value for name, value in grant.items() if name != missing}, invalid)
    for wrong in [{"otp": 123456}, {"auto_signup": "yes"}, {"phone_number": "1"}, {"otp_token": ""}]:
        host.token({**grant, **wrong}, invalid)
    host.token(grant, invalid, headers={"Authorization": BASIC})
    for body, kind in [(b"", None), (b"{", JSON), (b"[]", JSON), (b"otp=1&otp=1", FORM), (b"otp=%", FORM)]:
        host.call("POST", "/oauth2/token", body, kind, expect=invalid)
    host.token({**grant, "grant_type": "password"}, (400, "UnsupportedGrantType"))
    host.token({**grant, "client_secret": "wrong"}, (401, "InvalidClient"))
    host.token({**grant, "client_id": "unknown"}, (401, "InvalidClient"))
    host.token({**grant, **API}, (400, "UnauthorizedClient"))
    host.token({**grant, **OTHER}, (400, "InvalidAuthSource"))
    host.token({**grant, **BY_EMAIL}, (400, "InvalidAuthSource"))
    host.token({**grant, "otp_token": "x"}, (400, "UnknownOtpToken"))
    host.token({**grant, "phone_number": "13600000003"}, (400, "MismatchedOtpToken"))
    host.token({**grant, "scope": "admin"}, (400, "InvalidScope"))
    host.token({**grant, "scope": "openid  profile"}, (400, "InvalidScope"))
    refused = host.token({**grant, "otp": code[:-1] + ("0" if code[-1] != "0" else "1")}, (400, "UnknownOtp"))
    if refused["attempts_remaining"] != 4:
        fail(f"{refused['attempts_remaining']} attempts remain of five after one")
    tokens = host.token(grant)
    if set(tokens) != {"access_token", "refresh_token", "scope", "id_token", "token_type", "expires_in"}:
        fail(f"the members of a login are {set(tokens)}")
    host.token(grant, (400, "UnknownOtpToken"))

    new = {"phone_number": "13600000004"}
    sent = host.send({**BY_SMS, **new})
    grant = {**grant, **new, "otp_token": sent["otp_token"], "otp": host.last_code()}
    host.token(grant, (400, "UserNotFound"))
    host.token({**grant, "auto_signup": True})
    for to, source, name in [({"phone_number": "13600000000"}, BY_SMS, SMS),
                             ({"email": "locked@example.com"}, BY_EMAIL, EMAIL)]:
        sent = host.send({**source, **to})
        host.token({"grant_type": name, **WEB, **source, **to, "otp_token": sent["otp_token"], "otp": host.last_code()},
                   (400, "AbnormalUserStatus"))

    # A form, Basic, a public client, and a boolean in words.
    sent = host.send({**BY_EMAIL, **MAILBOX}, SPA)
    host.token({"grant_type": EMAIL, **SPA, **BY_EMAIL, **MAILBOX, "otp_token": sent["otp_token"],
                "otp": host.last_code(), "auto_signup": "false", "scope": "profile email"}, kind=FORM)
    host.refresh(tokens["refresh_token"], client={}, expect=invalid)
    body = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    second = host.token(body, kind=FORM, headers={"Authorization": BASIC})
    host.refresh(second["refresh_token"], (400, "InvalidScope"), scope="profile")
    host.refresh("x", (400, "UnknownRefreshToken"))
    host.refresh(second["refresh_token"], (400, "UnauthorizedClient"), API)
    host.refresh(second["refresh_token"], (400, "UnknownRefreshToken"), OTHER)
    third = host.refresh(second["refresh_token"], kind=JSON)
    # The successor is used, and then its predecessor comes back.
    host.refresh(third["refresh_token"])
    host.refresh(second["refresh_token"], (400, "UnknownRefreshToken"))


def token_queries(host):
    tokens = host.log_in(PHONE, scope="openid profile phone")
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    host.query("introspect", access, API, (200, "ActiveAccessToken"))
    host.query("introspect", refresh, WEB, (200, "ActiveRefreshToken"))
    host.query("introspect", refresh, API, (200, "InactiveToken"))
    host.query("introspect", "x", API, (200, "InactiveToken"))
    host.query("introspect", access, SPA, (401, "InvalidClient"))
    host.query("revoke", access, OTHER, (401, "InvalidClient"))
    for what in ["introspect", "revoke"]:
        path = f"/oauth2/{what}"
        host.query(what, access, {}, (401, "InvalidClient"))
        host.call("POST", path, expect=(401, "InvalidClient"))
        host.call("POST", path, b"token=x", FORM, {"Authorization": "Basic x"}, (401, "InvalidClient"))
        twice = b"token=a&token=b&client_id=a"
        for body, kind in [({**WEB}, FORM), (twice, FORM), (b"{}", JSON), (b"client_id=%", FORM)]:
            host.call("POST", path, body, kind, expect=(400, "InvalidRequest"))
    host.query("revoke", access, expect=(200, "EmptyBody"))
    host.query("introspect", access, API, (200, "InactiveToken"))
    host.call("POST", "/oauth2/revoke", {"token": refresh, "token_type_hint": "access_token", **WEB}, FORM,
              expect=(200, "EmptyBody"))
    host.query("revoke", "x", expect=(200, "EmptyBody"))
    host.refresh(refresh, (400, "UnknownRefreshToken"))


def userinfo_endpoint(host):
    good = host.log_in(PHONE, scope="openid profile email phone offline_access")["access_token"]
    host.userinfo("HEAD", good, (200, None))
    host.userinfo("GET", good, (200, "Userinfo"))
    claims = host.userinfo("POST", good, (200, "Userinfo"))
    if claims["sub"] != "MOCK_USER_ID" or len(claims) < 5:
        fail(f"userinfo says {claims}")
    host.call("POST", USERINFO, {"access_token": good}, FORM, expect=(200, "Userinfo"))
    without = host.log_in(PHONE, scope="profile")
    if "id_token" in without:
        fail("an ID token without openid")
    for method in ["GET", "HEAD", "POST"]:
        body = (lambda schema: None) if method == "HEAD" else (lambda schema: schema)
        host.userinfo(method, "x", (401, body("InvalidToken")))
        host.userinfo(method, without["access_token"], (403, body("InsufficientScope")))
        host.call(method, USERINFO, expect=(400, body("NoAccessToken")))
    for body, headers in [({"access_token": good}, {"Authorization": f"Bearer {good}"}),
                          (b"access_token=a&access_token=b", {}), (b"a=b&a=b", {}), (b"a=%", {})]:
        host.call("POST", USERINFO, body, FORM, headers, (400, "MalformedUserinfoRequest"))


def documents(host, algorithm):
    keys = host.call("GET", "/oauth2/jwks", expect=(200, "Jwks"))
    if keys["keys"][0]["alg"] != algorithm:
        fail(f"the key is for {keys['keys'][0]['alg']}")
    host.call("GET", METADATA, expect=(200, "Metadata"))
    described = host.call("GET", OPENID, expect=(200, "OpenidConfiguration"))
    places = {"otp_send_endpoint": "/otp/send", "userinfo_endpoint": USERINFO, "jwks_uri": "/oauth2/jwks"}
    for member, path in places.items():
        if not described[member].endswith(path):
            fail(f"{member} is {described[member]}")
    for path in ["/oauth2/jwks", METADATA, OPENID]:
        host.call("HEAD", path, expect=(200, None))


def other_methods(host):
    for path, item in description["paths"].items():
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]:
            if method.lower() not in item:
                host.call(method, path)


def long_bodies(host):
    for path, item in description["paths"].items():
        if "post" in item:
            host.call("POST", path, b"a" * 20_000, FORM, expect=(413, "BodyTooLong"))


def slow_bodies(host):
    """A body that does not come."""
    for path, item in description["paths"].items():
        if "post" in item:
            address = host.address.rsplit(":", 1)
            with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
                connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".encode())
                reply = http.client.HTTPResponse(connection)
                reply.begin()
                status = str(reply.status)
                check_reply(Where("POST", path), item["post"]["responses"], status, reply.headers, reply.read())
                if status != "408":
                    fail(f"a body that does not come is answered with {status}")
                seen.add((path, "post", status, None))


def network_limits(host):
    """An address whose allowance is used up."""
    host.send({**BY_SMS, **PHONE}, {**WEB, "client_secret": "wrong"}, (401, "InvalidClient"))
    used_up = (429, "TooManyRequests")
    host.send({**BY_SMS, **PHONE}, expect=used_up)
    host.refresh("x", used_up)
    host.query("revoke", "x", expect=used_up)
    host.query("introspect", "x", expect=used_up)


def other_origins(host):
    """A page of an origin that no client allows."""
    page, refused = {"Origin": "https://new.example.com"}, (403, "OriginNotAllowed")
    host.send({**BY_SMS, **PHONE}, expect=refused, headers=page)
    host.token({"grant_type": "refresh_token", **WEB, "refresh_token": "x"}, refused, FORM, headers=page)
    for what in ["revoke", "introspect"]:
        host.call("POST", f"/oauth2/{what}", {**WEB, "token": "x"}, FORM, page, refused)
    for method in ["GET", "POST"]:
        host.call(method, USERINFO, headers=page, expect=refused)
    host.call("HEAD", USERINFO, headers=page, expect=(403, None))


def deliveries(host, provider):
    phone, mailbox = {**BY_SMS, "phone_number": "13600000005"}, {**BY_EMAIL, "email": "a@example.com"}
    for status, to, expect in [
        (422, phone, (400, "InvalidPhoneNumber")), (422, mailbox, (400, "InvalidEmail")),
        (429, phone, (400, "InsufficientSmsQuota")), (429, mailbox, (400, "InsufficientEmailQuota")),
        (500, phone, (503, "NotSent")), (None, phone, (503, "TookTooLong")),
    ]:
        provider.status = status
        host.send(to, expect=expect)
    provider.status = 200
    host.send(phone, {"client_id": "SILENT_CLIENT_ID"}, (400, "UnauthorizedClient"))
    host.send({"usage": "signup", **PHONE}, expect=(400, "PhoneNumberIsUsed"))
    host.send({"usage": "update_userinfo", **MAILBOX}, expect=(400, "EmailIsUsed"))
    # A grant type of the host's own, and access tokens of RFC 9068.
    tokens = host.log_in(PHONE, grant=OWN)
    host.query("introspect", tokens["access_token"], expect=(200, "ActiveAccessToken"))
    if OWN not in host.call("GET", METADATA)["grant_types_supported"]:
        fail("the grant type of the host's own is not listed")
    alone = host.log_in(PHONE, client={"client_id": "ONCE", "client_secret": "0123456789abcdef"})
    if "refresh_token" in alone:
        fail("a client that may not refresh has a refresh token")


def outage(host, database):
    """The tables go away, under a host that runs."""
    tokens = host.log_in(PHONE)
    sent = host.send({**BY_SMS, **PHONE})
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE otp_grant_records RENAME TO elsewhere")
        connection.commit()
    down = (503, "TemporarilyUnavailable")
    host.send({**BY_SMS, **PHONE}, expect=(503, "NotSent"))
    grant = {"grant_type": SMS, **WEB, **BY_SMS, **PHONE, "otp_token": sent["otp_token"], "otp": host.last_code()}
    host.token(grant, down)
    host.refresh(tokens["refresh_token"], down)
    host.query("revoke", tokens["refresh_token"], expect=down)
    host.query("introspect", tokens["access_token"], expect=down)
    for method in ["GET", "POST", "HEAD"]:
        host.userinfo(method, tokens["access_token"], (503, None if method == "HEAD" else "TemporarilyUnavailable"))


class Provider(http.server.BaseHTTPRequestHandler):
    """A message provider that answers what it is told to; with no status, too late."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status is None:
            time.sleep(2)
        self.send_response(self.server.status or 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def configured(folder, provider, name="own", more=""):
    """A host of its own configuration, for what the demo does not do."""
    key, file = f"{folder}/signing.pem", pathlib.Path(folder, f"{name}.toml")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key], check=True)
    master = base64.b64encode(os.urandom(32)).decode()
    sources = json.dumps([BY_SMS["auth_source_id"], BY_EMAIL["auth_source_id"]])
    file.write_text(f"""
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{master}", sealing = "{master}" }}
signing = {{ active = {{ file = "{key}" }} }}
auth_sources.{BY_SMS["auth_source_id"]} = {{ channel = "sms" }}
auth_sources.{BY_EMAIL["auth_source_id"]} = {{ channel = "email" }}
access_tokens.rfc9068_audience = "https://api.example.com"
addresses.region = "CN"
limits = {{ body_time = "300ms", request_time = "1s" }}
danger = {{ without_send_quotas = true, disclose_used_addresses = true }}
delivery.webhook = {{ url = "http://127.0.0.1:{provider.server_port}/" }}
grant_types = {{ "{OWN}" = "sms" }}
dpop = "on"
{more}
[clients.TENANT_CLIENT_ID]
secret = "TENANT_CLIENT_SECRET"
auth_sources = {sources}
[clients.ONCE]
secret = "0123456789abcdef"
auth_sources = {sources}
grants = ["sms"]
[clients.SILENT_CLIENT_ID]
public = true
auth_sources = {sources}
[clients.NONCE_CLIENT_ID]
public = true
may_send = true
dpop = "required_with_nonce"
auth_sources = {sources}
[[users.list]]
subject = "MOCK_USER_ID"
phone_number = "13612345678"
email = "MOCK_USERNAME@example.com"
""")
    return ["--config", str(file)]


def check_coverage():
    for path, item in description["paths"].items():
        for method, operation in item.items():
            if method.startswith("x-"):
                continue
            for status, response in operation["responses"].items():
                contents = [None] if method in WITHOUT_BODY else [
                    name_of(alternative)
                    for content in deref(response).get("content", {}).values()
                    for alternative in deref(content["schema"]).get("anyOf") or [content["schema"]]
                ] or [None]
                for schema in contents:
                    case = (path, method, status, schema)
                    if (case in seen) == (case in NOT_REACHABLE):
                        fail(f"{case} was {'seen, and listed as not reachable' if case in seen else 'never seen'}")


def check_reference():
    """What the description says of errors, docs/wire.md says as well."""
    text = DESCRIPTION.with_name("wire.md").read_text()
    for path in description["paths"]:
        if path not in text:
            fail(f"docs/wire.md has no {path}")
    for name, schema in description["components"]["schemas"].items():
        if "error" not in schema.get("properties", {}):
            continue
        for member in schema["properties"].values():
            for literal in [member["const"]] if "const" in member else member.get("enum", []):
                # Descriptions of malformed requests are told in two columns.
                if literal not in text and not literal.startswith(("the body ", "access_token is ")):
                    fail(f"docs/wire.md does not know {literal!r} of {name}")


def main():
    validate(description)
    check_reference()
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        def start(name, *arguments, **how):
            host = Host(folder, name, arguments, **how)
            running.callback(host.stop)
            return host

        demo = start("demo", "--demo", "--send-quota", "off")
        send_endpoint(demo)
        token_endpoint(demo)
        token_queries(demo)
        userinfo_endpoint(demo)
        bound_tokens(demo)
        devices(demo)
        check_test_identity(demo)
        documents(demo, "RS256")
        other_methods(demo)
        long_bodies(demo)

        database = f"{folder}/records.db"
        limited = start("limited", "--demo", "--alg", "ES256")
        rate_limits(limited)
        documents(limited, "ES256")
        guarded(start("guarded", "--demo", "--alg", "ES256", "--guard", "enforce"))
        # It counts, and refuses nothing.
        observing = start("observing", "--demo", "--alg", "ES256", "--guard", "observe")
        observing.send({**BY_SMS, "phone_number": "13700000000"}, headers={"X-Send-Verdict": "refuse"})
        stored = start("stored", "--demo", "--alg", "ES256", "--send-quota", "off", "--store", f"sqlite:{database}")
        outage(stored, database)

        own = start("own", *configured(folder, provider), claims_of_access="Rfc9068AccessTokenClaims")
        deliveries(own, provider)
        nonces(own, "http://127.0.0.1:8080")
        documents(own, "EdDSA")
        slow_bodies(own)
        few = 'network_limits = { enabled = true, failed_authentications = { count = 1, per = "24h" } }'
        network_limits(start("few", *configured(folder, provider, "few", few)))
        page = '[clients.PAGE_CLIENT_ID]\npublic = true\nallowed_origins = ["https://app.example.com"]'
        other_origins(start("pages", *configured(folder, provider, "pages", page)))
    check_coverage()
    print(f"docs/openapi.yaml: {replies} replies are as described, and each of {len(seen)} kinds was seen")


main()
