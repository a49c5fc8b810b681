"""Databases, hosts on them, and what a client asks of a host: for the scripts beside this file.

Uses the standard library alone, redis-server, the server of PostgreSQL, and openssl.
"""

import base64
import contextlib
import glob
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

CLIENT = {"client_id": "web", "client_secret": "a long random value"}
SOURCE = "sms"
GRANT = "http://tencentciam.com/oauth2/grant-type/otp/sms"
FORM = "application/x-www-form-urlencoded"
# The users whom every host knows; whoever signs up is known to one process alone.
USERS = [f"+8615{number:09}" for number in range(1000)]


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

    def until_logged(self, text):
        """Waits for a text in the log, since a process may write what happened after it has answered."""
        until(lambda: text in open(self.log).read())

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        self.child.send_signal(signal.SIGINT)
        self.child.wait(timeout=30)


class Redis(Process):
    def __init__(self, folder, fsync="always"):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
                   "--appendfsync", fsync, "--save", "", "--maxmemory-policy", "noeviction"]
        super().__init__(command, port, f"{folder}/redis.log")
        self.url = f"redis://127.0.0.1:{port}"


class Postgres(Process):
    def __init__(self, folder):
        self.binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.data, port = f"{folder}/data", free_port()
        # The server refuses to run as root.
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        os.chmod(folder, 0o755)
        os.mkdir(self.data, 0o700)
        if self.as_user:
            shutil.chown(self.data, "postgres", "postgres")
        self.make(self.data)
        command = [*self.as_user, f"{self.binaries}/postgres", "-D", self.data, "-p", str(port), "-c",
                   "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        self.is_ready = [f"{self.binaries}/pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        super().__init__(command, port, f"{folder}/postgres.log", cwd="/")
        self.url = f"postgres://otp@127.0.0.1:{port}/postgres"

    def make(self, data):
        """Fills the folder of its data."""
        subprocess.run([*self.as_user, f"{self.binaries}/initdb", "-D", data, "-U", "otp", "--auth=trust", "-E", "UTF8"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self):
        super().start()
        # It listens before it has recovered.
        until(lambda: subprocess.run(self.is_ready, stdout=subprocess.DEVNULL).returncode == 0)

    def kill(self):
        # The whole server, its workers too: as if the machine had lost its power.
        self.child.send_signal(signal.SIGQUIT)
        self.child.wait()


class Sqlite:
    child = None

    def __init__(self, folder):
        self.url = f"sqlite:{folder}/records.db"

    def kill(self):
        pass

    start = stop = kill


DATABASES = {"redis": Redis, "postgres": Postgres, "sqlite": Sqlite}


def key_file(folder, algorithm="ES256"):
    """A new signing key."""
    kind = {"ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "EdDSA": ["ED25519"]}[algorithm]
    file = f"{folder}/{algorithm}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", *kind, "-out", file], check=True, stderr=subprocess.DEVNULL)
    return file


def configuration(folder, signing, phones=USERS):
    """A configuration that several hosts can share, whose users have these phones."""
    master = base64.b64encode(secrets.token_bytes(32)).decode()
    users = "".join(f'[[users.list]]\nsubject = "user-{number}"\nphone_number = "{phone}"\n' for number, phone in enumerate(phones))
    file = pathlib.Path(folder, f"{pathlib.Path(signing).stem}.toml")
    file.write_text(f"""
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{master}", sealing = "{master}" }}
signing = {{ active = {{ file = "{signing}" }} }}
auth_sources.{SOURCE} = {{ channel = "sms" }}
danger.without_send_quotas = true
[clients.{CLIENT["client_id"]}]
secret = "{CLIENT["client_secret"]}"
auth_sources = ["{SOURCE}"]
{users}""")
    return str(file)


class Host(Process):
    """A host with an outbox of its own."""

    def __init__(self, binary, folder, name, store, config):
        port = free_port()
        outbox = f"{folder}/{name}.outbox"
        pathlib.Path(outbox).touch()
        self.outbox, self.half, self.codes, self.reading = open(outbox), "", {}, threading.Lock()
        command = [binary, "--config", config, "--listen", f"127.0.0.1:{port}", "--store", store, "--outbox", outbox,
                   "--log-level", "warn"]
        super().__init__(command, port, f"{folder}/{name}.log")
        self.forget_connections()

    def forget_connections(self):
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

    def code(self, phone):
        """The last code that was delivered to a number."""
        with self.reading:
            # A reader can see the half of a line that is being written.
            *lines, self.half = (self.half + self.outbox.read()).split("\n")
            for delivered in map(json.loads, lines):
                self.codes[delivered["to"]] = delivered["code"]
            return self.codes[phone]

    def send(self, phone):
        """The otp_token and the code; nothing when there was no answer."""
        status, sent = self.call("/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": phone})
        return (sent["otp_token"], self.code(phone)) if status == 200 else (None, None)


def grant(phone, otp_token, otp):
    return {"grant_type": GRANT, **CLIENT, "auth_source_id": SOURCE, "phone_number": phone, "otp_token": otp_token, "otp": otp,
            "auto_signup": True}


def refresh(token):
    return {"grant_type": "refresh_token", **CLIENT, "refresh_token": token}
