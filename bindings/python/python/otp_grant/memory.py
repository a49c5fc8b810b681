"""A store and a directory in the memory of one process. They are enough for tests and for a first login."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any, Dict, Iterable, Mapping, Optional

from ._types import Address, AuthSource, Client, Record, User


class MemoryStore:
    """A store in the memory of one process, for threads and for asyncio. Its records are lost with the process."""

    def __init__(self) -> None:
        self._records: Dict[bytes, Record] = {}
        self._lock = threading.Lock()
        self._sweep_at = _FIRST_SWEEP

    def load(self, key: bytes) -> Optional[Record]:
        """Returns the record under a key."""
        return self._records.get(key)

    def swap(self, key: bytes, expected: Optional[bytes], record: Record) -> bool:
        """Stores a record where the expected one is."""
        with self._lock:
            stored = self._records.get(key)
            if (None if stored is None else stored.tag) != expected:
                return False
            self._records[key] = record
            if len(self._records) > self._sweep_at:
                self._sweep()
            return True

    def __len__(self) -> int:
        return len(self._records)

    def _sweep(self) -> None:
        """Deletes what may be deleted, each time that the store has doubled."""
        now = time.time_ns() // 1_000_000
        self._records = {key: record for key, record in self._records.items() if record.delete_after > now}
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._records))


class MemoryDirectory:
    """A directory in the memory of one process, for threads and for asyncio.

    It signs up every address that asks for it.
    """

    def __init__(
        self, *, clients: Iterable[Client] = (), auth_sources: Iterable[AuthSource] = ()
    ) -> None:
        self._clients = {client.id: client for client in clients}
        self._auth_sources = {source.id: source for source in auth_sources}
        self._users: Dict[str, User] = {}
        self._subjects: Dict[Address, str] = {}
        self._claims: Dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def add_client(self, client: Client) -> None:
        """Adds a client, or replaces the one with its identifier."""
        self._clients[client.id] = client

    def add_auth_source(self, source: AuthSource) -> None:
        """Adds an auth source, or replaces the one with its identifier."""
        self._auth_sources[source.id] = source

    def add_user(self, user: User, *addresses: Address, claims: Optional[Mapping[str, Any]] = None) -> None:
        """Adds a user with their addresses and claims, or replaces the user with the same subject."""
        with self._lock:
            self._users[user.subject] = user
            for address in addresses:
                self._subjects[address] = user.subject
            if claims is not None:
                self._claims[user.subject] = claims

    def remove_user(self, subject: str) -> None:
        """Deletes a user, with their addresses and claims."""
        with self._lock:
            self._users.pop(subject, None)
            self._claims.pop(subject, None)
            self._subjects = {address: other for address, other in self._subjects.items() if other != subject}

    def client(self, id: str) -> Optional[Client]:
        """Returns the client with this identifier."""
        return self._clients.get(id)

    def auth_source(self, id: str) -> Optional[AuthSource]:
        """Returns the auth source with this identifier."""
        return self._auth_sources.get(id)

    def user_by_address(self, address: Address) -> Optional[User]:
        """Returns the user of an address."""
        with self._lock:
            return self._users.get(self._subjects.get(address, ""))

    def user_by_subject(self, subject: str) -> Optional[User]:
        """Returns the user with this subject."""
        return self._users.get(subject)

    def user_claims(self, subject: str, client_id: str, scope: str) -> Mapping[str, Any]:
        """Returns the claims of a user. All clients see the same."""
        return self._claims.get(subject, {})

    def sign_up(self, address: Address) -> Optional[User]:
        """Returns the user of an address, who is created if there is none."""
        with self._lock:
            user = self._users.get(self._subjects.get(address, ""))
            if user is None:
                user = User(str(uuid.uuid4()))
                self._users[user.subject] = user
                self._subjects[address] = user.subject
            return user


_FIRST_SWEEP = 1000
