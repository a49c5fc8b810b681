"""Real servers for tests: Redis and PostgreSQL on Unix sockets and ports of this machine, and the example hosts."""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Callable, List, Optional, Type

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(os.path.dirname(HERE), "examples")


class Server:
    """A process with a directory of its own. It ends with the block that began it."""

    ending = signal.SIGTERM

    def __init__(self, name: str) -> None:
        self.directory = tempfile.mkdtemp(prefix=f"otp-grant-{name}-")
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self, command: List[str], **options: Any) -> None:
        """Starts the process."""
        self.process = subprocess.Popen(command, cwd=self.directory, **options)

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until the process answers."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__} does not start, see {self.directory}")
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Stops the process."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def signal(self, signal: int) -> None:
        """Sends a signal to the process, such as the one that halts it."""
        assert self.process is not None
        self.process.send_signal(signal)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop(self.ending)
        if error is None:
            shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Server):
    """A Redis that keeps what it acknowledged."""

    # It would wait for its replicas.
    ending = signal.SIGKILL

    def __init__(self) -> None:
        super().__init__("redis")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.socket = os.path.join(self.directory, "socket")
        self.restart()

    def restart(self) -> None:
        """Starts the server, also after it was stopped."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--appendonly", "yes"]
        command += ["--unixsocket", self.socket]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.start([*command, "--maxmemory-policy", "noeviction", "--save", ""], stdout=log, stderr=log)
        self.wait_until(lambda: answers(self.port))


class RedisOverTls(Server):
    """A Redis that takes connections over TLS only. ``certificate`` is the file of the one that vouches for it."""

    def __init__(self) -> None:
        super().__init__("redis-tls")
        key, self.certificate = (os.path.join(self.directory, name) for name in ("key.pem", "certificate.pem"))
        about = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", key, "-out", self.certificate]
        subprocess.run(["openssl", "req", "-x509", "-nodes", *made, *about], check=True, stderr=subprocess.DEVNULL)
        port = free_port()
        self.url = f"rediss://127.0.0.1:{port}"
        tls = ["--tls-port", str(port), "--tls-cert-file", self.certificate, "--tls-key-file", key]
        command = ["redis-server", "--port", "0", "--bind", "127.0.0.1", *tls, "--tls-auth-clients", "no", "--save", ""]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.start(command, stdout=log, stderr=log)
        self.wait_until(lambda: answers(port))


class Postgres(Server):
    """A PostgreSQL that does not wait for the disk."""

    # It ends its connections.
    ending = signal.SIGINT

    def __init__(self) -> None:
        super().__init__("postgres")
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not binaries:
            raise RuntimeError("PostgreSQL is missing: the Debian package postgresql")
        self.binaries = binaries[-1]
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root.
        self.user: Any = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self.user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = os.path.join(self.directory, "data")
        initdb = [os.path.join(self.binaries, "initdb"), "--no-sync", "--auth=trust", "--username=postgres"]
        subprocess.run(
            [*initdb, "--encoding=UTF8", "--locale=C", "--pgdata", data],
            cwd=self.directory, check=True, stdout=subprocess.DEVNULL, **self.user,
        )
        self.restart()

    def restart(self) -> None:
        """Starts the server, also after it was stopped."""
        command = [os.path.join(self.binaries, "postgres"), "-D", os.path.join(self.directory, "data")]
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.directory}"]
        settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"]
        command += [part for setting in settings for part in ("-c", setting)]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.start(command, stdout=log, stderr=log, **self.user)
        ready = [os.path.join(self.binaries, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0)

    def make_standby(self) -> None:
        """Lets the server, which is stopped, start as a standby. It has no primary, and keeps the records it has."""
        name = os.path.join(self.directory, "data", "standby.signal")
        with open(name, "wb"):
            pass
        if self.user:
            os.chown(name, self.user["user"], self.user["group"])


class Host(Server):
    """An example host."""

    def __init__(self, framework: str, *options: str) -> None:
        super().__init__(framework)
        self.outbox = os.path.join(self.directory, "outbox")
        self.log = os.path.join(self.directory, "log")
        open(self.outbox, "wb").close()
        script = os.path.join(EXAMPLES, f"{framework}_host.py")
        command = [sys.executable, script, "--listen", "127.0.0.1:0", "--outbox", self.outbox, *options]
        with open(self.log, "wb") as log:
            self.start(command, stdout=log, stderr=log)
        self.wait_until(lambda: self._port() is not None and answers(self._port() or 0))
        self.url = f"http://127.0.0.1:{self._port()}"

    def _port(self) -> Optional[int]:
        with open(self.log, encoding="utf-8") as log:
            found = re.search(r"127\.0\.0\.1:([0-9]+)", log.read())
        return int(found[1]) if found else None


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Tells whether a port takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
