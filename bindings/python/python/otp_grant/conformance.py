"""The suite that any store must pass, for the tests of your own.

::

    from otp_grant import conformance

    conformance.check(lambda: MyStore(connect()))

Each call of the function must give another instance, with its own connection or pool, on the same records: what the
suite finds is what two hosts would do to each other. Run it against the kind of server that keeps the records in
production, as a process of its own.

The suite leaves about 10,300 records under random keys, which may all be deleted an hour later. It uses the system's
clock. It has many calls under way at once: 64 threads or 64 tasks.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Sequence, Set, Tuple

from . import _core
from ._types import Record
from .errors import ConformanceError
from .ports import AsyncStore, MaybeAwaitable, Store

__all__ = ["Report", "check", "check_async"]

MOST_AT_ONCE = 64
"""How many calls are under way at once, at most."""


@dataclass(frozen=True)
class Report:
    """The result of a store that broke no promise."""

    not_observed: Sequence[str]
    """The promises of which nothing was seen.

    ``deleted_altogether``: the store deleted nothing in time. ``stays_stored``: it was too slow for a look at its
    records shortly before their end.
    """


def check(make_store: Callable[[], Store], *, deletes_within: Optional[float] = None) -> Report:
    """Runs the suite on stores for threads.

    :param deletes_within: how long the store can take to delete a record that may be deleted, in seconds. A store that
        keeps records for longer than needed names that time. Defaults to 2.
    :raises ConformanceError: says which promise was broken.
    """
    run = _core.ConformanceRun(deletes_within)
    stores: Dict[int, Store] = {}
    answers: queue.SimpleQueue[Tuple[int, str, Any, Optional[Exception]]] = queue.SimpleQueue()

    def work(id: int, instance: int, name: str, arguments: Tuple[Any, ...]) -> None:
        try:
            if name == "open":
                stores[instance] = make_store()
                answers.put((id, name, None, None))
            else:
                method = getattr(stores[instance], name)
                answers.put((id, name, method(*_arguments(name, arguments)), None))
        except Exception as error:
            answers.put((id, name, None, error))

    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        under_way = 0
        while run.report() is None:
            for operation in run.operations():
                pool.submit(work, *operation)
                under_way += 1
            # The suite also waits for time to pass, and looks again.
            while under_way:
                try:
                    _answer(run, *answers.get(timeout=_A_MOMENT if answers.empty() else None))
                except queue.Empty:
                    break
                under_way -= 1
                if answers.empty():
                    break
    return _report(run)


async def check_async(
    make_store: Callable[[], MaybeAwaitable[AsyncStore]], *, deletes_within: Optional[float] = None
) -> Report:
    """Runs the suite on stores for asyncio. Calls that the suite drops are cancelled.

    :param deletes_within: as for :func:`check`.
    :raises ConformanceError: says which promise was broken.
    """
    run = _core.ConformanceRun(deletes_within)
    stores: Dict[int, AsyncStore] = {}
    tasks: Dict[int, asyncio.Task[None]] = {}
    dropped: Set[asyncio.Task[None]] = set()

    async def work(id: int, instance: int, name: str, arguments: Tuple[Any, ...]) -> None:
        try:
            if name == "open":
                made = make_store()
                stores[instance] = await made if inspect.isawaitable(made) else made
                value: Any = None
            else:
                value = getattr(stores[instance], name)(*_arguments(name, arguments))
                if inspect.isawaitable(value):
                    value = await value
            _answer(run, id, name, value, None)
        except Exception as error:
            _answer(run, id, name, None, error)
        finally:
            tasks.pop(id, None)

    idle = 0
    while run.report() is None:
        idle += 1
        for id, instance, name, arguments in run.operations():
            idle = 0
            tasks[id] = asyncio.create_task(work(id, instance, name, arguments))
        for id in run.cancelled():
            task = tasks.pop(id, None)
            if task is not None:
                task.cancel()
                dropped.add(task)
                task.add_done_callback(dropped.discard)
        # The servers also need the processor.
        await asyncio.sleep(0 if idle < 5 else _A_MOMENT)
    if dropped:
        await asyncio.wait(dropped)
    return _report(run)


def _arguments(name: str, arguments: Tuple[Any, ...]) -> Tuple[Any, ...]:
    if name != "swap":
        return arguments
    key, expected, tag, delete_after, body = arguments
    return key, expected, Record(tag, delete_after, body)


def _answer(run: _core.ConformanceRun, id: int, name: str, value: Any, error: Optional[Exception]) -> None:
    if error is not None:
        run.fail(id, f"{type(error).__name__}: {error}")
    elif name == "open":
        run.answer_opened(id)
    elif name == "load" and isinstance(value, (Record, type(None))):
        run.answer_record(id, None if value is None else (value.tag, value.delete_after, value.body))
    elif name == "swap" and isinstance(value, bool):
        run.answer_swap(id, value)
    else:
        run.fail(id, f"{name} gave an answer that is none: {type(value).__name__}")


def _report(run: _core.ConformanceRun) -> Report:
    report = json.loads(run.report() or "{}")
    if not report["passed"]:
        raise ConformanceError(report["message"], report.get("check"), report.get("promise"))
    return Report(tuple(report["not_observed"]))


_A_MOMENT = 0.001
