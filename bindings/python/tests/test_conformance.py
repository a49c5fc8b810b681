"""The conformance suite on every store, and on stores that are wrong."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from typing import Any, Dict, Iterator, Optional

import pytest
from servers import Postgres, Redis

from otp_grant import ConformanceError, MemoryStore, Record, conformance
from otp_grant.stores.redis import AsyncRedisStore, RedisStore
from otp_grant.stores.sqlalchemy import AsyncSqlAlchemyStore, SqlAlchemyStore


def test_the_store_in_memory_passes() -> None:
    store = MemoryStore()
    conformance.check(lambda: store)


def test_the_store_in_memory_passes_on_asyncio() -> None:
    store = MemoryStore()
    asyncio.run(conformance.check_async(lambda: store))


def test_redis_passes(redis_server: Redis) -> None:
    conformance.check(lambda: RedisStore.from_url(redis_server.url, prefix="sync:"))


def test_redis_passes_on_asyncio(redis_server: Redis) -> None:
    asyncio.run(conformance.check_async(lambda: AsyncRedisStore.from_url(redis_server.url, prefix="async:")))


def test_postgres_passes(postgres_server: Postgres) -> None:
    SqlAlchemyStore.from_url(postgres_server.url).migrate()
    conformance.check(lambda: SqlAlchemyStore.from_url(postgres_server.url, timeout=10))


def test_postgres_passes_on_asyncio(postgres_server: Postgres) -> None:
    async def run() -> None:
        await AsyncSqlAlchemyStore.from_url(postgres_server.url).migrate()
        await conformance.check_async(lambda: AsyncSqlAlchemyStore.from_url(postgres_server.url, timeout=10))

    asyncio.run(run())


@pytest.fixture
def sqlite_url() -> Iterator[str]:
    """A file in memory where there is such a folder. The suite would wait for the disk some ten thousand times."""
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=folder) as path:
        yield f"sqlite:///{path}/records.db"


def test_sqlite_passes(sqlite_url: str) -> None:
    url = sqlite_url
    SqlAlchemyStore.from_url(url).migrate()
    conformance.check(lambda: SqlAlchemyStore.from_url(url, timeout=30))


def test_sqlite_passes_on_asyncio(sqlite_url: str) -> None:
    async def run() -> None:
        url = sqlite_url
        await AsyncSqlAlchemyStore.from_url(url).migrate()
        await conformance.check_async(lambda: AsyncSqlAlchemyStore.from_url(url, timeout=30))

    asyncio.run(run())


class Wrong(MemoryStore):
    """A store that breaks a promise."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.old: Dict[bytes, Record] = {}

    def load(self, key: bytes) -> Optional[Record]:
        record = super().load(key)
        if self.fault == "stale" and record is not None:
            return self.old.get(key, record)
        if self.fault == "torn" and record is not None:
            return Record(record.tag, record.delete_after - 1, record.body)
        if self.fault == "fails":
            raise ConnectionError("no answer")
        return record

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        stored = self._records.get(key)
        if self.fault == "not atomic":
            time.sleep(0.001)
            if (stored.tag if stored else None) != expected:
                return False
            self._records[key] = record
            return True
        if self.fault == "no answer":
            return None  # type: ignore[return-value]
        if stored is not None:
            self.old[key] = stored
        return super().swap(key, expected, record)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("not atomic", "atomic_swap"),
        ("stale", "sees_answered"),
        ("torn", "loaded_whole"),
        ("fails", None),
        ("no answer", None),
    ],
)
def test_a_wrong_store_is_found_out(fault: str, promise: Optional[str]) -> None:
    store = Wrong(fault)
    with pytest.raises(ConformanceError) as found:
        conformance.check(lambda: store)
    assert found.value.promise == promise, found.value


def test_a_store_that_is_not_atomic_is_found_out_on_asyncio() -> None:
    records: Dict[bytes, Record] = {}

    class NotAtomic:
        async def load(self, key: bytes) -> Optional[Record]:
            return records.get(key)

        async def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
            stored = records.get(key)
            await asyncio.sleep(0)
            if (stored.tag if stored else None) != expected:
                return False
            records[key] = record
            return True

    with pytest.raises(ConformanceError):
        asyncio.run(conformance.check_async(NotAtomic))
    assert threading.active_count() < 70


def test_a_store_that_can_not_be_made_fails() -> None:
    def make() -> Any:
        raise OSError("no server")

    with pytest.raises(ConformanceError, match="no server|making a store"):
        conformance.check(make)
