"""A complete host over HTTP, on FastAPI: ``python fastapi_host.py --listen 127.0.0.1:8080``.

[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off] [--store URL]
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import AsyncIterator

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from support import MOST_READ, Options

import otp_grant
from otp_grant import AccessTokenError, AsyncServer, Reply, Unavailable

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PATIENCE = 10.0
"""How long a client can take to send a body, in seconds."""


def app(options: Options) -> FastAPI:
    """Makes the application. The routes of your own service go before the last one."""

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        server = AsyncServer(store=await options.async_store(), **options.server())
        await server.check_keyring()
        api.state.server = server
        yield

    api = FastAPI(lifespan=lifespan, openapi_url=None)

    @api.get("/greeting")
    async def greet(request: Request) -> Response:
        """A route of the host's own. It greets the user of an access token that has the scope ``profile``."""
        server: AsyncServer = request.app.state.server
        try:
            presented = otp_grant.Request.from_asgi(request.scope).at(server.issuer + "/greeting")
            claims = await server.check_access_token(presented, scope="profile")
        except AccessTokenError as refused:
            return written(refused.reply)
        except Unavailable:
            return Response(status_code=503)
        return Response(f"Hello, {claims.subject}!\n", media_type="text/plain")

    async def answer(request: Request) -> Response:
        """Answers a request to any endpoint. The core finds the endpoint, and checks the method."""
        try:
            body = await asyncio.wait_for(read(request), PATIENCE)
        except (ClientDisconnect, asyncio.TimeoutError):
            return Response(status_code=400)
        server: AsyncServer = request.app.state.server
        reply = await server.handle(otp_grant.Request.from_asgi(request.scope, body))
        return written(reply or Reply.not_found())

    api.add_route("/{path:path}", answer, methods=METHODS)
    return api


async def read(request: Request) -> bytes:
    """Reads a body, up to the limit or a little more. A body that was cut short raises ClientDisconnect."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) >= MOST_READ:
            break
    return bytes(body)


def written(reply: Reply) -> Response:
    """Turns a reply into a response."""
    response = Response(reply.body, reply.status)
    response.raw_headers += [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    return response


def main() -> None:
    """Serves in one process, on one event loop."""
    options = Options()
    listener = options.bind()
    config = uvicorn.Config(app(options), log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
