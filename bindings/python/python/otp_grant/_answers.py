"""Reads the parts of a question, and checks and gives its answer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Dict, Mapping, Optional, Tuple

from . import _core
from ._types import Address, AuthSource, Channel, Client, Delivery, Record, SigningQuestion, User, UserStatus, instant
from .errors import PortAnswerError

_CHANNELS = {channel.value: channel for channel in Channel}
_STATUSES: Dict[UserStatus, str] = {status: status.value for status in UserStatus}


def parts(exchange: _core.Exchange, kind: str) -> Tuple[Any, ...]:
    """Returns the arguments of the method that answers the question of an exchange."""
    raw = exchange.parts()
    if kind == "swap":
        key, expected, tag, delete_after, body = raw
        return key, expected, Record(tag, delete_after, body)
    if kind in ("user_by_address", "sign_up"):
        return (Address(_CHANNELS[raw[0]], raw[1]),)
    if kind == "deliver":
        channel, address, code, usage, client, source, valid_for, attempt = raw
        address = Address(_CHANNELS[channel], address)
        return (Delivery(address, code, usage, client, source, timedelta(milliseconds=valid_for), attempt),)
    if kind == "granted_scope":
        asked = json.loads(raw[0])
        user, after = asked["user"], asked["user"].get("tokens_valid_after")
        after = None if after is None else instant(after)
        known = User(user["subject"], UserStatus(user["status"]), after, user.get("is_test", False))
        return known, asked["client"], asked["requested"]
    if kind == "sign":
        asked = json.loads(raw[1])
        return (SigningQuestion(raw[0], asked["algorithm"], asked["key_id"]),)
    return raw


def answer(exchange: _core.Exchange, kind: str, value: Any) -> None:
    """Gives an answer. One of the wrong type is refused, and the question stands."""
    if kind == "load":
        record = _checked(kind, value, Record)
        exchange.answer_record(None if record is None else (record.tag, record.delete_after, record.body))
    elif kind == "swap":
        if not isinstance(value, bool):
            raise _wrong(kind, value, "bool")
        exchange.answer_swap(value)
    elif kind == "client":
        client = _checked(kind, value, Client)
        exchange.answer_client(None if client is None else client._parsed)
    elif kind == "auth_source":
        source = _checked(kind, value, AuthSource)
        exchange.answer_auth_source(None if source is None else source._parsed)
    elif kind in ("user_by_address", "user_by_subject", "sign_up"):
        user = _checked(kind, value, User)
        if user is None:
            exchange.answer_user(None)
        else:
            if not isinstance(user.is_test, bool):
                raise _wrong(kind, user.is_test, "is_test: bool")
            after = _millis(user.tokens_valid_after)
            exchange.answer_user((user.subject, _STATUSES[user.status], after, user.is_test))
    elif kind in ("user_claims", "access_token_claims"):
        if not isinstance(value, Mapping):
            raise _wrong(kind, value, "a mapping of claims")
        try:
            document = json.dumps(dict(value), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PortAnswerError(f"{kind}: a claim is not JSON: {error}") from error
        exchange.answer_document(document)
    elif kind == "granted_scope":
        if not isinstance(value, (str, type(None))):
            raise _wrong(kind, value, "str or None")
        exchange.answer_scope(value)
    elif kind == "sign":
        if not isinstance(value, bytes):
            raise _wrong(kind, value, "bytes")
        exchange.answer_signature(value)
    elif kind == "deliver":
        if value is not None:
            raise _wrong(kind, value, "None")
        exchange.accept_delivery()
    else:
        exchange.refuse()


def _checked(kind: str, value: Any, type_: type) -> Any:
    if value is not None and not isinstance(value, type_):
        raise _wrong(kind, value, f"{type_.__name__} or None")
    return value


def _wrong(kind: str, value: Any, expected: str) -> PortAnswerError:
    return PortAnswerError(f"{kind}: {expected} expected, not {type(value).__name__}")


def _millis(at: Optional[datetime]) -> Optional[int]:
    if at is None:
        return None
    if at.tzinfo is None:
        raise PortAnswerError("tokens_valid_after: a datetime with a time zone expected")
    return max(0, round(at.timestamp() * 1000))

