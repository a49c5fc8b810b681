"""A complete host over HTTP, on Flask: ``python flask_host.py --listen 127.0.0.1:8080``.

[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off] [--store URL]

Waitress serves it, with a pool of threads. It hands over no body that was cut short, and joins headers that are sent
twice. A server that drops one of them would hide from the core that a request is ambiguous.
"""

from __future__ import annotations

import waitress
from flask import Flask, Response, request
from support import MOST_READ, Options
from werkzeug.exceptions import RequestEntityTooLarge

import otp_grant
from otp_grant import AccessTokenError, Reply, Server, Unavailable

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def app(server: Server) -> Flask:
    """Makes the application. The routes of your own service are found before the last one."""
    flask = Flask(__name__)
    flask.config["MAX_CONTENT_LENGTH"] = MOST_READ

    @flask.get("/greeting")
    def greet() -> Response:
        """A route of the host's own. It greets the user of an access token that has the scope ``profile``."""
        try:
            presented = otp_grant.Request.from_wsgi(request.environ).at(server.issuer + "/greeting")
            claims = server.check_access_token(presented, scope="profile")
        except AccessTokenError as refused:
            return written(refused.reply)
        except Unavailable:
            return Response(status=503)
        return Response(f"Hello, {claims.subject}!\n", mimetype="text/plain")

    @flask.route("/", defaults={"path": ""}, methods=METHODS, provide_automatic_options=False)
    @flask.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
    def answer(path: str) -> Response:
        """Answers a request to any endpoint. The core finds the endpoint, and checks the method."""
        try:
            body = request.get_data()
        except RequestEntityTooLarge:
            return Response(status=413)
        reply = server.handle(otp_grant.Request.from_wsgi(request.environ, body))
        return written(reply or Reply.not_found())

    return flask


def written(reply: Reply) -> Response:
    """Turns a reply into a response."""
    return Response(reply.body, reply.status, list(reply.headers))


def main() -> None:
    """Serves in one process, with threads."""
    options = Options()
    server = Server(store=options.store(), **options.server())
    server.check_keyring()
    listener = options.bind()
    # Otherwise waitress stores a body of up to 1 GiB before the application is asked.
    limits = {"threads": 16, "connection_limit": 1000, "max_request_body_size": MOST_READ}
    waitress.serve(app(server), sockets=[listener], ident=None, **limits)


if __name__ == "__main__":
    main()
