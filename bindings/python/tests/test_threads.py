"""Many threads and tasks over one engine: no answer reaches the wrong exchange."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any, Callable, Dict, List

import pytest
from hosting import CLIENT, Host, directory, post

from otp_grant import Address, AsyncServer, ExchangeError, PortAnswerError, Request, Server, User
from otp_grant._answers import answer, parts

EXCHANGES = 1000


def phone(thread: int, number: int) -> str:
    return f"+86136{thread:02}{number:06}"


def test_two_threads_drive_a_thousand_exchanges_each() -> None:
    """The interpreter switches between the threads as often as it can."""
    known = directory()
    for thread in range(2):
        for number in range(EXCHANGES):
            known.add_user(User(f"user-{thread}-{number}"), Address.phone_number(phone(thread, number)))
    sent: Dict[str, str] = {}

    def deliver(delivery: Any) -> None:
        sent[delivery.address.text] = delivery.code

    host = Host(directory=known, deliver=deliver)
    faults: List[str] = []
    barrier = threading.Barrier(2)

    def drive(thread: int) -> None:
        barrier.wait()
        for number in range(EXCHANGES):
            address, subject = phone(thread, number), f"user-{thread}-{number}"
            body = {**CLIENT, "auth_source_id": "sms", "phone_number": address}
            challenge = host.post("/otp/send", body).json()
            login = {**body, "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "otp": sent[address],
                     "otp_token": challenge["otp_token"]}
            reply = host.post("/oauth2/token", login)
            if reply.status != 200:
                faults.append(f"{subject}: {reply}")
                continue
            found = host.server.verify_access_token(reply.json()["access_token"]).subject
            if found != subject:
                faults.append(f"{subject} got the token of {found}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=drive, args=(thread,)) for thread in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(interval)
    assert not faults, faults[:3]


def test_a_thousand_tasks_are_interleaved() -> None:
    known = directory()
    for number in range(EXCHANGES):
        known.add_user(User(f"user-0-{number}"), Address.phone_number(phone(0, number)))
    sent: Dict[str, str] = {}

    async def deliver(delivery: Any) -> None:
        await asyncio.sleep(0)
        sent[delivery.address.text] = delivery.code

    class Directory:
        def __getattr__(self, name: str) -> Any:
            async def call(*arguments: Any) -> Any:
                await asyncio.sleep(0)
                return getattr(known, name)(*arguments)

            return call

    class GrantsAll(Directory):
        async def granted_scope(self, user: User, client_id: str, requested: str) -> str:
            await asyncio.sleep(0)
            return requested

        async def access_token_claims(self, subject: str, client_id: str, scope: str) -> Dict[str, Any]:
            return {"tenant": subject}

    host = Host("async", directory=GrantsAll(), deliver=deliver)
    server = host.server
    assert isinstance(server, AsyncServer)

    async def log_in(number: int) -> None:
        body = {**CLIENT, "auth_source_id": "sms", "phone_number": phone(0, number)}
        reply = await server.handle(post("/otp/send", body))
        assert reply is not None
        login = {**body, "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms",
                 "otp": sent[phone(0, number)], "otp_token": reply.json()["otp_token"]}
        reply = await server.handle(post("/oauth2/token", login))
        assert reply is not None and reply.status == 200, reply
        claims = server.verify_access_token(reply.json()["access_token"])
        assert (claims.subject, claims.custom) == (f"user-0-{number}", {"tenant": f"user-0-{number}"})

    async def run() -> None:
        await asyncio.gather(*(log_in(number) for number in range(EXCHANGES)))

    asyncio.run(run())


def test_an_exchange_is_answered_once_and_by_its_kind() -> None:
    host = Host()
    assert isinstance(host.server, Server)
    engine, ports = host.server._engine, host.server._ports
    body = json.dumps({**CLIENT, "auth_source_id": "sms", "phone_number": "+8613612345678"}).encode()
    exchange = engine.begin("POST", "/otp/send", [("content-type", "application/json")], body)
    assert exchange is not None and exchange.kind == "client"
    wrongs: List[Callable[[], Any]] = [lambda: exchange.answer_swap(True), lambda: exchange.answer_record(None),
                                       lambda: exchange.answer_user(("a", "active", None, False)), exchange.accept_delivery,
                                       lambda: exchange.answer_document("{"), lambda: exchange.answer_signature(b""),
                                       lambda: exchange.answer_scope(None), lambda: exchange.answer_auth_source(None)]
    for wrong in wrongs:
        with pytest.raises(PortAnswerError):
            wrong()
        assert exchange.kind == "client"
    with pytest.raises(ExchangeError, match="not ended"):
        exchange.reply()
    while exchange.kind is not None:
        kind = exchange.kind
        answer(exchange, kind, ports[kind](*parts(exchange, kind)))
    for late in (exchange.refuse, exchange.parts, exchange.document, lambda: exchange.answer_swap(True),
                 lambda: exchange.fail("late")):
        with pytest.raises(ExchangeError):
            late()
    assert exchange.reply()[0] == 200
    exchange.close()
    assert exchange.reply()[0] == 200

    dropped = engine.begin("POST", "/otp/send", [("content-type", "application/json")], body)
    assert dropped is not None
    dropped.close()
    for closed in (lambda: dropped.kind, dropped.parts, dropped.refuse, dropped.reply):
        with pytest.raises(ExchangeError, match="closed"):
            closed()


def test_two_threads_that_answer_one_exchange_do_not_both_succeed() -> None:
    host = Host()
    assert isinstance(host.server, Server)
    for _ in range(200):
        request = Request("GET", "/userinfo", [("authorization", "Bearer " + host_token(host))])
        exchange = host.server._engine.begin(request.method, request.path, request.headers, request.body)
        assert exchange is not None and exchange.kind == "load"
        key = exchange.parts()[0]
        record = host.server._ports["load"](key)
        outcomes: List[str] = []
        barrier = threading.Barrier(2)

        def race() -> None:
            barrier.wait()
            try:
                answer(exchange, "load", record)
                outcomes.append("answered")
            except (ExchangeError, PortAnswerError) as error:
                outcomes.append(type(error).__name__)

        threads = [threading.Thread(target=race) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("answered") == 1, outcomes


TOKENS: Dict[int, str] = {}


def host_token(host: Host) -> str:
    if id(host) not in TOKENS:
        TOKENS[id(host)] = host.log_in()["access_token"]
    return TOKENS[id(host)]
