"""Attacks a host over HTTP, many requests at once: attack_over_http.py URL OUTBOX [NAME].

The host runs with ``--send-quota off`` and serves the names of the wire contract. Uses the standard library alone.

- 200 wrong guesses at once: at most 5 are compared, and then the right code is refused.
- 50 times the right code at once, 20 times over: one token set.
- 50 refreshes at once with one token: one successor.
- 1,000 malformed requests: no reply above 499.
"""

import concurrent.futures
import http.client
import json
import random
import sys
import threading
import time
import urllib.parse

URL, OUTBOX, *NAME = sys.argv[1:]
NAME = NAME[0] if NAME else URL
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
SOURCE = {"auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID"}
SMS = "http://tencentciam.com/oauth2/grant-type/otp/sms"
SPENT = "Unknown or expired otp_token"
WRONG = "Unknown or expired OTP"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOST = urllib.parse.urlsplit(URL).netloc
# So that a second run against the same store finds other addresses.
NUMBERS = iter(range(13_800_000_000 + random.randrange(90_000_000), 14_000_000_000))


def post(path, body, headers=JSON, method="POST", connection=None):
    """Gives the status and the JSON of the reply."""
    made = connection or http.client.HTTPConnection(HOST, timeout=30)
    try:
        made.request(method, path, body if isinstance(body, (bytes, str)) else json.dumps(body), headers)
        reply = made.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text.startswith(b"{") else {}
    finally:
        if connection is None:
            made.close()


def check(what, good, found):
    if not good:
        sys.exit(f"{NAME}: {what}: {found}")


def code_of(number):
    """The last code that was sent to an address."""
    with open(OUTBOX, encoding="utf-8") as lines:
        sent = [json.loads(line) for line in lines]
    return next(message["code"] for message in reversed(sent) if message["to"].endswith(number))


def challenge():
    """The right login of a new user, ready to be sent."""
    number = str(next(NUMBERS))
    status, sent = post("/otp/send", {**CLIENT, **SOURCE, "phone_number": number})
    check("send", status == 200, (status, sent))
    grant = {**CLIENT, **SOURCE, "grant_type": SMS, "phone_number": number, "otp_token": sent["otp_token"],
             "auto_signup": True}
    return {**grant, "otp": code_of(number)}


def at_once(bodies, headers=JSON):
    """Posts each body over a connection of its own, all in the same moment."""
    bodies = list(bodies)
    barrier = threading.Barrier(len(bodies))

    def one(body):
        connection = http.client.HTTPConnection(HOST, timeout=30)
        connection.connect()
        barrier.wait()
        try:
            return post("/oauth2/token", body, headers, connection=connection)
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(one, bodies))


def guess():
    right = challenge()
    code = right["otp"]
    wrong = [f"{number:06}" for number in random.sample(range(10 ** 6), 201) if f"{number:06}" != code][:200]
    replies = at_once({**right, "otp": guess} for guess in wrong)
    compared = [reply for _, reply in replies if reply.get("error_description") == WRONG]
    refused = [reply for _, reply in replies if reply.get("error_description") == SPENT]
    check("a wrong guess logs in", not any(status == 200 for status, _ in replies), replies)
    check("wrong guesses that were compared", 1 <= len(compared) <= 5, len(compared))
    other = [reply for reply in replies if reply[0] != 400 or reply[1].get("error") != "invalid_grant"]
    check("other replies to guesses", all(status == 503 for status, _ in other), other)
    # A 503 gives its guess back, and is safe to repeat.
    while len(compared) < 5:
        _, reply = post("/oauth2/token", {**right, "otp": wrong[0]})
        check("a guess that is left", reply.get("error_description") == WRONG, reply)
        compared.append(reply)
    status, reply = post("/oauth2/token", right)
    check("the right code after five guesses", (status, reply.get("error_description")) == (400, SPENT), reply)
    return f"{len(compared)} of 200 guesses compared, {len(refused)} refused, {len(other)} answered 503"


def redeem():
    others = 0
    for _ in range(20):
        right = challenge()
        replies = at_once([right] * 50)
        winners = [reply for status, reply in replies if status == 200]
        check("token sets for one code", len(winners) == 1, [reply for reply in replies if reply[0] != 400][:3])
        losers = [(status, reply) for status, reply in replies if status != 200]
        check("other replies to the right code", all(status in (400, 503) for status, _ in losers), losers[:3])
        others += sum(status == 503 for status, _ in losers)
    return f"20 times one token set for 50 right codes, {others} answered 503"


def refresh():
    status, tokens = post("/oauth2/token", challenge())
    check("login", status == 200, tokens)
    form = urllib.parse.urlencode({**CLIENT, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    replies = at_once([form] * 50, FORM)
    successors = {reply["refresh_token"] for status, reply in replies if status == 200}
    check("successors of one refresh token", len(successors) == 1, replies[:3])
    check("other replies to a refresh", all(status in (200, 400, 503) for status, _ in replies), replies[:3])
    given = sum(status == 200 for status, _ in replies)
    form = urllib.parse.urlencode({**CLIENT, "grant_type": "refresh_token", "refresh_token": successors.pop()})
    status, reply = post("/oauth2/token", form, FORM)
    check("the successor refreshes", status == 200, (status, reply))
    return f"one successor for 50 refreshes, given {given} times"


def malform():
    rng = random.Random(4711)
    statuses, connection = {}, http.client.HTTPConnection(HOST, timeout=30)
    right = {**CLIENT, **SOURCE, "grant_type": SMS, "phone_number": "1361234567x", "otp_token": "A" * 128,
             "otp": "123456", "token": "x", "refresh_token": "y"}
    paths = ["/otp/send", "/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/userinfo"]
    values = [None, True, 0, -1, 1e308, 2 ** 70, "", "\x00", "\ud83d\ude00" * 50, [], {}, [[]], {"a": {}}, "A" * 3000]
    for number in range(1000):
        path = rng.choice(paths)
        members = dict(right)
        for name in rng.sample(sorted(members), rng.randrange(1, 5)):
            if rng.random() < 0.3:
                del members[name]
            else:
                members[name] = rng.choice(values)
        whole = json.dumps(members).encode("utf-8", "surrogatepass")
        kind = number % 8
        if kind == 0:
            body = bytes(rng.randrange(256) for _ in range(rng.randrange(300)))
        elif kind == 1:
            body = whole[:rng.randrange(len(whole))]
        elif kind == 2:
            at = rng.randrange(len(whole))
            body = whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1:]
        elif kind == 3:
            body = whole[:-1] + b',"client_id":"TENANT_CLIENT_ID"}'
        elif kind == 4:
            body = b"[" * rng.randrange(1, 9000)
        elif kind == 5:
            twice = [(name, str(value)) for name, value in members.items()] * 2
            body = urllib.parse.urlencode(twice, errors="surrogatepass").encode()
        else:
            body = whole
        types = ["application/json", "application/x-www-form-urlencoded", "text/plain", "", "application/json;charset=x"]
        headers = {"Content-Type": rng.choice(types)}
        if rng.random() < 0.3:
            texts = ["Basic", "Basic %%%", "Basic YTpi", "Bearer", "Bearer a.b.c", "Bearer \xff", "x" * 3000]
            headers["Authorization"] = rng.choice(texts)
        try:
            status, _ = post(path, body, headers, connection=connection)
        except (http.client.HTTPException, OSError):  # The server has closed the connection.
            connection.close()
            status, _ = post(path, body, headers, connection=connection)
        # A token that is none is dead already, also if it is well-formed.
        is_fine = 400 <= status < 500 or status == 200 and path in ["/oauth2/revoke", "/oauth2/introspect"]
        check("a malformed body", is_fine, (status, path, headers, body[:200]))
        statuses[status] = statuses.get(status, 0) + 1
    connection.close()
    return f"1,000 malformed bodies: {statuses}"


for attack in [guess, redeem, refresh, malform]:
    begun = time.monotonic()
    print(f"{NAME}: {attack()} ({time.monotonic() - begun:.1f} s)", flush=True)
