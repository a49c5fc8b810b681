"""What the stores do beside the conformance suite: lost connections, foreign values, expiry, and shared databases."""

from __future__ import annotations

import asyncio
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Iterator, List, Optional
from unittest import mock

import pytest
import redis
from hosting import Host
from redis import asyncio as aio
from servers import Postgres, Redis, RedisOverTls
from sqlalchemy import text

from otp_grant import ConfigurationError, MemoryStore, Record, StoreError
from otp_grant._types import base64url
from otp_grant.stores.redis import AsyncRedisStore, RedisStore
from otp_grant.stores.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore

NOW = time.time_ns() // 1_000_000
HOUR = 3_600_000


def record(number: int, delete_after: int = NOW + HOUR) -> Record:
    return Record(bytes([number]) * 16, delete_after, b'{"session":{}}')


def key(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture
def client(redis_server: Redis) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


def test_redis_keeps_records_as_the_rust_crate_does(redis_server: Redis, client: Any) -> None:
    store = RedisStore.from_url(redis_server.url)
    assert store.swap(key(1), None, record(1))
    name = b"otp-grant:" + base64url(key(1))
    assert client.get(name) == base64url(record(1).tag) + record(1).to_bytes()
    assert client.pexpiretime(name) == record(1).delete_after + 60_000
    assert store.swap(key(1), record(1).tag, record(2))
    assert not store.swap(key(1), record(1).tag, record(3))
    assert not store.swap(key(1), None, record(3))
    assert store.load(key(1)) == record(2) and store.load(key(2)) is None
    # The end of time is one that Redis accepts.
    assert store.swap(key(3), None, record(3, 2**64 - 1))
    store.close()


def test_redis_loads_nothing_that_is_no_record(redis_server: Redis, client: Any) -> None:
    store = RedisStore.from_url(redis_server.url)
    name = b"otp-grant:" + base64url(key(1))
    for wrong in (b"", b"x", base64url(record(2).tag) + record(1).to_bytes(), base64url(record(1).tag) + b"{}"):
        client.set(name, wrong)
        with pytest.raises(StoreError):
            store.load(key(1))


def test_redis_forgets_scripts_and_connections(redis_server: Redis, client: Any) -> None:
    store = RedisStore.from_url(redis_server.url)
    assert store.swap(key(1), None, record(1)) and store.swap(key(1), record(1).tag, record(2))
    client.script_flush()
    assert store.swap(key(1), record(2).tag, record(3))
    client.client_kill_filter(_type="normal", skipme=True)
    assert store.load(key(1)) == record(3)

    async def run() -> None:
        store = AsyncRedisStore.from_url(redis_server.url)
        assert await store.load(key(1)) == record(3)
        client.script_flush()
        assert await store.swap(key(1), record(3).tag, record(4))
        client.client_kill_filter(_type="normal", skipme=True)
        assert await store.load(key(1)) == record(4)
        await store.close()

    asyncio.run(run())


def test_redis_is_reached_by_a_unix_socket(redis_server: Redis, client: Any) -> None:
    url = f"unix://{redis_server.socket}"
    store = RedisStore.from_url(url)
    assert store.swap(key(1), None, record(1))
    store.close()

    async def run() -> None:
        store = AsyncRedisStore.from_url(url)
        assert await store.load(key(1)) == record(1)
        await store.close()

    asyncio.run(run())


def test_redis_is_reached_over_tls() -> None:
    with RedisOverTls() as server:
        trusted = RedisStore.from_url(server.url, ssl_ca_certs=server.certificate)
        assert trusted.swap(key(1), None, record(1))
        trusted.close()
        # No authority that Python knows has signed the certificate.
        with pytest.raises(redis.exceptions.ConnectionError, match="certificate"):
            RedisStore.from_url(server.url).load(key(1))

        async def run() -> None:
            trusted = AsyncRedisStore.from_url(server.url, ssl_ca_certs=server.certificate)
            assert await trusted.load(key(1)) == record(1)
            await trusted.close()
            with pytest.raises(redis.exceptions.ConnectionError, match="certificate"):
                await AsyncRedisStore.from_url(server.url).load(key(1))

        asyncio.run(run())


def test_commands_of_one_turn_go_to_redis_together(redis_server: Redis, client: Any) -> None:
    async def run() -> None:
        store = AsyncRedisStore.from_url(redis_server.url, client_name="together")
        inserted = await asyncio.gather(*(store.swap(key(number), None, record(number)) for number in range(50)))
        assert all(inserted)
        # Each gets its own answer.
        loaded = await asyncio.gather(*(store.load(key(number)) for number in reversed(range(60))))
        assert loaded == [record(number) if number < 50 else None for number in reversed(range(60))]
        swaps = ((key(1), record(1), record(2)), (key(2), record(1), record(3)), (key(3), record(3), record(4)))
        stored = await asyncio.gather(*(store.swap(name, expected.tag, next) for name, expected, next in swaps))
        assert stored == [True, False, True]
        assert [one["name"] for one in client.client_list(_type="normal")].count("together") == 1
        await store.close()

    asyncio.run(run())


def test_an_error_of_redis_reaches_only_its_sender(redis_server: Redis, client: Any) -> None:
    client.lpush(b"otp-grant:" + base64url(key(1)), "a list")

    async def run() -> None:
        store = AsyncRedisStore.from_url(redis_server.url)
        assert await store.swap(key(2), None, record(2))
        loads = (store.load(key(number)) for number in (1, 2, 3))
        refused, loaded, missing = await asyncio.gather(*loads, return_exceptions=True)
        assert isinstance(refused, redis.exceptions.ResponseError) and "WRONGTYPE" in str(refused)
        assert (loaded, missing) == (record(2), None)
        await store.close()

    asyncio.run(run())


def test_whoever_is_cancelled_takes_nobody_along(redis_server: Redis, client: Any) -> None:
    async def run() -> None:
        store = AsyncRedisStore.from_url(redis_server.url)
        assert await store.swap(key(1), None, record(1))
        for turns in range(6):  # Before the commands are sent, and after.
            loads = [asyncio.create_task(store.load(key(1))) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            loads[1].cancel()
            first, cancelled, last = await asyncio.gather(*loads, return_exceptions=True)
            assert first == last == record(1)
            assert isinstance(cancelled, asyncio.CancelledError) or turns > 3
        await store.close()

    asyncio.run(run())


def test_whoever_is_cancelled_before_has_nothing_sent() -> None:
    async def run() -> None:
        with Redis() as server:
            store = AsyncRedisStore.from_url(server.url, timeout=20)
            assert await store.load(key(1)) is None
            server.signal(signal.SIGSTOP)
            load = asyncio.create_task(store.load(key(1)))
            await asyncio.sleep(0)  # It waits,
            await asyncio.sleep(0)  # and is sent.
            swaps = [asyncio.create_task(store.swap(key(number), None, record(number))) for number in (1, 2)]
            await asyncio.sleep(0)
            swaps[0].cancel()
            server.signal(signal.SIGCONT)
            loaded, cancelled, stored = await asyncio.gather(load, *swaps, return_exceptions=True)
            assert isinstance(cancelled, asyncio.CancelledError) and (loaded, stored) == (None, True)
            assert (await store.load(key(1)), await store.load(key(2))) == (None, record(2))
            await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("error", [ValueError("callback"), OSError(1, "callback"), KeyError("callback")])
def test_an_error_in_the_middle_shifts_no_answer(redis_server: Redis, client: Any, error: Exception) -> None:
    raised: List[Exception] = []

    def answer(answer: Any, **_: Any) -> Any:
        if raised:
            return answer
        raised.append(error)
        raise error

    async def run() -> None:
        store = AsyncRedisStore.from_url(redis_server.url)
        for number in (1, 2, 3):
            assert await store.swap(key(number), None, record(number))
        store._client.set_response_callback("GETEX", answer)
        loads = (store.load(key(number)) for number in (1, 2, 3))
        failures = await asyncio.gather(*loads, return_exceptions=True)
        assert [type(failure) for failure in failures] == [type(error)] * 3
        assert all(isinstance(failure, Exception) and failure.__cause__ is error for failure in failures)
        assert [await store.load(key(number)) for number in (3, 2, 1)] == [record(3), record(2), record(1)]
        await store.close()

    asyncio.run(run())


def test_a_connection_that_can_not_be_closed_takes_no_answer_away(redis_server: Redis, client: Any) -> None:
    async def run() -> None:
        with Redis() as server:
            with redis.Redis.from_url(server.url) as there:
                there.replicaof("127.0.0.1", redis_server.port)
            store = AsyncRedisStore.from_url(server.url)
            closing = mock.AsyncMock(side_effect=RuntimeError("closing"))
            with mock.patch.object(store._client.connection_pool, "disconnect", closing):
                loads = (store.load(key(1)), store.swap(key(2), None, record(2)))
                failures = await asyncio.gather(*loads, return_exceptions=True)
            assert all(isinstance(failure, redis.exceptions.ReadOnlyError) for failure in failures)
            await store.close()

    asyncio.run(run())


def test_a_store_goes_on_in_another_event_loop(redis_server: Redis, client: Any) -> None:
    store = AsyncRedisStore.from_url(redis_server.url)
    # A loop that is closed in the middle leaves tasks behind.
    loop = asyncio.new_event_loop()
    loop.create_task(store.load(key(1)))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def run() -> None:
        with suppress(RuntimeError):  # The connection may be of the other loop.
            await asyncio.wait_for(store.load(key(1)), 5)
        assert await asyncio.wait_for(store.swap(key(1), None, record(1)), 5)
        await store.close()

    asyncio.run(run())


def test_answers_that_come_one_by_one_have_one_time_limit() -> None:
    async def run() -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while await reader.read(4096):
                    for _ in range(20):
                        writer.write(b"$-1\r\n")
                        await asyncio.sleep(0.3)

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        # Nothing that the server would have to understand.
        options: Any = {"protocol": 2, "driver_info": None}
        store = AsyncRedisStore.from_url(f"redis://127.0.0.1:{port}", timeout=0.5, **options)
        loads = await asyncio.gather(*(store.load(key(1)) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(load, redis.exceptions.TimeoutError) for load in loads)
        await store.close()
        server.close()

    asyncio.run(run())


def test_a_lost_connection_fails_each_command_once() -> None:
    async def run() -> None:
        with Redis() as server:
            store = AsyncRedisStore.from_url(server.url, timeout=0.5)
            assert await store.swap(key(1), None, record(1))
            server.stop()
            swaps = (store.swap(key(number), None, record(number)) for number in range(2, 5))
            failures = await asyncio.gather(*swaps, return_exceptions=True)
            assert all(isinstance(failure, redis.exceptions.ConnectionError) for failure in failures)
            assert len({id(failure) for failure in failures}) == 3
            server.restart()
            loads = await asyncio.gather(*(store.load(key(number)) for number in range(1, 5)))
            assert loads == [record(1), None, None, None]
            # Redis says nothing. What waits behind a command that it does not answer is not sent any more.
            server.signal(signal.SIGSTOP)
            with mock.patch.object(store._client, "pipeline", wraps=store._client.pipeline) as pipeline:
                sent = asyncio.create_task(store.load(key(1)))
                await asyncio.sleep(0)  # It waits,
                await asyncio.sleep(0)  # and is sent.
                late = await asyncio.gather(sent, store.swap(key(9), None, record(9)), return_exceptions=True)
            assert pipeline.call_count == 1
            assert all(isinstance(failure, redis.exceptions.TimeoutError) for failure in late)
            server.signal(signal.SIGCONT)
            assert await store.load(key(1)) == record(1) and await store.load(key(9)) is None
            await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("code", ["CLUSTERDOWN", "MASTERDOWN", "MOVED", "NOREPLICAS", "READONLY", "UNBLOCKED", "ERR"])
def test_a_connection_to_what_is_no_primary_is_not_kept(code: str) -> None:
    connections: List[int] = []

    async def run() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(1)
            while await reader.read(4096):
                writer.write(f"-{code} 1 a:1\r\n".encode())
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        options: Any = {"protocol": 2, "driver_info": None}
        store = AsyncRedisStore.from_url(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", **options)
        with pytest.raises(redis.exceptions.ResponseError):
            await store.load(key(1))
        await store.close()
        server.close()

    asyncio.run(run())
    # A load is tried once more, over another connection.
    assert len(connections) == (1 if code == "ERR" else 2)


def test_a_replica_answers_no_load(redis_server: Redis, client: Any) -> None:
    store = RedisStore.from_url(redis_server.url)
    assert store.swap(key(1), None, record(1))
    with Redis() as replica:
        with redis.Redis.from_url(replica.url) as there:
            there.replicaof("127.0.0.1", redis_server.port)
            deadline = time.monotonic() + 20
            while there.info("replication").get("master_link_status") != "up":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            stale = RedisStore.from_url(replica.url)
            with pytest.raises(redis.exceptions.ReadOnlyError):
                stale.load(key(1))

            async def run() -> None:
                stale = AsyncRedisStore.from_url(replica.url, client_name="stale")
                with pytest.raises(redis.exceptions.ReadOnlyError):
                    await stale.load(key(1))
                # The address may lead to another server by now, so no connection is kept.
                assert [one["name"] for one in there.client_list(_type="normal")].count("stale") == 0
                await stale.close()

            asyncio.run(run())
            there.replicaof("NO", "ONE")
            assert stale.load(key(1)) == record(1)


def test_a_client_that_repeats_commands_is_refused(redis_server: Redis) -> None:
    with pytest.raises(ConfigurationError, match="repeats"):
        RedisStore(redis.Redis.from_url(redis_server.url))

    async def run() -> None:
        with pytest.raises(ConfigurationError, match="repeats"):
            AsyncRedisStore(aio.Redis.from_url(redis_server.url))

    asyncio.run(run())
    with pytest.raises(ConfigurationError, match="decode"):
        RedisStore.from_url(redis_server.url, decode_responses=True)
    with pytest.raises(ConfigurationError, match="socket_timeout"):
        RedisStore.from_url(redis_server.url, socket_timeout=None)
    with pytest.raises(ConfigurationError):
        RedisStore.from_url("http://127.0.0.1")


@pytest.mark.parametrize("store", [RedisStore, AsyncRedisStore])
@pytest.mark.parametrize("url", ["redis://:hunter2/x@h:6379", "rediss://:hunter2#x@h:1", "redis://:hunter2\u2100@h"])
def test_a_url_that_is_malformed_shows_no_password(store: Any, url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        store.from_url(url)
    assert "hunter2" not in "".join(traceback.format_exception_only(type(refused.value), refused.value))
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


@pytest.mark.parametrize("store", [SqlAlchemyStore, AsyncSqlAlchemyStore])
@pytest.mark.parametrize("url", ["postgres://u:1@h:hunter2@127.0.0.1/x", "hunter2"])
def test_a_database_url_that_is_malformed_shows_no_password(store: Any, url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        store.from_url(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


def test_a_swap_is_sent_once_to_a_redis_that_is_gone() -> None:
    with Redis() as server:
        store = RedisStore.from_url(server.url, timeout=0.5)
        assert store.swap(key(1), None, record(1))
        host = Host(store=store)
        login = host.send()
        server.stop()
        with pytest.raises(redis.exceptions.ConnectionError):
            store.swap(key(2), None, record(2))
        assert host.post("/oauth2/token", login).status == 503
        server.restart()
        assert store.load(key(1)) == record(1)
        assert host.post("/oauth2/token", login).status == 200


@pytest.fixture(params=["postgres", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.url


def test_a_table_is_purged_a_minute_late(url: str) -> None:
    store = SqlAlchemyStore.from_url(url)
    store.migrate()
    store.migrate()
    with store._engine.connect() as connection:
        connection.execute(text("DELETE FROM otp_grant_records"))
    now = time.time_ns() // 1_000_000
    for number, delete_after in ((1, now - 70_000), (2, now - 65_000), (3, now - 30_000), (4, 2**64 - 1)):
        assert store.swap(key(number), None, record(number, delete_after))
    assert store.purge(limit=1) == 1
    assert store.load(key(1)) is None and store.load(key(2)) is not None
    assert store.purge() == 1 and store.purge() == 0
    assert store.load(key(3)) == record(3, now - 30_000)
    loaded = store.load(key(4))
    assert loaded is not None and loaded.delete_after == 2**64 - 1

    async def run() -> None:
        store = AsyncSqlAlchemyStore.from_url(url)
        await store.migrate()
        assert await store.load(key(3)) == record(3, now - 30_000)
        assert await store.swap(key(3), record(3).tag, record(5, now - 90_000))
        assert not await store.swap(key(3), record(3).tag, record(6))
        assert await store.purge() == 1
        await store.close()

    asyncio.run(run())


def test_a_row_that_is_no_record_is_an_error(url: str) -> None:
    store = SqlAlchemyStore.from_url(url)
    store.migrate()
    assert store.swap(key(9), None, record(9))
    for column, value in (("value", "{}"), ("tag", b"x" * 16)):
        with store._engine.connect() as connection:
            change = text(f"UPDATE otp_grant_records SET {column} = :value WHERE key = :key")
            connection.execute(change, {"value": value, "key": key(9)})
        with pytest.raises(StoreError):
            store.load(key(9))


def test_a_login_runs_on_each_store(url: str, redis_server: Redis) -> None:
    store = SqlAlchemyStore.from_url(url)
    store.migrate()
    for kept in (store, RedisStore.from_url(redis_server.url), MemoryStore()):
        host = Host(store=kept)
        assert host.refresh(host.log_in()["refresh_token"]).status == 200


def test_a_load_finds_another_connection_after_a_restart() -> None:
    with Postgres() as server:
        store = SqlAlchemyStore.from_url(server.url)
        store.migrate()
        assert store.swap(key(1), None, record(1))
        server.stop(2)
        with pytest.raises(Exception, match="."):
            store.load(key(1))
        server.restart()
        assert store.load(key(1)) == record(1)


def test_a_standby_and_a_server_that_takes_no_writes_are_refused(postgres_server: Postgres) -> None:
    with Postgres() as server:
        store = SqlAlchemyStore.from_url(server.url)
        store.migrate()
        assert store.swap(key(1), None, record(1))
        with store._engine.connect() as connection:
            connection.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = on"))
        store.close()
        are_refused(server.url)

        server.stop(signal.SIGINT)
        server.make_standby()
        server.restart()
        are_refused(server.url)
        # A host can say that it wants the records of a standby.
        for driver in ("psycopg", "asyncpg"):
            url = server.url.replace("postgres:", f"postgresql+{driver}:") + "?target_session_attrs=any"
            assert asyncio.run(loaded(AsyncSqlAlchemyStore.from_url(url))) == record(1)
        assert SqlAlchemyStore.from_url(f"{server.url}?target_session_attrs=any").load(key(1)) == record(1)
        # Of several servers, the one that takes writes is found.
        both = f"postgres://postgres@/postgres?host=127.0.0.1:{server.port}&host=127.0.0.1:{postgres_server.port}"
        primary = SqlAlchemyStore.from_url(both)
        primary.migrate()
        primary.swap(key(17), None, record(17))
        assert primary.load(key(17)) == asyncio.run(loaded(AsyncSqlAlchemyStore.from_url(both), 17)) == record(17)


def are_refused(url: str) -> None:
    with pytest.raises(Exception, match="read-only|standby|read-write"):
        SqlAlchemyStore.from_url(url).load(key(1))
    # Own arguments of the driver take nothing away.
    with pytest.raises(Exception, match="read-only|standby|read-write"):
        SqlAlchemyStore.from_url(url, connect_args={"application_name": "login"}).load(key(1))
    for driver in ("psycopg", "asyncpg"):
        store = AsyncSqlAlchemyStore.from_url(url.replace("postgres:", f"postgresql+{driver}:"))
        with pytest.raises(Exception, match="read-only|standby|read.write"):
            asyncio.run(loaded(store))


async def loaded(store: AsyncSqlAlchemyStore, number: int = 1) -> Optional[Record]:
    try:
        return await store.load(key(number))
    finally:
        await store.close()


def test_only_a_file_of_sqlite_is_taken(tmp_path: Path) -> None:
    for wrong in ("sqlite://", "sqlite:///:memory:", "mysql+pymysql://localhost/a", "nothing"):
        with pytest.raises(ConfigurationError):
            SqlAlchemyStore.from_url(wrong)
    store = SqlAlchemyStore.from_url(f"sqlite:///{tmp_path}/records.db")
    store.migrate()
    with store._engine.connect() as connection:
        mode = connection.execute(text("PRAGMA journal_mode")).scalar()
        full = connection.execute(text("PRAGMA synchronous")).scalar()
    assert (mode, full) == ("wal", 2)
