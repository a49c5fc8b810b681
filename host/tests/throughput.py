"""How many logins the host makes of a second of processor time, with each store: throughput.py HOST_BINARY [STORE ...]

A login is a code that is sent and redeemed: two requests over HTTP on loopback, by 8 clients at once (or CLIENTS in the
environment) that keep their connections. OPERATED=1 gives the host metrics that are read each second, a trusted proxy,
limits per network address, and a client with an allowed origin. ALGORITHMS=ES256 leaves RS256 out, and LOGINS is how
many are counted: a run of a few seconds is off by a tenth.

What is counted is the processor time of the host and of its database together, so that neither the clients nor a busy
machine are in the figures; they compare with one another, on one machine. Prints a table in Markdown.
"""

import concurrent.futures
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from servers import DATABASES, USERS, Host, configuration, free_port, grant, key_file

CLIENTS = int(os.environ.get("CLIENTS", 8))
LOGINS = int(os.environ.get("LOGINS", 4000))
ALGORITHMS = os.environ.get("ALGORITHMS", "ES256 RS256").split()
TICKS = os.sysconf("SC_CLK_TCK")


OPERATED = """
[clients.page]
public = true
may_send = true
auth_sources = ["sms"]
allowed_origins = ["https://app.example.com"]
[proxy]
trusted = ["127.0.0.1"]
client_address = "X-Forwarded-For"
request_id = "X-Request-Id"
[metrics]
listen = "127.0.0.1:{port}"
"""


def operated(file):
    """Adds what an operator switches on, and reads the metrics as Prometheus does, as long as this program runs."""
    port = free_port()
    with open(file, "a") as text:
        text.write(OPERATED.replace("{port}", str(port)))

    def scrape():
        while True:
            time.sleep(1)
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()

    threading.Thread(target=scrape, daemon=True).start()


class Memory:
    def __init__(self, folder):
        self.url, self.child = "memory", None

    def stop(self):
        pass


def cpu(child):
    """The processor time of a process, its threads and its children, in seconds."""
    if not child:
        return 0
    total, family = 0, {child.pid}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.parent.name, stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(pid) in family or int(rest[1]) in family:
            total += int(rest[11]) + int(rest[12])
    return total / TICKS


def round_trips(store, database, host):
    """How many round trips, or transactions of one statement, the database has seen."""
    if store == "redis":
        with socket.create_connection(("127.0.0.1", database.port)) as connection:
            connection.sendall(b"INFO stats\r\n")
            reply = connection.makefile("rb")
            text = reply.read(int(reply.readline()[1:])).decode()
        return int(dict(line.split(":") for line in text.split() if ":" in line)["total_reads_processed"])
    if store == "postgres":
        # Idle sessions report what they did after ten seconds. By then the host has hung up on idle clients.
        time.sleep(11)
        host.forget_connections()
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"
        return int(subprocess.run(["psql", database.url, "-At", "-c", query], check=True, capture_output=True).stdout)
    return 0


def user(number):
    """A user whom no other client has: a login ends the other challenges of its user."""
    client, turn = number % CLIENTS, number // CLIENTS
    return USERS[client + CLIENTS * (turn % (len(USERS) // CLIENTS))]


def log_in(host, number):
    phone = user(number)
    token, code = host.send(phone)
    if not token:
        sys.exit(f"a code was not sent: {open(host.log).read()}")
    status, tokens = host.call("/oauth2/token", grant(phone, token, code))
    if status != 200:
        sys.exit(f"a login failed: {status} {tokens}")


def garbage(host, number):
    phone = user(number)
    status, _ = host.call("/oauth2/token", grant(phone, "A" * 128, "123456"))
    if status != 400:
        sys.exit(f"garbage was answered {status}")


def rate(pool, host, database, work, count):
    before = cpu(host.child), cpu(database.child)
    list(pool.map(lambda client: [work(host, number) for number in range(client, count, CLIENTS)], range(CLIENTS)))
    host_time, database_time = cpu(host.child) - before[0], cpu(database.child) - before[1]
    # A clock of ticks knows nothing shorter than one.
    host_time = max(host_time, 1 / TICKS)
    return count / (host_time + database_time), host_time / (host_time + database_time)


def main():
    binary, stores = sys.argv[1], sys.argv[2:] or ["memory", *DATABASES]
    makers = {"memory": Memory, **DATABASES}
    print("| store | algorithm | logins per CPU-second | of one with ES256 in memory | in the host | round trips per login |")
    print("|---|---|---:|---:|---:|---:|")
    first, refused = None, None
    for store in stores:
        for algorithm in ALGORITHMS:
            with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                database = makers[store](folder)
                config = configuration(folder, key_file(folder, algorithm))
                if os.environ.get("OPERATED"):
                    operated(config)
                host = Host(binary, folder, "host", database.url, config)
                try:
                    rate(pool, host, database, log_in, CLIENTS * 20)
                    calls = round_trips(store, database, host)
                    # One after the other, so that each is a round trip of its own.
                    for number in range(200):
                        log_in(host, number)
                    calls = (round_trips(store, database, host) - calls) / 200
                    logins, share = rate(pool, host, database, log_in, LOGINS)
                    refused = refused or rate(pool, host, database, garbage, LOGINS)[0]
                finally:
                    host.stop()
                    database.stop()
            first = first or logins
            calls = f"{calls:.1f}" if calls else "-"
            print(f"| {store} | {algorithm} | {logins:.0f} | {logins / first:.2f} | {share:.0%} | {calls} |", flush=True)
    print(f"\nRefused garbage in the first row's host: {refused:.0f} requests per CPU-second.")


main()
