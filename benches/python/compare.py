"""Whole logins per second of processor time: FastAPI with otp-grant, beside django-allauth with login by code.

    compare.py OTP_GRANT_PYTHON ALLAUTH_PYTHON

The first is a Python with the wheel of otp-grant (release profile), bindings/python/tests/requirements.txt,
uvicorn[standard] and hiredis. The second is one with the requirements.txt of this folder. Each server is one process on one core, and each has a Redis of its own or keeps
everything in memory. The clients are on another core, over HTTP on connections that they keep. What is counted is the
processor time of the server and of its Redis. Servers take turns. A login is two requests: one sends a code, and one
redeems it. LOGINS is how many logins a turn has, TURNS how many turns a server gets, CLIENTS how many clients there are.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "node"))

from load import drive, request  # noqa: E402

OURS, ALLAUTH = sys.argv[1:]
LOGINS = int(os.environ.get("LOGINS", 400))
TURNS = int(os.environ.get("TURNS", 5))
CLIENTS = int(os.environ.get("CLIENTS", 16))
USERS = LOGINS * (TURNS + 1)
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
SMS = "http://tencentciam.com/oauth2/grant-type/otp/sms"


class Server:
    """A process on the core of the servers, with its outbox and perhaps a Redis."""

    def __init__(self, stack, redis):
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.outbox = os.path.join(self.folder, "outbox")
        open(self.outbox, "w").close()
        self.read, self.codes, self.processes = 0, {}, []
        self.store = "memory"
        self.url = None
        if redis:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            self.start(stack, ["redis-server", "--port", str(port), "--save", "", "--appendonly", "yes"], port)
            self.store, self.url = "Redis", f"redis://127.0.0.1:{port}"
        self.port = self.start(stack, self.command())
        self.user = iter(range(USERS))

    def start(self, stack, command, port=None):
        log = os.path.join(self.folder, f"log{len(self.processes)}")
        os.sched_setaffinity(0, CORES[-1:])
        with open(log, "wb") as file:
            process = subprocess.Popen(command, cwd=self.folder, stdout=file, stderr=file)
        os.sched_setaffinity(0, CORES[:1])
        self.processes.append(process)
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _ in range(600):
            found = re.search(r"127\.0\.0\.1:([0-9]+)", pathlib.Path(log).read_text())
            port = port or (found and int(found[1]))
            if port:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    return port
            time.sleep(0.1)
        raise SystemExit(pathlib.Path(log).read_text())

    def cpu(self):
        """The processor time of the server and its Redis, with all threads, in seconds."""
        stats = [pathlib.Path(f"/proc/{process.pid}/stat").read_text() for process in self.processes]
        fields = [stat.rpartition(")")[2].split() for stat in stats]
        return sum(int(field[11]) + int(field[12]) for field in fields) / TICKS

    def code(self, address):
        """The code that was sent to an address."""
        with open(self.outbox, "rb") as file:
            file.seek(self.read)
            # The last line may not be whole.
            whole = file.read().rpartition(b"\n")[0]
        self.read += len(whole) + bool(whole)
        for line in whole.splitlines():
            message = json.loads(line)
            self.codes[message["to"]] = message["code"]
        return self.codes.pop(address)

    def turn(self):
        """Returns how many logins there are for a second of processor time."""
        before = self.cpu()
        share = LOGINS // CLIENTS

        def client():
            for _ in range(share):
                yield from self.log_in(next(self.user))

        try:
            drive(self.port, [client() for _ in range(CLIENTS)])
        except Exception:
            for log in pathlib.Path(self.folder).glob("log*"):
                print(self.name, log.read_text()[-2000:], file=sys.stderr)
            raise
        return share * CLIENTS / (self.cpu() - before)


class Ours(Server):
    name = "FastAPI with otp-grant (ES256)"

    def command(self):
        script = str(HERE.parents[1] / "bindings/python/examples/fastapi_host.py")
        options = ["--alg", "ES256", "--listen", "127.0.0.1:0", "--outbox", self.outbox]
        return [OURS, script, *options, "--store", self.url or "memory"]

    def log_in(self, number):
        phone = f"+86136{number:08}"
        body = {**CLIENT, "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": phone}
        sent = yield request(self.port, "POST", "/otp/send", body)
        assert sent.status == 200, sent.body
        grant = {**body, "grant_type": SMS, "otp_token": sent.json()["otp_token"], "otp": self.code(phone)}
        reply = yield request(self.port, "POST", "/oauth2/token", {**grant, "auto_signup": True})
        assert reply.status == 200 and reply.json()["access_token"], reply.body


class Allauth(Server):
    name = "django-allauth, login by code (no signed tokens)"

    def command(self):
        return [ALLAUTH, str(HERE / "allauth_host.py"), self.outbox, str(USERS), *([self.url] if self.url else [])]

    def log_in(self, number):
        address = f"user{number}@example.com"
        sent = yield request(self.port, "POST", "/_allauth/app/v1/auth/code/request", {"email": address})
        assert sent.status == 401, sent.body
        headers = f"X-Session-Token: {sent.json()['meta']['session_token']}\r\n"
        body = {"code": self.code(address)}
        reply = yield request(self.port, "POST", "/_allauth/app/v1/auth/code/confirm", body, headers=headers)
        assert reply.status == 200 and reply.json()["meta"]["is_authenticated"], reply.body


with contextlib.ExitStack() as stack:
    servers = [kind(stack, redis) for redis in (False, True) for kind in (Ours, Allauth)]
    figures = {server: [] for server in servers}
    for turn in range(TURNS + 1):
        for server in servers:
            figure = server.turn()
            if turn:  # The first one warms up.
                figures[server].append(figure)
    print(f"| server | store | logins per CPU-second | of {TURNS} turns, from and to |\n|---|---|--:|--:|")
    for server, turns in figures.items():
        middle = sorted(turns)[len(turns) // 2]
        print(f"| {server.name} | {server.store} | {middle:.0f} | {min(turns):.0f} to {max(turns):.0f} |")
