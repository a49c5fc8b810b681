"""A store in PostgreSQL or SQLite, on SQLAlchemy 2.

Each record is one row of ``otp_grant_records``, and each operation one statement that commits by itself. PostgreSQL
needs the primary, with ``synchronous_commit`` on: who makes the database forget a record can use a code twice, or guess
without end. Of SQLite, a file with a write-ahead log is needed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import nullcontext
from typing import Any, ContextManager, Dict, List, Optional, Tuple

from sqlalchemy import Engine, event, make_url, text
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as create_asyncio_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool
from sqlalchemy.sql.elements import TextClause

from .._types import Record
from ..errors import ConfigurationError, StoreError

TIMEOUT = 2.0
"""The time limit of a statement, of a lock and of a free connection, in seconds."""

_KEPT_LONGER = 60_000
"""Rows are purged a minute late. Hosts' clocks may differ by less than this."""

_LATEST = 2**63 - 1

_COMMITS = "otp_grant_commits"

_LOAD = text("SELECT tag, value FROM otp_grant_records WHERE key = :key")

_INSERT = text(
    "INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES (:key, :tag, :value, :delete_after) "
    "ON CONFLICT (key) DO NOTHING"
)

_UPDATE = text(
    "UPDATE otp_grant_records SET tag = :tag, value = :value, delete_after = :delete_after "
    "WHERE key = :key AND tag = :expected"
)

# A row that was rewritten after the statement began is compared in its present state. It never waits for a swap.
_PURGE = {
    "postgresql": text(
        "DELETE FROM otp_grant_records WHERE delete_after <= :due AND key = ANY (ARRAY("
        "SELECT key FROM otp_grant_records WHERE delete_after <= :due "
        "ORDER BY delete_after LIMIT :most FOR UPDATE SKIP LOCKED))"
    ),
    "sqlite": text(
        "DELETE FROM otp_grant_records WHERE key IN ("
        "SELECT key FROM otp_grant_records WHERE delete_after <= :due ORDER BY delete_after LIMIT :most)"
    ),
}

_MIGRATIONS: Dict[str, List[str]] = {
    "postgresql": [
        # Another host may be about to create it. The number is "otpgrant" in ASCII.
        "SELECT pg_advisory_xact_lock(8031167625111367284)",
        "CREATE TABLE IF NOT EXISTS otp_grant_records ("
        "key BYTEA PRIMARY KEY, tag BYTEA NOT NULL, value TEXT NOT NULL, delete_after BIGINT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS otp_grant_records_delete_after ON otp_grant_records (delete_after)",
    ],
    "sqlite": [
        "CREATE TABLE IF NOT EXISTS otp_grant_records ("
        "key BLOB NOT NULL PRIMARY KEY, tag BLOB NOT NULL, value TEXT NOT NULL, delete_after INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS otp_grant_records_delete_after ON otp_grant_records (delete_after)",
    ],
}


_TRANSACTION = {"postgresql": "READ COMMITTED", "sqlite": "SERIALIZABLE"}


class SqlAlchemyStore:
    """Keeps records in PostgreSQL or SQLite, for :class:`otp_grant.Server`. It can be shared between threads."""

    def __init__(self, engine: Engine) -> None:
        """Uses an engine that the host has made. Its time limits apply.

        It must refuse a standby, as ``connect_args={"target_session_attrs": "read-write"}`` does with PostgreSQL.

        :raises ConfigurationError: if it is neither PostgreSQL nor a SQLite file.
        """
        self._dialect = _prepare(engine)
        self._engine = engine if _commits(engine) else engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite has one writer at a time, and who waits for the lock of the file does so without a queue.
        self._writer: ContextManager[Any] = threading.Lock() if self._dialect == "sqlite" else nullcontext()

    @classmethod
    def from_url(cls, url: str, *, timeout: float = TIMEOUT, **options: Any) -> SqlAlchemyStore:
        """Connects to ``postgresql+psycopg://[user[:password]@]host[:port]/database`` or ``sqlite:///path``.

        ``postgres://`` means ``postgresql+psycopg://``. ``options`` are those of ``sqlalchemy.create_engine``. A server
        that takes no writes, such as a standby, is refused when a connection is made. The URL may name several servers:
        ``postgres://@/login?host=one:5432&host=two:5432``. It can say otherwise with ``target_session_attrs``.
        """
        url = _named_driver(url, "postgresql+psycopg", "sqlite")
        try:
            engine = create_sync_engine(url, **_options(url, timeout, options))
        except (ArgumentError, ImportError, TypeError) as error:
            raise ConfigurationError(f"SQLAlchemy: {error}") from error
        return cls(engine)

    def migrate(self) -> None:
        """Creates the table, if it does not exist. Several hosts can do this at the same time."""
        if self._dialect == "sqlite":
            with self._writer, self._engine.connect() as connection:
                _check_mode(connection.execute(text("PRAGMA journal_mode = WAL")).scalar())
        transactions = self._engine.execution_options(isolation_level=_TRANSACTION[self._dialect])
        with self._writer, transactions.begin() as connection:
            for statement in _MIGRATIONS[self._dialect]:
                connection.execute(text(statement))

    def load(self, key: bytes) -> Optional[Record]:
        """Loads a record. If the connection turns out to be lost, the statement is sent once more."""
        try:
            return self._load(key)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._load(key)

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record where the expected one is, by one statement that is sent once."""
        return _is_stored(self._write(*_swap(key, expected, record)))

    def purge(self, *, limit: int = 1000) -> int:
        """Deletes at most ``limit`` rows that could have been deleted a minute ago, and returns how many it deleted.

        Call it each minute until it deletes fewer than ``limit``. Without it, the table grows.
        """
        return self._write(_PURGE[self._dialect], {"due": _due(), "most": limit})

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def _load(self, key: bytes) -> Optional[Record]:
        with self._engine.connect() as connection:
            return _decode(connection.execute(_LOAD, {"key": key}).one_or_none())

    def _write(self, statement: TextClause, parameters: Dict[str, Any]) -> int:
        with self._writer, self._engine.connect() as connection:
            return connection.execute(statement, parameters).rowcount


class AsyncSqlAlchemyStore:
    """Keeps records in PostgreSQL or SQLite, for :class:`otp_grant.AsyncServer`. It belongs to one event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Uses an engine that the host has made, as :class:`SqlAlchemyStore` does."""
        self._dialect = _prepare(engine.sync_engine)
        commits = _commits(engine.sync_engine)
        self._engine = engine if commits else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer: Optional[asyncio.Lock] = None

    @classmethod
    def from_url(cls, url: str, *, timeout: float = TIMEOUT, **options: Any) -> AsyncSqlAlchemyStore:
        """Connects to ``postgresql+asyncpg://[user[:password]@]host[:port]/database`` or ``sqlite+aiosqlite:///path``.

        ``postgres://`` means ``postgresql+asyncpg://``. ``options`` are those of ``create_async_engine``. A server that
        takes no writes is refused, as by :meth:`SqlAlchemyStore.from_url`. asyncpg does so from 0.28 on.
        """
        url = _named_driver(url, "postgresql+asyncpg", "sqlite+aiosqlite")
        try:
            engine = create_asyncio_engine(url, **_options(url, timeout, options))
        except (ArgumentError, ImportError, TypeError) as error:
            raise ConfigurationError(f"SQLAlchemy: {error}") from error
        return cls(engine)

    async def migrate(self) -> None:
        """Creates the table, as :meth:`SqlAlchemyStore.migrate` does."""
        if self._dialect == "sqlite":
            async with self._lock(), self._engine.connect() as connection:
                _check_mode((await connection.execute(text("PRAGMA journal_mode = WAL"))).scalar())
        transactions = self._engine.execution_options(isolation_level=_TRANSACTION[self._dialect])
        async with self._lock(), transactions.begin() as connection:
            for statement in _MIGRATIONS[self._dialect]:
                await connection.execute(text(statement))

    async def load(self, key: bytes) -> Optional[Record]:
        """Loads a record. If the connection turns out to be lost, the statement is sent once more."""
        try:
            return await self._load(key)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return await self._load(key)

    async def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record where the expected one is, by one statement that is sent once."""
        return _is_stored(await self._write(*_swap(key, expected, record)))

    async def purge(self, *, limit: int = 1000) -> int:
        """Deletes expired rows, as :meth:`SqlAlchemyStore.purge` does."""
        return await self._write(_PURGE[self._dialect], {"due": _due(), "most": limit})

    async def close(self) -> None:
        """Closes the connections."""
        await self._engine.dispose()

    async def _load(self, key: bytes) -> Optional[Record]:
        async with self._engine.connect() as connection:
            return _decode((await connection.execute(_LOAD, {"key": key})).one_or_none())

    async def _write(self, statement: TextClause, parameters: Dict[str, Any]) -> int:
        if self._dialect == "sqlite":
            async with self._lock(), self._engine.connect() as connection:
                return (await connection.execute(statement, parameters)).rowcount
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, parameters)).rowcount

    def _lock(self) -> asyncio.Lock:
        # Before Python 3.10, a lock belongs to the loop in which it is made.
        if self._writer is None:
            self._writer = asyncio.Lock()
        return self._writer


def _prepare(engine: Engine) -> str:
    """Returns the dialect of an engine, and sets up SQLite's connections."""
    dialect = engine.dialect.name
    if dialect not in _MIGRATIONS:
        raise ConfigurationError(f"the store needs PostgreSQL or SQLite, not {dialect}")
    if dialect == "sqlite":
        if engine.url.database in (None, "", ":memory:") or "mode=memory" in str(engine.url):
            raise ConfigurationError("the store needs a SQLite file, not a database in memory")

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            # Each commit is on the disk before it is acknowledged.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.close()

    return dialect


def _commits(engine: Engine) -> bool:
    """Tells whether each statement commits by itself on every connection. Nothing has to be set up for each then."""
    return bool(engine.get_execution_options().get(_COMMITS))


def _options(url: str, timeout: float, given: Dict[str, Any]) -> Dict[str, Any]:
    if "isolation_level" in given or "execution_options" in given:
        raise ConfigurationError("each statement of the store commits by itself: make the engine yourself")
    millis = str(max(1, int(timeout * 900)))
    arguments: Dict[str, Any] = {}
    if url.startswith("postgresql+asyncpg"):
        arguments = {"timeout": timeout, "command_timeout": timeout, "server_settings": {"statement_timeout": millis}}
    elif url.startswith("postgresql+psycopg"):
        arguments = {"connect_timeout": max(1, round(timeout)), "options": f"-c statement_timeout={millis}"}
    # A standby loads old records. These arguments prevail over those of the URL.
    if arguments and "target_session_attrs" not in make_url(url).query:
        arguments["target_session_attrs"] = "read-write"
    if url.startswith("sqlite"):
        arguments = {"timeout": timeout}
        given = {"poolclass": AsyncAdaptedQueuePool if "aiosqlite" in url else QueuePool, **given}
    arguments.update(given.get("connect_args") or {})
    # Errors do not quote what is stored. An idle connection may be lost: `load` tries another one.
    options: Dict[str, Any] = {"pool_timeout": timeout, "hide_parameters": True, "pool_size": 10, "max_overflow": 0}
    options.update(pool_use_lifo=True, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    return {**options, "execution_options": {_COMMITS: True}, **given, "connect_args": arguments}


def _named_driver(url: str, postgres: str, sqlite: str) -> str:
    scheme, separator, rest = url.partition("://")
    scheme = {"postgres": postgres, "postgresql": postgres, "sqlite": sqlite}.get(scheme, scheme)
    url = scheme + separator + rest
    try:
        make_url(url)
    except (ArgumentError, ValueError):
        # The error quotes what it takes for the port, which can be a part of the password.
        raise ConfigurationError("SQLAlchemy: the URL is malformed; percent-encode its user and password") from None
    return url


def _swap(key: bytes, expected: Optional[bytes], record: Record) -> Tuple[TextClause, Dict[str, Any]]:
    delete_after = min(record.delete_after, _LATEST)
    row = {"key": key, "tag": record.tag, "value": record.to_bytes().decode(), "delete_after": delete_after}
    return (_INSERT, row) if expected is None else (_UPDATE, {**row, "expected": expected})


def _decode(row: Any) -> Optional[Record]:
    if row is None:
        return None
    tag, value = row
    record = Record.from_bytes(value.encode())
    # Swaps compare the tag of the column, and the core compares the tag in the record.
    if record.tag != bytes(tag):
        raise StoreError("what is stored is not a record")
    return record


def _is_stored(rows: int) -> bool:
    if rows in (0, 1):
        return rows == 1
    raise StoreError("the database gave an unexpected answer")


def _check_mode(mode: Any) -> None:
    if mode != "wal":
        raise ConfigurationError("the SQLite file can't have a write-ahead log")


def _due() -> int:
    """Returns the latest ``delete_after`` that can be purged."""
    return max(0, time.time_ns() // 1_000_000 - _KEPT_LONGER)
