"""Logs in at `npx otp-grant` as a newcomer does: demo.py OUTPUT, the file that it prints into."""

import json
import re
import sys
import time
import urllib.request


def found(pattern):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with open(sys.argv[1], encoding="utf-8") as output:
            text = output.read()
        match = re.search(pattern, text)
        if match:
            return match.group(1)
        time.sleep(0.1)
    sys.exit(f"no {pattern} in {text}")


def call(path, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read()


URL = found(r"open (http://127\.0\.0\.1:\d+) ")
assert b"<title>otp-grant</title>" in call("/")
about = {"client_id": "demo", "auth_source_id": "email", "email": "ada@example.com"}
sent = json.loads(call("/otp/send", about))
code = found(r"to ada@example\.com: (\d{6}) is your code")
grant = {"grant_type": "http://tencentciam.com/oauth2/grant-type/otp/email", "auto_signup": True}
tokens = json.loads(call("/oauth2/token", {**about, **grant, "otp_token": sent["otp_token"], "otp": code}))
assert tokens["token_type"] == "Bearer", tokens
print(f"{URL}: logged in")
