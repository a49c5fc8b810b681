//! README 6 and the quotas: what a send does, and how often it may.

use super::*;

/// README 6: "A send ends no code that was sent before, whether it is a resend or a send for another client."
#[tokio::test]
async fn a_code_is_good_to_its_last_millisecond_however_many_are_sent_after_it() {
    let sends = [
        sms_send(PHONE),
        by_spa(&sms_send(PHONE)),
        purpose(&sms_send(PHONE), Usage::Signup),
        purpose(&by_spa(&sms_send(PHONE)), Usage::ResetPassword),
    ];
    for (validity, pause) in [(240, 10), (600, 10), (1200, 10)] {
        for own in [0, 1] {
            let host = hosted(small(), validity);
            let first = host.send(&sends[own]).await;
            let mut accepted = 0;
            for number in 1..validity / pause {
                host.advance(secs(pause));
                let index = usize::try_from(number).unwrap() % 4;
                accepted += usize::from(host.try_send(&sends[index]).await.is_ok());
            }
            assert!(accepted >= 20);
            host.advance(secs(pause) - MILLI);
            assert_eq!(present(&host, &sends[own], &first, &first.code).await, Outcome::In, "{validity}");
        }
    }
}

/// `Settings::send_quotas`: "Where the otp_tokens of an auth source live longer, an address could still have more live
/// challenges. A send then waits until the first of them expires."
#[tokio::test]
async fn a_send_beyond_the_room_of_a_record_waits_until_the_first_challenge_expires() {
    let settings = settings(|s| s.send_quotas = vec![quota(1, 3)]);
    let host = hosted(settings, 3600);
    let sends = [sms_send(NOBODY), by_spa(&sms_send(NOBODY))];
    let mut all = Vec::new();
    let mut waits = None;
    for number in 0..150_usize {
        match host.try_send(&sends[number % 2]).await {
            Ok(sent) => all.push((number % 2, sent)),
            Err(reply) => {
                waits = Some(reply.header("Retry-After").unwrap().parse::<u64>().unwrap());
                break;
            }
        }
        host.advance(secs(3));
    }
    assert_eq!(all.len(), 100);
    let waits = waits.unwrap();
    assert_eq!(waits, 3600 - 300);
    for (client, sent) in &all[..2] {
        assert!(matches!(miss(&host, &sends[*client], sent).await, Outcome::Wrong(_)));
    }
    host.advance(secs(waits) - MILLI);
    host.refused_send(&sends[0]).await;
    host.advance(MILLI);
    host.send(&sends[0]).await;
}

/// README 6: "a matching resend" sends "the same code" "while the code has at least half of its validity and at least
/// one guess left", and "otherwise" "a new code".
#[tokio::test]
async fn a_code_is_sent_again_to_its_client_until_half_of_its_time_is_over() {
    for (validity, usage) in [(45, None), (600, None), (60, Some(Usage::Signup)), (60, Some(Usage::ResetPassword))] {
        for email in [false, true] {
            let send = if email { by_spa(&email_send(EMAIL)) } else { by_spa(&sms_send(PHONE)) };
            let other = if email { email_send(EMAIL) } else { sms_send(PHONE) };
            let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
            for (late, is_same) in [(Duration::ZERO, true), (MILLI, false)] {
                let host = hosted(small(), validity);
                let first = host.send(&send).await;
                host.advance(secs(10));
                // Another client has a code of its own.
                let others = host.send(&other).await;
                assert_ne!(others.code, first.code);
                host.advance(Duration::from_millis(validity * 500) - secs(10) + late);
                let second = host.send(&send).await;
                assert_eq!(first.code == second.code, is_same, "{validity} {usage:?} {email} {late:?}");
                // Either code, with either token, as long as both codes are in time.
                host.advance(Duration::from_millis(validity * 500) - late - MILLI);
                let mixed = Sent { code: first.code.clone(), ..second.clone() };
                assert_eq!(
                    present(&host, &send, &mixed, &mixed.code).await,
                    Outcome::In,
                    "{validity} {usage:?} {email}"
                );
            }
            // A code with one guess left is still sent. A code without guesses is not.
            for misses in [2, 3] {
                let host = hosted(small(), validity);
                let first = host.send(&send).await;
                for _ in 0..misses {
                    miss(&host, &send, &first).await;
                }
                host.advance(secs(10));
                let second = host.send(&send).await;
                assert_eq!(first.code == second.code, misses == 2);
                assert_eq!(present(&host, &send, &second, &second.code).await, Outcome::In);
            }
        }
    }
}

/// README 6: "After a new code is sent, the old code stays valid until it expires, is redeemed, has no guess left, or
/// the new code is redeemed with its otp_token. While both codes have guesses left, each of the two otp_tokens can be
/// presented with each of the two codes."
#[tokio::test]
async fn of_three_messages_with_two_codes_each_token_takes_each_code() {
    for (token, code_of) in (0..3).flat_map(|token| [(token, 0), (token, 2)]) {
        for send in [by_spa(&email_send(EMAIL)), sms_send(PHONE)] {
            let host = hosted(small(), 600);
            let mut sent = vec![host.send(&send).await];
            host.advance(secs(300));
            sent.push(host.send(&send).await);
            host.advance(secs(299));
            sent.push(host.send(&send).await);
            assert!(sent[0].code == sent[1].code && sent[0].code != sent[2].code);
            // Each guess is compared with both codes, and charged to both.
            assert_eq!(miss(&host, &send, &sent[token]).await, Outcome::Wrong(2));
            assert_eq!(
                present(&host, &send, &sent[token], &sent[code_of].code).await,
                Outcome::In,
                "{token} {code_of}"
            );
        }
    }
}

/// `delivery_failed`: "lets its address be sent to again at once." "The send still counts for the longer quotas" "After
/// a second failure in a row, the client must wait as usual." "The call costs a load and a swap."
#[tokio::test]
async fn an_address_whose_message_failed_is_sent_to_again_at_once_and_once() {
    let failure = DeliveryFailure::Undeliverable;
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
        let host = hosted(with(small(), |s| s.send_quotas = vec![quota(1, 20), quota(3, 3600)]), 240);
        let first = raw_send(&host, &send).await.unwrap();
        let (calls, reply) = host.store_calls(host.server.call_delivery_failed(first, failure)).await;
        assert_eq!((calls, reply.status(), reply.header("Retry-After")), (2, 503, None));
        let second = raw_send(&host, &send).await.unwrap();
        let reply = host.server.call_delivery_failed(second, failure).await;
        assert_eq!((reply.status(), reply.header("Retry-After")), (503, Some("20")));
        assert!(raw_send(&host, &send).await.is_err());
        host.advance(secs(20));
        // The third in an hour is the last.
        drop(raw_send(&host, &send).await.unwrap().accepted());
        host.advance(secs(20));
        let reply = raw_send(&host, &send).await.unwrap_err();
        assert_eq!(reply.header("Retry-After"), Some("3540"));
    }
}

/// `delivery_failed`: "If the store fails, the reply says how long to wait."
#[tokio::test]
async fn a_delivery_that_failed_while_the_store_is_down_says_how_long_to_wait() {
    let host = hosted(with(small(), |s| s.send_quotas = vec![quota(1, 20)]), 240);
    let delivery = raw_send(&host, &sms_send(PHONE)).await.unwrap();
    host.store.down.store(true, SeqCst);
    let reply = host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await;
    host.store.down.store(false, SeqCst);
    assert_eq!((reply.status(), reply.header("Retry-After")), (503, Some("20")));
    host.advance(secs(20) - MILLI);
    assert!(raw_send(&host, &sms_send(PHONE)).await.is_err());
    host.advance(MILLI);
    assert!(raw_send(&host, &sms_send(PHONE)).await.is_ok());
}

/// SECURITY, send-pumper: "one in 30 seconds, 50 in 24 hours […], over clients, usages and the spellings of a number or
/// a mailbox"; `delivery_failed`: "The send still counts for the longer quotas"
#[tokio::test]
async fn an_address_is_sent_to_as_often_as_its_quotas_say_and_once_more_where_deliveries_fail() {
    for fails in [0, 1, 2, 3] {
        // Once in 20 minutes, three times in an hour. Where deliveries fail, each one, every second one or every third
        // one fails.
        let host = hosted(settings(|s| s.send_quotas = vec![quota(1, 1200), quota(3, 3600)]), 240);
        let policy = AddressPolicy::default().with_country_code("49").unwrap();
        let spelled = settings(|s| {
            s.addresses = policy;
            s.send_quotas = vec![quota(1, 1200), quota(3, 3600)];
        });
        let host = beside(&host, spelled);
        let spellings = ["+491701234567", "1701234567", "+49 (0)170 1234567", "170-123-4567"].map(sms_send);
        let mut sends: Vec<u64> = Vec::new();
        for round in 0..400_usize {
            let send = &spellings[round % 4];
            let send = match round % 3 {
                0 => send.clone(),
                1 => by_spa(send),
                _ => purpose(send, Usage::ResetPassword),
            };
            if let Ok(delivery) = raw_send(&host, &send).await {
                sends.push(u64::try_from(round).unwrap() * 60);
                if fails > 0 && sends.len() % fails == 0 {
                    drop(host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await);
                }
            }
            host.advance(secs(60));
        }
        for (index, first) in sends.iter().enumerate() {
            let within = sends[index..].iter().filter(|later| **later < first + 3600).count();
            let most = if fails == 0 { 3 } else { 4 };
            assert!(within <= most, "{fails}: {within} in the hour from {first}");
        }
    }
}

/// SECURITY: "Through a public client, any attacker can use up the five guesses of the owner's code. A resend then
/// brings another code." "Sessions that exist go on."
#[tokio::test]
async fn a_code_whose_guesses_others_used_up_is_replaced_by_a_resend_and_sessions_go_on() {
    let host = hosted(small(), 240);
    let token = tokens_of(&host.log_in(json!({})).await).0;
    host.advance(secs(10));
    let send = by_spa(&sms_send(PHONE));
    let own = host.send(&send).await;
    host.advance(secs(10));
    let others = host.send(&send).await;
    miss_all(&host, &send, &others).await;
    assert_eq!(present(&host, &send, &own, &own.code).await, Outcome::Gone);
    host.advance(secs(10));
    let another = host.send(&send).await;
    assert_ne!(another.code, own.code);
    assert_eq!(present(&host, &send, &another, &another.code).await, Outcome::In);
    host.advance(secs(10));
    use_up(&host, &send, 10).await;
    host.refused_send(&send).await;
    refresh(&host, &token).await;
}

/// `danger::without_send_quotas`: "The record of an address keeps its ten latest challenges, and so a send can end a
/// code that is good."
#[tokio::test]
async fn without_send_quotas_the_ten_latest_challenges_are_kept() {
    let host =
        hosted(with(danger::without_send_quotas(Settings::default()), |s| s.guesses_per_challenge = guesses(200)), 240);
    let sends = [sms_send(PHONE), by_spa(&sms_send(PHONE))];
    let mut all = Vec::new();
    for number in 0..12 {
        all.push(host.send(&sends[number % 2]).await);
    }
    let mut kept = Vec::new();
    for (number, sent) in all.iter().enumerate() {
        if miss(&host, &sends[number % 2], sent).await != Outcome::Gone {
            kept.push(number);
        }
    }
    assert_eq!(kept, (2..12).collect::<Vec<_>>());
}
