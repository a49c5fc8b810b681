"""The exceptions of this package. Each class says who is at fault."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._types import Reply


class OtpGrantError(Exception):
    """The base of all exceptions of this package."""


class ConfigurationError(OtpGrantError, ValueError):
    """The host is at fault: a setting, a key, an identifier, an argument or a URL. A retry does not help."""


class PortAnswerError(OtpGrantError, TypeError):
    """A store, a directory, a signer or ``deliver`` is at fault: it gave an answer that is none.

    A request that meets it is answered with 503, and the logger ``otp_grant`` has the traceback.
    """


class ExchangeError(OtpGrantError, RuntimeError):
    """An exchange was used against its rules: answered after its end, or from two threads at once."""


class Unavailable(OtpGrantError):
    """A store or a directory failed. The call is safe to retry. ``__cause__`` is the error of the port."""


class RefusedError(OtpGrantError):
    """The caller of the host is at fault. The base of :class:`AccessTokenError` and :class:`VerificationError`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """A stable name of the error, such as ``expired``."""


class AccessTokenError(RefusedError):
    """An access token is missing, malformed, of another issuer or client, expired or revoked, or lacks a scope."""

    def __init__(self, code: str, message: str, reply: Reply) -> None:
        super().__init__(code, message)
        self.reply = reply
        """What an API answers with: status, headers and body."""


class VerificationError(RefusedError):
    """A code or an otp_token is wrong, expired or spent, or was sent for something else."""

    def __init__(self, code: str, message: str, attempts_remaining: Optional[int] = None) -> None:
        super().__init__(code, message)
        self.attempts_remaining = attempts_remaining
        """How many guesses are left, if the code was wrong."""


class KeyringError(OtpGrantError):
    """The secrets of this host are not those of the other hosts on the store. The host should not serve."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """``other_index_secret`` or ``no_shared_sealing_secret``."""


class StoreError(OtpGrantError):
    """What is stored is not a record, or the database gave an answer that it can't give."""


class ConformanceError(OtpGrantError, AssertionError):
    """A store broke a promise of :class:`otp_grant.Store`, or one of its calls failed."""

    def __init__(self, message: str, check: Optional[str] = None, promise: Optional[str] = None) -> None:
        super().__init__(message)
        self.check = check
        """The check that found it, such as ``lets_one_swap_win``."""
        self.promise = promise
        """The broken promise, such as ``atomic_swap``. ``None`` where a call failed."""


class DeliveryFailure(enum.Enum):
    """Why a code could not be delivered."""

    ADDRESS_REFUSED = "address_refused"
    """The provider refuses the address, or the host blocks it. The client is told that the address is invalid."""

    INSUFFICIENT_QUOTA = "insufficient_quota"
    """The host has no messages left. The client is told so."""

    UNDELIVERABLE = "undeliverable"
    """The provider failed. The client can try again at once."""


class DeliveryError(OtpGrantError):
    """Raised by the host's ``deliver`` to say why a code could not be delivered.

    Any other exception counts as :attr:`DeliveryFailure.UNDELIVERABLE`.
    """

    def __init__(self, failure: DeliveryFailure = DeliveryFailure.UNDELIVERABLE) -> None:
        super().__init__(failure.value)
        self.failure = failure
        """Why the code could not be delivered."""
