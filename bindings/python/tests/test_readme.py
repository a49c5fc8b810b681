"""The host of the README runs as it stands there."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any, Dict

from hosting import post

from otp_grant import SMS_GRANT_TYPE

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")


def test_the_host_of_the_readme_logs_in(capsys: Any) -> None:
    with open(README, encoding="utf-8") as file:
        source = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)[0]
    module: Dict[str, Any] = {"__name__": "host"}
    exec(compile(source, "README.md", "exec"), module)
    app = module["app"]
    client = {"client_id": "web", "client_secret": "a long random value", "auth_source_id": "sms"}
    body = {**client, "phone_number": "+8613612345678"}

    async def call(path: str, content: Dict[str, Any]) -> Any:
        """Makes a request of ASGI."""
        request = post(path, content)
        sent: Dict[str, Any] = {"body": b""}

        async def receive() -> Dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Dict[str, Any]) -> None:
            sent["body"] += message.get("body", b"")
            sent.update({name: message[name] for name in ("status", "headers") if name in message})

        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
                 "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
                 "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("a", 80)}
        await app(scope, receive, send)
        return sent

    challenge = asyncio.run(call("/otp/send", body))
    assert challenge["status"] == 200, challenge
    code = capsys.readouterr().out.strip().rpartition(" ")[2]
    login = {**body, "grant_type": SMS_GRANT_TYPE, "otp": code, "otp_token": json.loads(challenge["body"])["otp_token"]}
    reply = asyncio.run(call("/oauth2/token", login))
    assert reply["status"] == 200 and (b"cache-control", b"no-store") in reply["headers"]
    assert asyncio.run(call("/nothing", {}))["status"] == 404
