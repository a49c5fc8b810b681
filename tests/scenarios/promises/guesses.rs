//! README 1: how often codes are guessed.

use super::*;

/// README 1: "Each code has five guesses, over all messages that carry it."
#[tokio::test]
async fn the_messages_of_one_code_share_its_guesses() {
    for limit in [1, 2, 3, 5, 9] {
        let settings = || {
            with(small(), |s| {
                s.guesses_per_challenge = guesses(limit);
                s.guesses_per_address = quota(25, DAY);
            })
        };
        let sends = [by_spa(&email_send(EMAIL)), sms_send(NOBODY), purpose(&sms_send(PHONE), Usage::ResetPassword)];
        for send in sends {
            let host = hosted(settings(), 240);
            let mut messages = Vec::new();
            for _ in 0..3 {
                messages.push(host.send(&send).await);
                host.advance(secs(10));
            }
            assert!(messages.iter().all(|sent| sent.code == messages[0].code));
            for guess in 0..usize::from(limit) {
                let left = u64::from(limit) - 1 - u64::try_from(guess).unwrap();
                assert_eq!(miss(&host, &send, &messages[guess % 3]).await, Outcome::Wrong(left), "{send}");
            }
            for sent in &messages {
                assert_eq!(present(&host, &send, sent, &sent.code).await, Outcome::Gone, "{limit} {send}");
            }
            assert_eq!(compared(&host), usize::from(limit));
        }
    }
}

/// README 1: "Each address has 25 guesses per 24 hours, over all resends, clients and usages"
#[tokio::test]
async fn the_guesses_of_an_address_are_those_of_all_its_clients_and_purposes() {
    for (email, guesses_of_address) in [(false, 7), (true, 7), (false, 10)] {
        let host = hosted(with(small(), |s| s.guesses_per_address = quota(guesses_of_address, 3600)), 240);
        let send = if email { email_send("somebody@example.org") } else { sms_send(NOBODY) };
        let roster = [
            send.clone(),
            by_spa(&send),
            purpose(&send, Usage::Signup),
            by_spa(&purpose(&send, Usage::ResetPassword)),
            purpose(&send, Usage::UpdateUserinfo),
        ];
        for send in roster.iter().cycle().take(15) {
            if let Ok(sent) = host.try_send(send).await {
                miss_all(&host, send, &sent).await;
            }
            host.advance(secs(10));
        }
        assert_eq!(compared(&host), usize::try_from(guesses_of_address).unwrap());
        // The first guesses were charged at the beginning. They are free an hour later.
        host.advance(secs(3600 - 150) - MILLI);
        host.refused_send(&send).await;
        host.advance(MILLI);
        let sent = host.send(&send).await;
        assert!(matches!(miss(&host, &send, &sent).await, Outcome::Wrong(_)));
    }
}

/// README 1: "Parallel requests get no more comparisons than these budgets allow."
#[tokio::test]
async fn requests_at_once_on_all_codes_of_an_address_compare_no_more_than_it_has_guesses() {
    for yields in 1..4 {
        let host = hosted(small(), 240);
        let other = beside(&host, small());
        let sends = [sms_send(PHONE), by_spa(&sms_send(PHONE)), purpose(&sms_send(PHONE), Usage::Signup)];
        let mut sent = Vec::new();
        for send in &sends {
            sent.push(host.send(send).await);
            host.advance(secs(10));
        }
        host.store.yields.store(yields, SeqCst);
        let hosts = [&host, &other];
        let guesses = (0..120).map(|number| miss(hosts[number % 2], &sends[number % 3], &sent[number % 3]));
        let outcomes = join_all(guesses).await;
        assert_eq!(compared(&host), 7, "{yields}");
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Wrong(_))).count(), 7);
    }
}

/// README 1: "After a login, the guesses that were made with its otp_token no longer count against the address. All
/// other guesses still count."
#[tokio::test]
async fn a_login_gives_back_what_was_guessed_with_its_own_otp_token_alone() {
    let send = email_send(EMAIL);
    let mut left_and_right = Vec::new();
    // Two wrong guesses with the first token, and one with the second.
    for redeem_first in [true, false] {
        for (token_of_first, forgiven) in [(true, 2), (false, 1)] {
            let host = hosted(with(small(), |s| s.guesses_per_challenge = guesses(5)), 100);
            let first = host.send(&send).await;
            assert_eq!(miss(&host, &send, &first).await, Outcome::Wrong(4));
            assert_eq!(miss(&host, &send, &first).await, Outcome::Wrong(3));
            host.advance(secs(51));
            let second = host.send(&send).await;
            assert_ne!(first.code, second.code);
            assert!(matches!(miss(&host, &send, &second).await, Outcome::Wrong(_)));
            let code = if redeem_first { &first.code } else { &second.code };
            let token = if token_of_first { &first } else { &second };
            assert_eq!(present(&host, &send, token, code).await, Outcome::In);
            host.advance(secs(120));
            let left = use_up(&host, &by_spa(&send), 10).await;
            left_and_right.push((left, 7 - 3 + forgiven));
        }
    }
    // The first code with either token, then the second code with either token.
    assert!(left_and_right.iter().all(|(left, right)| left == right), "left, right: {left_and_right:?}");
    // Also not those of another client, or for another purpose.
    let host = hosted(small(), 240);
    let others = [by_spa(&send), purpose(&send, Usage::UpdateUserinfo)];
    for other in &others {
        let sent = host.send(other).await;
        miss(&host, other, &sent).await;
        miss(&host, other, &sent).await;
        host.advance(secs(10));
    }
    let own = host.send(&send).await;
    miss(&host, &send, &own).await;
    assert_eq!(present(&host, &send, &own, &own.code).await, Outcome::In);
    host.advance(secs(10));
    assert_eq!(use_up(&host, &send, 10).await, 3);
}

/// README 1: "An `otp` costs nothing if its length is wrong, or if it has a character that no code has."
#[tokio::test]
async fn a_text_of_another_alphabet_or_length_is_charged_to_nobody() {
    let code = CodePolicy::new(8, secs(90)).unwrap().with_alphabet("ABCDEFGHJKLMNPQRSTUVWXYZ23456789").unwrap();
    let settings = || {
        with(small(), |s| {
            s.guesses_per_challenge = guesses(1);
            s.code = code.clone();
        })
    };
    for send in [sms_send(PHONE), by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::Signup)] {
        let host = Host::with_directory(settings(), es256(), directory(&code));
        let sent = host.send(&send).await;
        for text in ["ABCDEFGI", "ABCDEFG0", "abcdefgh", "ABCDEFG", "ABCDEFGHJ", "123456", "ABCDEFG\u{c4}"] {
            let (calls, outcome) = host.store_calls(present(&host, &send, &sent, text)).await;
            assert_eq!(outcome, Outcome::Wrong(1), "{text}");
            assert!(calls <= 1, "{text}");
        }
        assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
        host.advance(secs(10));
        assert_eq!(use_up(&host, &send, 10).await, 7);
    }
}

/// README 1: "If an address has used its 25 guesses, requests without a device token can neither get nor redeem a code
/// for it until one of these guesses no longer counts." SECURITY: "the host pays for no message that could not be used,
/// and `LockedOut` tells the host"
#[tokio::test]
async fn an_address_without_guesses_is_sent_to_at_the_instant_it_has_one_again() {
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
        let (host, log) = listening(hosted(small(), 240), small(), es256());
        let mut at = 0;
        for _ in 0..3 {
            let sent = host.send(&send).await;
            miss_all(&host, &send, &sent).await;
            host.advance(secs(13));
            at += 13;
        }
        assert_eq!(log.count("WrongCode"), 7);
        log.names();
        let reply = host.try_send(&send).await.unwrap_err();
        assert_eq!(reply.header("Retry-After"), Some((3600 - at).to_string().as_str()));
        assert_eq!(log.names(), ["LockedOut"]);
        host.advance(secs(3600 - at) - MILLI);
        host.refused_send(&send).await;
        host.advance(MILLI);
        let sent = host.send(&send).await;
        assert_eq!(log.names(), ["LockedOut", "Sent"]);
        // Three guesses of the first code are free.
        assert_eq!(miss(&host, &send, &sent).await, Outcome::Wrong(2));
    }
}
