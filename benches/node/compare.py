"""Whole logins by the reference host, the addon for Node, oidc-provider and better-auth, beside one another:
compare.py HOST_BINARY [ALGORITHM ...], with - for HOST_BINARY to leave the reference host out.

Each server is one process on one core, in memory, and then each on a Redis of its own; the clients are on another
core, over HTTP on loopback, on connections that they keep for a turn. What is counted is the processor time of the server
and of its Redis together, so that neither the clients nor a busy machine are in the figures. The servers take turns.
Before anything is measured, each has to log users in with tokens that verify, and to refuse what it should.

Needs node, `npm ci` in this directory, openssl, redis-server, and `npm ci && npm run build` in bindings/node. Prints a table in Markdown. LOGINS is how many logins a
turn has, TURNS how many turns each server gets, WARM_UP how many logins come before, CLIENTS how many there are at once,
NODE which Node runs the peers, FSYNC how often Redis writes its log to the disk.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "host" / "tests"))

from load import drive, request
from servers import CLIENT, FORM, SOURCE, Host, Process, Redis, configuration, free_port, grant, key_file, refresh

LOGINS = int(os.environ.get("LOGINS", 500))
TURNS = int(os.environ.get("TURNS", 6))
WARM_UP = int(os.environ.get("WARM_UP", 1000))
NODE = os.environ.get("NODE", "node")
FSYNC = os.environ.get("FSYNC", "always")
# With few, a server and its Redis on one core wait for each other again and again.
CLIENTS = int(os.environ.get("CLIENTS", 64))
# So many that nobody logs in twice: the host keeps for a while what an address has done.
USERS = [f"+8615{number:09}" for number in range(WARM_UP + 4 * TURNS * LOGINS)]
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def on_core_of_servers():
    """What is started in here shares the last core; the clients are on the first."""
    os.sched_setaffinity(0, CORES[-1:])
    yield
    os.sched_setaffinity(0, CORES[:1])


def cpu(process):
    """The processor time of a process, with all its threads, in seconds."""
    fields = pathlib.Path(f"/proc/{process.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """A process and what a client asks of it. The scripts yield requests, get replies and return what they are about."""

    more = 1

    def __init__(self, process, algorithm, redis):
        self.process, self.port, self.algorithm, self.redis = process, process.port, algorithm, redis
        self.processes = [process, redis] if redis else [process]
        self.store = f"Redis, fsync {FSYNC}" if redis else "memory"

    def post(self, path, body, kind="application/json", headers=""):
        return request(self.port, "POST", path, body, kind, headers)

    def once(self, script):
        """What a script returns."""
        result = []

        def keep():
            result.append((yield from script))

        drive(self.port, [keep()])
        return result[0]


class Ours(Server):
    name = "otp-grant-host"
    more = 4
    jwks = "/oauth2/jwks"
    tokens = ["access_token", "id_token"]

    @classmethod
    def start(cls, folder, key, algorithm, redis):
        url = redis.url if redis else "memory"
        return cls(Host(BINARY, folder, f"host-{algorithm}-{bool(redis)}", url, configuration(folder, key, USERS)), algorithm, redis)

    def send(self, number):
        phone = USERS[number % len(USERS)]
        reply = yield self.post("/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": phone})
        expect(self, reply, 200)
        return phone, reply.json()["otp_token"], self.process.code(phone)

    def redeem(self, phone, token, code):
        return (yield self.post("/oauth2/token", grant(phone, token, code)))

    def log_in(self, number):
        return (yield from self.redeem(*(yield from self.send(number))))

    def wrong_code(self, number):
        phone, token, code = yield from self.send(number)
        return (yield from self.redeem(phone, token, other(code)))

    def twice(self, number):
        sent = yield from self.send(number)
        expect(self, (yield from self.redeem(*sent)), 200)
        return (yield from self.redeem(*sent))

    def garbage(self, number):
        return (yield from self.redeem(USERS[number % len(USERS)], "A" * 128, "123456"))

    def refresh(self, token):
        return (yield self.post("/oauth2/token", refresh(token)))


class NodeProcess(Process):
    """A Node server with an outbox of its own."""

    code = Host.code
    forget_connections = Host.forget_connections

    def __init__(self, script, folder, name, key, algorithm, redis, users):
        port = free_port()
        outbox = f"{folder}/{name}.outbox"
        pathlib.Path(outbox).touch()
        self.outbox, self.half, self.codes, self.reading = open(outbox), "", {}, contextlib.nullcontext()
        command = [NODE, str(HERE / script), "--port", str(port), "--outbox", outbox, "--key", key, "--algorithm", algorithm,
                   "--client", f"{CLIENT['client_id']}:{CLIENT['client_secret']}", "--users", str(users)]
        command += ["--redis", redis.url] if redis else []
        super().__init__(command, port, f"{folder}/{name}.log", env={**os.environ, "NODE_ENV": "production"})


class InNode(Ours):
    """The addon on Fastify."""

    name = "otp-grant on Fastify"
    more = 2

    @classmethod
    def start(cls, folder, key, algorithm, redis):
        name = f"node-{algorithm}-{bool(redis)}"
        return cls(NodeProcess("otp_grant.mjs", folder, name, key, algorithm, redis, len(USERS)), algorithm, redis)


class OidcProvider(Ours):
    name = "oidc-provider"
    more = 1
    jwks = "/jwks"
    grant_type = "urn:example:grant-type:otp"

    @classmethod
    def start(cls, folder, key, algorithm, redis):
        name = f"oidc-provider-{algorithm}-{bool(redis)}"
        return cls(NodeProcess("oidc_provider.mjs", folder, name, key, algorithm, redis, len(USERS)), algorithm, redis)

    def redeem(self, phone, token, code):
        body = {"grant_type": self.grant_type, **CLIENT, "phone_number": phone, "otp_token": token, "otp": code}
        return (yield self.post("/token", body, FORM))

    def refresh(self, token):
        return (yield self.post("/token", refresh(token), FORM))


class BetterAuth(Server):
    name = "better-auth"
    jwks = "/api/auth/jwks"
    tokens = ["token"]
    refresh = None
    # Its memory adapter searches them one after the other.
    users = 1000

    @classmethod
    def start(cls, folder, key, algorithm, redis):
        # It generates a key itself.
        name = f"better-auth-{algorithm}-{bool(redis)}"
        return cls(NodeProcess("better_auth.mjs", folder, name, key, algorithm, redis, cls.users), algorithm, redis)

    def send(self, number):
        email = f"user-{number % self.users}@example.com"
        body = {"email": email, "type": "sign-in"}
        expect(self, (yield self.post("/api/auth/email-otp/send-verification-otp", body, headers=self.origin())), 200)
        return email, self.process.code(email)

    def redeem(self, email, code):
        return (yield self.post("/api/auth/sign-in/email-otp", {"email": email, "otp": code}, headers=self.origin()))

    def log_in(self, number):
        signed_in = yield from self.redeem(*(yield from self.send(number)))
        expect(self, signed_in, 200)
        return (yield request(self.port, "GET", "/api/auth/token", headers=f"Cookie: {signed_in.cookies()}\r\n"))

    def wrong_code(self, number):
        email, code = yield from self.send(number)
        return (yield from self.redeem(email, other(code)))

    def twice(self, number):
        sent = yield from self.send(number)
        expect(self, (yield from self.redeem(*sent)), 200)
        return (yield from self.redeem(*sent))

    def garbage(self, number):
        # No code has been sent to anybody by that name.
        return (yield from self.redeem(f"nobody-{number % self.users}@example.com", "123456"))

    def origin(self):
        return f"Origin: http://127.0.0.1:{self.port}\r\n"


def other(code):
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def expect(server, reply, status):
    if reply.status != status:
        sys.exit(f"{server.name} answered {reply.status}: {reply.body.decode()}\n{open(server.process.log).read()[-2000:]}")


def check(server):
    """Logs in with tokens that verify, refreshes, and is refused with a wrong code, a used one and garbage."""
    reply = server.once(server.log_in(0))
    expect(server, reply, 200)
    answer = reply.json()
    jwts = [answer[name] for name in server.tokens]
    if server.refresh:
        reply = server.once(server.refresh(answer["refresh_token"]))
        expect(server, reply, 200)
        jwts += [reply.json()["access_token"]]
    jwks = f"http://127.0.0.1:{server.port}{server.jwks}"
    subprocess.run([NODE, str(HERE / "verify.mjs"), server.algorithm, jwks, *jwts], check=True)
    for attack in [server.wrong_code, server.twice, server.garbage]:
        expect(server, server.once(attack(1)), 400)
    # What was refused has locked nobody out.
    expect(server, server.once(server.log_in(1)), 200)


def run(server, work, status, count, first=0):
    """Has the clients do work so often, each for every CLIENTS-th user from the first on."""
    def script(client):
        for number in range(first + client, first + count, CLIENTS):
            expect(server, (yield from work(number)), status)

    drive(server.port, [script(client) for client in range(CLIENTS)])


class Rate:
    def __init__(self):
        self.count, self.cpu, self.own, self.wall = 0, 0.0, 0.0, 0.0

    def measure(self, server, work, status, count, first):
        before, begun = [cpu(process) for process in server.processes], time.monotonic()
        run(server, work, status, count, first)
        taken = [cpu(process) - earlier for process, earlier in zip(server.processes, before)]
        self.count += count
        self.cpu += sum(taken)
        self.own += taken[0]
        self.wall += time.monotonic() - begun

    def per_cpu(self):
        return self.count / max(self.cpu, 1 / TICKS)

    def per_second(self):
        return self.count / self.wall


def compare(servers):
    """Measures servers in turns, and prints each beside the first."""
    logins, refusals = {one: Rate() for one in servers}, {one: Rate() for one in servers}
    for server in servers:
        check(server)
        run(server, server.log_in, 200, WARM_UP)
        run(server, server.garbage, 400, WARM_UP)
    for turn in range(TURNS):
        for server in servers:
            # Who is faster does more, for the clock has ticks of a hundredth of a second.
            count = LOGINS * server.more
            logins[server].measure(server, server.log_in, 200, count, WARM_UP + turn * count)
            refusals[server].measure(server, server.garbage, 400, count * server.more, 0)
    for server in servers:
        ratios = [rates[servers[0]].per_cpu() / rates[server].per_cpu() for rates in (logins, refusals)]
        login, refusal = logins[server], refusals[server]
        print(f"| {server.name} | {server.algorithm} | {server.store} | {login.per_cpu():.0f} | {ratios[0]:.2f} | "
              f"{login.own / login.cpu:.0%} | {login.per_second():.0f} | {refusal.per_cpu():.0f} | {ratios[1]:.2f} |", flush=True)


def start(folder, kind, key, algorithm, with_redis):
    with on_core_of_servers():
        redis = None
        if with_redis:
            place = pathlib.Path(folder, f"redis-{kind.name}-{algorithm}")
            place.mkdir()
            redis = Redis(str(place), FSYNC)
        return kind.start(folder, key, algorithm, redis)


def main():
    os.sched_setaffinity(0, CORES[:1])
    print("| server | algorithm | store | logins per CPU-second | ours : its | in the server | logins per second "
          "| refused garbage per CPU-second | ours : its |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for algorithm in sys.argv[2:] or ["RS256", "ES256", "EdDSA"]:
        for with_redis in [False, True]:
            kinds = [InNode, OidcProvider, BetterAuth]
            if BINARY != "-":
                kinds.insert(0, Ours)
            with tempfile.TemporaryDirectory() as folder:
                key, servers = key_file(folder, algorithm), []
                try:
                    for kind in kinds:
                        servers.append(start(folder, kind, key, algorithm, with_redis))
                    compare(servers)
                finally:
                    for server in servers:
                        for process in server.processes:
                            process.stop()
    version = subprocess.run([NODE, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"\nNode {version}; {CLIENTS} clients; {TURNS} turns of {LOGINS} logins for each peer, four times that for the host, "
          f"twice that for the addon.")


BINARY = sys.argv[1]
main()
