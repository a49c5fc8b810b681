"""Messages over a real mail server and a real HTTP interface: delivery.py HOST_BINARY [SCENARIO ...]

Both services run here, on loopback. aiosmtpd is installed into a temporary virtual environment. What else it needs,
servers.py says. Each function that begins with `scenario_` runs on hosts of its own; without names, all of them run.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent

try:
    import aiosmtpd  # noqa: F401
except ImportError:
    if os.environ.get("DELIVERY_VENV"):
        raise
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement",
                        HERE / "delivery" / "requirements.txt"], check=True)
        command = [f"{folder}/bin/python", __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "DELIVERY_VENV": folder}).returncode)

sys.path.insert(0, str(HERE / "delivery"))
from services import PASSWORD, USER, MailServer, Provider, authority, query_of  # noqa: E402

from servers import Host, free_port, key_file, until  # noqa: E402

BINARY = sys.argv[1]
SMS, EMAIL = "+447400123456", "ada@example.com"
# A mailbox whose name has what forms, URLs, JSON and templates are made of.
HOSTILE = "a&b=c7b{code}+'|~#?/d@example.com"
MASTER = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE="


def check(fine, what):
    if not fine:
        raise AssertionError(what)


class Place:
    """A folder, and the hosts that run in it."""

    def __init__(self, folder):
        self.folder, self.hosts = folder, []
        self.signing, (self.ca, *self.files) = key_file(folder), authority(folder)

    def write(self, delivery, validity="2m", more=""):
        file = pathlib.Path(self.folder, f"host-{len(self.hosts)}.toml")
        file.touch(0o600)
        file.write_text(f"""
issuer = "https://login.example.com"
keys = {{ index = "{MASTER}", sealing = "{MASTER}" }}
signing = {{ active = {{ file = "{self.signing}" }} }}
auth_sources.sms = {{ channel = "sms", code = {{ validity = "{validity}", token_validity = "{validity}" }} }}
auth_sources.email = {{ channel = "email", code = {{ validity = "{validity}", token_validity = "{validity}" }} }}
clients.web = {{ secret = "a long random value", auth_sources = ["sms", "email"] }}
messages = {{ application = 'A "B" \\ & <C> é {{code}}', origin = "login.example.com", two_segments = true }}
{more}
{delivery}
""")
        return file

    def host(self, delivery, **how):
        file = self.write(delivery, **how)
        name = f"host-{len(self.hosts)}"
        try:
            host = Host(BINARY, self.folder, name, "memory", str(file))
        except SystemExit:
            raise AssertionError(pathlib.Path(self.folder, f"{name}.log").read_text()) from None
        self.hosts.append(host)
        return host

    def smtp(self, server, more=""):
        login = f"user = '{USER}'\npassword = {{ file = \"password\" }}\n" if server.login else ""
        pathlib.Path(self.folder, "password").write_text(f"{PASSWORD}\n")
        os.chmod(f"{self.folder}/password", 0o600)
        ca = f'ca = "{self.ca}"\n' if server.tls != "none" else ""
        return f"""
[delivery.email.smtp]
host = "127.0.0.1"
port = {server.port}
tls = "{server.tls}"
from = "no-reply@example.com"
from_name = 'Ünïcode, "Sign-in"'
timeout = "2s"
{ca}{login}{more}
"""

    def log(self):
        return "".join(pathlib.Path(host.log).read_text() for host in self.hosts)


def send(host, address=EMAIL):
    """Asks for a code. Gives the status and the answer."""
    name, source = ("email", "email") if "@" in address else ("phone_number", "sms")
    return host.call("/otp/send", {"client_id": "web", "client_secret": "a long random value", "auth_source_id": source,
                                   name: address})


def sent(host, address=EMAIL):
    status, answer = send(host, address)
    check(status == 200, (status, answer))
    return host.code(address)


def stays(what, seconds):
    """Holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(what(), "it did not stay so")
        time.sleep(0.05)


def scenario_a_mail_has_all_its_parts(place):
    for tls in ["starttls", "implicit", "none"]:
        with MailServer(place.files, tls) as server:
            code = sent(place.host(place.smtp(server)))
            until(lambda: server.mailbox.mails)
            sender, recipients, mail = server.mailbox.mails[0]
            check((sender, recipients) == ("no-reply@example.com", [EMAIL]), (sender, recipients))
            check(server.mailbox.encrypted == [tls != "none"] and server.mailbox.logins == [(USER, PASSWORD)], tls)
            check(not mail.defects, mail.defects)
            author = mail["From"].addresses[0]
            check((author.display_name, author.addr_spec) == ('Ünïcode, "Sign-in"', "no-reply@example.com"), author)
            check([to.addr_spec for to in mail["To"].addresses] == [EMAIL], mail["To"])
            check(mail["Auto-Submitted"] == "auto-generated", mail.keys())
            check(abs(mail["Date"].datetime.timestamp() - time.time()) < 60, mail["Date"])
            check(re.fullmatch(r"<[0-9a-f]{32}@example\.com>", mail["Message-ID"]), mail["Message-ID"])
            check(mail["MIME-Version"] == "1.0" and mail.get_content_type() == "multipart/alternative", mail.keys())
            check(mail["Subject"].startswith(code) and 'A "B" \\ & <C> é {code}' in mail["Subject"], mail["Subject"])
            kinds = [part.get_content_type() for part in mail.iter_parts()]
            check(kinds == ["text/plain", "text/html"], kinds)
            plain, html = (part.get_content() for part in mail.iter_parts())
            check(f" {code}" in plain.replace("\n", " ") and "2 minutes" in plain and 'A "B" \\ & <C> é {code}' in plain, plain)
            check(code in html and "<C>" not in html and "&lt;C&gt;" in html and "src=" not in html, html)


def scenario_a_connection_that_can_be_read_gets_nothing(place):
    # The certificate is of another authority, and the server has no STARTTLS.
    other = authority(place.folder, "other")
    with MailServer(other[1:], "starttls") as forged, MailServer(place.files, "none", login=False) as plain:
        for server, said in [(forged, "can't be reached"), (plain, "offers no STARTTLS")]:
            settings = place.smtp(server).replace('tls = "none"', f'tls = "starttls"\nca = "{place.ca}"')
            if server is plain:
                settings += 'user = "mailer"\npassword = "p"\n'
            host = place.host(settings)
            sent(host)
            until(lambda: said in pathlib.Path(host.log).read_text())
            check(not server.mailbox.logins and not server.mailbox.attempts, "something was sent")


def scenario_a_deferred_mail_comes_once(place):
    with MailServer(place.files) as server:
        server.mailbox.data = ["451 later", "451 later"]
        code = sent(place.host(place.smtp(server)))
        until(lambda: server.mailbox.mails)
        stays(lambda: len(server.mailbox.mails) == 1, 3)
        check(server.mailbox.attempts == 3 and code in server.mailbox.mails[0][2]["Subject"], server.mailbox.attempts)


def scenario_a_connection_that_is_lost_before_the_mail_is_made_again(place):
    with MailServer(place.files) as server:
        server.mailbox.recipients = [None, None]
        sent(place.host(place.smtp(server)))
        until(lambda: server.mailbox.mails)
        stays(lambda: len(server.mailbox.mails) == 1, 3)
    # Nor is a server that is not there yet.
    with MailServer(place.files) as server:
        settings, port = place.smtp(server), server.port
    host = place.host(settings)
    sent(host)
    until(lambda: "can't be reached" in pathlib.Path(host.log).read_text())
    late = MailServer(place.files)
    late.port = port
    with late:
        until(lambda: late.mailbox.mails)


def scenario_an_idle_connection_that_was_closed_costs_no_pause(place):
    with MailServer(place.files, "starttls") as server:
        host = place.host(place.smtp(server))
        sent(host)
        until(lambda: server.mailbox.mails)
        port = server.port
    again = MailServer(place.files)
    again.port = port
    with again:
        began = time.monotonic()
        sent(host, "bob@example.com")
        until(lambda: again.mailbox.mails)
        check(time.monotonic() - began < 0.9, time.monotonic() - began)


def scenario_a_mail_whose_answer_is_lost_is_not_repeated(place):
    with MailServer(place.files) as server:
        server.mailbox.hangs_up = True
        host = place.host(place.smtp(server))
        sent(host)
        until(lambda: "not known whether" in pathlib.Path(host.log).read_text())
        stays(lambda: len(server.mailbox.mails) == 1 and server.mailbox.attempts == 1, 4)
    with MailServer(place.files) as server:
        server.mailbox.slow = 3.5
        host = place.host(place.smtp(server))
        sent(host)
        until(lambda: server.mailbox.mails)
        stays(lambda: len(server.mailbox.mails) == 1 and server.mailbox.attempts == 1, 4)


def scenario_a_permanent_refusal_is_not_repeated(place):
    for answers, said, again in [({"recipients": ["550 no"]}, (400, "invalid_email"), 400),
                                 ({"recipients": ["554 no"]}, (503, "temporarily_unavailable"), 200),
                                 ({"data": ["554 no"]}, (503, "temporarily_unavailable"), 200)]:
        for waits in [False, True]:
            with MailServer(place.files) as server:
                vars(server.mailbox).update({name: list(some) for name, some in answers.items()})
                host = place.host(place.smtp(server) + ('\n[delivery.queue]\nwait = "2s"\n' if waits else ""))
                status, answer = send(host)
                until(lambda: server.mailbox.attempts)
                stays(lambda: server.mailbox.attempts == 1 and not server.mailbox.mails, 2)
                check((status, answer.get("error")) == (said if waits else (200, None)), (status, answer))
                # Who was told that the mail is lost may try again at once.
                if waits:
                    check(send(host)[0] == again, again)


def scenario_a_code_that_has_expired_is_not_sent(place):
    with MailServer(place.files) as server:
        server.mailbox.always = "451 later"
        host = place.host(place.smtp(server), validity="4s")
        sent(host)
        until(lambda: "expires before" in pathlib.Path(host.log).read_text())
        server.mailbox.always = None
        attempts = server.mailbox.attempts
        check(2 <= attempts <= 3, attempts)
        stays(lambda: not server.mailbox.mails and server.mailbox.attempts == attempts, 4)


def scenario_a_mail_that_waits_for_a_connection_expires(place):
    with MailServer(place.files) as server:
        server.mailbox.slow = 6
        host = place.host(place.smtp(server, "connections = 1\n").replace('timeout = "2s"', 'timeout = "9s"'), validity="3s")
        sent(host)
        sent(host, "bob@example.com")
        until(lambda: server.mailbox.mails)
        stays(lambda: [mail[1] for mail in server.mailbox.mails] == [[EMAIL]], 8)


def scenario_a_full_queue_answers_at_once(place):
    with MailServer(place.files) as server:
        server.mailbox.slow = 3
        settings = place.smtp(server, "connections = 1\n").replace('timeout = "2s"', 'timeout = "9s"')
        host = place.host(settings + "\n[delivery.queue]\nlength = 2\n")
        began = time.monotonic()
        sent(host)
        sent(host, "bob@example.com")
        status, answer = send(host, "eve@example.com")
        check((status, answer["error"]) == (503, "temporarily_unavailable"), answer)
        check(time.monotonic() - began < 2, "the replies waited")
        check("eve@example.com" not in pathlib.Path(host.outbox.name).read_text(), "a code that was not sent is copied")
        until(lambda: len(server.mailbox.mails) == 2)
        until(lambda: send(host, "eve@example.com")[0] == 200)
        until(lambda: len(server.mailbox.mails) == 3)


def scenario_a_stop_sends_what_was_accepted(place):
    with MailServer(place.files) as server:
        server.mailbox.data = ["451 later"]
        host = place.host(place.smtp(server))
        sent(host)
        until(lambda: server.mailbox.attempts)
        host.child.terminate()
        check(host.child.wait(timeout=20) == 0, "the exit code")
        check(len(server.mailbox.mails) == 1, "the mail was dropped")
    # Though not for ever.
    with MailServer(place.files) as server:
        server.mailbox.always = "451 later"
        host = place.host(place.smtp(server), more='limits = { shutdown_time = "2s" }')
        sent(host)
        until(lambda: server.mailbox.attempts)
        began = time.monotonic()
        host.child.terminate()
        check(host.child.wait(timeout=20) == 0, "the exit code")
        check(1.5 < time.monotonic() - began < 4, time.monotonic() - began)
        check("not sent in time left=1" in pathlib.Path(host.log).read_text(), "the log")


def scenario_values_are_escaped(place):
    application = 'A "B" \\ & <C> é {code}'
    with Provider() as provider:
        url = f"{provider.url}/v1"
        for settings in [
            """json = '{"to":["{address}"],"n":{seconds},"text":"{text}","nested":"{\\"c\\":\\"{subject:json}\\"}"}'""",
            """form = { "to[]" = "{address}", text = "{text}", n = "{seconds}", nested = '{"c":"{subject:json}"}' }""",
            """query = { "to[]" = "{address}", text = "{text}", n = "{seconds}", nested = '{"c":"{subject:json}"}' }""",
        ]:
            host = place.host(f"[delivery.email.http]\nurl = \"{url}/{{address}}/x?code={{code}}\"\n{settings}\n")
            code = sent(host, HOSTILE)
            until(lambda: provider.requests)
            method, path, headers, body = provider.requests.pop()
            parts = urllib.parse.urlsplit(path)
            check(method == "POST" and parts.path.count("/") == 3, path)
            check(urllib.parse.unquote(parts.path) == f"/v1/{HOSTILE}/x", path)
            kind = headers.get("content-type")
            if settings.startswith("json"):
                check(kind == "application/json", headers)
                got = json.loads(body)
                to, text, number, nested = got["to"][0], got["text"], got["n"], got["nested"]
                check(len(got) == 4 and query_of(path) == {"code": [code]}, path)
            else:
                in_query = settings.startswith("query")
                check(kind == (None if in_query else "application/x-www-form-urlencoded"), headers)
                check(in_query == (body == b""), body)
                pairs = query_of(path) if in_query else query_of("?" + body.decode())
                check(set(pairs) == {"to[]", "text", "n", "nested"} | ({"code"} if in_query else set()), pairs)
                to, text, number, nested = (pairs[name][0] for name in ["to[]", "text", "n", "nested"])
            check(to == HOSTILE and int(number) == 120, to)
            check(code in text and application in text, text)
            subject = json.loads(nested)
            check(list(subject) == ["c"] and application in subject["c"] and subject["c"].startswith(code), nested)


def scenario_a_text_message_is_bound_to_its_page(place):
    with Provider() as provider:
        host = place.host(f"[delivery.sms.http]\nurl = \"{provider.url}/\"\njson = '[\"{{digits}}\",\"{{text}}\"]'\n"
                          "[delivery.email]\nconsole = true\n")
        code = sent(host, SMS)
        until(lambda: provider.requests)
        digits, text = json.loads(provider.requests.pop()[3])
        check(digits == SMS[1:] and text.startswith(code), text)
        bound = re.search(r"(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)", text)
        check(bound and bound.groups() == ("login.example.com", code) and text.endswith(bound.group().lstrip()), text)
        # The other channel has its own way.
        code = sent(host, EMAIL)
        check(f"to {EMAIL}: {code} " in pathlib.Path(host.log).read_text() and not provider.requests, "the console")


def scenario_a_text_is_in_the_language_of_its_client(place):
    with Provider() as provider:
        route = f'[delivery.sms.http]\nurl = "{provider.url}/"\nform = {{ text = "{{text}}" }}\n'
        other = 'auth_sources = ["sms"]\nsecret = "a long random value"\n'
        host = place.host(f'{route}[delivery.email]\nconsole = true\n[clients.de]\n{other}locale = "de-AT"\n'
                          f'application = "Beispiel"\n[clients.en]\n{other}locale = "en_GB.UTF-8"\n')
        for client, words in [("de", ["Beispiel", "Minuten"]), ("en", ["expires in"]), ("web", ["expires in"])]:
            body = {"client_id": client, "client_secret": "a long random value", "auth_source_id": "sms",
                    "phone_number": f"+4474001234{len(client) * 10 + ord(client[0]) % 10}"}
            status, answer = host.call("/otp/send", body)
            check(status == 200, answer)
            until(lambda: provider.requests)
            text = query_of("?" + provider.requests.pop()[3].decode())["text"][0]
            check(any(word in text for word in words) and text.startswith(host.code(body["phone_number"])), text)
        for wrong, error in [('locale = "it"', "clients.it.locale: "), ('application = ""', "clients.it.application: ")]:
            file = place.write(f'{route}[delivery.email]\nconsole = true\n[clients.it]\n{other}{wrong}\n')
            done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True)
            check(done.returncode == 2 and done.stderr.startswith(error), done.stderr)
        # What would be charged as two messages is allowed by name only.
        file = place.write(f"{route}[delivery.email]\nconsole = true\n")
        file.write_text(file.read_text().replace("login.example.com\", two_segments = true",
                                                      f"{'a' * 60}.example.com\", locale = \"hi\""))
        done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True)
        check(done.returncode == 2 and done.stderr.startswith("messages.two_segments: "), done.stderr)


def scenario_requests_are_authenticated(place):
    secret = pathlib.Path(place.folder, "key")
    secret.write_text("s3cret{code}\n")
    os.chmod(secret, 0o600)
    with Provider() as provider:
        for settings, name, value in [
            ('basic = { user = "AC1", password = { file = "key" } }', "Authorization", "Basic QUMxOnMzY3JldHtjb2RlfQ=="),
            ('bearer = { file = "key" }', "Authorization", "Bearer s3cret{code}"),
            ('headers = { "X-Api-Key" = { file = "key" }, X-Id = "{id}" }', "X-Api-Key", "s3cret{code}"),
        ]:
            host = place.host(f'[delivery.sms.http]\nurl = "{provider.url}/"\n{settings}\n[delivery.email]\nconsole = true\n')
            provider.answers = [(503, {}, "")]
            sent(host, SMS)
            until(lambda: len(provider.requests) == 2)
            headers = [request[2] for request in provider.requests]
            provider.requests.clear()
            check(all(these[name.lower()] == value for these in headers), headers)
            if "x-id" in headers[0]:
                check(headers[0]["x-id"] == headers[1]["x-id"] and len(headers[0]["x-id"]) == 32, headers)


def scenario_statuses_say_what_the_client_is_told(place):
    codes = """code_at = ["/status"]\nrefused_codes = ["3"]\nquota_codes = ["9"]\nagain_codes = ["1"]\naccepted_codes = ["0"]"""
    for answers, answer, said, requests in [
        ("refused = [422]", (422, {}, ""), (400, "invalid_phone_number"), 1),
        ("", (402, {}, ""), (400, "insufficient_sms_quota"), 1),
        ("", (400, {}, ""), (503, "temporarily_unavailable"), 1),
        ("", (302, {"Location": "http://127.0.0.1:1/"}, ""), (503, "temporarily_unavailable"), 1),
        ("", (504, {}, ""), (503, "temporarily_unavailable"), 1),
        ("", 3, (503, "temporarily_unavailable"), 1),
        ("", (503, {}, ""), (200, None), 2),
        ("", (201, {}, ""), (200, None), 1),
        (codes, (200, {}, '{"status":"3"}'), (400, "invalid_phone_number"), 1),
        (codes, (200, {}, '{"status":9}'), (400, "insufficient_sms_quota"), 1),
        (codes, (200, {}, '{"status":"1"}'), (200, None), 2),
        (codes, (200, {}, '{"status":"4"}'), (503, "temporarily_unavailable"), 1),
        (codes, (200, {}, '{"status":"0"}'), (200, None), 1),
    ]:
        with Provider() as provider:
            provider.answers = [answer, (200, {}, '{"status":"0"}')]
            host = place.host(f'[delivery.sms.http]\nurl = "{provider.url}/"\nform = {{ to = "{{address}}" }}\ntimeout = "2s"\n'
                              f'[delivery.sms.http.answers]\n{answers}\n[delivery.email]\nconsole = true\n'
                              '[delivery.queue]\nwait = "4s"\n')
            status, got = send(host, SMS)
            check((status, got.get("error")) == said, (answers, answer, status, got))
            until(lambda: len(provider.requests) == requests)
            stays(lambda: len(provider.requests) == requests, 1.5 if requests == 1 else 0.5)


def scenario_a_provider_says_when(place):
    with Provider() as provider:
        provider.answers = [(429, {"Retry-After": "3"}, ""), (503, {"Retry-After": "0"}, "")]
        host = place.host(f'[delivery.sms.http]\nurl = "{provider.url}/"\nform = {{ code = "{{code}}" }}\n'
                          "[delivery.email]\nconsole = true\n")
        code = sent(host, SMS)
        until(lambda: len(provider.times) == 3)
        first, second = (later - earlier for earlier, later in zip(provider.times, provider.times[1:]))
        check(3 <= first < 5 and 1.9 <= second < 4, (first, second))
        check([request[3] for request in provider.requests] == [f"code={code}".encode()] * 3, provider.requests)
        # A time after the end of the code is the end of the message.
        provider.answers = [(429, {"Retry-After": "600"}, "")]
        sent(host, "+447400123457")
        until(lambda: "expires before" in pathlib.Path(host.log).read_text())
    # A provider that is not there yet is asked again.
    port = free_port()
    host = place.host(f'[delivery.sms.http]\nurl = "http://127.0.0.1:{port}/"\nform = {{ code = "{{code}}" }}\n'
                      "[delivery.email]\nconsole = true\n")
    sent(host, SMS)
    until(lambda: "can't be reached" in pathlib.Path(host.log).read_text())
    with Provider(port) as provider:
        until(lambda: provider.requests)
        stays(lambda: len(provider.requests) == 1, 2)


def scenario_signatures_hold(place):
    """Computes both signatures again, from what arrived."""
    digest = lambda text: hashlib.sha256(text).hexdigest()
    mac = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256)
    key = 'access_key = { id = "AKID", secret = "secret key" }'
    with Provider() as provider:
        host = place.host(f"""
[delivery.sms.http]
url = "{provider.url}/"
sign = "tencent-tc3"
{key}
headers = {{ "X-TC-Action" = "SendSms", "X-TC-Version" = "2021-01-11" }}
json = '{{"to":["{{address}}"],"text":"{{text}}"}}'
[delivery.email.http]
url = "{provider.url}/"
sign = "alibaba-acs3"
{key}
headers = {{ "x-acs-action" = "SendSms", "x-acs-version" = "2017-05-25" }}
query = {{ To = "{{address}}", SignName = "阿里 云*~", A = '{{"c":"{{code:json}}"}}' }}
""")
        provider.answers = [(503, {}, ""), (200, {}, "{}"), (503, {}, "")]
        sent(host, SMS)
        until(lambda: len(provider.requests) == 2)
        sent(host, HOSTILE)
        until(lambda: len(provider.requests) == 4)
    nonces = set()
    for number, (method, path, headers, body) in enumerate(provider.requests):
        scheme, rest = headers["authorization"].split(" ", 1)
        said = dict(part.strip().split("=", 1) for part in rest.split(","))
        names = said["SignedHeaders"].split(";")
        values = {**headers, "x-tc-action": headers.get("x-tc-action", "").lower()}
        query = "&".join(sorted((path.split("?") + [""])[1].split("&")))
        canonical = "\n".join([method, "/", query, *(f"{name}:{values[name]}" for name in names), "", ";".join(names),
                               digest(body)])
        if number < 2:
            moment = int(headers["x-tc-timestamp"])
            date = time.strftime("%Y-%m-%d", time.gmtime(moment))
            check(abs(moment - time.time()) < 60 and names == ["content-type", "host", "x-tc-action"], headers)
            scope = f"{date}/127/tc3_request"
            check(scheme == "TC3-HMAC-SHA256" and said["Credential"] == f"AKID/{scope}", said)
            signing = b"TC3secret key"
            for part in scope.split("/"):
                signing = mac(signing, part).digest()
            expected = mac(signing, f"{scheme}\n{moment}\n{scope}\n{digest(canonical.encode())}").hexdigest()
        else:
            check(headers["x-acs-content-sha256"] == digest(body) and headers["x-acs-date"].endswith("Z"), headers)
            check(set(names) == {"host"} | {name for name in headers if name.startswith("x-acs-")}, names)
            check(query_of(path)["SignName"] == ["阿里 云*~"] and query_of(path)["To"] == [HOSTILE], path)
            nonces.add(headers["x-acs-signature-nonce"])
            expected = mac(b"secret key", f"{scheme}\n{digest(canonical.encode())}").hexdigest()
        check(said["Signature"] == expected, (number, canonical))
    check(len(nonces) == 2, nonces)


def scenario_mistakes_are_found_before_the_start(place):
    http, smtp = "[delivery.sms.http]\n", "[delivery.email.smtp]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\n"
    url = 'url = "https://sms.example.com/"\n'
    for text, error in [
        (http + 'url = "http://sms.example.com/hunter2"\n', "delivery.sms.http.url: "),
        (http + 'url = "https://{code}.example.com/"\n', "delivery.sms.http.url: "),
        (http + 'url = "https://user:hunter2@sms.example.com/"\n', "delivery.sms.http.url: "),
        (http + url + 'form = { a = "{nothing}" }\n', "delivery.sms.http.form.a: "),
        (http + url + "json = '{\"to\":{address}}'\n", "delivery.sms.http.json: "),
        (http + url + "json = '{}'\nform = {}\n", "delivery.sms.http.json: "),
        (http + url + "method = \"GET\"\njson = '{}'\n", "delivery.sms.http.method: "),
        (http + url + 'headers = { X-A = "{code}" }\n', "delivery.sms.http.headers.X-A: "),
        (http + url + 'headers = { content-type = "a/b" }\n', "delivery.sms.http.headers.content-type: "),
        (http + url + 'bearer = "hunter2"\nbasic = { user = "a", password = "hunter2" }\n', "delivery.sms.http: "),
        (http + url + 'sign = "tencent-tc3"\n', "delivery.sms.http.access_key: "),
        (http + url + 'answers = { refused_codes = ["3"] }\n', "delivery.sms.http.answers.code_at: "),
        (http + url + "[delivery.sms.smtp]\nhost = \"a\"\nfrom = \"a@b.c\"\n", "delivery.sms: "),
        ("[delivery.sms]\n", "delivery.sms: "),
        (smtp.replace("email", "sms"), "delivery.sms.smtp: "),
        (smtp + 'tls = "none"\n', "delivery.email.smtp.tls: "),
        (smtp + 'user = "a"\n', "delivery.email.smtp.user: "),
        (smtp + 'ca = "nowhere.pem"\n', "delivery.email.smtp.ca: "),
        (smtp.replace("a@example.com", "hunter2"), "delivery.email.smtp.from: "),
        (smtp, "delivery.sms: the codes of the auth source sms"),
        ("[delivery]\nconsole = true\n[delivery.queue]\nwait = \"20s\"\n", "delivery.queue.wait: "),
        ("delivery.console = true\nmessages.origin = \"https://a\"\n".replace("messages", "[messages]\n#"), None),
    ]:
        file = place.write(text if error else "delivery.console = true\n", more="")
        done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True)
        if error is None:
            check(done.returncode == 0, done.stderr)
            continue
        said = done.stderr.splitlines()
        check(done.returncode == 2 and said[-1].startswith(error) and "hunter2" not in done.stderr, (text, done.stderr))


def scenario_what_the_readme_shows_works(place):
    text = (HERE.parent / "README.md").read_text()
    snippets = [snippet for snippet in re.findall(r"```toml\n(.*?)```", text, re.S) if "[delivery." in snippet]
    check(len(snippets) >= 6, len(snippets))
    for snippet in snippets:
        other = "email" if "[delivery.sms" in snippet else "sms"
        file = place.write(f"{snippet}\n[delivery.{other}]\nconsole = true\n")
        if "[messages]" in snippet:
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if not line.startswith("messages = ")))
        names = re.findall(r'env = "([A-Z_0-9]+)"', snippet)
        done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True,
                              env={**os.environ, **{name: "0123456789abcdef" for name in names}})
        check(done.returncode == 0, (snippet, done.stderr))


def run(name, scenario):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        try:
            scenario(place)
            log = place.log()
            # The console alone prints codes; where it does, the log is not looked at.
            for host in place.hosts:
                lines = pathlib.Path(host.log).read_text()
                with contextlib.suppress(KeyError, OSError):
                    for address in [SMS, EMAIL, HOSTILE]:
                        code = host.code(address)
                        printed = f"to {address}: {code} " in lines
                        check(printed or not (address in lines or re.search(rf"\b{code}\b", lines)), "the log shows a message")
            check(PASSWORD not in log and "s3cret" not in log and "secret key" not in log, "the log shows a secret")
        except BaseException:
            print(place.log(), file=sys.stderr)
            print(f"FAILED: {name}", file=sys.stderr)
            raise
        finally:
            for host in place.hosts:
                with contextlib.suppress(Exception):
                    host.kill()
    print(f"{name.removeprefix('scenario_').replace('_', ' ')}: ok", flush=True)


named = [f"scenario_{name.removeprefix('scenario_')}" for name in sys.argv[2:]]
scenarios = {name: value for name, value in list(globals().items()) if name.startswith("scenario_")}
for name, scenario in scenarios.items():
    if not named or name in named:
        run(name, scenario)
