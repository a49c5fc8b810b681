"""The servers: the engine of the core, with the ports of the host."""

from __future__ import annotations

import json
import logging
from typing import Any, Callable, Dict, Iterable, List, Mapping, NoReturn, Optional, Sequence, Tuple, Union

from . import _core
from ._loops import Ports, drive, drive_async
from ._messages import AddressState, Verdict, address_state
from ._types import (
    AccessToken,
    Address,
    ApiRequest,
    Channel,
    Header,
    Keyring,
    Reply,
    Request,
    Route,
    Settings,
    SigningKey,
    VerifiedAddress,
    given,
    instant,
)
from .errors import AccessTokenError, ConfigurationError, KeyringError, Unavailable, VerificationError
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

logger = logging.getLogger("otp_grant")


class _Base:
    """What both servers have: everything that asks no question."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Keyring,
        signing_key: SigningKey,
        store: Union[Store, AsyncStore],
        directory: Union[Directory, AsyncDirectory],
        deliver: Union[Deliver, AsyncDeliver],
        settings: Optional[Settings],
        signer: Union[Signer, AsyncSigner, None],
        observer: Optional[Observer],
        numbering_plan: Optional[Callable[[str], Optional[str]]],
        budget: Optional[Callable[[Address], str]],
    ) -> None:
        document = {
            "issuer": issuer,
            "keys": keyring._document(),
            "signing": signing_key._document(),
            **(settings or Settings())._document(),
        }
        self._engine = _core.Engine(
            json.dumps(document), _event_observer(observer), numbering_plan, _budget_of(budget)
        )
        self._ports = _ports(store, directory, deliver, signer)

    @property
    def issuer(self) -> str:
        """The issuer of the tokens."""
        return self._engine.issuer

    @property
    def routes(self) -> Sequence[Route]:
        """The endpoints that ``handle`` answers."""
        routes: List[Dict[str, Any]] = json.loads(self._engine.routes())
        return [Route(route["endpoint"], route["path"], route["url"], tuple(route["methods"])) for route in routes]

    def key_set(self) -> Dict[str, Any]:
        """Returns the public keys that verify the tokens (RFC 7517)."""
        keys: Dict[str, Any] = json.loads(self._engine.key_set())
        return keys

    def address(self, channel: Channel, text: str) -> Address:
        """Reads an address by the settings of this server, into the form in which it reaches the directory.

        :raises ConfigurationError: if the text is no such address.
        """
        return Address(channel, json.loads(self._engine.normalise_address(channel.value, text))["address"])

    def verify_access_token(
        self, token: Union[str, ApiRequest], *, client_id: Optional[str] = None, scope: Optional[str] = None
    ) -> AccessToken:
        """Checks an access token offline: signature, type, issuer, client, time and scope. Asks no port.

        A token that was revoked passes until it expires. A token that is bound to a key needs the request with its
        proof. Whether the proof was used before is not known, and its nonce is not looked at.

        :param token: a bearer token alone, or the request that presents a token.
        :param client_id: the client whose tokens are accepted. Defaults to every client of this server.
        :param scope: the scope that the token must have.
        :raises AccessTokenError: if the token is not good. It has the reply.
        """
        if isinstance(token, ApiRequest):
            outcome = self._engine.verify_request(*_parts(token), client_id, scope)
        else:
            outcome = self._engine.verify_access_token(token, client_id, scope)
        return _access_token(_outcome(outcome))

    def _begin(self, request: Request, verdict: Verdict) -> Optional[_core.Exchange]:
        return self._engine.begin(request.method, request.path, request.headers, request.body, verdict.value)

    def _check(self, token: Union[str, ApiRequest], client_id: Optional[str], scope: Optional[str]) -> _core.Exchange:
        if isinstance(token, ApiRequest):
            return self._engine.check_request(*_parts(token), client_id, scope)
        return self._engine.check_access_token(token, client_id, scope)


class Server(_Base):
    """An authorization server for synchronous hosts. It can be shared between threads.

    ::

        server = Server(issuer="https://login.example.com", keyring=keyring, signing_key=key,
                        store=MemoryStore(), directory=directory, deliver=send_sms)
        reply = server.handle(Request("POST", "/otp/send", headers, body))
    """

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Keyring,
        signing_key: SigningKey,
        store: Store,
        directory: Directory,
        deliver: Deliver,
        settings: Optional[Settings] = None,
        signer: Optional[Signer] = None,
        observer: Optional[Observer] = None,
        numbering_plan: Optional[Callable[[str], Optional[str]]] = None,
        budget: Optional[Callable[[Address], str]] = None,
    ) -> None:
        """Makes a server.

        :param issuer: the URL that tokens name, without a slash at its end.
        :param deliver: sends a code. It should queue the message: a client could otherwise time the delivery.
        :param signer: signs with the key of :meth:`SigningKey.external`.
        :param observer: receives each event, in the middle of a request. It must return at once.
        :param numbering_plan: returns the international form of a phone number, with ``+``, or ``None``. It gets
            each number, also one with ``+``, and must be a pure function of it.
        :param budget: returns the name under which guesses at an address are counted, where the directory finds one
            user by several forms of an address. It must be a pure function of the address, and must not raise. All
            addresses for which it raises or returns no text share one budget, so a failure gives no attacker more
            guesses.
        :raises ConfigurationError: with the place of the member that can't be as it is.
        """
        super().__init__(
            issuer=issuer,
            keyring=keyring,
            signing_key=signing_key,
            store=store,
            directory=directory,
            deliver=deliver,
            settings=settings,
            signer=signer,
            observer=observer,
            numbering_plan=numbering_plan,
            budget=budget,
        )

    def handle(self, request: Request, *, verdict: Verdict = Verdict.NONE) -> Optional[Reply]:
        """Answers a request to any endpoint. Returns ``None`` for a path that is not that of an endpoint.

        It raises nothing that a client or a port can cause: a port that fails is answered with 503, and logged.

        :param verdict: what the host knows about the request. The send endpoint reads it, where the settings have a
            ``send_guard``.
        """
        exchange = self._begin(request, verdict)
        if exchange is None:
            return None
        drive(exchange, self._ports)
        return Reply(*exchange.reply())

    def check_access_token(
        self, token: Union[str, ApiRequest], *, client_id: Optional[str] = None, scope: Optional[str] = None
    ) -> AccessToken:
        """Checks an access token as :meth:`verify_access_token` does, and that neither it nor its session was revoked.

        Asks the store once and the directory once. A token that is bound to a key needs the request with its proof::

            claims = server.check_access_token(request.at("https://api.example.com/orders"), scope="orders")

        :raises AccessTokenError: if the token is not good. It has the reply, with the challenge and, where it is
            needed, the nonce for the next proof.
        :raises Unavailable: if a port failed.
        """
        return _access_token(self._ask(self._check(token, client_id, scope)))

    def verify(
        self,
        *,
        client_id: str,
        usage: str,
        address: Address,
        otp_token: str,
        otp: str,
        code_verifier: Optional[str] = None,
        proof: Optional[ApiRequest] = None,
        device_token: Optional[str] = None,
    ) -> VerifiedAddress:
        """Redeems a code of a usage other than ``login``. The host has authenticated the client.

        The client is not looked up. If it has ``code_challenge_required``, the host refuses a request without a
        ``code_verifier`` itself.

        :param code_verifier: the verifier, if the code was asked for with a ``code_challenge``.
        :param proof: the request, if the code was asked for with a DPoP proof. It has a proof of the same key.
        :param device_token: the device token of an earlier login to the address. One that is not good counts as none.
        :raises VerificationError: if the code is not good.
        :raises Unavailable: if a port failed.
        """
        code = (client_id, usage, address, otp_token, otp, code_verifier, proof, device_token)
        return _verified(self._ask(_verify(self._engine, *code)))

    def explain(self, address: Address) -> AddressState:
        """Tells what an address has left, for the host's support staff.

        :raises Unavailable: if the store failed.
        """
        return address_state(self._ask(self._engine.explain(address.channel.value, address.text)))

    def unlock(self, address: Address) -> None:
        """Clears the counted guesses and sends of an address and of its devices. The guesses of each code still count.

        Whoever locked the address can lock it again. A known device is not affected by that.

        :raises Unavailable: if the store failed.
        """
        self._ask(self._engine.unlock(address.channel.value, address.text))

    def forget_devices(self, address: Address) -> None:
        """Makes an address forget its devices, after one was lost or stolen. What they have used up still counts.

        :raises Unavailable: if the store failed.
        """
        self._ask(self._engine.forget_devices(address.channel.value, address.text))

    def revoke_session(self, session: str) -> None:
        """Ends a session with all its tokens. A session that is unknown or over is a success.

        :raises Unavailable: if the store failed.
        """
        self._ask(self._engine.revoke_session(session))

    def check_keyring(self) -> bool:
        """Compares the secrets of this host with those of the other hosts on the store. Call it before you serve.

        Returns ``False`` if another host seals with a secret that this host does not accept yet: a step of a
        replacement came too early.

        :raises KeyringError: if the host should not serve.
        :raises Unavailable: if the store failed.
        """
        return _keyring(self._ask(self._engine.check_keyring()))

    def announce_new_keyring(self) -> None:
        """Announces secrets that were replaced on purpose. The first host that has them calls it once.

        :raises Unavailable: if the store failed.
        """
        self._ask(self._engine.announce_new_keyring())

    def _ask(self, exchange: _core.Exchange) -> Mapping[str, Any]:
        failure = drive(exchange, self._ports)
        return _outcome(exchange.document(), failure)


class AsyncServer(_Base):
    """An authorization server for asyncio. It has the methods of :class:`Server` as coroutines."""

    def __init__(
        self,
        *,
        issuer: str,
        keyring: Keyring,
        signing_key: SigningKey,
        store: AsyncStore,
        directory: AsyncDirectory,
        deliver: AsyncDeliver,
        settings: Optional[Settings] = None,
        signer: Optional[AsyncSigner] = None,
        observer: Optional[Observer] = None,
        numbering_plan: Optional[Callable[[str], Optional[str]]] = None,
        budget: Optional[Callable[[Address], str]] = None,
    ) -> None:
        """Makes a server, as :class:`Server` does."""
        super().__init__(
            issuer=issuer,
            keyring=keyring,
            signing_key=signing_key,
            store=store,
            directory=directory,
            deliver=deliver,
            settings=settings,
            signer=signer,
            observer=observer,
            numbering_plan=numbering_plan,
            budget=budget,
        )

    async def handle(self, request: Request, *, verdict: Verdict = Verdict.NONE) -> Optional[Reply]:
        """Answers a request, as :meth:`Server.handle` does. A code of a task that is cancelled is usable or spent."""
        exchange = self._begin(request, verdict)
        if exchange is None:
            return None
        await drive_async(exchange, self._ports)
        return Reply(*exchange.reply())

    async def check_access_token(
        self, token: Union[str, ApiRequest], *, client_id: Optional[str] = None, scope: Optional[str] = None
    ) -> AccessToken:
        """Checks an access token, as :meth:`Server.check_access_token` does."""
        return _access_token(await self._ask(self._check(token, client_id, scope)))

    async def verify(
        self,
        *,
        client_id: str,
        usage: str,
        address: Address,
        otp_token: str,
        otp: str,
        code_verifier: Optional[str] = None,
        proof: Optional[ApiRequest] = None,
        device_token: Optional[str] = None,
    ) -> VerifiedAddress:
        """Redeems a code, as :meth:`Server.verify` does."""
        code = (client_id, usage, address, otp_token, otp, code_verifier, proof, device_token)
        return _verified(await self._ask(_verify(self._engine, *code)))

    async def explain(self, address: Address) -> AddressState:
        """Tells what an address has left, as :meth:`Server.explain` does."""
        return address_state(await self._ask(self._engine.explain(address.channel.value, address.text)))

    async def unlock(self, address: Address) -> None:
        """Clears what was counted, as :meth:`Server.unlock` does."""
        await self._ask(self._engine.unlock(address.channel.value, address.text))

    async def forget_devices(self, address: Address) -> None:
        """Makes an address forget its devices, as :meth:`Server.forget_devices` does."""
        await self._ask(self._engine.forget_devices(address.channel.value, address.text))

    async def revoke_session(self, session: str) -> None:
        """Ends a session, as :meth:`Server.revoke_session` does."""
        await self._ask(self._engine.revoke_session(session))

    async def check_keyring(self) -> bool:
        """Compares the secrets of the hosts, as :meth:`Server.check_keyring` does."""
        return _keyring(await self._ask(self._engine.check_keyring()))

    async def announce_new_keyring(self) -> None:
        """Announces new secrets, as :meth:`Server.announce_new_keyring` does."""
        await self._ask(self._engine.announce_new_keyring())

    async def _ask(self, exchange: _core.Exchange) -> Mapping[str, Any]:
        failure = await drive_async(exchange, self._ports)
        return _outcome(exchange.document(), failure)


def _ports(store: Any, directory: Any, deliver: Any, signer: Any) -> Ports:
    for port, needed in ((store, ("load", "swap")), (directory, _DIRECTORY)):
        for name in needed:
            if not callable(getattr(port, name, None)):
                raise ConfigurationError(f"{type(port).__name__} has no method {name}")
    if not callable(deliver):
        raise ConfigurationError("deliver can't be called")
    optional = {name: getattr(directory, name, None) for name in ("granted_scope", "access_token_claims")}
    ports = {"load": store.load, "swap": store.swap, "deliver": deliver, "sign": signer, **optional}
    ports.update({name: getattr(directory, name) for name in _DIRECTORY})
    return given(**ports)


def _event_observer(observer: Optional[Observer]) -> Optional[Callable[[str], None]]:
    if observer is None:
        return None
    told = observer

    def observe(event: str) -> None:
        try:
            told(json.loads(event))
        except Exception:
            logger.exception("the observer failed")

    return observe


def _budget_of(budget: Optional[Callable[[Address], str]]) -> Optional[Callable[[str, str], str]]:
    if budget is None:
        return None
    named = budget
    return lambda channel, text: named(Address(Channel(channel), text))


def _verify(
    engine: _core.Engine,
    client_id: str,
    usage: str,
    address: Address,
    otp_token: str,
    otp: str,
    code_verifier: Optional[str],
    proof: Optional[ApiRequest],
    device_token: Optional[str],
) -> _core.Exchange:
    parts = None if proof is None else _parts(proof)
    channel = address.channel.value
    return engine.verify(client_id, usage, channel, address.text, otp_token, otp, code_verifier, parts, device_token)


def _parts(request: ApiRequest) -> Tuple[str, str, Iterable[Header]]:
    return request.method, request.external_url, request.headers


def _outcome(outcome: _core._Outcome, failure: Optional[Exception] = None) -> Mapping[str, Any]:
    """Returns the document of a verb, or raises its refusal."""
    document, refusal = outcome
    if refusal is not None:
        _raise(refusal, failure)
    assert document is not None
    answer: Mapping[str, Any] = json.loads(document)
    return answer


def _raise(refusal: _core._Refusal, failure: Optional[Exception]) -> NoReturn:
    code, message, attempts_remaining, reply = refusal
    if code == "temporarily_unavailable":
        raise Unavailable(message) from failure
    if code in ("other_index_secret", "no_shared_sealing_secret"):
        raise KeyringError(code, message)
    # The reply is that of an API, which redeems no codes.
    if reply is None:
        raise VerificationError(code, message, attempts_remaining)
    raise AccessTokenError(code, message, Reply(*reply))


def _access_token(claims: Mapping[str, Any]) -> AccessToken:
    auth_time = claims.get("auth_time")
    return AccessToken(
        subject=claims["subject"],
        client_id=claims["client"],
        scope=claims["scope"],
        token_id=claims["token_id"],
        session=claims["session"],
        issued_at=instant(claims["issued_at"]),
        expires_at=instant(claims["expires_at"]),
        auth_time=None if auth_time is None else instant(auth_time),
        amr=tuple(claims.get("amr", ())),
        custom=claims.get("custom", {}),
        key=claims.get("key"),
    )


def _verified(answer: Mapping[str, Any]) -> VerifiedAddress:
    address = Address(Channel(answer["channel"]), answer["address"])
    return VerifiedAddress(address, answer["usage"], instant(answer["verified_at"]))


def _keyring(answer: Mapping[str, Any]) -> bool:
    return bool(answer["keyring"] == "agrees")


_DIRECTORY = ("client", "auth_source", "user_by_address", "user_by_subject", "user_claims", "sign_up")
