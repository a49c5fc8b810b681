"""Several processes of the host on one database, under attack and under kill -9: processes.py HOST_BINARY [STORE ...]

Starts the database, two hosts on it, and stops all of them again. STORE is redis, postgres or sqlite; all three without
one. What it needs, servers.py says.
"""

import concurrent.futures
import contextlib
import os
import random
import sys
import tempfile
import threading
import time

from servers import DATABASES, FORM, USERS, Host, configuration, grant, key_file, refresh

HOST = sys.argv[1]
STORES = sys.argv[2:] or list(DATABASES)
GUESSERS = 40
SEED = int(os.environ.get("SEED", time.time()))
RANDOM = random.Random(SEED)
# Those who log in while hosts are killed, each with a number of their own.
LOGGING_IN = 8
STRANGERS = (f"+8613{number:09}" for number in range(10_000_000))


def wrong(code, index):
    return f"{(int(code) + 1 + index) % 10 ** len(code):0{len(code)}}"


def check(fine, what):
    if not fine:
        sys.exit(f"{what} (SEED={SEED})")


def guesses(hosts, pool, rounds=50):
    """200 guesses at once over both hosts, the right code among them."""
    lucky = 0
    for _ in range(rounds):
        phone = next(STRANGERS)
        token, code = hosts[0].send(phone)
        codes = [wrong(code, index) for index in range(199)]
        codes.insert(RANDOM.randrange(200), code)
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", grant(phone, token, code)) for index, code in enumerate(codes)]
        replies = [call.result() for call in calls]
        compared = sum(body.get("error_description") == "Unknown or expired OTP" for _, body in replies)
        logins = sum(status == 200 for status, _ in replies)
        check(all(status in (200, 400) for status, _ in replies), f"unexpected: {[r for r in replies if r[0] not in (200, 400)][:1]}")
        check(compared + logins <= 5 and logins <= 1, f"{compared} wrong and {logins} right codes were compared")
        lucky += logins
    # 5 of 200 places: the right code is among the compared in one of 40 rounds.
    check(lucky <= rounds * 5 / 200 + 6, f"the right code was found in {lucky} of {rounds} rounds")
    return f"{rounds} x 200 guesses, at most 5 compared, {lucky} lucky"


def right_codes(hosts, pool, rounds=20):
    for _ in range(rounds):
        phone = next(STRANGERS)
        token, code = hosts[0].send(phone)
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", grant(phone, token, code)) for index in range(50)]
        statuses = [call.result()[0] for call in calls]
        # At most five guesses are charged, so that most are refused before they are compared.
        check(statuses.count(200) == 1, f"{statuses.count(200)} token sets for one code")
    return f"{rounds} x 50 right codes, one token set each"


def refreshes(hosts, pool, rounds=20):
    for _ in range(rounds):
        phone = RANDOM.choice(USERS)
        token, code = hosts[0].send(phone)
        _, tokens = hosts[0].call("/oauth2/token", grant(phone, token, code))
        calls = [pool.submit(hosts[index % 2].call, "/oauth2/token", refresh(tokens["refresh_token"]), FORM) for index in range(50)]
        replies = [call.result() for call in calls]
        check(all(status == 200 for status, _ in replies), f"a refresh failed: {[r for r in replies if r[0] != 200][:1]}")
        check(len({body["refresh_token"] for _, body in replies}) == 1, "two successors")
    return f"{rounds} x 50 refreshes, one successor each"


def kills(hosts, database, logins=500, times=50):
    """At least so many logins, until a host was killed so many times at random moments; and the database in the middle."""
    over = threading.Event()
    # A host does not start while its database is away.
    one_at_a_time = threading.Lock()
    killed = 0

    def kill():
        nonlocal killed
        while killed < times and not over.wait(RANDOM.uniform(0.02, 0.3)):
            with one_at_a_time:
                hosts[0].kill()
                hosts[0].start()
            killed += 1
            if killed == times // 2:
                database.kill()
                database.start()

    def until_answered(host, body, kind="application/json"):
        while True:
            status, answer = host.call("/oauth2/token", body, kind)
            if status in (200, 400):
                return status, answer
            time.sleep(0.02)

    def log_in(phone):
        token = None
        while not token:
            token, code = hosts[0].send(phone)
        body = grant(phone, token, code)
        status, tokens = hosts[0].call("/oauth2/token", body)
        answered = status in (200, 400)
        if not answered:
            # Whoever was not answered tries again, as often as it takes, at the other host.
            status, tokens = until_answered(hosts[1], body)
        check(until_answered(hosts[1], body)[0] == 400, "a code was accepted twice")
        if status == 200:
            status, _ = until_answered(hosts[1], refresh(tokens["refresh_token"]), FORM)
            check(status == 200, "a session whose tokens were released can't be used")
            return "in"
        check(not answered, f"a login was refused: {tokens}")
        return "lost"

    def log_in_again_and_again(number):
        results = []
        while killed < times or len(results) < logins // LOGGING_IN + 1:
            results.append(log_in(USERS[number]))
        return results

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(LOGGING_IN) as pool:
            results = sum(pool.map(log_in_again_and_again, range(LOGGING_IN)), [])
    finally:
        over.set()
        killer.join()
    check(log_in(USERS[0]) == "in", "no login after it all")
    return f"{len(results)} logins, the host killed {killed} times, {results.count('lost')} codes spent without an answer"


def main():
    print(f"SEED={SEED}")
    for name in STORES:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            database = DATABASES[name](folder)
            stack.callback(database.stop)
            config = configuration(folder, key_file(folder))
            hosts = []
            for number in range(2):
                hosts.append(Host(HOST, folder, f"host{number}", database.url, config))
                stack.callback(hosts[-1].stop)
            with concurrent.futures.ThreadPoolExecutor(GUESSERS) as pool:
                for scenario in [guesses, right_codes, refreshes]:
                    print(f"{name}: {scenario(hosts, pool)}", flush=True)
            print(f"{name}: {kills(hosts, database)}", flush=True)


main()
