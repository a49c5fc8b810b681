"""Restarts and reloads under load, behind a real nginx: operations.py HOST_BINARY [STORE]

Two hosts on one database (postgres, redis or sqlite) are behind nginx with the configuration of host/operations. 16
clients log in, refresh and introspect over TLS. Meanwhile the hosts are restarted one after the other, and reload
changed files: a client's secret, and the steps of a rotation of the signing key. No request may fail.

Before that, the script checks what the example passes on, hides and limits, and that a host reads what it reports.

    defaults  nginx as configured. It leaves out a host that refused a connection for 10 seconds (fail_timeout), so the
              hosts are restarted at a longer interval.
    quick     restarts at once, with max_fails=0.
    passed    restarts at once, with listening sockets that outlive the hosts, as systemd's do.

SECONDS in the environment is how long all of it takes (45). Prints how many requests, restarts and reloads there were.
Uses the standard library alone, nginx, openssl, and the servers of servers.py.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from servers import (CLIENT, DATABASES, FORM, SOURCE, USERS, Process, configuration, free_port, grant, key_file,
                     refresh, until)

SECONDS = float(os.environ.get("SECONDS", 45))
CLIENTS = 16
# The share of the time, and how long nginx leaves out a host that refused a connection.
MODES = {"defaults": (0.55, 11), "quick": (0.25, 0), "passed": (0.2, 0)}
NAME = "login.example.com"
EXAMPLE = pathlib.Path(__file__).parent.parent / "operations" / "nginx.conf"
# What the example needs of a host. The requests of all clients and of this script come from one address.
PROXY = """
[proxy]
trusted = ["127.0.0.1"]
client_address = "X-Forwarded-For"
request_id = "X-Request-Id"
[logs]
client_address = "full"
[network_limits]
exempt = ["127.0.0.1"]
"""
# In the test, nginx takes the address of a client from this header.
ADDRESS = "X-Test-Address"


class Outbox:
    """The codes that both hosts append to one file."""

    def __init__(self, path):
        path.touch()
        self.path, self.file, self.half, self.codes, self.lock = path, open(path), "", {}, threading.Lock()

    def code(self, phone):
        with self.lock:
            *lines, self.half = (self.half + self.file.read()).split("\n")
            for delivered in map(json.loads, lines):
                self.codes[delivered["to"]] = delivered["code"]
            return self.codes[phone]


class Host(Process):
    """A host, whose socket this process may hold."""

    def __init__(self, binary, folder, name, store, config, outbox, is_passed=False, level="warn"):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024) if is_passed else None
        port = self.socket.getsockname()[1] if is_passed else free_port()
        command = [binary, "--config", config, "--listen", f"127.0.0.1:{port}", "--store", store,
                   "--outbox", str(outbox), "--log-level", level]
        how = {}
        if is_passed:
            script = f'exec 3<&{self.socket.fileno()} && LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"'
            command, how = ["bash", "-c", script, *command], {"pass_fds": [self.socket.fileno()]}
        super().__init__(command, port, f"{folder}/{name}.log", **how)

    def start(self):
        super().start()
        until(lambda: self.status("GET", "/readyz") == 200)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        if self.child.wait(timeout=30) != 0:
            sys.exit(f"a host ended with {self.child.returncode}: {open(self.log).read()}")

    def status(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": FORM})
            return connection.getresponse().status


class Nginx(Process):
    """nginx with the example, whose names, ports, certificate and rate are those of the test. It logs ids of requests."""

    def __init__(self, folder, hosts, more="", rate="100000r/m"):
        port, plain = free_port(), free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
                        "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.pem"],
                       check=True, stderr=subprocess.DEVNULL)
        text = EXAMPLE.read_text()
        for old, new in [(f"/etc/letsencrypt/live/{NAME}/fullchain.pem", f"{folder}/tls.pem"),
                         (f"/etc/letsencrypt/live/{NAME}/privkey.pem", f"{folder}/tls.key"),
                         ("127.0.0.1:8080;", f"127.0.0.1:{hosts[0].port}{more};"),
                         ("127.0.0.1:8081;", f"127.0.0.1:{hosts[1].port}{more};"),
                         ("listen [::]:443 ssl http2;", ""), ("listen [::]:80;", ""),
                         ("listen 443", f"listen 127.0.0.1:{port}"), ("listen 80;", f"listen 127.0.0.1:{plain};"),
                         ("rate=12r/m", f"rate={rate}")]:
            if old not in text:
                sys.exit(f"{EXAMPLE} has no {old}")
            text = text.replace(old, new)
        pathlib.Path(folder, "otp-grant.conf").write_text(text)
        pathlib.Path(folder, "nginx.conf").write_text(f"""
worker_processes 2;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    log_format ids $request_id;
    access_log {folder}/ids.log ids;
    set_real_ip_from 127.0.0.1;
    real_ip_header {ADDRESS};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/otp-grant.conf;
}}""")
        self.plain, self.ids = plain, pathlib.Path(folder, "ids.log")
        self.errors = pathlib.Path(folder, "nginx-errors.log")
        command = ["nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-g", f"daemon off; error_log {self.errors};"]
        super().__init__(command, port, f"{folder}/nginx.log")
        self.tls = ssl.create_default_context(cafile=f"{folder}/tls.pem")

    def connect(self):
        connection = http.client.HTTPSConnection(NAME, self.port, timeout=60, context=self.tls)
        # The name is that of the certificate, and the address is here.
        connection._create_connection = lambda address, *rest: socket.create_connection(
            ("127.0.0.1", address[1]), *rest)
        return connection


form = urllib.parse.urlencode


class Load:
    """Clients that log in and live with their tokens until they are told to end."""

    def __init__(self, nginx, outbox):
        self.nginx, self.outbox, self.is_over = nginx, outbox, threading.Event()
        self.requests, self.failures, self.lock = 0, [], threading.Lock()
        self.threads = [threading.Thread(target=self.live, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def live(self, number):
        connection = self.nginx.connect()
        while not self.is_over.is_set():
            for phone in USERS[number::CLIENTS]:
                with contextlib.suppress(KeyError):
                    self.session(connection, phone)
                if self.is_over.is_set():
                    return connection.close()

    def session(self, connection, phone):
        """What fails is noted, and the session ends with it."""
        sent = self.call(connection, "/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": phone})
        tokens = self.call(connection, "/oauth2/token", grant(phone, sent["otp_token"], self.outbox.code(phone)))
        for _ in range(4):
            tokens = self.call(connection, "/oauth2/token", refresh(tokens["refresh_token"]))
            told = self.call(connection, "/oauth2/introspect", {**CLIENT, "token": tokens["access_token"]}, FORM)
            if not told.get("active"):
                self.note("an access token of now is not active")

    def call(self, connection, path, body, kind="application/json"):
        text = form(body) if kind == FORM else json.dumps(body)
        with self.lock:
            self.requests += 1
        try:
            connection.request("POST", path, text, {"Content-Type": kind})
            reply = connection.getresponse()
            text = reply.read()
            if reply.status == 200:
                return json.loads(text)
            self.note(f"{path} {reply.status} {text[:200]}")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.note(f"{path} {error!r}")
        return {}

    def note(self, failure):
        with self.lock:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {failure}")


class Files:
    """The file of both hosts, in the steps of a rotation: publish the next key, then sign with it.

    The two keys before stay published: on a busy machine, a client introspects a token only some reloads after it got
    the token.
    """

    def __init__(self, folder):
        self.keys = []
        for number in range(5):
            os.mkdir(f"{folder}/{number}")
            self.keys.append(key_file(f"{folder}/{number}"))
        self.path, self.step = pathlib.Path(configuration(folder, self.keys[0])), 0
        self.base = self.path.read_text() + PROXY
        self.write()

    def write(self):
        active = self.step // 2
        keys = [self.keys[number % 5] for number in [active, active - 1, active - 2, active + 1]]
        published = ", ".join(f'{{ file = "{key}" }}' for key in keys[1:3 + self.step % 2])
        self.secret = f"the secret of step {self.step}"
        text = self.base.replace(f'{{ active = {{ file = "{self.keys[0]}" }} }}',
                                 f'{{ active = {{ file = "{keys[0]}" }}, published = [{published}] }}')
        changing = f'[clients.changing]\nsecret = "{self.secret}"\n[[users.list]]'
        self.path.write_text(text.replace("[[users.list]]", changing, 1))

    def advance(self):
        self.step += 1
        self.write()

    def has(self, host):
        """Whether a host knows the client by its secret of this step."""
        asked = form({"client_id": "changing", "client_secret": self.secret, "token": "x"})
        return host.status("POST", "/oauth2/introspect", asked) == 200


def reload(hosts, files):
    files.advance()
    for host in hosts:
        if files.has(host):
            sys.exit("a host knows a secret that it has not read")
        host.child.send_signal(signal.SIGHUP)
        until(lambda: files.has(host))


def run(mode, binary, database, folder, files, outbox):
    share, interval = MODES[mode]
    os.mkdir(folder)
    is_passed = mode == "passed"
    hosts = [Host(binary, folder, name, database.url, str(files.path), outbox.path, is_passed) for name in ["a", "b"]]
    nginx = Nginx(folder, hosts, " max_fails=0" if mode == "quick" else "")
    load = Load(nginx, outbox)
    restarts, reloads, began, last = 0, 0, time.monotonic(), 0
    try:
        time.sleep(1)
        while time.monotonic() < began + SECONDS * share:
            reload(hosts, files)
            reloads += len(hosts)
            if time.monotonic() >= last + interval:
                host = hosts[restarts % 2]
                host.stop()
                host.start()
                restarts, last = restarts + 1, time.monotonic()
            time.sleep(0.5)
        time.sleep(1)
    finally:
        load.end()
        for process in [nginx, *hosts]:
            process.child.send_signal(signal.SIGTERM)
            process.child.wait()
    print(f"{mode}: {load.requests} requests, {restarts} restarts, {reloads} reloads, {len(load.failures)} failed",
          flush=True)
    logs = "".join(open(host.log).read() for host in hosts)
    if "ERROR" in logs or "was not published" in logs:
        sys.exit(logs)
    if load.failures:
        print("\n".join(load.failures[:20]), nginx.errors.read_text()[-3000:], sep="\n")
    return len(load.failures)


class Echo:
    """A server in the place of a host, which answers with the request that it got."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(request)
            connection.sendall(head + request)
            connection.close()


def check_example(folder):
    """What the example passes on, hides and limits."""
    os.mkdir(folder)
    echo = Echo()
    nginx = Nginx(folder, [echo, echo], rate="12r/m")
    try:
        def get(path, headers={}):
            connection = nginx.connect()
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read().decode()

        def sends(*addresses):
            """The statuses of 20 requests, from these addresses in turn."""
            return [get("/otp/send", {ADDRESS: addresses[number % len(addresses)]})[0] for number in range(20)]

        forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-IP": "192.0.2.1",
                  "X-Request-Id": "forged", "X-Send-Verdict": "allow", "X-Forwarded-Proto": "http"}
        status, headers, passed = get("/a/%2e%2F?b=%20", forged)
        head = dict(line.lower().split(": ", 1) for line in passed.strip().split("\r\n")[1:])
        assert status == 200 and passed.startswith("GET /a/%2e%2F?b=%20 HTTP/1.1"), passed
        assert headers["Strict-Transport-Security"], headers
        assert head["host"] == NAME and head["x-forwarded-proto"] == "https", head
        assert head["x-forwarded-for"] == "127.0.0.1", head
        assert len(head["x-request-id"]) == 32, head
        assert not {"forwarded", "x-real-ip", "x-send-verdict", "connection"} & head.keys(), head
        for hidden in ["/livez", "/readyz", "/healthz"]:
            assert get(hidden)[0] == 404, hidden
        # Each line has addresses of one network, in every form in which nginx writes its first half.
        for network in [["192.0.2.1"], ["192.0.2.2"],
                        ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::1"],
                        ["2001:db8:1:3:3:4:5:6"],
                        ["2001:db8:1:0:5:6:7:8", "2001:db8:1::1:2:3", "2001:db8:1:0:5::1", "2001:db8:1::9:9:9"],
                        ["2001:db8:0:0:5:6:7:8", "2001:db8::1", "2001:db8:0:0:1::", "2001:db8:0:0:0:1:2:3"],
                        ["2001:db8:0:1:5:6:7:8", "2001:db8:0:1::1"]]:
            statuses = sends(*network)
            assert statuses[:11] == [200] * 11 and statuses[-1] == 429, (network, statuses)
        assert get("/oauth2/jwks")[0] == 200
        plain = http.client.HTTPConnection("127.0.0.1", nginx.plain)
        plain.request("POST", "/a?b", headers={"Host": NAME})
        reply = plain.getresponse()
        assert reply.status == 308 and reply.headers["Location"] == f"https://{NAME}/a?b", reply.headers
    finally:
        nginx.child.send_signal(signal.SIGTERM)
        nginx.child.wait()


def check_host(binary, database, folder, files, outbox):
    """A host takes the id of a request and the address of the client from the example, and has both in its log."""
    os.mkdir(folder)
    host = Host(binary, folder, "host", database.url, str(files.path), outbox.path, level="info")
    nginx = Nginx(folder, [host, host])
    try:
        connection, address = nginx.connect(), "2001:db8:1::1:2:3"
        forged = {"X-Request-Id": "forged", "X-Forwarded-For": "192.0.2.1"}
        connection.request("POST", "/oauth2/introspect", form({**CLIENT, "token": "x"}),
                           {**forged, "Content-Type": FORM, ADDRESS: address})
        reply = connection.getresponse()
        name = reply.headers["X-Request-Id"]
        assert reply.status == 200 and len(name) == 32, (reply.status, name)
        until(lambda: name in nginx.ids.read_text())
        host.until_logged(f'request_id="{name}" client_address={address} ')
        assert "192.0.2.1" not in open(host.log).read()
    finally:
        for process in [nginx, host]:
            process.child.send_signal(signal.SIGTERM)
            process.child.wait()


def main():
    binary, store = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "postgres"
    modes = os.environ.get("MODES", ",".join(MODES)).split(",")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        check_example(f"{folder}/example")
        database = DATABASES[store](folder)
        try:
            files, outbox = Files(folder), Outbox(pathlib.Path(folder, "outbox"))
            check_host(binary, database, f"{folder}/host", files, outbox)
            failed = sum(run(mode, binary, database, f"{folder}/{mode}", files, outbox) for mode in modes)
        finally:
            database.stop()
    sys.exit(failed > 0)


main()
