"""A store in Redis 6.2 or later, on redis-py.

Each record is one string. A swap is one command or one script on one key, and is sent once. A load goes to the primary,
since a replica refuses ``GETEX``. Configure Redis with ``maxmemory-policy noeviction`` and ``appendfsync always``: who
makes Redis forget a record can use a code twice, or guess without end.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from contextvars import Context
from copy import copy
from typing import Any, List, Optional, Tuple, Union
from urllib.parse import urlsplit

from redis import BlockingConnectionPool, Redis
from redis import asyncio as aio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, MasterDownError, NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from .._types import Record, base64url
from ..errors import ConfigurationError, StoreError

PREFIX = "otp-grant:"
"""The prefix of each key, unless the store is given another one."""

TIMEOUT = 2.0
"""The time limit of one command, and of connecting, in seconds."""

_KEPT_LONGER = 60_000
"""Redis deletes a record a minute late. Its clock may be ahead of the hosts' clocks by less than this."""

_LATEST = 2**63 - 1

# The range of a missing string is empty, and no tag is empty. One command writes the value and the expiry.
_SWAP = """\
if redis.call('GETRANGE', KEYS[1], '0', '21') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
"""

# What a server answers that is no primary, or that may have a successor without knowing it. redis-py strips the code of
# the errors that it has a class for, and closes the connection itself to a server that is loading.
_NO_PRIMARY = (AskError, ClusterDownError, MasterDownError, ReadOnlyError)
_NO_PRIMARY_CODES = ("NOREPLICAS", "UNBLOCKED")


class RedisStore:
    """Keeps records in Redis, for :class:`otp_grant.Server`. It can be shared between threads."""

    def __init__(self, client: Redis, *, prefix: str = PREFIX) -> None:
        """Uses a client that the host has made.

        The client must not repeat commands by itself, since a swap must be sent once: make it with
        ``retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0)``. It must have a ``socket_timeout``.

        :raises ConfigurationError: if the client repeats commands, has no time limit, or decodes what it reads.
        """
        _check(client)
        self._client: Any = client
        self._prefix = prefix.encode()

    @classmethod
    def from_url(cls, url: str, *, prefix: str = PREFIX, timeout: float = TIMEOUT, **options: Any) -> RedisStore:
        """Connects, when the first command is sent, to ``redis://[user:password@]host[:port][/database]``,
        ``rediss://…`` with TLS, or ``unix:///path/of/socket``.

        It has at most 32 connections (``max_connections``). A command waits for a free one.

        :param timeout: the time limit of one command, of connecting and of a free connection, in seconds.
        :param options: further options of ``redis.BlockingConnectionPool``.
        """
        _check_url(url)
        try:
            pool = BlockingConnectionPool.from_url(url, **_options(url, timeout, Retry(NoBackoff(), 0), options))
            client = Redis(connection_pool=pool)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"Redis: {error}") from error
        return cls(client, prefix=prefix)

    def load(self, key: bytes) -> Optional[Record]:
        """Loads a record from the primary."""
        command = ("GETEX", self._prefix + base64url(key))
        try:
            stored = self._run(*command)
        except RedisConnectionError:
            # A load is often the first command after a connection was lost. redis-py has closed it by now.
            stored = self._run(*command)
        except ResponseError as error:
            if not _comes_from_no_primary(error):
                raise
            stored = self._run(*command)
        return _decode(stored)

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record where the expected one is, by one command."""
        name = self._prefix + base64url(key)
        if expected is None:
            return _is_inserted(self._run("SET", name, _encode(record), "NX", "PXAT", _delete_at(record)))
        arguments = (1, name, base64url(expected), _encode(record), _delete_at(record))
        try:
            return _is_stored(self._run("EVALSHA", _SHA, *arguments))
        except NoScriptError:
            # Redis has not run anything. It forgets scripts when it starts.
            return _is_stored(self._run("EVAL", _SWAP, *arguments))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _run(self, *command: Union[bytes, str, int]) -> Any:
        try:
            return self._client.execute_command(*command)
        except ResponseError as error:
            if _comes_from_no_primary(error):
                # The address may lead to another server by now.
                self._client.connection_pool.disconnect(inuse_connections=False)
            raise


_Sent = Tuple[Tuple[Union[bytes, str, int], ...], "asyncio.Future[Any]"]
"""A command, and what its sender waits for."""


class AsyncRedisStore:
    """Keeps records in Redis, for :class:`otp_grant.AsyncServer`. It belongs to one event loop.

    It uses one connection. While Redis answers, commands wait, and then go to Redis together. All that go together, with
    the connection that they may need, have the time of connecting and of one answer. If the connection is lost, all that
    were sent have failed. If Redis does not answer in time, those that wait have failed as well.
    """

    def __init__(self, client: aio.Redis, *, prefix: str = PREFIX) -> None:
        """Uses a client that the host has made, as :class:`RedisStore` does."""
        _check(client)
        self._client: Any = client
        self._prefix = prefix.encode()
        self._waiting: List[_Sent] = []
        self._sender: Optional[asyncio.Task[None]] = None
        self._limit = _limit(client)

    @classmethod
    def from_url(cls, url: str, *, prefix: str = PREFIX, timeout: float = TIMEOUT, **options: Any) -> AsyncRedisStore:
        """Connects, when the first command is sent, as :meth:`RedisStore.from_url` does."""
        _check_url(url)
        try:
            pool = aio.BlockingConnectionPool.from_url(url, **_options(url, timeout, AsyncRetry(NoBackoff(), 0), options))
            client = aio.Redis(connection_pool=pool)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"Redis: {error}") from error
        return cls(client, prefix=prefix)

    async def load(self, key: bytes) -> Optional[Record]:
        """Loads a record from the primary."""
        command = ("GETEX", self._prefix + base64url(key))
        try:
            stored = await self._run(*command)
        except RedisConnectionError:
            stored = await self._run(*command)
        except ResponseError as error:
            if not _comes_from_no_primary(error):
                raise
            stored = await self._run(*command)
        return _decode(stored)

    async def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record where the expected one is, by one command."""
        name = self._prefix + base64url(key)
        if expected is None:
            return _is_inserted(await self._run("SET", name, _encode(record), "NX", "PXAT", _delete_at(record)))
        arguments = (1, name, base64url(expected), _encode(record), _delete_at(record))
        try:
            return _is_stored(await self._run("EVALSHA", _SHA, *arguments))
        except NoScriptError:
            return _is_stored(await self._run("EVAL", _SWAP, *arguments))

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _run(self, *command: Union[bytes, str, int]) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self._sender is None or self._sender.done() or self._sender.get_loop() is not loop:
            self._waiting = []
            # It sends for all requests, and so has the context of none.
            self._sender = Context().run(loop.create_task, self._send(self._waiting))
        self._waiting.append((command, answer))
        return await answer

    async def _send(self, waiting: List[_Sent]) -> None:
        """Sends what waits, as long as something does."""
        batch: List[_Sent] = []
        try:
            while waiting:
                # Who was cancelled meanwhile has nothing sent.
                batch = [(command, sender) for command, sender in waiting if not sender.done()]
                waiting.clear()
                answers = await self._answers(batch, waiting)
                for (_, sender), answer in zip(batch, answers):
                    if sender.done():
                        continue
                    if isinstance(answer, Exception):
                        sender.set_exception(answer)
                    else:
                        sender.set_result(answer)
        finally:
            # Nobody waits for ever, whatever happened.
            for _, sender in batch + waiting:
                if not (sender.done() or sender.get_loop().is_closed()):
                    sender.set_exception(StoreError("the connection to Redis was given up"))
            waiting.clear()

    async def _answers(self, batch: List[_Sent], waiting: List[_Sent]) -> List[Any]:
        """Sends commands together, and returns the answer or the error of each."""
        pipeline = self._client.pipeline(transaction=False)
        for command, _ in batch:
            pipeline.execute_command(*command)
        try:
            answers: List[Any] = await asyncio.wait_for(pipeline.execute(raise_on_error=False), self._limit)
        except Exception as error:
            # Unread answers may be left on the connection. They are not those of the next commands.
            await self._disconnect()
            if isinstance(error, (asyncio.TimeoutError, RedisTimeoutError)):
                # What came meanwhile would wait as long once more. It is not sent.
                batch += waiting
                waiting.clear()
                error = RedisTimeoutError("Redis did not answer in time")
            return [_again(error) for _ in batch]
        if any(isinstance(answer, ResponseError) and _comes_from_no_primary(answer) for answer in answers):
            await self._disconnect()
        return answers

    async def _disconnect(self) -> None:
        """Closes the connections that are not in use."""
        with suppress(Exception):
            await self._client.connection_pool.disconnect(inuse_connections=False)


def _again(error: Exception) -> Exception:
    """Returns an error that is raised elsewhere, and gets a traceback of its own there."""
    try:
        again = copy(error)
    except Exception:
        again = StoreError(f"Redis: {type(error).__name__}")
    again.__cause__ = error
    return again


def _check_url(url: str) -> None:
    """Refuses a URL that errors would quote: they show what they take for the port, and it can be of the password."""
    try:
        urlsplit(url).port
    except ValueError:
        raise ConfigurationError("Redis: the URL is malformed; percent-encode its user and password") from None


def _options(url: str, timeout: float, retry: Any, given: Any) -> Any:
    limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "timeout": timeout, "max_connections": 32}
    network = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return {**limits, **network, "retry": retry, **given}


def _check(client: Any) -> None:
    options = client.get_connection_kwargs()
    retry = options.get("retry")
    # redis-py repeats commands where no `retry` is given.
    if retry is None or _retries(retry) != 0 or options.get("retry_on_error"):
        raise ConfigurationError("the Redis client repeats commands: give it Retry(NoBackoff(), 0)")
    if options.get("socket_timeout") is None:
        raise ConfigurationError("the Redis client has no time limit: give it a socket_timeout")
    if options.get("decode_responses"):
        raise ConfigurationError("the Redis client decodes what it reads: leave decode_responses off")


def _limit(client: Any) -> float:
    """Returns how long it can take to connect and to get one answer, in seconds."""
    options = client.get_connection_kwargs()
    answering: float = options["socket_timeout"]
    connecting: Optional[float] = options.get("socket_connect_timeout")
    return answering + (answering if connecting is None else connecting)


def _retries(retry: Any) -> int:
    retries: int = retry.get_retries()
    return retries


def _comes_from_no_primary(error: ResponseError) -> bool:
    return isinstance(error, _NO_PRIMARY) or str(error).startswith(_NO_PRIMARY_CODES)


def _encode(record: Record) -> bytes:
    """Writes the tag as text and then the record as JSON. The script compares the tag and parses nothing."""
    return base64url(record.tag) + record.to_bytes()


def _decode(stored: Any) -> Optional[Record]:
    if stored is None:
        return None
    if not isinstance(stored, bytes):
        raise StoreError("Redis gave an unexpected answer")
    record = Record.from_bytes(stored[22:])
    # Swaps compare the tag in front, and the core compares the tag in the record.
    if base64url(record.tag) != stored[:22]:
        raise StoreError("what is stored is not a record")
    return record


def _delete_at(record: Record) -> int:
    return min(record.delete_after + _KEPT_LONGER, _LATEST)


def _is_inserted(answer: Any) -> bool:
    if answer is True or answer in (b"OK", "OK"):
        return True
    if answer is None:
        return False
    raise StoreError("Redis gave an unexpected answer")


def _is_stored(answer: Any) -> bool:
    if answer in (0, 1):
        return bool(answer)
    raise StoreError("Redis gave an unexpected answer")


_SHA = hashlib.sha1(_SWAP.encode()).hexdigest()
