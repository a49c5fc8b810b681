"""A host at full rate for a long time: soak.py HOST_BINARY STORE [MINUTES]

STORE is memory, redis, postgres or sqlite. 8 clients log in, refresh, present wrong codes and introspect, as fast as
they can. Sessions end after a minute here, so that what is stored can be compared. Each minute it prints the requests,
the memory and the descriptors of the host, and what its store keeps. The first third is for warming up. Fails if
anything in the last third is more than a tenth above the middle third, or if an answer is wrong.
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from servers import CLIENT, DATABASES, USERS, Host, configuration, grant, key_file, refresh

CLIENTS = 8
# How much more there can be, beside a tenth: pages of memory, connections that come and go, records between two purges.
SLACK = {"KiB of memory": 8192, "descriptors": 8, "records per 100 answers a minute": 2, "KiB stored": 8192}
ENDS = """
[validity]
access_token = "30s"
session_idle = "60s"
session = "60s"
[quotas]
guesses_per_address = { count = 1000, per = "60s" }
[devices]
remember = false
"""


class Memory:
    url = "memory"

    def __init__(self, folder):
        pass

    def stop(self):
        pass


def stored(store, database):
    """What the store keeps."""
    if store == "redis":
        with socket.create_connection(("127.0.0.1", database.port)) as connection:
            connection.sendall(b"DBSIZE\r\n")
            return {"records": int(connection.recv(64)[1:])}
    if store == "postgres":
        query = "SELECT count(*) FROM otp_grant_records"
        return {"records": int(subprocess.run(["psql", database.url, "-Atc", query], check=True, capture_output=True).stdout)}
    if store == "sqlite":
        folder = pathlib.Path(database.url.removeprefix("sqlite:")).parent
        return {"KiB stored": sum(file.stat().st_size for file in folder.glob("records.db*")) // 1024}
    return {}


def measured(host, store, database):
    status = pathlib.Path(f"/proc/{host.child.pid}/status").read_text()
    memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])
    descriptors = len(os.listdir(f"/proc/{host.child.pid}/fd"))
    return {"KiB of memory": memory, "descriptors": descriptors, **stored(store, database)}


class Client(threading.Thread):
    def __init__(self, host, number, until):
        super().__init__(daemon=True)
        self.host, self.number, self.until, self.answers, self.failure = host, number, until, 0, None

    def run(self):
        turn = 0
        while time.monotonic() < self.until and not self.failure:
            turn += 1
            # Each client has users of its own.
            self.log_in(USERS[(self.number + turn * CLIENTS) % len(USERS)], has_typo=turn % 4 == 0)

    def ask(self, status, path, body, kind="application/json"):
        answered, reply = self.host.call(path, body, kind)
        self.answers += 1
        if answered != status:
            self.failure = f"{path}: {answered} in place of {status}: {reply}"
        return reply

    def log_in(self, phone, has_typo):
        token, code = self.host.send(phone)
        self.answers += 1
        if not token:
            self.failure = "a code was not sent"
            return
        if has_typo:
            self.ask(400, "/oauth2/token", grant(phone, token, "000000" if code != "000000" else "000001"))
        tokens = self.ask(200, "/oauth2/token", grant(phone, token, code))
        if "refresh_token" in tokens:
            tokens = self.ask(200, "/oauth2/token", refresh(tokens["refresh_token"]))
        if "access_token" in tokens:
            self.ask(200, "/oauth2/introspect", {**CLIENT, "token": tokens["access_token"]},
                     "application/x-www-form-urlencoded")


def main():
    binary, store = sys.argv[1:3]
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 20
    with tempfile.TemporaryDirectory() as folder:
        database = {"memory": Memory, **DATABASES}[store](folder)
        config = configuration(folder, key_file(folder))
        with open(config, "a") as text:
            text.write(ENDS)
        host = Host(binary, folder, "host", database.url, config)
        try:
            began = time.monotonic()
            clients = [Client(host, number, began + minutes * 60) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            seen, before = [], (0, began)
            while any(client.is_alive() for client in clients):
                time.sleep(min(60, minutes * 6))
                seen.append(measured(host, store, database))
                passed = time.monotonic() - began
                answers = sum(client.answers for client in clients)
                if "records" in seen[-1]:
                    # What ends after a minute follows the rate, which is not always the same.
                    rate = (answers - before[0]) * 60 / (began + passed - before[1])
                    seen[-1]["records per 100 answers a minute"] = round(seen[-1].pop("records") * 100 / rate)
                before = answers, began + passed
                # The codes that were delivered are in a file, which grows with each.
                print(f"{passed / 60:5.1f} min, {answers} answers: {seen[-1]}", flush=True)
        finally:
            host.stop()
            database.stop()
        with open(host.log, encoding="utf-8") as log:
            unusual = [line for line in log if "wrong code" not in line]
        # Why a request failed.
        print("".join(unusual[-20:]), end="")
    failures = [client.failure for client in clients if client.failure]
    third = len(seen) // 3
    for name in seen[0]:
        middle, last = (max(one[name] for one in part) for part in (seen[third:2 * third], seen[-third:]))
        if last > middle * 1.1 + SLACK[name]:
            failures.append(f"{name} grows: {middle}, then {last}")
    sys.exit("\n".join(failures) or None)


main()
