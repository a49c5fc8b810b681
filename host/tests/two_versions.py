"""Two builds of the host side by side on one database: two_versions.py OLD_HOST NEW_HOST [STORE ...]

Starts the database, both hosts on it, and stops all of them again. STORE is redis, postgres or sqlite; without one,
redis and, where it is installed, postgres. What it needs, servers.py says.

Every scenario runs in both directions: what one build has begun, the other one goes on with.
"""

import contextlib
import glob
import sys
import tempfile

from servers import CLIENT, DATABASES, FORM, USERS, Host, configuration, grant, key_file, refresh

OLD, NEW, *STORES = sys.argv[1:]
STORES = STORES or ["redis", *(["postgres"] if glob.glob("/usr/lib/postgresql/*/bin") else [])]
ROUNDS = 10
GUESSES = 5
PHONES = iter(USERS)


def check(fine, what):
    if not fine:
        sys.exit(what)


def expect(answer, status, what):
    check(answer[0] == status, f"{what}: {answer}")
    return answer[1]


def other(code):
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def token(host, body):
    return host.call("/oauth2/token", body, FORM if body["grant_type"] == "refresh_token" else "application/json")


def is_active(host, text):
    said = expect(host.call("/oauth2/introspect", {**CLIENT, "token": text}, FORM), 200, "an introspection")
    return said["active"]


def revoke(host, text):
    expect(host.call("/oauth2/revoke", {**CLIENT, "token": text}, FORM), 200, "a revocation")


def log_in(one, two):
    """A code of one host, redeemed at the other."""
    phone = next(PHONES)
    otp_token, code = one.send(phone)
    check(otp_token, "a send failed")
    return expect(token(two, grant(phone, otp_token, code)), 200, "a login")


def logins(one, two):
    for _ in range(ROUNDS):
        phone = next(PHONES)
        otp_token, code = one.send(phone)
        wrong = grant(phone, otp_token, other(code))
        left = [expect(token(host, wrong), 400, "a wrong code")["attempts_remaining"] for host in (one, two, one)]
        check(left == [4, 3, 2], f"guesses are not counted together: {left}")
        tokens = expect(token(two, grant(phone, otp_token, code)), 200, "a login")
        for host in (one, two):
            check(is_active(host, tokens["access_token"]), "a login of the other version is not known")
            expect(token(host, grant(phone, otp_token, code)), 400, "a code that is spent")


def resends(one, two):
    for _ in range(ROUNDS):
        phone = next(PHONES)
        first, code = one.send(phone)
        second, same = two.send(phone)
        check(code == same, "a resend has killed the code in flight")
        expect(token(two, grant(phone, first, code)), 200, "a code after a resend")
        expect(token(one, grant(phone, second, code)), 400, "a code that is spent")


def budgets(one, two):
    phone = next(PHONES)
    otp_token, code = one.send(phone)
    for number in range(GUESSES):
        expect(token((one, two)[number % 2], grant(phone, otp_token, other(code))), 400, "a wrong code")
    for host in (one, two):
        expect(token(host, grant(phone, otp_token, code)), 400, "a code without a guess left")


def refreshes(one, two):
    tokens = log_in(one, two)
    for _ in range(ROUNDS):
        for host, beside in [(one, two), (two, one)]:
            before = refresh(tokens["refresh_token"])
            tokens = expect(token(host, before), 200, "a refresh")
            again = expect(token(beside, before), 200, "a retry")
            check(tokens["refresh_token"] == again["refresh_token"], "two successors")


def revocations(one, two):
    for _ in range(ROUNDS):
        tokens = log_in(one, two)
        revoke(one, tokens["access_token"])
        check(not is_active(two, tokens["access_token"]), "an access token that was revoked lives")
        tokens = expect(token(two, refresh(tokens["refresh_token"])), 200, "a refresh after a revocation")
        check(is_active(one, tokens["access_token"]), "a refresh of the other version is not known")
        revoke(two, tokens["refresh_token"])
        for host in (one, two):
            check(not is_active(host, tokens["access_token"]), "a session that was signed out lives")
            expect(token(host, refresh(tokens["refresh_token"])), 400, "a session that was signed out")


def reuses(one, two):
    for _ in range(ROUNDS):
        first = log_in(one, two)
        second = expect(token(one, refresh(first["refresh_token"])), 200, "a refresh")
        third = expect(token(two, refresh(second["refresh_token"])), 200, "a refresh")
        expect(token(one, refresh(first["refresh_token"])), 400, "a token that was superseded twice")
        for host in (one, two):
            check(not is_active(host, third["access_token"]), "a session lives on after a reuse")
            expect(token(host, refresh(third["refresh_token"])), 400, "a session after a reuse")


def main():
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            database = DATABASES[name](folder)
            stack.callback(database.stop)
            config = configuration(folder, key_file(folder))
            hosts = []
            for version, binary in [("old", OLD), ("new", NEW)]:
                hosts.append(Host(binary, folder, version, database.url, config))
                stack.callback(hosts[-1].stop)
            old, new = hosts
            for scenario in [logins, resends, budgets, refreshes, revocations, reuses]:
                scenario(old, new)
                scenario(new, old)
                print(f"{name}: {scenario.__name__} in both directions", flush=True)


main()
