"""Several processes of the host on one database, under attack and under kill -9: processes.py HOST_BINARY [STORE ...]

Starts the database, two hosts on it, and stops all of them again. STORE is redis, postgres or sqlite; all three without
one. Uses the standard library alone, and redis-server and the server of PostgreSQL.
"""

import base64
import concurrent.futures
import contextlib
import glob
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HOST = sys.argv[1]
STORES = sys.argv[2:] or ["redis", "postgres", "sqlite"]
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
SOURCE = "MOCK_SMS_OTP_AUTH_SOURCE_ID"
GRANT = "http://tencentciam.com/oauth2/grant-type/otp/sms"
GUESSERS = 40
SEED = int(os.environ.get("SEED", time.time()))
RANDOM = random.Random(SEED)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, seconds=30):
    """Waits until something is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if what():
                return
        time.sleep(0.05)
    sys.exit("waited in vain")


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Process:
    """A child that is started, killed and started again."""

    def __init__(self, command, port, log, **how):
        self.command, self.port, self.log, self.how, self.child = command, port, log, how, None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, **self.how)
        until(lambda: answers(self.port))

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        self.child.send_signal(signal.SIGINT)
        self.child.wait(timeout=30)


class Redis(Process):
    def __init__(self, folder):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
                   "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        super().__init__(command, port, f"{folder}/redis.log")
        self.url = f"redis://127.0.0.1:{port}"


class Postgres(Process):
    def __init__(self, folder):
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        data, port = f"{folder}/data", free_port()
        # The server refuses to run as root.
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        os.chmod(folder, 0o755)
        os.mkdir(data)
        if self.as_user:
            shutil.chown(data, "postgres", "postgres")
        subprocess.run([*self.as_user, f"{binaries}/initdb", "-D", data, "-U", "otp", "--auth=trust", "-E", "UTF8"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        command = [*self.as_user, f"{binaries}/postgres", "-D", data, "-p", str(port), "-c", "unix_socket_directories=",
                   "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        self.is_ready = [f"{binaries}/pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        super().__init__(command, port, f"{folder}/postgres.log", cwd="/")
        self.url = f"postgres://otp@127.0.0.1:{port}/postgres"

    def start(self):
        super().start()
        # It listens before it has recovered.
        until(lambda: subprocess.run(self.is_ready, stdout=subprocess.DEVNULL).returncode == 0)

    def kill(self):
        # The whole server, its workers too: as if the machine had lost its power.
        self.child.send_signal(signal.SIGQUIT)
        self.child.wait()


class Sqlite:
    def __init__(self, folder):
        self.url = f"sqlite:{folder}/records.db"

    def kill(self):
        pass

    start = stop = kill


DATABASES = {"redis": Redis, "postgres": Postgres, "sqlite": Sqlite}


class Host(Process):
    def __init__(self, folder, name, store, secret):
        port = free_port()
        self.outbox = f"{folder}/{name}.outbox"
        pathlib.Path(self.outbox).touch()
        command = [HOST, "--demo", "--listen", f"127.0.0.1:{port}", "--alg", "ES256", "--store", store,
                   "--secret", secret, "--outbox", self.outbox, "--send-quota", "off"]
        super().__init__(command, port, f"{folder}/{name}.log")
        self.local = threading.local()

    def call(self, path, body, kind="application/json"):
        """The status and the answer; None and nothing when the host went away."""
        connection = getattr(self.local, "connection", None) or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.local.connection = connection
        body = json.dumps(body) if kind == "application/json" else "&".join(f"{name}={value}" for name, value in body.items())
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            self.local.connection = None
            return None, {}

    def codes(self):
        with open(self.outbox) as lines:
            return {line["to"]: line["code"] for line in map(json.loads, lines) if line}


def grant(phone, otp_token, otp):
    return {"grant_type": GRANT, **CLIENT, "auth_source_id": SOURCE, "phone_number": phone, "otp_token": otp_token, "otp": otp,
            "auto_signup": True}


def refresh(token):
    return {"grant_type": "refresh_token", **CLIENT, "refresh_token": token}


FORM = "application/x-www-form-urlencoded"
# A user whom both hosts know; those who sign up in the demo are known to one process alone.
USER = "13612345678"
NUMBERS = iter(range(10_000_000))


def send(host, phone=None):
    """Sends a code to a number that is new, or to this one."""
    phone = phone or f"+8613{next(NUMBERS):09}"
    status, sent = host.call("/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": phone})
    if status != 200:
        return phone, None, None
    return phone, sent["otp_token"], host.codes()[phone]


def wrong(code, index):
    guess = f"{(int(code) + 1 + index) % 10 ** len(code):0{len(code)}}"
    return guess


def check(fine, what):
    if not fine:
        sys.exit(f"{what} (SEED={SEED})")


def guesses(hosts, pool, rounds=50):
    """200 guesses at once over both hosts, the right code among them."""
    lucky = 0
    for _ in range(rounds):
        phone, token, code = send(hosts[0])
        codes = [wrong(code, index) for index in range(199)]
        codes.insert(RANDOM.randrange(200), code)
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", grant(phone, token, code)) for index, code in enumerate(codes)]
        replies = [call.result() for call in calls]
        compared = sum(body.get("error_description") == "Unknown or expired OTP" for _, body in replies)
        logins = sum(status == 200 for status, _ in replies)
        check(all(status in (200, 400) for status, _ in replies), f"unexpected: {[r for r in replies if r[0] not in (200, 400)][:1]}")
        check(compared + logins <= 5 and logins <= 1, f"{compared} wrong and {logins} right codes were compared")
        lucky += logins
    # 5 of 200 places: the right code is among the compared in one of 40 rounds.
    check(lucky <= rounds * 5 / 200 + 6, f"the right code was found in {lucky} of {rounds} rounds")
    return f"{rounds} x 200 guesses, at most 5 compared, {lucky} lucky"


def right_codes(hosts, pool, rounds=20):
    for _ in range(rounds):
        phone, token, code = send(hosts[0])
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", grant(phone, token, code)) for index in range(50)]
        statuses = [call.result()[0] for call in calls]
        # At most five guesses are charged, so that most are refused before they are compared.
        check(statuses.count(200) == 1, f"{statuses.count(200)} token sets for one code")
    return f"{rounds} x 50 right codes, one token set each"


def refreshes(hosts, pool, rounds=20):
    for _ in range(rounds):
        phone, token, code = send(hosts[0], USER)
        _, tokens = hosts[0].call("/oauth2/token", grant(phone, token, code))
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", refresh(tokens["refresh_token"]), FORM) for index in range(50)]
        replies = [call.result() for call in calls]
        check(all(status == 200 for status, _ in replies), f"a refresh failed: {[r for r in replies if r[0] != 200][:1]}")
        check(len({body["refresh_token"] for _, body in replies}) == 1, "two successors")
    return f"{rounds} x 50 refreshes, one successor each"


def kills(hosts, database, logins=500):
    """Logins while a host is killed at random moments, and the database in the middle."""
    over = threading.Event()
    # A host does not start while its database is away.
    one_at_a_time = threading.Lock()
    killed = 0

    def kill():
        nonlocal killed
        while not over.wait(RANDOM.uniform(0.2, 0.8)):
            with one_at_a_time:
                hosts[0].kill()
                killed += 1
                hosts[0].start()

    def log_in(index):
        if index == logins // 2:
            with one_at_a_time:
                database.kill()
                database.start()
        while True:
            phone, token, code = send(hosts[0], USER)
            if token:
                break
            time.sleep(0.02)
        status, tokens = hosts[0].call("/oauth2/token", grant(phone, token, code))
        got = [tokens] if status == 200 else []
        # Whoever was not answered tries again, as often as it takes, at the other host.
        while status not in (200, 400):
            time.sleep(0.02)
            status, tokens = hosts[1].call("/oauth2/token", grant(phone, token, code))
            got += [tokens] if status == 200 else []
        again = None
        while again not in (200, 400):
            again, _ = hosts[1].call("/oauth2/token", grant(phone, token, code))
        check(again == 400, "a code was accepted twice")
        for tokens in got:
            status = None
            while status not in (200, 400):
                status, _ = hosts[1].call("/oauth2/token", refresh(tokens["refresh_token"]), FORM)
            check(status == 200, "a session whose tokens were released can't be used")
        return bool(got)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        answered = sum(map(log_in, range(logins)))
    finally:
        over.set()
        killer.join()
    phone, token, code = send(hosts[0])
    check(hosts[0].call("/oauth2/token", grant(phone, token, code))[0] == 200, "no login after it all")
    return f"{logins} logins, the host killed {killed} times, {logins - answered} answers lost"


def main():
    print(f"SEED={SEED}")
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            database = DATABASES[name](folder)
            stack.callback(database.stop)
            secret = base64.b64encode(RANDOM.randbytes(32)).decode()
            hosts = []
            for number in range(2):
                hosts.append(Host(folder, f"host{number}", database.url, secret))
                stack.callback(hosts[-1].stop)
            with concurrent.futures.ThreadPoolExecutor(GUESSERS) as pool:
                for scenario in [guesses, right_codes, refreshes]:
                    print(f"{name}: {scenario(hosts, pool)}", flush=True)
            print(f"{name}: {kills(hosts, database)}", flush=True)


main()
