"""Databases with replicas, whose primary can fail: Redis with Sentinel, Redis Cluster, and PostgreSQL with streaming
replication. For failover.py.

Needs redis-server and redis-cli, and the programs of a PostgreSQL server.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import servers
from servers import Process, until


def bus_port():
    """A port whose companion, 10,000 above, can also be had: a cluster's node needs both."""
    while True:
        port = servers.free_port()
        if port < 55_000:
            return port


class Replicated:
    """Several servers. One of them is the primary, or one of the primaries, that fails next."""

    # Whether a failover loses nothing that was acknowledged.
    is_synchronous = False

    def fail(self, how):
        """Kills or freezes the primary, and has another one promoted. Returns when it failed and when the other took over."""
        old = self.primary
        if how == "kill":
            self.fall_behind()
        failed = time.monotonic()
        if how == "kill":
            old.kill()
        else:
            old.signal(signal.SIGSTOP)
        self.frozen = old if how == "freeze" else None
        self.promote()
        return failed, time.monotonic()

    def fall_behind(self):
        """Replicas lack what the primary answers from now on, where its clients don't wait for them."""

    def resume(self):
        """Has a frozen primary go on. Nobody has told it that it was replaced."""
        self.frozen.signal(signal.SIGCONT)

    def stop(self):
        for server in self.all:
            server.kill()


class RedisServer(Process):
    def __init__(self, folder, *arguments):
        self.number = bus_port()
        self.folder = pathlib.Path(folder, f"redis{self.number}")
        self.folder.mkdir()
        command = ["redis-server", "--port", str(self.number), "--bind", "127.0.0.1", "--dir", str(self.folder),
                   "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0",
                   *arguments]
        super().__init__(command, self.number, f"{self.folder}/log")

    def signal(self, what):
        self.child.send_signal(what)

    def run(self, *command):
        return cli(self.number, *command)


def cli(port, *command):
    asked = subprocess.run(["redis-cli", "-p", str(port), *command], capture_output=True, text=True, timeout=10)
    return asked.stdout.strip()


class Sentinel(Replicated):
    """A primary, three replicas and three Sentinels."""

    def __init__(self, folder):
        self.primary = RedisServer(folder)
        self.servers = [self.primary]
        for _ in range(3):
            self.servers.append(RedisServer(folder, "--replicaof", "127.0.0.1", str(self.primary.number)))
        until(lambda: self.primary.run("INFO", "replication").count("state=online") == 3)
        self.sentinels = []
        for number in range(3):
            port = servers.free_port()
            file = pathlib.Path(folder, f"sentinel{number}.conf")
            file.write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                            f"sentinel monitor main 127.0.0.1 {self.primary.number} 2\n"
                            "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
                            "sentinel parallel-syncs main 3\n")
            self.sentinels.append(Process(["redis-server", str(file), "--sentinel"], port, f"{folder}/sentinel{number}.log"))
        for sentinel in self.sentinels:
            until(lambda: cli(sentinel.port, "SENTINEL", "CKQUORUM", "main").startswith("OK 3"))
            until(lambda: "num-slaves\n3" in cli(sentinel.port, "SENTINEL", "MASTER", "main"))
        self.all = [*self.sentinels, *self.servers]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/main"

    def fall_behind(self):
        self.primary.run("ACL", "SETUSER", "default", "-psync", "-sync")
        self.primary.run("CLIENT", "KILL", "TYPE", "replica")
        time.sleep(0.5)

    def promote(self):
        """Sentinel does it. Waits for the one that has done it."""
        others = [server for server in self.servers if server is not self.primary and server.child.poll() is None]
        promoted = []

        def is_promoted():
            promoted[:] = [server for server in others if "role:master" in server.run("INFO", "replication")]
            return promoted
        until(is_promoted)
        [self.primary] = promoted

    def settle(self):
        """Until the next failover can begin: a replica follows, and all Sentinels know."""
        until(lambda: "state=online" in self.primary.run("INFO", "replication"))
        for sentinel in self.sentinels:
            until(lambda: str(self.primary.number) in cli(sentinel.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))


class Cluster(Replicated):
    """Three primaries with a replica each."""

    def __init__(self, folder):
        self.servers = [RedisServer(folder, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
                        for _ in range(6)]
        self.all = self.servers
        hosts = [f"127.0.0.1:{server.number}" for server in self.servers]
        subprocess.run(["redis-cli", "--cluster", "create", *hosts, "--cluster-replicas", "1", "--cluster-yes"],
                       check=True, stdout=subprocess.DEVNULL)
        self.primaries = [server for server in self.servers if "role:master" in server.run("INFO", "replication")]
        self.primary = self.primaries.pop()
        for server in self.servers:
            until(lambda: "cluster_state:ok" in server.run("CLUSTER", "INFO"))
        for server in [self.primary, *self.primaries]:
            until(lambda: "state=online" in server.run("INFO", "replication"))
        self.url = f"redis+cluster://{','.join(hosts)}"

    def promote(self):
        """The other primaries elect the replica."""
        port = self.primary.number
        replicas = [server for server in self.servers if server.child.poll() is None and server is not self.primary
                    and f"master_port:{port}\n" in server.run("INFO", "replication").replace("\r", "")]
        until(lambda: any("role:master" in server.run("INFO", "replication") for server in replicas))

    def settle(self):
        self.primary = self.primaries.pop()
        until(lambda: "state=online" in self.primary.run("INFO", "replication"))
        for server in self.servers:
            if server.child.poll() is None:
                until(lambda: "cluster_state:ok" in server.run("CLUSTER", "INFO"))


class PostgresServer(servers.Postgres):
    """A server, or with `of` a standby of another one, in a folder of its own."""

    def __init__(self, folder, name, of=None):
        self.name, self.of = name, of
        self.home = pathlib.Path(folder, name)
        self.home.mkdir()
        super().__init__(str(self.home))

    def make(self, data):
        if not self.of:
            return super().make(data)
        subprocess.run([*self.as_user, f"{self.binaries}/pg_basebackup", "-D", data, "-h", "127.0.0.1", "-p",
                        str(self.of.port), "-U", "otp", "--checkpoint=fast", "--write-recovery-conf"],
                       check=True, cwd="/")
        self.follow(self.of, data)
        # As soon as it is a primary, it also waits for a standby.
        with open(f"{data}/postgresql.auto.conf", "a") as settings:
            settings.write("synchronous_standby_names = 'ANY 1 (*)'\n")

    def follow(self, primary, data=None):
        with open(f"{data or self.data}/postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=otp application_name={self.name}'\n")
        if not data:
            self.run("SELECT pg_reload_conf()")

    def processes(self):
        if self.child.poll() is not None:
            return []
        pid = self.child.pid
        return [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def signal(self, what):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()

    def run(self, statement):
        asked = subprocess.run([f"{self.binaries}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "otp", "-d",
                                "postgres", "-Atc", statement], capture_output=True, text=True, timeout=30, cwd="/")
        return asked.stdout.strip()


class Postgres(Replicated):
    """A primary that acknowledges what one of its three standbys has on its disk."""

    is_synchronous = True

    def __init__(self, folder):
        os.chmod(folder, 0o755)
        self.primary = PostgresServer(folder, "one")
        self.standbys = [PostgresServer(folder, name, of=self.primary) for name in ["two", "three", "four"]]
        self.servers = self.all = [self.primary, *self.standbys]
        until(lambda: self.primary.run("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "3")
        self.primary.run("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        self.primary.run("SELECT pg_reload_conf()")
        until(lambda: self.primary.run("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == "3")
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        self.url = f"postgres://otp@{hosts}/postgres"

    def promote(self):
        """As an operator's tool does: the standby that has received most is the next primary, and the others follow it.
        It has each commit that was acknowledged."""
        received = "SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn"
        self.standbys.sort(key=lambda standby: int(standby.run(received)))
        self.primary = self.standbys.pop()
        for standby in self.standbys:
            standby.follow(self.primary)
        if self.primary.run("SELECT pg_promote()") != "t":
            sys.exit("a standby was not promoted")

    def settle(self):
        until(lambda: self.primary.run("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == "2")


REPLICATED = {"sentinel": Sentinel, "cluster": Cluster, "postgres": Postgres}
