"""What the six statements of a login cost PostgreSQL and the client: statements.py CLIENT_BINARY [ANOTHER ...]

A client is `benches/statements.rs`, compiled: of this version, or of others to compare with. pgbench runs the same statements
from the same number of connections (`-M prepared`), as the floor. All take turns on one server. What is counted is
processor time (/proc/PID/stat for the server and its workers, living and dead), so other programs on the machine
disturb the figures little; ratios within one run are what can be compared. Prints a table in Markdown.

Needs Debian's postgresql and python3.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "host/tests"))
from servers import Postgres

CLIENTS = int(os.environ.get("CLIENTS", 8))
LOGINS = int(os.environ.get("LOGINS", 500))
ROUNDS = int(os.environ.get("ROUNDS", 7))
# What a client does first, without counting it for itself.
WARM_UP = 200
TICKS = os.sysconf("SC_CLK_TCK")

SCRIPT = r"""
\set session random(1, 9223372036854775807)
\set delete_after 4102444800000
SELECT tag, value FROM otp_grant_records WHERE key = sha256(int8send(:client_id));
UPDATE otp_grant_records SET tag = :b, value = :value, delete_after = :delete_after WHERE key = sha256(int8send(:client_id)) AND tag = :a;
SELECT tag, value FROM otp_grant_records WHERE key = sha256(int8send(:client_id));
UPDATE otp_grant_records SET tag = :c, value = :value, delete_after = :delete_after WHERE key = sha256(int8send(:client_id)) AND tag = :b;
INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES (sha256(int8send(:session)), :a, :value, :delete_after) ON CONFLICT (key) DO NOTHING;
UPDATE otp_grant_records SET tag = :a, value = :value, delete_after = :delete_after WHERE key = sha256(int8send(:client_id)) AND tag = :c;
"""


def server_time(postmaster):
    """The processor time of a server and all its workers, in microseconds."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == postmaster:
            total += sum(map(int, rest[11:15]))
        elif int(rest[1]) == postmaster:
            total += sum(map(int, rest[11:13]))
    return total / TICKS * 1e6


def psql(database, statement):
    return subprocess.run(["psql", database.url, "-At", "-c", statement], check=True, capture_output=True, text=True).stdout


def pgbench(database, folder, value):
    tags = [f"\\x{letter * 32}" for letter in "abc"]
    psql(database, "TRUNCATE otp_grant_records; INSERT INTO otp_grant_records "
         f"SELECT sha256(int8send(n)), '{tags[0]}', '{value}', 4102444800000 FROM generate_series(0, {CLIENTS - 1}) AS n")
    script = pathlib.Path(folder, "login.sql")
    script.write_text(SCRIPT)
    names = dict(zip("abc", tags), value=value)
    defined = [word for name, text in names.items() for word in ("-D", f"{name}={text}")]
    count = WARM_UP + LOGINS
    before = server_time(database.child.pid), os.times().children_user + os.times().children_system
    subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-t", str(count), "-f", script, *defined,
                    database.url], check=True, capture_output=True)
    own = os.times().children_user + os.times().children_system - before[1]
    # Each login has left two of the tags behind, and each session a row.
    rows = int(psql(database, "SELECT count(*) FROM otp_grant_records"))
    assert rows == CLIENTS * (count + 1), rows
    return (server_time(database.child.pid) - before[0]) / (CLIENTS * count), own * 1e6 / (CLIENTS * count)


def client(database, binary):
    psql(database, "TRUNCATE otp_grant_records")
    before = server_time(database.child.pid)
    done = subprocess.run([binary, database.url, str(CLIENTS), str(LOGINS)], check=True, capture_output=True, text=True)
    return (server_time(database.child.pid) - before) / (CLIENTS * (WARM_UP + LOGINS)), float(done.stdout)


def main():
    binaries = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        database = Postgres(folder)
        try:
            # Creates the table, and has a record.
            subprocess.run([binaries[0], database.url, "1", "1"], check=True, capture_output=True)
            value = psql(database, "SELECT value FROM otp_grant_records LIMIT 1").strip()
            runs = {name: [] for name in ["pgbench", *binaries]}
            for _ in range(ROUNDS):
                for name, figures in runs.items():
                    figures.append(pgbench(database, folder, value) if name == "pgbench" else client(database, name))
        finally:
            database.stop()
    print("| | server, µs of a login | of pgbench's | client, µs of a login | of the first client's |\n|---|---:|---:|---:|---:|")
    for name, figures in runs.items():
        server, own = (statistics.median(column) for column in zip(*figures))
        of_floor = statistics.median(mine[0] / floor[0] for mine, floor in zip(figures, runs["pgbench"]))
        of_first = statistics.median(mine[1] / first[1] for mine, first in zip(figures, runs[binaries[0]]))
        print(f"| {name} | {server:.0f} | {of_floor:.2f} | {own:.0f} | {of_first:.2f} |")


main()
