"""The HTTP interface of a provider: escaping, authentication, signatures, statuses and repetitions."""

import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse

from places import BINARY, EMAIL, HOSTILE, SMS, check, send, sent, stays
from servers import free_port, until
from services import Provider, query_of


def scenario_values_are_escaped(place):
    application = 'A "B" \\ & <C> é {code}'
    with Provider() as provider:
        url = f"{provider.url}/v1"
        for settings in [
            """json = '{"to":["{address}"],"n":{seconds},"text":"{text}","nested":"{\\"c\\":\\"{subject:json}\\"}"}'""",
            """form = { "to[]" = "{address}", text = "{text}", fixed = "x&y=+ %41é", n = "{seconds}", nested = '{"c":"{subject:json}"}' }""",
            """query = { "to[]" = "{address}", text = "{text}", fixed = "x&y=+ %41é", n = "{seconds}", nested = '{"c":"{subject:json}"}' }""",
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
                check(set(pairs) == {"to[]", "text", "fixed", "n", "nested"} | ({"code"} if in_query else set()), pairs)
                check(pairs["fixed"] == ["x&y=+ %41é"], pairs)
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
        host.until_logged(f"to {EMAIL}: {code} ")
        check(not provider.requests, provider.requests)


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
        ("", (500, {}, ""), (503, "temporarily_unavailable"), 1),
        ("", (504, {"Retry-After": "1"}, ""), (503, "temporarily_unavailable"), 1),
        ("again = [500]", (500, {}, ""), (200, None), 2),
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
        host.until_logged("expires before")
        # So is a time that no clock can show.
        for number, longest in enumerate([2**64 - 1, 10**30]):
            provider.answers = [(503, {"Retry-After": str(longest)}, "")]
            sent(host, f"+44740012345{number}")
            until(lambda: pathlib.Path(host.log).read_text().count("expires before") == 2 + number)
        stays(lambda: len(provider.requests) == 6, 2)
    # A provider that is not there yet is asked again.
    port = free_port()
    host = place.host(f'[delivery.sms.http]\nurl = "http://127.0.0.1:{port}/"\nform = {{ code = "{{code}}" }}\n'
                      "[delivery.email]\nconsole = true\n")
    sent(host, SMS)
    host.until_logged("can't be reached")
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
