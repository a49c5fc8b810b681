"""Settings: mistakes that are found before the start, and what the documents show."""

import os
import pathlib
import re
import subprocess

from places import BINARY, check

HOST = pathlib.Path(__file__).resolve().parents[2]


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
    ]:
        file = place.write(text)
        done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True)
        said = done.stderr.splitlines()
        check(done.returncode == 2 and said[-1].startswith(error) and "hunter2" not in done.stderr, (text, done.stderr))


def scenario_a_message_in_a_url_is_warned_of(place):
    http = '[delivery.email]\nconsole = true\n[delivery.sms.http]\n'
    for text, warned in [
        ('url = "https://sms.example.com/{digits}"\n', ["url"]),
        ('url = "https://sms.example.com/"\nquery = { id = "{id}", Text = "{text}" }\n', ["query"]),
        ('url = "https://sms.example.com/?c={code:json}"\nquery = { to = "{address}" }\n', ["url", "query"]),
        ('url = "https://sms.example.com/{id}?u={usage}"\nform = { to = "{address}", text = "{text}" }\n', []),
    ]:
        done = subprocess.run([BINARY, "--config", place.write(http + text), "--check"], capture_output=True, text=True)
        check(done.returncode == 0, done.stderr)
        got = re.findall(r"delivery\.sms\.http\.(url|query): URLs are logged", done.stdout + done.stderr)
        check(got == warned, (text, done.stdout, done.stderr))


def scenario_what_the_documents_show_works(place):
    text = "".join((HOST / "docs" / name).read_text() for name in ["delivery.md", "webhooks.md"])
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
                              env={**os.environ, **{name: value_of(name) for name in names}})
        check(done.returncode == 0, (snippet, done.stderr))


def value_of(name):
    return f"whsec_{'YWJj' * 8}" if name == "OTP_GRANT_WEBHOOK_SECRET" else "0123456789abcdef"
