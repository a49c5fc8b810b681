"""The ports: what a server asks of its host.

Each port is a protocol, so a class need not inherit from it. :class:`otp_grant.Server` calls ordinary methods.
:class:`otp_grant.AsyncServer` calls ordinary methods or coroutines, also mixed: an ordinary method must then return at
once, since the event loop waits for it.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Mapping, Optional, Protocol, TypeVar, Union, runtime_checkable

from ._types import Address, AuthSource, Client, Delivery, Record, SigningQuestion, User

T = TypeVar("T")
MaybeAwaitable = Union[T, Awaitable[T]]
"""What an ordinary method or a coroutine returns."""

Claims = Mapping[str, Any]
"""Claims by their names. The values are what JSON can hold."""


@runtime_checkable
class Store(Protocol):
    """Keeps records. Its two operations are atomic for one key.

    - ``swap`` is one atomic step: it compares and writes with nothing in between. A read followed by a write is not
      enough: two requests slip between them, and a code is accepted twice. In SQL, with ``tag`` a column::

        -- expected is a tag
        UPDATE records SET tag = :next_tag, value = :value, delete_after = :delete_after WHERE key = :key AND tag = :tag
        -- expected is None
        INSERT INTO records (key, tag, value, delete_after) VALUES (...) ON CONFLICT (key) DO NOTHING

      One affected row is ``True``, and none is ``False``.
    - ``load`` sees every ``swap`` that was answered before it began. A replica that lags is not enough.
    - What was stored stays stored until its ``delete_after``. From then on it may be deleted, and need not be.

    A failure is an exception. After it, a swap may have been applied, or not, or may still be applied later: the core
    loads the record to find out. A store must not repeat a swap by itself. ``otp_grant.conformance`` tests a store.
    """

    def load(self, key: bytes) -> Optional[Record]:
        """Returns the record under a key of 32 bytes, or ``None``."""
        ...

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record only if the stored one has the tag ``expected``, or for ``None``, if nothing is stored."""
        ...


@runtime_checkable
class AsyncStore(Protocol):
    """A :class:`Store` of coroutines, or of ordinary methods that return at once."""

    def load(self, key: bytes) -> MaybeAwaitable[Optional[Record]]:
        """As :meth:`Store.load`."""
        ...

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> MaybeAwaitable[bool]:
        """As :meth:`Store.swap`. A call that is cancelled is either done or not done."""
        ...


class Directory(Protocol):
    """Knows clients, auth sources and users.

    An exception is answered with 503. Addresses arrive in their normal form.

    Two further methods are optional. Without ``granted_scope(user, client_id, requested) -> Optional[str]`` a user is
    granted what was requested. Without ``access_token_claims(subject, client_id, scope) -> Mapping`` access tokens have
    no further claims.
    """

    def client(self, id: str) -> Optional[Client]:
        """Returns the client with this identifier, or ``None``."""
        ...

    def auth_source(self, id: str) -> Optional[AuthSource]:
        """Returns the auth source with this identifier, or ``None``."""
        ...

    def user_by_address(self, address: Address) -> Optional[User]:
        """Returns the user that an address belongs to, or ``None``."""
        ...

    def user_by_subject(self, subject: str) -> Optional[User]:
        """Returns the user with this subject, or ``None``. Called at each refresh, introspection and userinfo request."""
        ...

    def user_claims(self, subject: str, client_id: str, scope: str) -> Claims:
        """Returns the claims of a user that a client may see. The core filters the standard claims by the scope."""
        ...

    def sign_up(self, address: Address) -> Optional[User]:
        """Creates the user of an address, or returns the existing user. ``None`` refuses the sign-up.

        Two calls for one address must give one user, also at the same time.
        """
        ...


class AsyncDirectory(Protocol):
    """A :class:`Directory` of coroutines, or of ordinary methods that return at once."""

    def client(self, id: str) -> MaybeAwaitable[Optional[Client]]:
        """As :meth:`Directory.client`."""
        ...

    def auth_source(self, id: str) -> MaybeAwaitable[Optional[AuthSource]]:
        """As :meth:`Directory.auth_source`."""
        ...

    def user_by_address(self, address: Address) -> MaybeAwaitable[Optional[User]]:
        """As :meth:`Directory.user_by_address`."""
        ...

    def user_by_subject(self, subject: str) -> MaybeAwaitable[Optional[User]]:
        """As :meth:`Directory.user_by_subject`."""
        ...

    def user_claims(self, subject: str, client_id: str, scope: str) -> MaybeAwaitable[Claims]:
        """As :meth:`Directory.user_claims`."""
        ...

    def sign_up(self, address: Address) -> MaybeAwaitable[Optional[User]]:
        """As :meth:`Directory.sign_up`."""
        ...


Deliver = Callable[[Delivery], None]
"""Sends a code. It returns when the provider has accepted the message, and raises :class:`DeliveryError` otherwise."""

AsyncDeliver = Callable[[Delivery], MaybeAwaitable[None]]
"""A :data:`Deliver` that is a coroutine or an ordinary function."""

Signer = Callable[[SigningQuestion], bytes]
"""Signs with an external key. Returns the signature as a JWS has it: for ES256 the 64 bytes of r and s."""

AsyncSigner = Callable[[SigningQuestion], MaybeAwaitable[bytes]]
"""A :data:`Signer` that is a coroutine or an ordinary function."""

Observer = Callable[[Mapping[str, Any]], None]
"""Receives each event, such as ``{"kind": "wrong_code", …}``. It is called in the middle of a request."""
