"""A request is dropped at each step, one by one: its code or refresh token is then usable or spent, and never half."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest
from hosting import PHONE, Host, post, refresh

from otp_grant import MemoryStore, Record, Reply, Request, Server
from otp_grant._answers import answer, parts
from otp_grant._core import Exchange


def steps_until(server: Server, request: Request, most: int) -> Tuple[int, Optional[Reply], Optional[Exchange]]:
    """Answers at most so many questions. Returns how many there were, and the reply or the exchange."""
    exchange = server._engine.begin(request.method, request.path, request.headers, request.body)
    assert exchange is not None
    for step in range(most):
        kind = exchange.kind
        if kind is None:
            return step, Reply(*exchange.reply()), None
        port = server._ports.get(kind)
        if port is None:
            exchange.refuse()
        else:
            answer(exchange, kind, port(*parts(exchange, kind)))
    return most, None, exchange


def dropped_at(host: Host, request: Request, step: int, how: str) -> Optional[Reply]:
    """Drops a request after this number of answers. Returns the reply if it ends before."""
    assert isinstance(host.server, Server)
    _, reply, exchange = steps_until(host.server, request, step)
    if exchange is not None:
        if how == "closed":
            exchange.close()
            exchange.close()
        del exchange
    return reply


def until_it_ends(host_of_step: Any) -> Iterator[int]:
    for step in range(1, 60):
        yield step
        if host_of_step[0]:
            return
    raise AssertionError("the request never ends")


@pytest.mark.parametrize("how", ["closed", "garbage"])
def test_a_dropped_login_leaves_its_code_usable_or_spent(how: str) -> None:
    ended, outcomes = [False], []
    for step in until_it_ends(ended):
        host = Host()
        login = host.send()
        ended[0] = dropped_at(host, post("/oauth2/token", login), step, how) is not None
        again = host.post("/oauth2/token", login)
        outcomes.append(again.status)
        if again.status == 200:
            # Usable: it logs in once, and all of its tokens are good.
            tokens = again.json()
            assert host.refresh(tokens["refresh_token"]).status == 200
            assert host.server.verify_access_token(tokens["access_token"]).subject == "ada"
            assert host.post("/oauth2/token", login).status == 400
        else:
            assert again.json()["error_description"] == "Unknown or expired otp_token"
        assert host.log_in()["token_type"] == "Bearer"
    # Usable until the code is spent, and spent from then on.
    assert outcomes == sorted(outcomes) and set(outcomes) == {200, 400}, outcomes


@pytest.mark.parametrize("how", ["closed", "garbage"])
def test_a_dropped_refresh_leaves_its_token_usable(how: str) -> None:
    ended = [False]
    for step in until_it_ends(ended):
        host = Host()
        first = host.log_in()["refresh_token"]
        reply = dropped_at(host, post("/oauth2/token", refresh(first), form=True), step, how)
        ended[0] = reply is not None
        again = host.refresh(first)
        assert again.status == 200, (step, again)
        successor = again.json()["refresh_token"]
        if reply is not None:
            assert reply.json()["refresh_token"] == successor
        assert host.refresh(successor).status == 200
        assert host.refresh(first).status == 400, "the use of a superseded token ends the session"


def test_a_dropped_send_leaves_the_address_usable() -> None:
    ended = [False]
    for step in until_it_ends(ended):
        host = Host()
        body = {"client_id": "web", "client_secret": "a long random value", "auth_source_id": "sms"}
        request = post("/otp/send", {**body, "phone_number": PHONE})
        ended[0] = dropped_at(host, request, step, "closed") is not None
        assert host.log_in()["token_type"] == "Bearer"


def test_a_dropped_guess_is_charged_or_not_and_never_more() -> None:
    ended = [False]
    for step in until_it_ends(ended):
        host = Host()
        login = host.send()
        wrong = {**login, "otp": "000000" if login["otp"] != "000000" else "000001"}
        ended[0] = dropped_at(host, post("/oauth2/token", wrong), step, "closed") is not None
        left = host.post("/oauth2/token", wrong).json()["attempts_remaining"]
        assert left in (3, 4), (step, left)


class Slow(MemoryStore):
    """A store whose calls are tasks that can be cancelled, at a call of one's choice."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.hangs_at: Optional[int] = None
        self.hangs_after = False

    async def load(self, key: bytes) -> Optional[Record]:  # type: ignore[override]
        await self._hang(False)
        record = super().load(key)
        await self._hang(True)
        return record

    async def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:  # type: ignore[override]
        await self._hang(False)
        stored = super().swap(key, expected, record)
        await self._hang(True)
        return stored

    async def _hang(self, is_after: bool) -> None:
        self.calls += not is_after
        if self.calls == self.hangs_at and is_after == self.hangs_after:
            await asyncio.sleep(60)


@pytest.mark.parametrize("hangs_after", [False, True])
def test_a_cancelled_task_leaves_its_code_usable_or_spent(hangs_after: bool) -> None:
    """The task is cancelled before and after each call of the store."""

    async def run(number: int) -> Tuple[bool, int]:
        store = Slow()
        host = Host("async", store=store)
        reply = await host.server.handle(post("/otp/send", json.loads(SEND)))  # type: ignore[misc]
        login: Dict[str, Any] = {**json.loads(LOGIN), "otp_token": reply.json()["otp_token"], "otp": host.sent[0].code}
        store.hangs_at, store.hangs_after = store.calls + number, hangs_after
        task = asyncio.ensure_future(host.server.handle(post("/oauth2/token", login)))  # type: ignore[arg-type]
        for _ in range(100):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        store.hangs_at = None
        again = await host.server.handle(post("/oauth2/token", login))  # type: ignore[misc]
        return ended, again.status

    outcomes: List[int] = []
    for number in range(1, 20):
        ended, status = asyncio.run(run(number))
        outcomes.append(status)
        if ended:
            break
    else:
        raise AssertionError("the request never ends")
    assert len(outcomes) > 3 and outcomes == sorted(outcomes) and set(outcomes) == {200, 400}, outcomes


SEND = json.dumps({"client_id": "web", "client_secret": "a long random value", "auth_source_id": "sms",
                   "phone_number": PHONE})
LOGIN = json.dumps({**json.loads(SEND), "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms"})
