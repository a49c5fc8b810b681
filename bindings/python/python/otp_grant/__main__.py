"""A login to try: ``python -m otp_grant``. It runs in this process, over the store and the directory in memory."""

from __future__ import annotations

import base64
import json
import sys
import urllib.parse
from typing import Any, Dict, List

from . import (
    SMS_GRANT_TYPE,
    Address,
    AuthSource,
    Channel,
    Client,
    Delivery,
    Keyring,
    MemoryDirectory,
    MemoryStore,
    Request,
    Server,
    SigningKey,
    User,
)

CLIENT = {"client_id": "web", "client_secret": "a long random value"}
PHONE = "+8613612345678"


def main() -> int:
    """Shows the life of a login: a code, tokens, a refresh, and a sign-out."""
    sent: List[Delivery] = []
    directory = MemoryDirectory(
        clients=[Client("web", secret="a long random value", auth_sources=["sms"], scopes="openid profile")],
        auth_sources=[AuthSource("sms", Channel.SMS)],
    )
    directory.add_user(User("user-4711"), Address.phone_number(PHONE), claims={"name": "Ada"})
    server = Server(
        issuer="https://login.example.com",
        keyring=Keyring.generate(),
        signing_key=SigningKey.generate("ES256"),
        store=MemoryStore(),
        directory=directory,
        deliver=sent.append,
    )
    print("A client asks for a code, for a user whose phone number is", PHONE)
    challenge = call(server, "/otp/send", {**CLIENT, "auth_source_id": "sms", "phone_number": PHONE})
    print(f"\n  +-- SMS to {sent[0].address} --+\n  |  Your code is {sent[0].code}.     |\n  +---------------------------+\n")

    grant = {**CLIENT, "grant_type": SMS_GRANT_TYPE, "auth_source_id": "sms", "phone_number": PHONE}
    grant.update(otp_token=challenge["otp_token"], scope="openid profile")
    tokens: Dict[str, Any] = {}
    while "access_token" not in tokens:
        tokens = call(server, "/oauth2/token", {**grant, "otp": entered(sent[0].code)})
        if tokens.get("error_description") == "Unknown or expired otp_token":
            print("No guess is left. Also the right code is refused now. Run this again.")
            return 1

    print("\nThe claims of the access token, a JWT:")
    claims = tokens["access_token"].split(".")[1]
    print("   ", json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))
    print("\nAn API asks who this is:")
    call(server, "/userinfo", bearer=tokens["access_token"])
    print("\nThe client refreshes its tokens, and then signs the user out:")
    refresh = {**CLIENT, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    tokens = call(server, "/oauth2/token", refresh)
    call(server, "/oauth2/revoke", {**CLIENT, "token": tokens["refresh_token"]}, form=True)
    print("\nThe access token is refused from now on:")
    call(server, "/userinfo", bearer=tokens["access_token"])
    print("\nNext: the README of the package has a complete host, and its examples run on FastAPI, Django and Flask.")
    return 0


def entered(code: str) -> str:
    """Reads the code. Without a terminal, it is the right one."""
    if not sys.stdin.isatty():
        return code
    return input("Enter the code, or a wrong one: ").strip()


def call(server: Server, path: str, body: Any = None, *, form: bool = False, bearer: str = "") -> Any:
    """Makes a request, and prints it and its reply."""
    if bearer:
        request = Request("GET", path, [("Authorization", f"Bearer {bearer}")])
        print(f"GET {path}")
    else:
        type_ = "application/x-www-form-urlencoded" if form else "application/json"
        content = urllib.parse.urlencode(body) if form else json.dumps(body)
        request = Request("POST", path, [("Content-Type", type_)], content.encode())
        print(f"POST {path}  {short(body)}")
    reply = server.handle(request)
    if reply is None:
        raise SystemExit(f"{path} is not an endpoint")
    answer = reply.json()
    challenge = next((f"  {name}: {value}" for name, value in reply.headers if name.lower() == "www-authenticate"), "")
    print(f"    {reply.status}  {short(answer)}{challenge}")
    return answer or {}


def short(value: Any) -> str:
    """Cuts long texts."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    cut = {name: text[:24] + "…" if isinstance(text, str) and len(text) > 56 else text for name, text in value.items()}
    return json.dumps(cut, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
