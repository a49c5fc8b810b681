"""A mail server and the HTTP interface of a provider, both on loopback and both told what to answer."""

import asyncio
import contextlib
import email
import email.policy
import http.server
import logging
import ssl
import subprocess
import threading
import time
import urllib.parse
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

# A server without TLS, as one scenario wants it.
warnings.filterwarnings("ignore", module="aiosmtpd")
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

USER, PASSWORD = "mailer", "p&ss \"word\" {code}"


def authority(folder, name="ca"):
    """An authority, and a certificate of it for 127.0.0.1 and localhost. Gives the files."""
    ca, key, request, leaf = (f"{folder}/{name}{end}" for end in (".pem", ".key", ".csr", ".leaf.pem"))
    run = lambda *command: subprocess.run(["openssl", *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("req", "-x509", *elliptic, "-keyout", f"{ca}.key", "-out", ca, "-subj", f"/CN=Test {name}", "-days", "2")
    extensions = f"{folder}/{name}.ext"
    with open(extensions, "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    run("req", *elliptic, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    run("x509", "-req", "-in", request, "-CA", ca, "-CAkey", f"{ca}.key", "-CAcreateserial", "-out", leaf, "-days", "2",
        "-extfile", extensions)
    return ca, leaf, key


class Mailbox:
    """Decides what the mail server answers, and keeps what it got."""

    def __init__(self):
        self.mails, self.attempts, self.logins, self.encrypted, self.hellos = [], 0, [], [], []
        # What RCPT and DATA answer, in order; then 250. An exception closes the connection.
        self.recipients, self.data, self.always = [], [], None
        # Seconds before DATA is answered, and whether the connection is closed in place of an answer.
        self.slow, self.hangs_up = 0, False

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.attempts += 1
        answer = self.recipients.pop(0) if self.recipients else "250 OK"
        if answer is None:
            server.transport.abort()
            return "421 gone"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        answer = self.always or (self.data.pop(0) if self.data else "250 OK")
        if answer.startswith("250"):
            self.hellos.append(session.host_name)
            self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append((envelope.mail_from, envelope.rcpt_tos, message))
        if self.hangs_up:
            server.transport.abort()
        await asyncio.sleep(self.slow)
        return answer

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password.decode() == PASSWORD)


class MailServer(Controller):
    """A mail server. `tls` is starttls, implicit or none."""

    def __init__(self, files, tls="starttls", login=True, **more):
        self.mailbox, self.tls, self.login, self.files = Mailbox(), tls, login, files
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*files)
        super().__init__(self.mailbox, hostname="127.0.0.1", port=0,
                         ssl_context=self.context if tls == "implicit" else None, **more)

    def factory(self):
        starttls = {"tls_context": self.context, "require_starttls": True} if self.tls == "starttls" else {}
        login = {"authenticator": self.mailbox.authenticate, "auth_required": True,
                 "auth_require_tls": self.tls == "starttls"} if self.login else {}
        return SMTP(self.handler, hostname="mail.test", **starttls, **login)

    def _trigger_server(self):
        # The port is known only now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Provider:
    """An HTTP interface. `answers` are (status, headers, body), in order, and then 200; a number is seconds of silence, and
    None closes the connection. Once those are used up, `always` is every answer."""

    def __init__(self, port=0):
        self.requests, self.answers, self.times, self.always = [], [], [], (200, {}, "{}")
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                provider.times.append(time.monotonic())
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.requests.append((self.command, self.path, headers, body))
                answer = provider.answers.pop(0) if provider.answers else provider.always
                if answer is None:
                    self.close_connection = True
                    return
                if not isinstance(answer, tuple):
                    time.sleep(answer)
                    answer = (200, {}, "{}")
                status, headers, text = answer
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_PATCH = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def query_of(path):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(path).query, strict_parsing=True)
