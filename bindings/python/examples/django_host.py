"""A complete host over HTTP, on Django: ``python django_host.py --listen 127.0.0.1:8080``.

[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off] [--store URL]

Waitress serves it, with a pool of threads. It hands over no body that was cut short, and joins headers that are sent
twice. A server that drops one of them would hide from the core that a request is ambiguous.
"""

from __future__ import annotations

import logging

import django
import waitress
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from support import MOST_READ, Options

import otp_grant
from otp_grant import AccessTokenError, Reply, Server, Unavailable

server: Server


def greet(request: HttpRequest) -> HttpResponse:
    """A route of the host's own. It greets the user of an access token that has the scope ``profile``."""
    try:
        presented = otp_grant.Request.from_wsgi(request.META).at(server.issuer + "/greeting")
        claims = server.check_access_token(presented, scope="profile")
    except AccessTokenError as refused:
        return written(refused.reply)
    except Unavailable:
        return HttpResponse(status=503)
    return HttpResponse(f"Hello, {claims.subject}!\n", content_type="text/plain")


@csrf_exempt
def answer(request: HttpRequest) -> HttpResponse:
    """Answers a request to any endpoint. The core finds the endpoint, and checks the method."""
    try:
        body = request.body
    except RequestDataTooBig:
        return HttpResponse(status=413)
    reply = server.handle(otp_grant.Request.from_wsgi(request.META, body))
    return written(reply or Reply.not_found())


def written(reply: Reply) -> HttpResponse:
    """Turns a reply into a response."""
    response = HttpResponse(reply.body, status=reply.status)
    del response.headers["Content-Type"]
    for name, value in reply.headers:
        response.headers[name] = value
    response.headers["Content-Length"] = str(len(reply.body))
    return response


# The routes of your own service go before the last one.
urlpatterns = [path("greeting", greet), re_path("", answer)]


def main() -> None:
    """Serves in one process, with threads."""
    global server
    options = Options()
    server = Server(store=options.store(), **options.server())
    server.check_keyring()
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        DATA_UPLOAD_MAX_MEMORY_SIZE=MOST_READ,
        # Otherwise each reply above 399 is a line on standard error.
        LOGGING_CONFIG=None,
    )
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    django.setup()
    listener = options.bind()
    # Otherwise waitress stores a body of up to 1 GiB before the application is asked.
    limits = {"threads": 16, "connection_limit": 1000, "max_request_body_size": MOST_READ}
    waitress.serve(WSGIHandler(), sockets=[listener], ident=None, **limits)


if __name__ == "__main__":
    main()
