"""Folders in which hosts run, and what a scenario asks of them."""

import os
import pathlib
import sys
import time

from servers import Host, key_file
from services import PASSWORD, USER, authority

BINARY = sys.argv[1]
SMS, EMAIL = "+447400123456", "ada@example.com"
# A mailbox whose name has what forms, URLs, JSON and templates are made of.
HOSTILE = "a&b=c7b{code}+'|~#?/d@example.com"
MASTER = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE="


def check(fine, what):
    if not fine:
        raise AssertionError(what)


class Place:
    """A folder, and the hosts that run in it."""

    def __init__(self, folder):
        self.folder, self.hosts = folder, []
        self.signing, (self.ca, *self.files) = key_file(folder), authority(folder)

    def write(self, delivery, validity="2m", more=""):
        file = pathlib.Path(self.folder, f"host-{len(self.hosts)}.toml")
        file.touch(0o600)
        file.write_text(f"""
issuer = "https://login.example.com"
keys = {{ index = "{MASTER}", sealing = "{MASTER}" }}
signing = {{ active = {{ file = "{self.signing}" }} }}
auth_sources.sms = {{ channel = "sms", code = {{ validity = "{validity}", token_validity = "{validity}" }} }}
auth_sources.email = {{ channel = "email", code = {{ validity = "{validity}", token_validity = "{validity}" }} }}
auth_sources.brief = {{ channel = "email", code = {{ validity = "3s", token_validity = "3s" }} }}
clients.web = {{ secret = "a long random value", auth_sources = ["sms", "email", "brief"] }}
messages = {{ application = 'A "B" \\ & <C> é {{code}}', origin = "login.example.com", two_segments = true }}
{more}
{delivery}
""")
        return file

    def host(self, delivery, **how):
        file = self.write(delivery, **how)
        name = f"host-{len(self.hosts)}"
        try:
            host = Host(BINARY, self.folder, name, "memory", str(file))
        except SystemExit:
            raise AssertionError(pathlib.Path(self.folder, f"{name}.log").read_text()) from None
        host.addresses = set()
        self.hosts.append(host)
        return host

    def smtp(self, server, more=""):
        login = f"user = '{USER}'\npassword = {{ file = \"password\" }}\n" if server.login else ""
        pathlib.Path(self.folder, "password").write_text(f"{PASSWORD}\n")
        os.chmod(f"{self.folder}/password", 0o600)
        ca = f'ca = "{self.ca}"\n' if server.tls != "none" else ""
        return f"""
[delivery.email.smtp]
host = "127.0.0.1"
port = {server.port}
tls = "{server.tls}"
from = "no-reply@example.com"
from_name = 'Ünïcode, "Sign-in"'
timeout = "2s"
{ca}{login}{more}
"""

    def log(self):
        return "".join(pathlib.Path(host.log).read_text() for host in self.hosts)


def send(host, address=EMAIL, source=None):
    """Asks for a code. Gives the status and the answer."""
    host.addresses.add(address)
    name, usual = ("email", "email") if "@" in address else ("phone_number", "sms")
    return host.call("/otp/send", {"client_id": "web", "client_secret": "a long random value",
                                   "auth_source_id": source or usual, name: address})


def sent(host, address=EMAIL, **how):
    status, answer = send(host, address, **how)
    check(status == 200, (status, answer))
    return host.code(address)


def stays(what, seconds):
    """Holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(what(), "it did not stay so")
        time.sleep(0.05)
