"""The two loops that drive an exchange: one asks ordinary methods, the other one also awaits coroutines."""

from __future__ import annotations

import inspect
import logging
from typing import Any, Callable, Mapping, Optional

from . import _core
from ._answers import answer, parts
from .errors import DeliveryError, DeliveryFailure

Ports = Mapping[str, Callable[..., Any]]
"""What answers each kind of question. What is missing gets the default of the core."""

logger = logging.getLogger("otp_grant")


def drive(exchange: _core.Exchange, ports: Ports) -> Optional[Exception]:
    """Answers every question of an exchange. Returns the last failure of a port, which the exchange survives."""
    failure: Optional[Exception] = None
    try:
        while (kind := exchange.kind) is not None:
            port = ports.get(kind)
            if port is None:
                exchange.refuse()
                continue
            try:
                answer(exchange, kind, port(*parts(exchange, kind)))
            except Exception as error:
                failure = failed(exchange, kind, error)
    finally:
        # A request that is given up in the middle, for instance by KeyboardInterrupt, is dropped here.
        exchange.close()
    return failure


async def drive_async(exchange: _core.Exchange, ports: Ports) -> Optional[Exception]:
    """Answers every question of an exchange. Between two questions, other tasks run."""
    failure: Optional[Exception] = None
    try:
        while (kind := exchange.kind) is not None:
            port = ports.get(kind)
            if port is None:
                exchange.refuse()
                continue
            try:
                value = port(*parts(exchange, kind))
                if inspect.isawaitable(value):
                    value = await value
                answer(exchange, kind, value)
            except Exception as error:
                failure = failed(exchange, kind, error)
    finally:
        # A task that is cancelled drops its request here.
        exchange.close()
    return failure


def failed(exchange: _core.Exchange, kind: str, error: Exception) -> Exception:
    """Tells the exchange that a port has failed. The client gets a 503, or learns why nothing was delivered."""
    if kind != "deliver":
        logger.error("the port failed that answers %r", kind, exc_info=error)
        exchange.fail(_text(error))
    elif isinstance(error, DeliveryError):
        exchange.fail_delivery(error.failure.value)
    else:
        logger.error("deliver failed", exc_info=error)
        exchange.fail_delivery(DeliveryFailure.UNDELIVERABLE.value)
    return error


def _text(error: Exception) -> str:
    """Returns the text of an error for the observer, whatever the error is."""
    name = type(error).__name__
    try:
        text = f"{name}: {error}"
    except Exception:
        text = name
    # A text that quotes the name of a file can have surrogates, which UTF-8 has not.
    return text.encode("utf-8", "backslashreplace").decode()
