"""Logs in again and again, and checks that the memory of the process stays flat: leaks.py [LOGINS]."""

from __future__ import annotations

import gc
import sys
import time
from collections import OrderedDict
from typing import Optional

from hosting import PHONE, Host, post, refresh

from otp_grant import Record, Request

LOGINS = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
MOST_GROWTH = 3 << 20
"""In bytes, from a fifth of the logins to the end. A leak of 800 bytes a login exceeds it in 5,000."""


class LatestStore:
    """Keeps the latest records. Otherwise the sessions, which live for days, would be the growth."""

    def __init__(self) -> None:
        self.records: OrderedDict[bytes, Record] = OrderedDict()

    def load(self, key: bytes) -> Optional[Record]:
        return self.records.get(key)

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        stored = self.records.get(key)
        if (stored.tag if stored else None) != expected:
            return False
        self.records[key] = record
        self.records.move_to_end(key)
        if len(self.records) > 50:
            self.records.popitem(last=False)
        return True


def resident() -> int:
    """The memory that the process has."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def main() -> None:
    """Each login is sent, guessed wrong, redeemed, checked, refreshed, given up in the middle, and signed out."""
    host = Host(store=LatestStore())
    server, sent = host.server, host.sent
    begun, before = time.monotonic(), 0
    for number in range(LOGINS):
        login = host.send()
        sent.clear()
        if number % 10 == 0:
            host.post("/oauth2/token", {**login, "otp": "x"})
            request = post("/oauth2/token", login)
            dropped = server._engine.begin(request.method, request.path, request.headers, request.body)
            del dropped
        tokens = host.post("/oauth2/token", login).json()
        headers = [("Authorization", "Bearer " + tokens["access_token"])]
        userinfo = host.handle(Request("GET", "/userinfo", headers))
        assert userinfo is not None and userinfo.status == 200
        tokens = host.refresh(tokens["refresh_token"]).json()
        body = refresh(tokens["refresh_token"])
        host.post("/oauth2/revoke", {**body, "token": tokens["refresh_token"]}, form=True)
        if number + 1 == LOGINS // 5:
            before = resident()
    after = resident()
    took = time.monotonic() - begun
    print(f"{LOGINS} logins of {PHONE} in {took:.0f} s: {before >> 10} KiB after a fifth, {after >> 10} KiB at the end")
    if after - before > MOST_GROWTH:
        sys.exit("the memory grows")


main()
