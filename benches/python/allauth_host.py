"""django-allauth with login by code, over its JSON API: allauth_host.py OUTBOX USERS [REDIS_URL].

It listens on a free port of 127.0.0.1 and prints it. Users and their addresses are in SQLite in memory. Sessions and
codes are in the memory of the process, or in Redis. Nothing limits how often it sends.
"""

import json
import logging
import os
import socket
import sys

import django
import waitress
from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

OUTBOX, USERS, *REDIS = sys.argv[1:]


class Outbox(BaseEmailBackend):
    """Appends each code to a file."""

    file = os.open(OUTBOX, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def send_messages(self, messages):
        for message in messages:
            code = next(line for line in message.body.splitlines() if line.strip().isdigit()).strip()
            os.write(self.file, (json.dumps({"to": message.to[0], "code": code}) + "\n").encode())
        return len(messages)


cache = (
    {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS[0]}
    if REDIS
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 1_000_000}}
)
settings.configure(
    SECRET_KEY="a" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "allauth",
                    "allauth.account", "allauth.headless"],
    # `CommonMiddleware` writes the Content-Length, without which waitress closes the connection.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware",
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "allauth.account.middleware.AccountMiddleware"],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}],
    # One connection, as a database in memory has it.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file::memory:?cache=shared",
                           "OPTIONS": {"uri": True}, "CONN_MAX_AGE": None}},
    CACHES={"default": cache},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    EMAIL_BACKEND=f"{__name__}.Outbox",
    ACCOUNT_LOGIN_BY_CODE_ENABLED=True,
    ACCOUNT_LOGIN_METHODS={"email"},
    ACCOUNT_SIGNUP_FIELDS=["email*"],
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_RATE_LIMITS=False,
    ACCOUNT_EMAIL_NOTIFICATIONS=False,
    HEADLESS_ONLY=True,
    HEADLESS_CLIENTS=("app",),
    HEADLESS_FRONTEND_URLS={},
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
# Otherwise each 401 of the API is a line.
logging.disable(logging.CRITICAL)
django.setup()

from allauth.account.adapter import DefaultAccountAdapter  # noqa: E402
from allauth.account.models import EmailAddress  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("_allauth/", include("allauth.headless.urls"))]


class Adapter(DefaultAccountAdapter):
    """Makes codes of six digits, as the other hosts do."""

    def _generate_code(self, *arguments, **options):
        return f"{int.from_bytes(os.urandom(4), 'big') % 10**6:06}"

    generate_login_code = _generate_code


settings.ACCOUNT_ADAPTER = f"{__name__}.Adapter"


def main():
    call_command("migrate", verbosity=0)
    model = get_user_model()
    addresses = [f"user{number}@example.com" for number in range(int(USERS))]
    users = model.objects.bulk_create(model(username=address, email=address) for address in addresses)
    EmailAddress.objects.bulk_create(
        EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    waitress.serve(WSGIHandler(), sockets=[listener], threads=1, connection_limit=1000)


sys.modules.setdefault("allauth_host", sys.modules[__name__])
main()
