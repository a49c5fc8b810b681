"""What a host sets against messages that nobody reads and against lockouts, and what its support staff sees."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Dict, Mapping, Optional, Sequence

from ._types import Address, Channel, Quota, given, instant, seconds
from .errors import ConfigurationError


class Verdict(enum.Enum):
    """What the host knows about a request for a code: from a captcha, a device attestation or a network's reputation.

    The send endpoint reads it, where the send guard is on.
    """

    NONE = "none"
    """The host knows nothing."""
    ALLOW = "allow"
    """The request comes from a person, as far as the host can tell. It is a reason to trust the send."""
    CHALLENGE = "challenge"
    """The client must pass a challenge. Where the guard enforces, the send is answered with ``challenge_required``."""
    REFUSE = "refuse"
    """Where the guard enforces, the send is refused as if no quota were left."""


class GuardMode(enum.Enum):
    """Whether the send guard counts and refuses."""

    OFF = "off"
    OBSERVE = "observe"
    """Messages are counted, and decisions reach the observer. Nothing is refused."""
    ENFORCE = "enforce"


@dataclass(frozen=True)
class Threshold:
    """How many unverified messages a destination has until a send needs a reason to be trusted."""

    per_day: int
    per_hour: int
    """At most ``per_day``."""
    verified_percent: Optional[int] = None
    """How many unverified messages 100 verified ones earn. Defaults to 50. At most 1,000."""

    def _document(self) -> Dict[str, Any]:
        return given(per_day=self.per_day, per_hour=self.per_hour, verified_percent=self.verified_percent)


@dataclass(frozen=True)
class SendGuard:
    """The guard against messages that nobody reads. Begin with ``GuardMode.OBSERVE``.

    ::

        SendGuard(GuardMode.ENFORCE, allowed_countries=["33", "1"], except_countries=["1876"])
    """

    mode: GuardMode
    allowed_countries: Optional[Sequence[str]] = None
    """The calling codes that messages are sent to, or ``1`` and an area code. Defaults to every country."""
    except_countries: Sequence[str] = ()
    """Codes that are refused, unless a longer code allows them. They need ``allowed_countries``."""
    block: Optional[Threshold] = None
    """What 10,000 neighbouring numbers must earn. Defaults to 5 messages in 24 hours and 3 in an hour."""
    country: Optional[Threshold] = None
    """What a country must earn. Defaults to 20 messages in 24 hours and 3 in an hour."""
    email_domain: Optional[Threshold] = None
    """What an e-mail domain must earn. Defaults to nothing."""
    shards: Optional[int] = None
    """Over how many records a country and a client are spread. Defaults to 16."""
    has_challenge: bool = True
    """Whether clients can pass a challenge, after which the host gives ``Verdict.ALLOW``.

    With ``False``, a send that needs a reason to be trusted is answered as if no quota were left.
    """

    def _document(self) -> Dict[str, Any]:
        countries = None
        if self.allowed_countries is not None or self.except_countries:
            countries = {"allow": list(self.allowed_countries or ()), "except": list(self.except_countries)}
        thresholds = given(
            block=self.block._document() if self.block else None,
            country=self.country._document() if self.country else None,
            email_domain=self.email_domain._document() if self.email_domain else None,
        )
        return given(
            mode=self.mode.value,
            countries=countries,
            thresholds=thresholds or None,
            shards=self.shards,
            has_challenge=self.has_challenge,
        )


@dataclass(frozen=True)
class MessageBudget:
    """How many messages a client can send, whether they are verified or not.

    Past half of it, a send needs a reason to be trusted. Past all of it, only a known device passes.
    """

    per_hour: int
    per_day: int

    def _document(self) -> Dict[str, Any]:
        return {"per_hour": self.per_hour, "per_day": self.per_day}


@dataclass(frozen=True)
class DevicePolicy:
    """The budgets of each device that a user had remembered with a login. What is ``None`` has the default of the core.

    A known device has guesses and sends that nobody else can use up. An address has at most 3 devices. The address and
    its devices can have 100 guesses in 24 hours.
    """

    guesses: Optional[Quota] = None
    """Defaults to 10 in 24 hours."""
    sends: Optional[Sequence[Quota]] = None
    """Defaults to once in 30 seconds and 10 times in 24 hours."""
    validity: Optional[timedelta] = None
    """For how long a device is known after its latest login. Defaults to 90 days."""

    def _document(self) -> Dict[str, Any]:
        return given(
            guesses=self.guesses._document() if self.guesses else None,
            sends=[quota._document() for quota in self.sends] if self.sends is not None else None,
            validity=seconds(self.validity),
        )


@dataclass(frozen=True)
class TestIdentity:
    """An address that logs in with a fixed code, for the review of an app and for tests of a whole service.

    Nothing is delivered to it. The directory has a user with the address and ``is_test``. The session ends with the test
    identity, and its tokens say ``"amr": ["test"]``.
    """

    __test__ = False

    address: Address
    code: str = field(repr=False)
    """As many characters as other codes have."""
    clients: Sequence[str]
    """The clients at which the code is good."""
    ends_at: datetime
    """At most 90 days away. Time-zone aware."""

    def __post_init__(self) -> None:
        if self.ends_at.tzinfo is None:
            raise ConfigurationError("ends_at: a datetime with a time zone is expected")

    def _document(self) -> Dict[str, Any]:
        kind = "phone_number" if self.address.channel is Channel.SMS else "email"
        ends_at = max(0, round(self.ends_at.timestamp() * 1000))
        return {kind: self.address.text, "code": self.code, "clients": list(self.clients), "ends_at": ends_at}


@dataclass(frozen=True)
class BudgetState:
    """What is left of a budget."""

    left: Optional[int]
    """How many are left in the longest window. ``None`` where the settings set no limit."""
    available_at: Optional[datetime]
    """When the next one is possible, if it is not possible now."""


@dataclass(frozen=True)
class LiveChallenge:
    """A challenge that can still be redeemed."""

    code_expires_at: datetime
    """The code can have expired before its otp_token."""
    expires_at: datetime
    guesses_left: int


@dataclass(frozen=True)
class DeviceState:
    """A device that the address knows."""

    known_until: datetime
    """Until when the device is known without a further login."""
    guesses: BudgetState
    sends: BudgetState


@dataclass(frozen=True)
class AddressState:
    """What an address has left. It names no code and no identifier."""

    is_locked: bool
    """Whether nobody without a device token has a guess left."""
    guesses: BudgetState
    sends: BudgetState
    challenges: Sequence[LiveChallenge]
    """The challenges whose otp_token is still good. The oldest comes first."""
    devices: Sequence[DeviceState]


def address_state(answer: Mapping[str, Any]) -> AddressState:
    """Reads the document of the core."""
    challenges = (
        LiveChallenge(instant(one["code_expires_at"]), instant(one["expires_at"]), one["guesses_left"])
        for one in answer["challenges"]
    )
    devices = (
        DeviceState(instant(one["known_until"]), _budget(one["guesses"]), _budget(one["sends"]))
        for one in answer["devices"]
    )
    guesses, sends = _budget(answer["guesses"]), _budget(answer["sends"])
    return AddressState(answer["is_locked"], guesses, sends, tuple(challenges), tuple(devices))


def _budget(budget: Mapping[str, Any]) -> BudgetState:
    available_at = budget["available_at"]
    return BudgetState(budget["left"], None if available_at is None else instant(available_at))
