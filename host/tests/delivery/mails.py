"""Mails: their parts, TLS, repetitions, refusals, the queue and the stop."""

import pathlib
import re
import time

from places import EMAIL, SMS, check, send, sent, stays
from servers import until
from services import PASSWORD, USER, MailServer, Provider, authority


def scenario_a_mail_has_all_its_parts(place):
    for tls in ["starttls", "implicit", "none"]:
        with MailServer(place.files, tls) as server:
            code = sent(place.host(place.smtp(server)))
            until(lambda: server.mailbox.mails)
            sender, recipients, mail = server.mailbox.mails[0]
            check((sender, recipients) == ("no-reply@example.com", [EMAIL]), (sender, recipients))
            check(server.mailbox.hellos == ["login.example.com"], server.mailbox.hellos)
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
            host.until_logged(said)
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
    host.until_logged("can't be reached")
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
        host.until_logged("not known whether")
        stays(lambda: len(server.mailbox.mails) == 1 and server.mailbox.attempts == 1, 4)
    with MailServer(place.files) as server:
        server.mailbox.slow = 3.5
        host = place.host(place.smtp(server))
        sent(host)
        until(lambda: server.mailbox.mails)
        stays(lambda: len(server.mailbox.mails) == 1 and server.mailbox.attempts == 1, 4)


def scenario_a_permanent_refusal_is_not_repeated(place):
    for answers, said, again in [({"recipients": ["550 no"]}, (400, "invalid_email"), 400),
                                 ({"recipients": ["550 5.1.1 no such user"]}, (400, "invalid_email"), 400),
                                 ({"recipients": ["550 5.7.1 relaying denied"]}, (503, "temporarily_unavailable"), 200),
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
        # With their jitter, attempts begin after 0, 1 to 1.25 and 3 to 3.75 seconds, and the next would be after 7.
        host = place.host(place.smtp(server), validity="6s")
        sent(host)
        host.until_logged("expires before")
        server.mailbox.always = None
        attempts = server.mailbox.attempts
        check(2 <= attempts <= 3, attempts)
        stays(lambda: not server.mailbox.mails and server.mailbox.attempts == attempts, 5)


def scenario_a_mail_that_waits_for_a_connection_expires(place):
    with MailServer(place.files) as server:
        server.mailbox.slow = 6
        host = place.host(place.smtp(server, "connections = 1\n").replace('timeout = "2s"', 'timeout = "9s"'))
        sent(host)
        # Each message has a task of its own: until the first has the connection, they would race for it.
        until(lambda: server.mailbox.mails)
        sent(host, "bob@example.com", source="brief")
        stays(lambda: [mail[1] for mail in server.mailbox.mails] == [[EMAIL]], 8)
        check(server.mailbox.attempts == 1, server.mailbox.attempts)
        host.until_logged("expires before")


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


def scenario_a_mail_server_that_is_down_leaves_text_messages_alone(place):
    with MailServer(place.files) as server, Provider() as provider:
        server.mailbox.always = "451 later"
        host = place.host(f'{place.smtp(server)}\n[delivery.queue]\nlength = 1\n'
                          f'[delivery.sms.http]\nurl = "{provider.url}/"\nform = {{ code = "{{code}}" }}\n')
        sent(host)
        until(lambda: server.mailbox.attempts)
        check(send(host, "bob@example.com")[0] == 503, "the queue of mails is full")
        host.until_logged('is full channel="email"')
        code = sent(host, SMS)
        until(lambda: provider.requests)
        check(provider.requests[0][3] == f"code={code}".encode(), provider.requests)


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
