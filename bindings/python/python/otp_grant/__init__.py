"""The core of an authorization server, for a Python service to embed.

Users log in with one-time codes that are sent by SMS or e-mail, and get OAuth 2.0 and OpenID Connect tokens. The
package does no I/O: the service keeps its web framework, its database, its user directory and its message provider.

:class:`Server` is for synchronous hosts, and :class:`AsyncServer` for asyncio.
"""

from ._messages import (
    AddressState,
    BudgetState,
    DevicePolicy,
    DeviceState,
    GuardMode,
    LiveChallenge,
    MessageBudget,
    SendGuard,
    TestIdentity,
    Threshold,
    Verdict,
)
from ._server import AsyncServer, Server
from ._types import (
    AccessToken,
    Address,
    ApiRequest,
    AuthSource,
    Channel,
    Client,
    CodePolicy,
    Delivery,
    Header,
    Keyring,
    Quota,
    Record,
    Reply,
    Request,
    Route,
    Settings,
    SigningKey,
    SigningQuestion,
    User,
    UserStatus,
    VerifiedAddress,
)
from .errors import (
    AccessTokenError,
    ConfigurationError,
    ConformanceError,
    DeliveryError,
    DeliveryFailure,
    ExchangeError,
    KeyringError,
    OtpGrantError,
    PortAnswerError,
    RefusedError,
    StoreError,
    Unavailable,
    VerificationError,
)
from .memory import MemoryDirectory, MemoryStore
from .ports import (
    AsyncDeliver,
    AsyncDirectory,
    AsyncSigner,
    AsyncStore,
    Deliver,
    Directory,
    Observer,
    Signer,
    Store,
)

SMS_GRANT_TYPE = "http://tencentciam.com/oauth2/grant-type/otp/sms"
"""The ``grant_type`` of a login with a code that was sent by SMS."""

EMAIL_GRANT_TYPE = "http://tencentciam.com/oauth2/grant-type/otp/email"
"""The ``grant_type`` of a login with a code that was sent by e-mail."""

__version__ = "0.1.0"

__all__ = [
    "EMAIL_GRANT_TYPE",
    "SMS_GRANT_TYPE",
    "AccessToken",
    "AccessTokenError",
    "Address",
    "AddressState",
    "ApiRequest",
    "AsyncDeliver",
    "AsyncDirectory",
    "AsyncServer",
    "AsyncSigner",
    "AsyncStore",
    "AuthSource",
    "BudgetState",
    "Channel",
    "Client",
    "CodePolicy",
    "ConfigurationError",
    "ConformanceError",
    "Deliver",
    "Delivery",
    "DeliveryError",
    "DeliveryFailure",
    "DevicePolicy",
    "DeviceState",
    "Directory",
    "ExchangeError",
    "GuardMode",
    "Header",
    "Keyring",
    "KeyringError",
    "LiveChallenge",
    "MemoryDirectory",
    "MemoryStore",
    "MessageBudget",
    "Observer",
    "OtpGrantError",
    "PortAnswerError",
    "Quota",
    "Record",
    "RefusedError",
    "Reply",
    "Request",
    "Route",
    "SendGuard",
    "Server",
    "Settings",
    "Signer",
    "SigningKey",
    "SigningQuestion",
    "Store",
    "StoreError",
    "TestIdentity",
    "Threshold",
    "Unavailable",
    "User",
    "UserStatus",
    "Verdict",
    "VerificationError",
    "VerifiedAddress",
]
