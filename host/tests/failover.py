"""A failover of each replicated store while clients log in: failover.py HOST_BINARY [STORE ...]

STORE is sentinel, cluster, postgres, or sentinel+wait, where each write waits for a replica. Without an argument the
script tries all four. It starts the servers and two hosts on them, and stops all of them again. replicated.py says what
it needs.

The primary is killed, and another one takes over. That of Sentinel first loses its replicas for half a second. Then the
new primary is frozen, a third takes over, and the frozen one goes on. All the time 16 clients log in, guess, refresh
and sign out at both hosts. Requests that begin between 5 and 5.5 seconds after a promotion must be answered. At the end
nothing that a host has answered may have been forgotten: each code logs in once, each guess is counted, each session
that was signed out stays so. Redis without waiting may forget what it answered in the second before its primary failed.
How much that was is printed.
"""

import concurrent.futures
import contextlib
import random
import signal
import sys
import tempfile
import threading
import time

from replicated import REPLICATED
from servers import CLIENT, FORM, USERS, Host, configuration, grant, key_file, refresh

HOST, *STORES = sys.argv[1:]
STORES = STORES or ["sentinel", "sentinel+wait", "cluster", "postgres"]
CLIENTS = 16
GUESSES = 5
# After a promotion. The requests of the next half second are checked.
BACK_WITHIN = 5
# For how long a client tries again.
PATIENCE = 20
# How much an asynchronous primary may lose.
LAG = 1
UNKNOWN_USERS = (f"+8613{number:09}" for number in range(10_000_000))
TAKING = threading.Lock()


def check(fine, what):
    if not fine:
        sys.exit(what)


def unknown_user():
    with TAKING:
        return next(UNKNOWN_USERS)


class Client:
    """One of those who log in all the time. It keeps what it was answered, and when."""

    def __init__(self, hosts, number):
        self.hosts, self.phones, self.random = hosts, USERS[number::CLIENTS], random.Random(number)
        # When a request began and ended, and whether it was answered.
        self.requests = []
        self.spent, self.guessed, self.signed_out = [], [], []
        self.accepted_twice = 0

    def call(self, *request, at=None):
        """The status and the answer. A request that was not answered is in the list of requests, and has no status."""
        begun = time.monotonic()
        status, answer = (at or self.random.choice(self.hosts)).call(*request)
        check(status in (200, 400, 429, 500, 503, None), f"unexpected: {status} {answer}")
        good = status in (200, 400)
        self.requests.append((begun, time.monotonic(), good))
        if not good:
            time.sleep(0.02)
        return (status, answer) if good else (None, answer)

    def token(self, body):
        return self.call("/oauth2/token", body, FORM if body["grant_type"] == "refresh_token" else "application/json")

    def until_answered(self, ask):
        patient = time.monotonic() + PATIENCE
        while time.monotonic() < patient:
            status, answer = ask()
            if status:
                return status, answer
        sys.exit(f"no answer within {PATIENCE} s")

    def send(self, phone):
        patient = time.monotonic() + PATIENCE
        while time.monotonic() < patient:
            host = self.random.choice(self.hosts)
            body = {**CLIENT, "auth_source_id": "sms", "phone_number": phone}
            status, sent = self.call("/otp/send", body, at=host)
            if status == 200:
                return sent["otp_token"], host.code(phone)
        sys.exit(f"no code was sent within {PATIENCE} s")

    def log_in(self, phone):
        otp_token, code = self.send(phone)
        redeem = grant(phone, otp_token, code)
        status, tokens = self.until_answered(lambda: self.token(redeem))
        again, _ = self.until_answered(lambda: self.token(redeem))
        # A code that was spent without an answer is refused the first time, and a failover can lie in between.
        self.accepted_twice += status == again == 200
        self.spent.append((time.monotonic(), redeem))
        if status != 200:
            return
        status, tokens = self.until_answered(lambda: self.token(refresh(tokens["refresh_token"])))
        if status == 200:
            status, _ = self.until_answered(
                lambda: self.call("/oauth2/revoke", {**CLIENT, "token": tokens["refresh_token"]}, FORM))
            check(status == 200, "a sign-out was refused")
            self.signed_out.append((time.monotonic(), tokens))

    def guess(self):
        phone = unknown_user()
        otp_token, code = self.send(phone)
        left = []
        for number in range(3):
            wrong = f"{(int(code) + 1 + number) % 10 ** len(code):0{len(code)}}"
            status, answer = self.token(grant(phone, otp_token, wrong))
            if status and "attempts_remaining" in answer:
                left.append(answer["attempts_remaining"])
        self.guessed.append((time.monotonic(), phone, otp_token, code, left))

    def work(self, over):
        round = 0
        while not over.is_set():
            self.log_in(self.phones[round % len(self.phones)])
            if round % 4 == 0:
                self.guess()
            round += 1

    def find_forgotten(self):
        """When something was answered that is not known any more, and what it was."""
        forgotten = []
        for at, redeem in self.spent:
            if self.until_answered(lambda: self.token(redeem))[0] == 200:
                forgotten.append((at, "a code that was spent"))
        for at, tokens in self.signed_out:
            ask = lambda: self.call("/oauth2/introspect", {**CLIENT, "token": tokens["access_token"]}, FORM)
            if self.until_answered(ask)[1]["active"] or self.until_answered(
                    lambda: self.token(refresh(tokens["refresh_token"])))[0] == 200:
                forgotten.append((at, "a sign-out"))
        for at, phone, otp_token, code, left in self.guessed:
            wrong = grant(phone, otp_token, f"{(int(code) + 9) % 10 ** len(code):0{len(code)}}")
            remaining = self.until_answered(lambda: self.token(wrong))[1].get("attempts_remaining", 0)
            if left and remaining >= min(left) or sorted(set(left), reverse=True) != left:
                forgotten.append((at, "a guess"))
        return forgotten


def fail_over(name, database, clients, how):
    """One failover. Returns when it began and when it ended."""
    failed, promoted = database.fail(how)
    time.sleep(BACK_WITHIN / 2)
    if how == "freeze":
        database.resume()
    time.sleep(BACK_WITHIN / 2 + 0.5)
    requests = [request for client in clients for request in list(client.requests)]
    late = [begun for begun, _, good in requests if not good and begun > promoted + BACK_WITHIN]
    check(not late, f"{name}: {len(late)} requests failed {BACK_WITHIN} s after the promotion and later")
    check(any(good and ended > promoted + BACK_WITHIN for _, ended, good in requests), f"{name}: nothing is answered")
    last = max((ended for _, ended, good in requests if not good and ended > failed), default=promoted)
    unanswered = sum(not good and ended > failed for _, ended, good in requests)
    print(f"{name}: {how}: promoted after {promoted - failed:.1f} s, the last failed request {last - promoted:.1f} s "
          f"after that, {unanswered} failed", flush=True)
    return failed, promoted


def try_store(name, folder, stack):
    kind, _, waits = name.partition("+")
    database = REPLICATED[kind](folder)
    stack.callback(database.stop)
    config = configuration(folder, key_file(folder))
    if waits:
        with open(config, "a") as settings:
            settings.write('\n[redis]\nwait = { replicas = 1, timeout = "500ms" }\n')
    hosts = []
    for number in range(2):
        hosts.append(Host(HOST, folder, f"host{number}", database.url, config))
        stack.callback(hosts[-1].stop)
    clients, over = [Client(hosts, number) for number in range(CLIENTS)], threading.Event()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        at_work = [pool.submit(client.work, over) for client in clients]
        try:
            time.sleep(2)
            failovers = [fail_over(name, database, clients, "kill")]
            database.settle()
            failovers.append(fail_over(name, database, clients, "freeze"))
        finally:
            over.set()
        for work in at_work:
            work.result()
        forgotten = sum(pool.map(Client.find_forgotten, clients), [])
    twice = sum(client.accepted_twice for client in clients)
    answered = sum(good for client in clients for _, _, good in client.requests)
    logins = sum(len(client.spent) for client in clients)
    what = {kind: sum(other == kind for _, other in forgotten) for _, kind in forgotten}
    print(f"{name}: {answered} answers, {logins} codes spent, forgotten: {what or 'nothing'}, "
          f"accepted twice at once: {twice}", flush=True)
    if database.is_synchronous:
        check(not forgotten and not twice, f"{name}: something that was answered is forgotten")
    # Half a second is missing at the replicas of Sentinel.
    check(forgotten or name != "sentinel", f"{name}: what was not replicated is not missed, so nothing else would be")
    check(not forgotten or not waits, f"{name}: something is forgotten that a replica has acknowledged")
    for at, kind in forgotten:
        # What was answered after a failover stands, whatever the former primary says.
        check(any(failed - LAG < at < promoted for failed, promoted in failovers),
              f"{name}: {kind} is forgotten that was answered {[round(at - failed, 1) for failed, _ in failovers]} s "
              "after the failures")


def main():
    # A time-out of the caller leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            try_store(name, folder, stack)


main()
