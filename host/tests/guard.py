"""The send guard and test identities, over two processes on one database: guard.py HOST_BINARY [STORE ...]

200 sends at once to one block, where a limit lets 5 pass, and where a threshold lets 6 pass; and 200 wrong codes at once
against a test identity. STORE is redis, postgres, sqlite or memory (one process); all four without one. What else it
needs, servers.py says.
"""

import base64
import concurrent.futures
import contextlib
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from servers import CLIENT, DATABASES, SOURCE, Host, configuration, grant, key_file, until

HOST = sys.argv[1]
STORES = sys.argv[2:] or [*DATABASES, "memory"]
AT_ONCE = 200
REVIEWER, CODE = "+8613600000001", "246810"
BUDGETED = {"client_id": "budgeted", "client_secret": "another long random value"}


def check(fine, what):
    if not fine:
        sys.exit(what)


def settings(folder):
    """Blocks of calling code 86 have their default threshold. The client `budgeted` has 10 messages; half of them need no
    reason to be trusted. Countries don't matter here: their counts are high."""
    file = pathlib.Path(configuration(folder, key_file(folder), phones=[]))
    today = datetime.datetime.now(datetime.timezone.utc).date()
    text = f"""
[clients.budgeted]
secret = "{BUDGETED["client_secret"]}"
auth_sources = ["{SOURCE}"]
message_budget = {{ per_hour = 10, per_day = 10 }}
[[users.list]]
subject = "reviewer"
test = true
phone_number = "{REVIEWER}"
[[test_identities]]
phone_number = "{REVIEWER}"
code = "{CODE}"
clients = ["{CLIENT["client_id"]}"]
ends = {today + datetime.timedelta(days=30)}
[guard]
mode = "enforce"
verdict_header = "X-Send-Verdict"
shards = 1
country = {{ per_day = 1000, per_hour = 1000 }}
"""
    file.write_text(file.read_text() + text)
    return str(file)


def sends(hosts, pool, client, block):
    """Sends to 200 numbers of one block at once: the replies, and to which of the numbers a code was delivered."""
    phones = [f"{block}{number:04}" for number in range(AT_ONCE)]
    bodies = [{**client, "auth_source_id": SOURCE, "phone_number": phone} for phone in phones]
    calls = [pool.submit(hosts[number % len(hosts)].call, "/otp/send", body) for number, body in enumerate(bodies)]
    replies = [call.result() for call in calls]
    delivered = 0
    for host in hosts:
        outbox = pathlib.Path(host.outbox.name).read_text().splitlines()
        delivered += sum(json.loads(line)["to"].startswith(block) for line in outbox)
    return replies, delivered


def check_sends(what, replies, delivered, expected):
    passed = sum(status == 200 for status, _ in replies)
    refused = sum((status, body.get("error")) == (400, "challenge_required") for status, body in replies)
    check((passed, delivered, refused) == (expected, expected, AT_ONCE - expected),
          f"{what}: {passed} passed, {delivered} delivered, {refused} challenged")
    return f"{AT_ONCE} sends to one block, {what}: {delivered} delivered"


def budget(hosts, pool):
    # The block alone would let one more pass.
    return check_sends("half of a client's 10 messages", *sends(hosts, pool, BUDGETED, "+861390000"), 5)


def block(hosts, pool):
    # 3 in an hour, and as many that nobody could redeem yet.
    return check_sends("3 an hour and 3 that are young", *sends(hosts, pool, CLIENT, "+861380000"), 6)


def test_identity(hosts, pool):
    status, sent = hosts[0].call("/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": REVIEWER})
    check(status == 200, f"send: {sent}")
    wrong = [f"{number:06}" for number in range(AT_ONCE)]
    calls = [pool.submit(hosts[number % len(hosts)].call, "/oauth2/token", grant(REVIEWER, sent["otp_token"], code))
             for number, code in enumerate(wrong)]
    replies = [call.result() for call in calls]
    compared = sum(body.get("error_description") == "Unknown or expired OTP" for _, body in replies)
    check(all(status == 400 for status, _ in replies) and compared == 5, f"{compared} codes were compared")
    body = grant(REVIEWER, sent["otp_token"], CODE)
    check(hosts[0].call("/oauth2/token", body)[0] == 400, "the fixed code was compared after the last guess")
    status, sent = hosts[-1].call("/otp/send", {**CLIENT, "auth_source_id": SOURCE, "phone_number": REVIEWER})
    check(status == 200, f"send: {sent}")
    status, tokens = hosts[0].call("/oauth2/token", grant(REVIEWER, sent["otp_token"], CODE))
    check(status == 200, f"login: {tokens}")
    claims = tokens["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    check(claims.get("amr") == ["test"], f"amr is {claims.get('amr')}")
    for host in hosts:
        check(REVIEWER not in pathlib.Path(host.outbox.name).read_text(), "a message for the test identity")
    return f"{AT_ONCE} wrong codes against a test identity: {compared} compared, and nothing delivered"


def log(hosts):
    """What the guard refused, and the use of the test identity, are in the logs, without the numbers."""
    lines = lambda: "".join(pathlib.Path(host.log).read_text() for host in hosts)
    for event in ["challenge required", "cause=ClientBudget", "cause=Block", "message budget of a client half used",
                  "test identity used"]:
        until(lambda: event in lines())
    # The digits of a code can also be a part of an id or of a time.
    secret = re.compile(rf"\+861|(?<![\w.-]){CODE}(?![\w-])")
    shown = [line for line in lines().splitlines() if secret.search(line)]
    check(not shown, f"the log has a number or a code: {shown}")
    return "the log has the decisions, and no number"


def support(config, url):
    """`otp-grant-host admin` reads the same records."""
    command = [HOST, "admin", "addresses", "explain", REVIEWER, "--json", "--config", config, "--store", url]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    left = json.loads(said)["guesses"]["left"]
    # The wrong guesses belong to another code than the one that logged in, so they still count.
    check(left == 20, f"{left} guesses are left")
    subprocess.run([HOST, "admin", "addresses", "unlock", *command[4:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    left = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["guesses"]["left"]
    check(left == 25, f"{left} guesses are left after unlocking")
    return "admin addresses explain and unlock"


def main():
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            url, processes = "memory", 1
            if name != "memory":
                database = DATABASES[name](folder)
                stack.callback(database.stop)
                url, processes = database.url, 2
            config = settings(folder)
            hosts = []
            for number in range(processes):
                hosts.append(Host(HOST, folder, f"host{number}", url, config))
                stack.callback(hosts[-1].stop)
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                for scenario in [budget, block, test_identity]:
                    print(f"{name}: {scenario(hosts, pool)}", flush=True)
            print(f"{name}: {log(hosts)}", flush=True)
            if name != "memory":
                print(f"{name}: {support(config, url)}", flush=True)


main()
