"""The values that a host passes in and gets back."""

from __future__ import annotations

import base64
import enum
import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Literal, Mapping, Optional, Sequence, Tuple, Union

from . import _core
from .errors import AccessTokenError, StoreError

if TYPE_CHECKING:
    from ._messages import DevicePolicy, MessageBudget, SendGuard, TestIdentity

Header = Tuple[Union[str, bytes], Union[str, bytes]]
"""The name of a header and its value. Frameworks give values as text or as bytes."""


class Channel(enum.Enum):
    """How a code reaches its user."""

    SMS = "sms"
    EMAIL = "email"


class UserStatus(enum.Enum):
    """Whether a user may log in."""

    ACTIVE = "active"
    LOCKED = "locked"
    FROZEN = "frozen"
    INACTIVE = "inactive"


@dataclass(frozen=True)
class Address:
    """A phone number or an e-mail address in its normal form, in which a directory keeps it."""

    channel: Channel
    text: str

    @classmethod
    def phone_number(cls, text: str, *, country_code: Optional[str] = None) -> Address:
        """Reads a phone number, as a server does whose settings have this country code.

        :raises ConfigurationError: if the text is not a phone number.
        """
        return cls(Channel.SMS, _core.phone_number(text, country_code))

    @classmethod
    def email(cls, text: str, *, international_local_parts: bool = False) -> Address:
        """Reads an e-mail address, as a server does with this setting.

        :raises ConfigurationError: if the text is not an e-mail address.
        """
        return cls(Channel.EMAIL, _core.email(text, international_local_parts))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Request:
    """A request to an endpoint."""

    method: str
    path: str
    """The path without the query."""
    headers: Iterable[Header] = field(default=(), repr=False)
    """All headers, in any case. A header that was sent twice must be here twice, or with both values."""
    body: bytes = field(default=b"", repr=False)
    """The whole body. The host must reject a body that was cut short."""

    @classmethod
    def from_wsgi(cls, environ: Mapping[str, Any], body: bytes = b"") -> Request:
        """Reads a request of WSGI, as Flask, Django and Bottle have it. The host reads the body.

        WSGI servers join a header that was sent twice. Here an ``Authorization`` or a ``DPoP`` with a comma becomes two
        headers again, and the core refuses it as it refuses two headers.
        """
        headers: List[Header] = []
        for name, value in environ.items():
            if name in ("HTTP_AUTHORIZATION", "HTTP_DPOP"):
                headers += ((name[5:], part.strip()) for part in value.split(","))
            elif name.startswith("HTTP_"):
                headers.append((name[5:].replace("_", "-"), value))
            elif name == "CONTENT_TYPE":
                headers.append(("content-type", value))
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return cls(environ["REQUEST_METHOD"], path.encode("latin-1").decode("utf-8", "replace"), headers, body)

    @classmethod
    def from_asgi(cls, scope: Mapping[str, Any], body: bytes = b"") -> Request:
        """Reads a request of ASGI, as FastAPI, Starlette and Litestar have it. The host reads the body."""
        return cls(scope["method"], scope["path"], scope["headers"], body)

    def bearer_token(self) -> str:
        """Returns the access token of the header ``Authorization``.

        A token that is bound to a key needs its proof as well: see :meth:`at`.

        :raises AccessTokenError: if there is none, or more than one. It has the reply.
        """
        token, reply = _core.bearer_token(self.headers)
        if reply is not None:
            raise AccessTokenError("no_token", "no bearer token", Reply(*reply))
        return token

    def at(self, external_url: str) -> ApiRequest:
        """Returns the request as one to a route of the host's own. ``external_url`` is the URL that clients know."""
        return ApiRequest(self.method, external_url, self.headers)


@dataclass(frozen=True)
class ApiRequest:
    """A request to a route of the host's own. It presents an access token, the proof of a key (RFC 9449), or both."""

    method: str
    external_url: str
    """The URL of the route as clients know it.

    It comes from the configuration of the host, and never from the ``Host`` header. Otherwise a proof for a server of
    an attacker would pass.
    """
    headers: Iterable[Header] = field(default=(), repr=False)
    """All headers, in any case. A header that was sent twice must be here twice, or with both values."""


@dataclass(frozen=True)
class Reply:
    """A reply that the host writes out as it is."""

    status: int
    headers: Sequence[Tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def not_found(cls) -> Reply:
        """Returns the reply to a path that is not that of an endpoint."""
        return cls(*_core.not_found())

    def json(self) -> Any:
        """Returns the body as JSON, or ``None`` if it is empty."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Record:
    """A record, which a store keeps under one key. A store needs only ``tag`` and ``delete_after``."""

    tag: bytes
    """16 bytes, other ones with each write. A swap compares it."""
    delete_after: int
    """From when the record may be deleted: milliseconds since 1970-01-01T00:00:00Z."""
    body: bytes
    """The content, JSON. It has no code, no token, no phone number and no e-mail address."""

    def to_bytes(self) -> bytes:
        """Writes the whole record as JSON, in the form of the Rust crates."""
        return b'{"tag":"%b","delete_after":%d,"body":%b}' % (base64url(self.tag), self.delete_after, self.body)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Record:
        """Reads what :meth:`to_bytes` has written.

        :raises StoreError: if this is not a record.
        """
        match = _RECORD.fullmatch(stored)
        if match is None:
            raise StoreError("what is stored is not a record")
        return cls(base64.urlsafe_b64decode(match[1] + b"=="), int(match[2]), match[3])


_RECORD = re.compile(rb'\{"tag":"([A-Za-z0-9_-]{22})","delete_after":([0-9]{1,20}),"body":(\{.*\})\}', re.DOTALL)


@dataclass(frozen=True)
class CodePolicy:
    """The form and the validity of codes. What is ``None`` has the default."""

    length: Optional[int] = None
    """How many characters a code has. Defaults to 6."""
    validity: Optional[timedelta] = None
    """How long a code is valid. Defaults to 3 minutes for a login, and to 60 seconds for other usages."""
    token_validity: Optional[timedelta] = None
    """How long the otp_token is valid. Defaults to 5 minutes."""
    alphabet: Optional[str] = None
    """The characters of a code. Defaults to the ten digits."""

    def _document(self) -> Dict[str, Any]:
        return given(
            length=self.length,
            validity=seconds(self.validity),
            token_validity=seconds(self.token_validity),
            alphabet=self.alphabet,
        )


@dataclass(frozen=True)
class Client:
    """An application that logs users in.

    A *confidential* client has a secret, or keys with which it signs assertions. A *public* client, such as a mobile
    application, has none, and says so. Construction checks the values, and raises :class:`ConfigurationError`. A secret
    that is ``None`` makes no public client: an environment variable that is not set is an error.
    """

    id: str
    secret: Optional[str] = field(default=None, repr=False)
    """The secret. Python can't wipe it from memory: pass ``secret_sha256`` where this matters."""
    secret_sha256: Optional[str] = field(default=None, repr=False)
    """The SHA-256 of the secret in 64 hexadecimal digits, instead of the secret. Good for long random secrets only."""
    public: bool = False
    """Whether the client is public. A client has either a secret, or keys, or ``public=True``."""
    auth_sources: Sequence[str] = ()
    """The auth sources through which the client may send."""
    scopes: str = "openid"
    """The scopes that the client may request."""
    default_scopes: str = "openid"
    """What the client gets if it requests no scope."""
    grants: Sequence[str] = ("sms", "email", "refresh_token")
    """What the client may use. Without ``refresh_token`` it gets no refresh token."""
    may_send: Optional[bool] = None
    """Whether a public client may send codes. Defaults to ``False``. A confidential client always may."""
    may_sign_up: bool = True
    """Whether the client may sign users up."""
    refresh: str = "rotate"
    """``rotate``, or for a confidential client ``stable``: one refresh token for the whole session."""
    retry_window: Optional[timedelta] = None
    """How long a superseded refresh token gets the same successor again. Defaults to 10 seconds."""
    introspects_every_token: bool = False
    """Whether the client may introspect the access tokens of other clients, as an API does."""
    keys: Optional[Sequence[Mapping[str, Any]]] = field(default=None, repr=False, hash=False)
    """The public keys as JWK, instead of a secret. The settings must have ``client_assertions``."""
    auth_method: Optional[str] = None
    """The only method: ``client_secret_basic``, ``client_secret_post``, ``private_key_jwt`` or ``none``.

    Without it, a client with a secret may send the secret in the header or in the body.
    """
    dpop: str = "off"
    """What the client proves by DPoP: ``off``, ``accepted``, ``required`` or ``required_with_nonce``.

    A client that requires proofs is refused unless the settings have ``dpop``.
    """
    code_challenge_required: bool = False
    """Whether each request for a code needs a ``code_challenge``."""
    message_budget: Optional[MessageBudget] = None
    """How many messages the client can send while the send guard is on. Defaults to no limit."""
    _parsed: _core.ParsedClient = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        document = given(
            id=self.id,
            public=self.public,
            secret=self.secret,
            secret_sha256=self.secret_sha256,
            may_send=self.may_send,
            may_sign_up=self.may_sign_up,
            auth_sources=list(self.auth_sources),
            scopes=self.scopes,
            default_scopes=self.default_scopes,
            grants=list(self.grants),
            refresh=self.refresh,
            retry_window=seconds(self.retry_window),
            introspects_every_token=self.introspects_every_token,
            keys=None if self.keys is None else [dict(key) for key in self.keys],
            auth_method=self.auth_method,
            dpop=self.dpop,
            code_challenge_required=self.code_challenge_required,
            message_budget=self.message_budget._document() if self.message_budget else None,
        )
        object.__setattr__(self, "_parsed", _core.ParsedClient(json.dumps(document)))


@dataclass(frozen=True)
class AuthSource:
    """One channel, with the form and the validity of its login codes."""

    id: str
    channel: Channel
    code: CodePolicy = CodePolicy()
    _parsed: _core.ParsedAuthSource = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        document = given(id=self.id, channel=self.channel.value, code=self.code._document() or None)
        object.__setattr__(self, "_parsed", _core.ParsedAuthSource(json.dumps(document)))


@dataclass(frozen=True)
class User:
    """A user, as the host's directory knows them."""

    subject: str
    """The name of the user towards clients. It must never be given to another user."""
    status: UserStatus = UserStatus.ACTIVE
    tokens_valid_after: Optional[datetime] = None
    """Sessions that began before are over. Set it to the current time to sign a user out everywhere. Time-zone aware."""
    is_test: bool = False
    """Whether the user exists for tests. Such a user logs in only by a :class:`TestIdentity`."""


@dataclass(frozen=True)
class Delivery:
    """A code to send to an address."""

    address: Address
    code: str = field(repr=False)
    usage: str
    """``login``, ``signup``, ``update_userinfo``, ``reset_password``, or a usage of the host."""
    client_id: str
    auth_source_id: Optional[str]
    """``None`` for usages other than ``login``."""
    valid_for: timedelta
    """How long the code is valid."""
    attempt: int = 1
    """The number of this message among those with the same code, beginning with 1. The second one can take another route."""


@dataclass(frozen=True)
class AccessToken:
    """The claims of an access token that was checked."""

    subject: str
    client_id: str
    scope: str
    token_id: str
    session: str
    """The session, for ``revoke_session``."""
    issued_at: datetime
    expires_at: datetime
    auth_time: Optional[datetime]
    amr: Sequence[str]
    custom: Mapping[str, Any]
    """The claims that the directory has added."""
    key: Optional[str] = None
    """The thumbprint (RFC 7638) of the key that the token is bound to, if it is bound."""

    @property
    def scopes(self) -> Sequence[str]:
        """The scope, split at its spaces."""
        return self.scope.split()


@dataclass(frozen=True)
class VerifiedAddress:
    """The proof that the presenter of a code has its address."""

    address: Address
    usage: str
    verified_at: datetime


@dataclass(frozen=True)
class Route:
    """An endpoint, with its path and its URL."""

    endpoint: str
    path: str
    url: str
    methods: Sequence[str]


@dataclass(frozen=True)
class Keyring:
    """The two secrets of a host, each 32 random bytes or more in base64.

    The index secret derives the keys of records. The sealing secret seals tokens, and derives codes. All hosts on one
    store have the same keyring. Keep it apart from the database.
    """

    index: str = field(repr=False)
    sealing: str = field(repr=False)
    accepted: Sequence[str] = field(default=(), repr=False)
    """Further sealing secrets that are accepted, while the sealing secret is replaced."""

    @classmethod
    def generate(cls) -> Keyring:
        """Makes new secrets. A host that restarts, or that shares a store, reads them from its configuration."""
        index, sealing = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
        return cls(index, sealing)

    def _document(self) -> Dict[str, Any]:
        return {"index": self.index, "sealing": self.sealing, "accepted": list(self.accepted)}


@dataclass(frozen=True)
class SigningKey:
    """The key that signs tokens. Make it with :meth:`from_pem`, :meth:`generate` or :meth:`external`."""

    active: Union[str, Mapping[str, Any]] = field(repr=False)
    key_id: Optional[str] = None
    published: Sequence[Union[str, Mapping[str, Any]]] = field(default=(), repr=False)
    """Further keys in the key set, as PEM or as public JWK: the next one, and the last one."""
    algorithm: Optional[str] = None
    """The algorithm of the active key, where its kind has two."""

    @classmethod
    def from_pem(
        cls,
        pem: str,
        *,
        key_id: Optional[str] = None,
        published: Sequence[Union[str, Mapping[str, Any]]] = (),
        algorithm: Optional[str] = None,
    ) -> SigningKey:
        """Takes a private key in PEM: RSA of 2048, 3072 or 4096 bits (RS256), P-256 (ES256) or Ed25519 (EdDSA).

        ``algorithm`` chooses ``PS256`` for an RSA key, or the name ``Ed25519`` in place of ``EdDSA``.
        """
        return cls(pem, key_id, published, algorithm)

    @classmethod
    def generate(cls, algorithm: str = "ES256") -> SigningKey:
        """Makes a key that is lost with the process: ``ES256``, ``EdDSA`` or ``Ed25519``."""
        return cls({"generate": algorithm})

    @classmethod
    def external(
        cls, jwk: Mapping[str, Any], *, key_id: Optional[str] = None
    ) -> SigningKey:
        """Names a key that the host can't read, such as one in a key service. The server's ``signer`` signs.

        An RSA key whose JWK has the ``alg`` ``PS256`` signs with PS256. Without ``alg``, it signs with RS256.
        """
        return cls({"external": dict(jwk)}, key_id)

    def _document(self) -> Dict[str, Any]:
        active = self.active if isinstance(self.active, str) else dict(self.active)
        published = list(self.published) or None
        return given(active=active, algorithm=self.algorithm, key_id=self.key_id, published=published)


@dataclass(frozen=True)
class SigningQuestion:
    """A token to sign with an external key."""

    message: bytes = field(repr=False)
    """What is signed: header and claims of a JWS."""
    algorithm: str
    key_id: str


@dataclass(frozen=True)
class Quota:
    """How often something may happen within a window of time."""

    count: int
    per: timedelta

    def _document(self) -> Dict[str, Any]:
        return {"count": self.count, "per": seconds(self.per)}


@dataclass(frozen=True)
class Settings:
    """The settings of a server. What is ``None`` has the default of the core."""

    send_quotas: Optional[Sequence[Quota]] = None
    """How often one address may be sent to. Defaults to once in 30 seconds and 50 times in 24 hours."""
    guesses_per_code: Optional[int] = None
    """Defaults to 5."""
    guesses_per_address: Optional[Quota] = None
    """Defaults to 25 in 24 hours."""
    devices: Union[DevicePolicy, Literal[False], None] = None
    """The budgets of devices that users log in with. Defaults to those of :class:`DevicePolicy`.

    ``False`` remembers no device. Whoever may send can then keep a user out for a day.
    """
    send_guard: Optional[SendGuard] = None
    """The guard against messages that nobody reads. Defaults to off."""
    test_identities: Sequence[TestIdentity] = ()
    """The addresses that log in with a fixed code."""
    access_token_validity: Optional[timedelta] = None
    """Defaults to 5 minutes."""
    id_token_validity: Optional[timedelta] = None
    """Defaults to 30 minutes."""
    session_idle: Optional[timedelta] = None
    """How long a session lives without a refresh. Defaults to 14 days."""
    session_validity: Optional[timedelta] = None
    """How long a session lives in all. Defaults to 30 days."""
    key_set_max_age: Optional[timedelta] = None
    """How long the key set and the metadata may be cached. Defaults to 5 minutes."""
    repeat_answer_within: Optional[timedelta] = None
    """How long a right code is answered again, where the answer was lost. Defaults to never."""
    code: Optional[CodePolicy] = None
    """The codes of usages other than ``login``."""
    usages: Sequence[str] = ()
    """Usages that the host defines."""
    country_code: Optional[str] = None
    """What a national phone number is completed by, such as ``"86"``."""
    international_local_parts: bool = False
    """Whether the part of an e-mail address before the ``@`` may have letters other than those of ASCII."""
    rfc9068_audience: Optional[str] = None
    """The audience of access tokens after RFC 9068. Defaults to access tokens of the wire contract."""
    authentication_claims: bool = False
    """Whether access tokens say when and how the user logged in."""
    dpop: str = "off"
    """Whether the server reads DPoP proofs (RFC 9449): ``off``, ``on`` or ``strict``.

    ``strict`` accepts a proof only once also at ``/userinfo`` and in ``check_access_token``. Each check then costs one
    more write.
    """
    client_assertions: bool = False
    """Whether clients with ``keys`` can authenticate, by assertions that they sign (``private_key_jwt``)."""
    grant_types: Mapping[str, Channel] = field(default_factory=dict)
    """Further names of the OTP grant, and the channel of each."""
    claims_supported: Sequence[str] = ()
    """The claims of the directory that the metadata names."""
    scopes_supported: Optional[str] = None
    """The scopes that the metadata names. Defaults to ``openid``."""
    endpoints: Mapping[str, Union[str, bool]] = field(default_factory=dict)
    """Other paths, or ``False`` for an endpoint that is not served. For example ``{"introspection": False}``."""
    body_limit: Optional[int] = None
    """The largest body in bytes. Defaults to 16 KiB."""
    danger_without_send_quotas: bool = False
    """Lifts all send quotas. Only for load tests: an attacker can flood a phone, and the host pays."""
    danger_disclose_used_addresses: bool = False
    """Tells callers whether an address belongs to a user, for the usages ``signup`` and ``update_userinfo``."""

    def _document(self) -> Dict[str, Any]:
        quotas = given(
            sends=[quota._document() for quota in self.send_quotas] if self.send_quotas is not None else None,
            guesses_per_code=self.guesses_per_code,
            guesses_per_address=self.guesses_per_address._document() if self.guesses_per_address else None,
        )
        validity = given(
            access_token=seconds(self.access_token_validity),
            id_token=seconds(self.id_token_validity),
            session_idle=seconds(self.session_idle),
            session=seconds(self.session_validity),
            key_set=seconds(self.key_set_max_age),
            repeat_answer_within=seconds(self.repeat_answer_within),
        )
        addresses = given(
            country_code=self.country_code, international_local_parts=self.international_local_parts or None
        )
        tokens = given(
            rfc9068_audience=self.rfc9068_audience, authentication_claims=self.authentication_claims or None
        )
        discovery = given(claims=list(self.claims_supported) or None, scopes=self.scopes_supported)
        danger = given(
            without_send_quotas=self.danger_without_send_quotas or None,
            disclose_used_addresses=self.danger_disclose_used_addresses or None,
        )
        members = given(
            quotas=quotas or None,
            devices=self.devices._document() if self.devices else self.devices,
            send_guard=self.send_guard._document() if self.send_guard else None,
            test_identities=[identity._document() for identity in self.test_identities] or None,
            validity=validity or None,
            codes=(self.code._document() or None) if self.code else None,
            usages=list(self.usages) or None,
            addresses=addresses or None,
            access_tokens=tokens or None,
            dpop=self.dpop,
            client_assertions=self.client_assertions,
            grant_types={name: channel.value for name, channel in self.grant_types.items()} or None,
            discovery=discovery or None,
            endpoints=dict(self.endpoints) or None,
            limits=given(body=self.body_limit) or None,
            danger=danger or None,
        )
        return members


def given(**members: Any) -> Dict[str, Any]:
    """Returns the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def seconds(duration: Optional[timedelta]) -> Optional[float]:
    """Returns a duration as the configuration has it."""
    return None if duration is None else duration.total_seconds()


def instant(millis: int) -> datetime:
    """Returns an instant of the core as Python has it."""
    return datetime.fromtimestamp(millis / 1000, timezone.utc)


def base64url(data: bytes) -> bytes:
    """Writes bytes in base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
