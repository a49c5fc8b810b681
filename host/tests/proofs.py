"""Proofs of a key and assertions of clients, over two processes on one database: proofs.py HOST_BINARY [STORE ...]

joserfc makes them. First a client lives with bound tokens, with each algorithm. Then one proof, or one assertion, is used
50 times at once: at most one use of it counts. STORE is redis, postgres, sqlite or memory (one process); all four
without one. What else it needs, servers.py says. joserfc is installed into a temporary virtual environment.
"""

import base64
import collections
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid

HERE = pathlib.Path(__file__).resolve().parent

try:
    from joserfc import jwt
    from joserfc.jwk import ECKey, OKPKey, RSAKey
except ImportError:
    if os.environ.get("PROOFS_VENV"):
        raise
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement",
                        HERE / "proofs" / "requirements.txt"], check=True)
        command = [f"{folder}/bin/python", __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "PROOFS_VENV": folder}).returncode)

from servers import DATABASES, FORM, GRANT, SOURCE, USERS, Host, configuration, key_file

HOST = sys.argv[1]
STORES = sys.argv[2:] or [*DATABASES, "memory"]
ISSUER = "http://127.0.0.1:8080"
TOKEN, SEND, USERINFO, INTROSPECT = "/oauth2/token", "/otp/send", "/userinfo", "/oauth2/introspect"
USES, ROUNDS = 50, 5
KEYS = {"ES256": lambda: ECKey.generate_key("P-256"), "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
        "PS256": lambda: RSAKey.generate_key(2048), "RS256": lambda: RSAKey.generate_key(2048)}
CLIENT_KEYS = {algorithm: make() for algorithm, make in KEYS.items()}


def check(fine, what):
    if not fine:
        sys.exit(what)


def signed(header, claims, key):
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def proof(key, algorithm, path, method="POST", token=None):
    header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False)}
    claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": ISSUER + path, "iat": int(time.time())}
    if token:
        digest = hashlib.sha256(token.encode()).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return signed(header, claims, key)


def assertion(algorithm):
    client = f"keyed-{algorithm}"
    claims = {"iss": client, "sub": client, "aud": ISSUER, "jti": str(uuid.uuid4()), "exp": int(time.time()) + 60}
    return {"client_id": client,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed({"alg": algorithm, "typ": "client-authentication+jwt"}, claims, CLIENT_KEYS[algorithm])}


def call(host, method, path, body=None, kind="application/json", **headers):
    """The status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
    text = None
    if body is not None:
        text = urllib.parse.urlencode(body) if kind == FORM else json.dumps(body)
        headers["Content-Type"] = kind
    connection.request(method, path, text, headers)
    reply = connection.getresponse()
    answer = reply.read()
    connection.close()
    return reply.status, json.loads(answer) if answer else {}


def at_once(pool, hosts, use):
    """What one thing that is used many times at once over all processes is answered with."""
    uses = [pool.submit(use, hosts[number % len(hosts)]) for number in range(USES)]
    return [one.result() for one in uses]


def counted(replies, status, error=None):
    return sum(reply[0] == status and reply[1].get("error") == error for reply in replies)


def told(replies):
    """What the replies are, without their tokens."""
    return collections.Counter((status, body.get("error"), body.get("error_description")) for status, body in replies)


class Bound:
    """A client with a key: the public one, or the one that signs assertions as well."""

    def __init__(self, hosts, phone, algorithm="ES256", authentication=lambda: {"client_id": "bound"}):
        self.hosts, self.phone, self.authentication = hosts, phone, authentication
        self.algorithm, self.key = algorithm, KEYS[algorithm]()
        self.to = {"auth_source_id": SOURCE, "phone_number": phone}

    def proof(self, path, method="POST", token=None):
        return proof(self.key, self.algorithm, path, method, token)

    def request_code(self):
        status, sent = call(self.hosts[0], "POST", SEND, {**self.authentication(), **self.to}, DPoP=self.proof(SEND))
        check(status == 200, f"send: {sent}")
        self.sent = {**self.to, "grant_type": GRANT, "otp_token": sent["otp_token"]}
        return self.hosts[0].code(self.phone)

    def redeem(self, host, code, proof):
        return call(host, "POST", TOKEN, {**self.authentication(), **self.sent, "otp": code}, DPoP=proof)

    def log_in(self):
        status, tokens = self.redeem(self.hosts[-1], self.request_code(), self.proof(TOKEN))
        check(status == 200 and tokens["token_type"] == "DPoP", f"login: {status} {tokens.get('error')}")
        return tokens

    def refresh(self, host, token, proof):
        body = {**self.authentication(), "grant_type": "refresh_token", "refresh_token": token}
        return call(host, "POST", TOKEN, body, FORM, DPoP=proof)


def lives(hosts, pool):
    """A client lives with its bound tokens and its assertions, with each algorithm."""
    for number, algorithm in enumerate(KEYS):
        client = Bound(hosts, USERS[number], algorithm)
        tokens = client.log_in()
        status, tokens = client.refresh(hosts[0], tokens["refresh_token"], client.proof(TOKEN))
        check(status == 200, f"{algorithm}: refresh: {tokens}")
        token = tokens["access_token"]
        thumbprint = jwt.decode(token, SIGNING, algorithms=["ES256"]).claims["cnf"]["jkt"]
        check(thumbprint == client.key.thumbprint(), f"{algorithm}: bound to another key")
        own = {"Authorization": f"DPoP {token}", "DPoP": client.proof(USERINFO, "GET", token)}
        check(call(hosts[-1], "GET", USERINFO, **own)[0] == 200, f"{algorithm}: userinfo")
        stolen = {"Authorization": f"Bearer {token}"}
        check(call(hosts[-1], "GET", USERINFO, **stolen)[0] == 401, f"{algorithm}: a bound token was taken for a bearer token")
        status, answer = call(hosts[0], "POST", INTROSPECT, {**assertion(algorithm), "token": token}, FORM)
        check(status == 200 and answer["cnf"]["jkt"] == client.key.thumbprint(), f"{algorithm}: introspection: {answer}")
        other = {**assertion(algorithm), "token": token, "client_id": "bound"}
        check(call(hosts[0], "POST", INTROSPECT, other, FORM)[0] == 401, f"{algorithm}: an assertion of another client")
    return f"bound tokens and assertions with {', '.join(KEYS)}"


def codes(hosts, pool):
    """One proof pays for one comparison. With the right code it is good for one login."""
    for number in range(ROUNDS):
        client = Bound(hosts, USERS[10 + number])
        code = client.request_code()
        wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
        used = client.proof(TOKEN)
        replies = at_once(pool, hosts, lambda host: client.redeem(host, wrong, used))
        compared, refused = counted(replies, 400, "invalid_grant"), counted(replies, 400, "invalid_dpop_proof")
        check((compared, refused) == (1, USES - 1), f"one proof: {compared} comparisons, {refused} refused: {told(replies)}")
        check(client.redeem(hosts[0], code, used)[1].get("error") == "invalid_dpop_proof", "a used proof was good once more")
        fresh = client.proof(TOKEN)
        replies = at_once(pool, hosts, lambda host: client.redeem(host, code, fresh))
        logins, others = counted(replies, 200), sum(reply[0] == 400 for reply in replies)
        check((logins, others) == (1, USES - 1), f"one proof: {logins} logins: {told(replies)}")
    return f"{ROUNDS} x {USES} uses of one proof with a wrong code: one comparison; with the right one: one login"


def refreshes(hosts, pool):
    """A retry may repeat its proof, and gets the one successor again. The successor does not take that proof."""
    for number in range(ROUNDS):
        client = Bound(hosts, USERS[20 + number])
        token = client.log_in()["refresh_token"]
        used = client.proof(TOKEN)
        replies = at_once(pool, hosts, lambda host: client.refresh(host, token, used))
        successors = {body.get("refresh_token") for _, body in replies}
        check(counted(replies, 200) == USES and len(successors) == 1, f"{len(successors)} successors: {told(replies)}")
        (successor,) = successors
        replies = at_once(pool, hosts, lambda host: client.refresh(host, successor, used))
        check(counted(replies, 400, "invalid_dpop_proof") == USES, f"a used proof was good once more: {told(replies)}")
        check(client.refresh(hosts[0], successor, client.proof(TOKEN))[0] == 200, "the session did not go on")
    return f"{ROUNDS} x {USES} uses of one proof, one successor each, which does not take the proof again"


def stable_refreshes(hosts, pool):
    """A refresh token that stays has no retry: each proof is good for one refresh."""
    for number in range(ROUNDS):
        client = Bound(hosts, USERS[50 + number], authentication=lambda: assertion("ES256"))
        token = client.log_in()["refresh_token"]
        used = client.proof(TOKEN)
        replies = at_once(pool, hosts, lambda host: client.refresh(host, token, used))
        good, refused = counted(replies, 200), counted(replies, 400, "invalid_dpop_proof")
        check((good, refused) == (1, USES - 1), f"one proof: {good} refreshes: {told(replies)}")
    return f"{ROUNDS} x {USES} uses of one proof with a stable refresh token, one refresh each"


def userinfos(hosts, pool):
    """The hosts are strict: a proof is good once at userinfo as well."""
    client = Bound(hosts, USERS[30])
    token = client.log_in()["access_token"]
    for _ in range(ROUNDS):
        headers = {"Authorization": f"DPoP {token}", "DPoP": client.proof(USERINFO, "GET", token)}
        replies = at_once(pool, hosts, lambda host: call(host, "GET", USERINFO, **headers))
        good, refused = counted(replies, 200), counted(replies, 401, "invalid_dpop_proof")
        check((good, refused) == (1, USES - 1), f"one proof: {good} times userinfo, {refused} refused: {told(replies)}")
    return f"{ROUNDS} x {USES} uses of one proof, userinfo once each"


def assertions(hosts, pool):
    for number in range(ROUNDS):
        members = {**assertion("ES256"), "auth_source_id": SOURCE, "phone_number": USERS[40 + number]}
        replies = at_once(pool, hosts, lambda host: call(host, "POST", SEND, members))
        good, refused = counted(replies, 200), counted(replies, 401, "invalid_client")
        check((good, refused) == (1, USES - 1), f"one assertion: {good} requests, {refused} refused: {told(replies)}")
    return f"{ROUNDS} x {USES} uses of one assertion, one request each"


def main():
    global SIGNING
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            url, processes = "memory", 1
            if name != "memory":
                database = DATABASES[name](folder)
                stack.callback(database.stop)
                url, processes = database.url, 2
            pem = key_file(folder)
            SIGNING = ECKey.import_key(pathlib.Path(pem).read_text())
            file = pathlib.Path(configuration(folder, pem))
            clients = f'[clients.bound]\npublic = true\nmay_send = true\ndpop = "required"\nauth_sources = ["{SOURCE}"]\n'
            for algorithm, key in CLIENT_KEYS.items():
                jwk = json.dumps({**key.as_dict(private=False), "alg": algorithm})
                clients += f"[clients.keyed-{algorithm}]\nkeys = ['{jwk}']\nauth_sources = [\"{SOURCE}\"]\n"
                clients += "introspects_every_token = true\ndpop = \"accepted\"\nrefresh = \"stable\"\n"
            file.write_text(f'dpop = "strict"\n{file.read_text()}{clients}')
            hosts = []
            for number in range(processes):
                hosts.append(Host(HOST, folder, f"host{number}", url, str(file)))
                stack.callback(hosts[-1].stop)
            with concurrent.futures.ThreadPoolExecutor(USES) as pool:
                for scenario in [lives, codes, refreshes, stable_refreshes, userinfos, assertions]:
                    print(f"{name}: {scenario(hosts, pool)}", flush=True)


main()
