"""Webhooks: signatures, repetitions under one identifier, what the client is told, and the examples of the document."""

import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess
import time

from places import EMAIL, SMS, check, send, sent, stays
from servers import free_port, until
from services import Provider
from standardwebhooks import Webhook, WebhookVerificationError

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
OLD, NEW = (f"whsec_{base64.b64encode(bytes([number] * 32)).decode()}" for number in [1, 2])


def webhook(url, *secrets, more='timeout = "1s"'):
    return f'[delivery.webhook]\nurl = "{url}/otp"\nsign = {json.dumps(secrets)}\n{more}\n'


def verified(secret, headers, body):
    try:
        return Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return None


def scenario_a_signature_holds(place):
    with Provider() as provider:
        host = place.host(webhook(provider.url, NEW, OLD, more='token = "s3cret"'))
        code = sent(host, SMS)
        until(lambda: provider.requests)
        method, path, headers, body = provider.requests.pop()
        check((method, path, headers["authorization"]) == ("POST", "/otp", "Bearer s3cret"), headers)
        expected = {"to": SMS, "channel": "sms", "code": code, "usage": "login"}
        for secret in [NEW, OLD]:
            read = verified(secret, headers, body) or {}
            check(118 <= read.pop("valid_for", 0) <= 120 and read == expected, (secret, headers, body))
        check(len(headers["webhook-signature"].split(" ")) == 2 and "." not in headers["webhook-id"], headers)
        # Nothing that is signed can be changed.
        other = f"whsec_{base64.b64encode(bytes(32)).decode()}"
        late = str(int(headers["webhook-timestamp"]) - 1)
        for secret, changed, text in [(other, {}, body), (NEW, {}, body + b" "), (NEW, {"webhook-id": "a"}, body),
                                      (NEW, {"webhook-timestamp": late}, body)]:
            check(verified(secret, {**headers, **changed}, text) is None, changed)
        # The other channel has the same way, and each message an identifier of its own.
        sent(host, EMAIL)
        until(lambda: provider.requests)
        check(provider.requests[0][2]["webhook-id"] != headers["webhook-id"], headers)


def scenario_a_failed_post_is_repeated_under_one_identifier(place):
    """Each host has a service that fails in two ways, and then accepts the message."""
    ways = [[(500, {}, ""), 1.5], [None, (429, {"Retry-After": "1"}, "")], [(503, {"Retry-After": "2"}, ""), (502, {}, "")]]
    with contextlib.ExitStack() as stack:
        asked = []
        for number, answers in enumerate(ways):
            provider = stack.enter_context(Provider())
            provider.answers = answers
            host = place.host(webhook(provider.url, NEW))
            asked.append((provider, sent(host, f"+44740012345{number}")))
        for number, (provider, code) in enumerate(asked):
            until(lambda: len(provider.requests) == 3)
            bodies = [verified(NEW, headers, body) for _, _, headers, body in provider.requests]
            check([body and body["code"] for body in bodies] == [code] * 3, bodies)
            check(len({headers["webhook-id"] for _, _, headers, _ in provider.requests}) == 1, provider.requests)
            # No message promises more time than there is.
            promised, times = [body["valid_for"] for body in bodies], provider.times
            check(all(abs(promised[0] - promised[i] - (times[i] - times[0])) < 1.1 for i in [1, 2]), (promised, times))
            stamps = [int(headers["webhook-timestamp"]) for _, _, headers, _ in provider.requests]
            check(stamps[0] < stamps[1] < stamps[2], stamps)
            pauses = [later - earlier for earlier, later in zip(times, times[1:])]
            check(pauses[0] >= (2 if number == 2 else 1) and pauses[1] >= 2, pauses)
        stays(lambda: all(len(provider.requests) == 3 for provider, _ in asked), 2)
    # A service that is not there yet is asked again.
    port = free_port()
    host = place.host(webhook(f"http://127.0.0.1:{port}", NEW))
    sent(host)
    with Provider(port) as provider:
        until(lambda: provider.requests)
        stays(lambda: len(provider.requests) == 1, 1)


def scenario_the_first_answer_decides_what_the_client_is_told(place):
    quota, lost = (400, "insufficient_sms_quota"), (503, "temporarily_unavailable")
    with Provider() as provider:
        signed, plain = place.host(webhook(provider.url, NEW)), place.host(webhook(provider.url))
        number = 0
        for answer, of_signed, of_plain in [
            ((422, {}, ""), (400, "invalid_phone_number"), (400, "invalid_phone_number")),
            ((429, {}, ""), quota, quota),
            ((429, {"Retry-After": "600"}, ""), lost, quota),
            ((404, {}, ""), lost, lost),
            ((302, {"Location": "/elsewhere"}, ""), lost, lost),
            # The code expires before the service wants to be asked again.
            ((503, {"Retry-After": "600"}, ""), lost, lost),
        ]:
            for host, expected in [(signed, of_signed), (plain, of_plain)]:
                number += 1
                provider.answers = [answer]
                status, reply = send(host, f"+4474001234{number:02}")
                check((status, reply.get("error")) == expected, (answer, status, reply))
                check(len(provider.requests) == number, provider.requests)
                # Who was told that the message is lost may try again at once.
                if expected == lost:
                    number += 1
                    check(send(host, f"+4474001234{number - 1:02}")[0] == 200, answer)
        # The reply waits for the first attempt, and not for its repetition.
        provider.answers = [(500, {}, "")]
        began = time.monotonic()
        check(send(signed, "+447400123499")[0] == 200 and time.monotonic() - began < 0.8, time.monotonic() - began)
        until(lambda: len(provider.requests) == number + 2)


def scenario_a_post_without_a_signature_is_made_once(place):
    with Provider() as provider:
        host = place.host(webhook(provider.url))
        answers = [(500, {}, ""), None, 1.5, (503, {"Retry-After": "1"}, "")]
        for number, answer in enumerate(answers):
            provider.answers = [answer]
            phone = f"+44740012345{number}"
            check(send(host, phone)[0] == 503, answer)
            # The copy is there whatever the service said.
            check(json.loads(provider.requests[-1][3])["code"] == host.code(phone), answer)
        stays(lambda: len(provider.requests) == len(answers), 2)
        check(not any(name.startswith("webhook-") for request in provider.requests for name in request[2]), "headers")


def scenario_an_expired_code_is_not_posted(place):
    with Provider() as provider:
        provider.always = (500, {}, "")
        host = place.host(webhook(provider.url, NEW), validity="3s")
        sent(host)
        host.until_logged("expires before")
        check(len(provider.requests) == 2, provider.requests)
        provider.always = (200, {}, "")
        stays(lambda: len(provider.requests) == 2, 3)


def scenario_a_stop_posts_what_was_accepted(place):
    with Provider() as provider:
        provider.answers = [(500, {}, "")]
        host = place.host(webhook(provider.url, NEW))
        sent(host)
        host.child.terminate()
        check(host.child.wait(timeout=20) == 0, "the exit code")
        check(len(provider.requests) == 2, provider.requests)


def scenario_the_examples_of_the_document_check_signatures(place):
    """Each example is a service. It takes a real message once, and nothing that is forged."""
    text = DOCUMENT.read_text()
    for language, command, name in [("python", ["python3"], "service.py"), ("js", ["node"], "service.mjs")]:
        (example,) = re.findall(rf"```{language}\n(.*?)```", text, re.S)
        file, port = pathlib.Path(place.folder, name), free_port()
        file.write_text(example.replace("8090", str(port)))
        with open(f"{file}.log", "w+") as log:
            service = subprocess.Popen([*command, file], stdout=log, stderr=log, env={**os.environ, "WEBHOOK_SECRET": NEW})
            try:
                check_example(place, port, lambda: pathlib.Path(f"{file}.log").read_text())
            finally:
                service.kill()
                service.wait()


def check_example(place, port, told):
    url = f"http://127.0.0.1:{port}"
    until(lambda: os.system(f"exec 2>/dev/null; bash -c '</dev/tcp/127.0.0.1/{port}'") == 0)
    # A secret that it does not know, beside one that it knows.
    host = place.host(webhook(url, OLD, NEW))
    code = sent(host, SMS)
    until(lambda: f"to {SMS}: {code}" in told())
    # A repetition through a proxy that lost the answer: the service has it twice, and sends it once.
    with Relay(port) as relay:
        relay.lost = 1
        host = place.host(webhook(relay.url, NEW))
        code = sent(host, SMS)
        until(lambda: len(relay.requests) == 2)
        until(lambda: relay.statuses == [200, 200])
        check(told().count(f"to {SMS}: {code}") == 1, told())
        # Recorded requests can be sent again, and are not accepted when they are changed or old.
        _, _, headers, body = relay.requests[0]
        check(relay.ask(headers, body) == 200 and told().count(code) == 1, "a recorded request")
        before = told()
        old = str(int(headers["webhook-timestamp"]) - 600)
        for changed, text in [({}, body + b" "), ({"webhook-id": "other"}, body), ({"webhook-signature": "v1,AAAA"}, body),
                              ({"webhook-signature": ""}, body), ({"webhook-timestamp": "soon"}, body),
                              (signed_by(NEW, {**headers, "webhook-timestamp": old, "webhook-id": "old"}, body), body)]:
            check(relay.ask({**headers, **changed}, text) == 401, changed)
        check(relay.ask(signed_by(NEW, {**headers, "webhook-id": "new"}, body), body) == 200, "a good signature")
        check(told().count("to ") == before.count("to ") + 1, told())
    host = place.host(webhook(url, OLD))
    check(send(host, SMS)[0] == 503, "a signature of another secret")


def signed_by(secret, headers, body):
    import datetime

    moment = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=datetime.timezone.utc)
    return {**headers, "webhook-signature": Webhook(secret).sign(headers["webhook-id"], moment, body.decode())}


class Relay(Provider):
    """Passes requests on, and keeps the first `lost` answers to itself."""

    def __init__(self, to):
        super().__init__()
        self.to, self.lost, self.statuses = to, 0, []
        relay = self

        class Answers(list):
            """Decides when it is asked for an answer."""

            def __bool__(self):
                return True

            def pop(self, _):
                _, _, headers, body = relay.requests[-1]
                relay.statuses.append(relay.ask(headers, body))
                if len(relay.statuses) <= relay.lost:
                    return None
                return relay.statuses[-1], {}, ""

        self.answers = Answers()

    def ask(self, headers, body):
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.to, timeout=10)
        passed = {name: value for name, value in headers.items() if name.startswith("webhook-") or name == "content-type"}
        connection.request("POST", "/otp", body, passed)
        return connection.getresponse().status
