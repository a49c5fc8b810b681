//! Devices: an attacker who uses up an address can't keep its user out of a device that the user has logged in with.

use std::sync::atomic::Ordering::SeqCst;

use futures::future::join_all;
use otp_grant::otp::{CodePolicy, DevicePolicy};
use otp_grant::server::ConfigError;
use otp_grant::settings::{EMAIL_GRANT_TYPE, SMS_GRANT_TYPE, Settings, danger};
use otp_grant::time::Clock as _;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const DAY: u64 = 24 * 60 * 60;

/// Logs in, and asks to be remembered. Returns the device token.
async fn remembered(host: &Host, changes: Value) -> String {
    let answer = host.log_in(but(&json!({ "remember_device": true }), changes)).await;
    text(&answer, "device_token").to_owned()
}

/// Logs in with three devices, a minute apart. Returns their tokens, the oldest first.
async fn three_devices(host: &Host) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(remembered(host, json!({})).await);
        host.advance(secs(60));
    }
    tokens
}

fn with_token(body: &Value, token: &str) -> Value {
    but(body, json!({ "device_token": token }))
}

fn address(text: &str) -> Address {
    Address::Phone(AddressPolicy::default().phone_number(text).unwrap())
}

/// Uses up every guess and every send that an attacker can reach, over these clients. Returns how many codes were
/// compared.
async fn use_up(host: &Host, clients: &[Value]) -> usize {
    let before = host.counters.wrong_codes.load(SeqCst);
    for round in 0..60 {
        let send = but(&sms_send(PHONE), clients[round % clients.len()].clone());
        if let Ok(sent) = host.try_send(&send).await {
            let grant_type = if send["email"].is_string() { EMAIL_GRANT_TYPE } else { SMS_GRANT_TYPE };
            let guess = json!({ "grant_type": grant_type, "otp_token": sent.otp_token, "otp": wrong(&sent.code) });
            let guess = but(&send, guess);
            join_all((0..6).map(|_| host.token(&guess))).await;
        }
        host.advance(secs(30));
    }
    host.counters.wrong_codes.load(SeqCst) - before
}

/// Every client that may send, over SMS.
fn attackers() -> Vec<Value> {
    let confidential = ["STABLE_CLIENT_ID", "SIXTY_SECONDS_CLIENT_ID", "API_CLIENT_ID"];
    let confidential = confidential.map(|id| json!({ "client_id": id, "client_secret": format!("{id}_SECRET") }));
    let mut all = vec![json!({}), json!({ "client_id": PUBLIC_CLIENT, "client_secret": null })];
    all.extend(confidential);
    all
}

/// The same, and the mailbox of the same user beside the telephone.
fn attackers_on_every_channel() -> Vec<Value> {
    let by_mail = json!({
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "phone_number": null, "email": EMAIL,
    });
    let mut all = attackers();
    let by_mail: Vec<Value> = all.iter().map(|client| but(&by_mail, client.clone())).collect();
    all.extend(by_mail);
    all
}

#[tokio::test]
async fn the_owner_logs_in_with_a_known_device_while_an_attacker_uses_up_everything() {
    let host = Host::new();
    let mut token = remembered(&host, json!({})).await;
    for _ in 0..100 {
        // 25 of the telephone, and 25 of the mailbox.
        assert!(use_up(&host, &attackers_on_every_channel()).await <= 50);
        // Nobody else can send, and the owner can.
        host.refused_send(&sms_send(PHONE)).await;
        let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
        let grant = but(&with_token(&sms_grant(PHONE, &sent), &token), json!({ "remember_device": true }));
        let (status, answer) = host.token(&grant).await;
        assert_eq!(status, 200, "{answer}");
        let renewed = text(&answer, "device_token").to_owned();
        assert_ne!(renewed, token);
        token = renewed;
        host.advance(secs(DAY / 10));
    }
}

#[tokio::test]
async fn a_stranger_sees_the_same_whether_or_not_the_owner_logs_in() {
    let mut seen = Vec::new();
    for logs_in in [false, true] {
        let host = Host::new();
        let token = remembered(&host, json!({})).await;
        host.advance(secs(DAY));
        use_up(&host, &attackers()).await;
        if logs_in {
            let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
            assert_eq!(host.token(&with_token(&sms_grant(PHONE, &sent), &token)).await.0, 200);
        }
        let mut replies = Vec::new();
        for _ in 0..100 {
            let reply = match host.try_send(&sms_send(PHONE)).await {
                Ok(sent) => {
                    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
                    but(&host.token(&guess).await.1, json!({}))
                }
                Err(reply) => json!([read(&reply).1, reply.header("Retry-After")]),
            };
            replies.push(reply);
            host.advance(secs(DAY / 50));
        }
        seen.push(replies);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn guesses_over_every_device_stay_within_the_sum() {
    let host = Host::new();
    host.store.yields.store(1, SeqCst);
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(remembered(&host, json!({})).await);
        host.advance(secs(30));
    }
    let before = host.counters.wrong_codes.load(SeqCst);
    let budgets: Vec<Value> = tokens.iter().map(|token| json!(token)).chain([Value::Null]).collect();
    let mut logins = 0;
    for resend in 0..20 {
        // The owner logs in with whatever is left to them.
        for _ in 0..2 {
            for token in budgets.iter().cycle().skip(resend).take(budgets.len()) {
                let of_owner = json!({ "device_token": token });
                let Ok(sent) = host.try_send(&but(&sms_send(PHONE), of_owner.clone())).await else { continue };
                if host.token(&but(&sms_grant(PHONE, &sent), of_owner)).await.0 == 200 {
                    logins += 1;
                    break;
                }
            }
            host.advance(secs(30));
        }
        // The thief of every device token uses one budget after the other.
        let of_thief = json!({ "device_token": budgets[resend % budgets.len()] });
        if let Ok(sent) = host.try_send(&but(&sms_send(PHONE), of_thief.clone())).await {
            let guess = but(&but(&sms_grant(PHONE, &sent), of_thief), json!({ "otp": wrong(&sent.code) }));
            join_all((0..200).map(|_| host.token(&guess))).await;
        }
        host.advance(secs(30));
    }
    let compared = host.counters.wrong_codes.load(SeqCst) - before;
    // 25 of the address, and 10 of each of 3 devices. The guesses of the owner are forgiven.
    assert!(compared <= 55, "{compared} guesses");
    assert!(compared >= 40, "{compared} guesses: the scenario reaches the limits");
    assert!(logins >= 10, "{logins} logins");
}

#[tokio::test]
async fn a_thief_of_every_device_token_gets_no_new_budget_with_each_login_of_the_owner() {
    let host = Host::new();
    let before = host.counters.wrong_codes.load(SeqCst);
    for _ in 0..9 {
        // The owner logs in until the thief has locked everybody out who has no device.
        let Ok(sent) = host.try_send(&sms_send(PHONE)).await else { break };
        let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
        let (status, answer) = host.token(&grant).await;
        assert_eq!(status, 200, "{answer}");
        let token = text(&answer, "device_token").to_owned();
        host.advance(secs(30));
        for _ in 0..3 {
            if let Ok(sent) = host.try_send(&with_token(&sms_send(PHONE), &token)).await {
                let guess = but(&with_token(&sms_grant(PHONE, &sent), &token), json!({ "otp": wrong(&sent.code) }));
                join_all((0..6).map(|_| host.token(&guess))).await;
            }
            host.advance(secs(30));
        }
    }
    let compared = host.counters.wrong_codes.load(SeqCst) - before;
    // Without a device with a guess left, the thief has everybody's 25.
    assert!((50..=55).contains(&compared), "{compared} guesses");
}

#[tokio::test]
async fn a_token_that_is_not_good_counts_as_none() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    let other_client = json!({ "client_id": "API_CLIENT_ID", "client_secret": "API_CLIENT_ID_SECRET" });
    host.advance(secs(30));
    let answer = host.log_in_by(&but(&sms_send(PHONE), other_client.clone()), json!({ "remember_device": true })).await;
    let of_other_client = text(&answer, "device_token").to_owned();
    host.advance(secs(30));
    let of_other_address = {
        let answer = host.log_in_by(&sms_send(NOBODY), json!({ "remember_device": true, "auto_signup": true })).await;
        text(&answer, "device_token").to_owned()
    };
    let mut altered = token.clone();
    altered.replace_range(30..31, if &token[30..31] == "A" { "B" } else { "A" });
    let otp_token = host.send(&sms_send(LOCKED_PHONE)).await.otp_token;
    host.advance(secs(DAY));
    use_up(&host, &attackers()).await;

    let expected = host.store_calls(host.refused_send(&sms_send(PHONE))).await;
    for bad in [&altered, &of_other_client, &of_other_address, &otp_token, "x", &"A".repeat(92), &token[..91]] {
        let refused = host.store_calls(host.refused_send(&with_token(&sms_send(PHONE), bad))).await;
        assert_eq!(refused, expected, "{bad}");
    }
    // At redemption too, a bad token changes neither the answer nor the calls.
    let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    let expected = host.store_calls(host.token(&guess)).await;
    for bad in [&altered, &of_other_client, &of_other_address, &otp_token, "x"] {
        assert_eq!(host.store_calls(host.token(&with_token(&guess, bad))).await, expected, "{bad}");
    }
    host.advance(secs(30));
    // The token is good all the same, at its own client, and for any spelling of the address.
    host.send(&with_token(&sms_send("+86 136-1234-5678"), &token)).await;
    host.send(&but(&with_token(&sms_send(PHONE), &of_other_client), other_client)).await;

    // It is good for 90 days after the login.
    host.advance(secs(89 * DAY));
    use_up(&host, &attackers()).await;
    host.refused_send(&with_token(&sms_send(PHONE), &token)).await;
}

#[tokio::test]
async fn a_device_that_logs_in_again_is_known_for_90_days_more() {
    let host = Host::new();
    let first = remembered(&host, json!({})).await;
    host.advance(secs(89 * DAY));
    let second = remembered(&host, json!({ "device_token": first })).await;
    host.advance(secs(89 * DAY));
    use_up(&host, &attackers()).await;
    host.refused_send(&with_token(&sms_send(PHONE), &first)).await;
    host.send(&with_token(&sms_send(PHONE), &second)).await;
    assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices.len(), 1);
}

#[tokio::test]
async fn a_stolen_token_gives_the_budgets_of_its_device_and_nothing_else() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    host.advance(secs(30));
    // Without the right code, it logs nobody in.
    let mut compared = 0;
    for _ in 0..20 {
        if let Ok(sent) = host.try_send(&with_token(&sms_send(PHONE), &token)).await {
            let guess = but(&with_token(&sms_grant(PHONE, &sent), &token), json!({ "otp": wrong(&sent.code) }));
            for _ in 0..6 {
                compared += usize::from(host.token(&guess).await.1["error_description"] == "Unknown or expired OTP");
            }
        }
        host.advance(secs(30));
        if compared == 10 {
            break;
        }
    }
    assert_eq!(compared, 10);
    // The device is locked, and counts as none: the owner has everybody's budgets, which are whole.
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!((state.guesses.left, state.devices[0].guesses.left), (Some(25), Some(0)));
    assert_eq!(host.log_in(json!({ "device_token": token })).await["token_type"], "Bearer");
}

#[tokio::test]
async fn the_codes_of_a_device_are_its_own() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    host.advance(secs(30));
    // Somebody else asks for a code with the same parameters, at the same time.
    let of_other = host.send(&sms_send(PHONE)).await;
    let of_device = host.send(&with_token(&sms_send(PHONE), &token)).await;
    assert_ne!(of_other.code, of_device.code);
    // Their guesses are not compared with the code of the device, and use up none of its guesses.
    for _ in 0..5 {
        let (_, answer) = host.token(&but(&sms_grant(PHONE, &of_other), json!({ "otp": of_device.code }))).await;
        assert_eq!(answer["error_description"], "Unknown or expired OTP");
    }
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!((state.guesses.left, state.devices[0].guesses.left), (Some(20), Some(10)));
    // A resend with the device delivers the code of the device.
    host.advance(secs(30));
    let again = host.send(&with_token(&sms_send(PHONE), &token)).await;
    assert_eq!(again.code, of_device.code);
    assert_eq!(host.token(&with_token(&sms_grant(PHONE, &of_device), &token)).await.0, 200);
}

#[tokio::test]
async fn an_outage_costs_a_device_no_guess_and_a_guess_of_unknown_outcome_is_its_own() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    use_up(&host, &attackers()).await;
    let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
    let grant = with_token(&sms_grant(PHONE, &sent), &token);
    let left = async || {
        let state = host.server.call_explain(&address(PHONE)).await.unwrap();
        (state.guesses.left, state.devices[0].guesses.left)
    };
    assert_eq!(left().await, (Some(0), Some(10)));
    host.directory.down.store(true, SeqCst);
    for _ in 0..12 {
        assert_eq!(host.token(&grant).await.0, 503);
    }
    host.directory.down.store(false, SeqCst);
    assert_eq!(left().await, (Some(0), Some(10)));
    for (fault, remaining) in [(Mishap::FailAfter, 4), (Mishap::Overwritten, 3), (Mishap::FailBefore, 2)] {
        host.store.fault(1, fault);
        let (_, answer) = host.token(&but(&grant, json!({ "otp": wrong(&sent.code) }))).await;
        assert_eq!(answer["attempts_remaining"], remaining, "{fault:?}");
    }
    assert_eq!(left().await, (Some(0), Some(7)));
    // A login forgives the wrong guesses, also after another outage.
    host.directory.down.store(true, SeqCst);
    assert_eq!(host.token(&grant).await.0, 503);
    host.directory.down.store(false, SeqCst);
    assert_eq!(host.token(&grant).await.0, 200);
    assert_eq!(left().await, (Some(0), Some(10)));
}

#[tokio::test]
async fn a_login_forgives_each_guess_at_its_code_where_it_was_charged() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    host.advance(secs(30));
    let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
    let left = async || {
        let state = host.server.call_explain(&address(PHONE)).await.unwrap();
        (state.guesses.left, state.devices[0].guesses.left)
    };
    let grant = sms_grant(PHONE, &sent);
    let guess = but(&grant, json!({ "otp": wrong(&sent.code) }));
    assert_eq!(host.token(&with_token(&guess, &token)).await.0, 400);
    host.advance(secs(1));
    assert_eq!(host.token(&guess).await.0, 400);
    host.advance(secs(1));
    assert_eq!(left().await, (Some(24), Some(9)));
    assert_eq!(host.token(&with_token(&grant, &token)).await.0, 200);
    assert_eq!(left().await, (Some(25), Some(10)));
}

#[tokio::test]
async fn a_device_has_sends_and_guesses_that_end() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    let send = with_token(&sms_send(PHONE), &token);
    // The ten guesses of the device, at three codes.
    for remaining in [&[4, 3, 2, 1][..], &[4, 3, 2, 1], &[1, 0]] {
        host.advance(secs(181));
        let sent = host.send(&send).await;
        assert_eq!(host.refused_send(&send).await.1["error"], "sms_rate_limit_exceeded");
        let guess = with_token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })), &token);
        for remaining in remaining {
            assert_eq!(host.token(&guess).await.1["attempts_remaining"], *remaining);
        }
    }
    let left = async || {
        let state = host.server.call_explain(&address(PHONE)).await.unwrap();
        (state.guesses.left, state.devices[0].guesses.left)
    };
    assert_eq!(left().await, (Some(25), Some(0)));
    host.server.call_unlock(&address(PHONE)).await.unwrap();
    assert_eq!(left().await, (Some(25), Some(10)));
}

#[tokio::test]
async fn a_record_is_kept_for_as_long_as_a_device_is_known_or_what_it_used_up_counts() {
    let host = Host::new();
    let kept_until = || {
        let records = host.store.inner.records().into_iter();
        let mut of_address = records.filter(|(_, record)| record.body.kind() == "authenticator");
        of_address.next().unwrap().1.delete_after
    };
    let token = remembered(&host, json!({})).await;
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!(state.devices[0].known_until, host.clock.now().after(secs(90 * DAY)));
    assert!(kept_until() >= state.devices[0].known_until);
    host.advance(secs(DAY));
    let sent = host.send(&with_token(&sms_send(PHONE), &token)).await;
    host.advance(secs(10));
    host.token(&with_token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })), &token)).await;
    host.server.call_forget_devices(&address(PHONE)).await.unwrap();
    assert!(kept_until() >= host.clock.now().after(secs(DAY)));
    assert!(kept_until() < state.devices[0].known_until);
}

#[tokio::test]
async fn where_sends_are_not_limited_those_of_a_device_are_not() {
    let host = Host::with(danger::without_send_quotas(Settings::default()));
    let token = remembered(&host, json!({})).await;
    for _ in 0..100 {
        host.send(&with_token(&sms_send(PHONE), &token)).await;
    }
}

#[tokio::test]
async fn a_fourth_device_takes_the_place_of_the_one_that_logged_in_least_recently() {
    let host = Host::new();
    let mut tokens = three_devices(&host).await;
    // The first device logs in again, without asking for a newer token.
    let send = with_token(&sms_send(PHONE), &tokens[0]);
    host.log_in_by(&send, json!({})).await;
    host.advance(secs(60));
    tokens.push(remembered(&host, json!({})).await);
    host.advance(secs(DAY));
    use_up(&host, &attackers()).await;
    for (number, is_known) in [true, false, true, true].into_iter().enumerate() {
        let sent = host.try_send(&with_token(&sms_send(PHONE), &tokens[number])).await;
        assert_eq!(sent.is_ok(), is_known, "device {number}");
    }
}

/// The devices as the record of the address has them.
fn recorded(host: &Host) -> Value {
    let bodies = host.store.inner.records().into_iter().map(|(_, record)| record.body);
    let addresses = bodies.filter(|body| body.kind() == "authenticator");
    let [address]: [_; 1] = addresses.collect::<Vec<_>>().try_into().unwrap();
    serde_json::from_slice::<Value>(&address.to_bytes().unwrap()).unwrap()["authenticator"]["d"].clone()
}

#[tokio::test]
async fn a_login_that_came_to_nothing_keeps_no_device_and_takes_the_place_of_none() {
    for known in 0..=3 {
        for is_presented in [false, true] {
            let host = Host::new();
            let mut tokens = Vec::new();
            for _ in 0..known {
                tokens.push(remembered(&host, json!({})).await);
                host.advance(secs(60));
            }
            let presented = tokens.first().filter(|_| is_presented);
            let body = |body: Value| presented.map_or_else(|| body.clone(), |token| with_token(&body, token));
            let sent = host.send(&body(sms_send(PHONE))).await;
            let grant = but(&body(sms_grant(PHONE, &sent)), json!({ "remember_device": true }));
            // A login with a device that is known makes none known, and can renew its own.
            let seen = |devices: Value| match is_presented && known > 0 {
                true => devices.as_array().unwrap().iter().map(|device| device["i"].clone()).collect(),
                false => devices,
            };
            let before = seen(recorded(&host));
            // The code is spent in the store, which then fails twice.
            host.store.fault(3, Mishap::FailAfter);
            host.store.fault(4, Mishap::FailBefore);
            assert_eq!(host.token(&grant).await.0, 503);
            host.store.heal();
            assert_eq!(seen(recorded(&host)), before, "{known} {is_presented}");
            let (status, answer) = host.token(&grant).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["device_token"].is_string(), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_login_that_came_to_nothing_gives_the_place_back_that_it_took_and_no_other() {
    let host = Host::new();
    let tokens = three_devices(&host).await;
    let of_first = host.send(&with_token(&sms_send(PHONE), &tokens[0])).await;
    host.advance(secs(30));
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
    // The session is stored, and the device that logged in first is still the oldest one.
    let mut login = Box::pin(host.token(&grant));
    host.store.hold_when_stored(2, &mut login);
    assert_eq!(host.token(&with_token(&sms_grant(PHONE, &of_first), &tokens[0])).await.0, 200);
    let before = recorded(&host);
    // The code is then spent in place of the second device.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(login.await.0, 503);
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn a_login_that_is_taken_back_when_its_code_has_expired_keeps_no_device() {
    let host = Host::new();
    three_devices(&host).await;
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
    let before = recorded(&host);
    let mut login = Box::pin(host.token(&grant));
    host.store.hold_when_stored(3, &mut login);
    host.advance(secs(300));
    host.store.fault(0, Mishap::FailBefore);
    assert_eq!(login.await.0, 503);
    assert_eq!(recorded(&host), before);
}

#[tokio::test]
async fn a_device_that_was_forgotten_while_a_login_failed_stays_forgotten() {
    let host = Host::new();
    three_devices(&host).await;
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
    let mut login = Box::pin(host.token(&grant));
    host.store.hold_when_stored(3, &mut login);
    host.server.call_forget_devices(&address(PHONE)).await.unwrap();
    host.store.fault(0, Mishap::FailBefore);
    assert_eq!(login.await.0, 503);
    assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices, []);
}

#[tokio::test]
async fn without_the_request_no_device_is_remembered() {
    let host = Host::new();
    assert_eq!(host.log_in(json!({})).await["device_token"], Value::Null);
    assert_eq!(host.log_in(json!({ "remember_device": false })).await["device_token"], Value::Null);
    let off = Host::with(settings(|s| s.devices = None));
    assert_eq!(off.log_in(json!({ "remember_device": true })).await["device_token"], Value::Null);
    for host in [host, off] {
        assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices, []);
        for (_, record) in host.store.inner.records() {
            let text = String::from_utf8(record.body.to_bytes().unwrap()).unwrap();
            assert!(!text.contains(r#""d":"#), "{text}");
        }
    }
}

#[tokio::test]
async fn a_repeated_answer_names_the_same_device() {
    let host = Host::with(settings(|s| s.repeat_answer_within = secs(60)));
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
    let (first, second) = (host.token(&grant).await, host.token(&grant).await);
    assert_eq!((first.0, second.0), (200, 200));
    assert_eq!(text(&first.1, "device_token"), text(&second.1, "device_token"));
    assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices.len(), 1);
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.1["device_token"], Value::Null);
}

#[tokio::test]
async fn a_device_costs_no_call_of_the_store_more() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    host.advance(secs(30));
    let (calls, sent) = host.store_calls(host.send(&with_token(&sms_send(PHONE), &token))).await;
    assert_eq!(calls, 2);
    let grant = but(&with_token(&sms_grant(PHONE, &sent), &token), json!({ "remember_device": true }));
    let (calls, (status, _)) = host.store_calls(host.token(&grant)).await;
    assert_eq!((calls, status), (4, 200));
}

#[tokio::test]
async fn support_unlocks_an_address_and_forgets_its_devices() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    use_up(&host, &attackers()).await;
    let locked = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert!(locked.is_locked());
    let again_at = locked.guesses.available_at.unwrap();
    let (status, _) = host.refused_send(&sms_send(PHONE)).await;
    assert_eq!(status, 400);
    assert!(again_at > host.clock.now() && host.clock.now().until(again_at) <= secs(DAY));

    let (calls, unlocked) = host.store_calls(host.server.call_unlock(&address(PHONE))).await;
    assert_eq!((calls, unlocked), (2, Ok(())));
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!((state.guesses.left, state.guesses.available_at, state.sends.left), (Some(25), None, Some(50)));
    host.log_in(json!({})).await;

    let (calls, forgotten) = host.store_calls(host.server.call_forget_devices(&address(PHONE))).await;
    assert_eq!((calls, forgotten), (2, Ok(())));
    assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices, []);
    use_up(&host, &attackers()).await;
    host.refused_send(&with_token(&sms_send(PHONE), &token)).await;
    let told = host.counters.told.lock().unwrap().join("\n");
    for event in ["DeviceRemembered", "Unlocked", "DevicesForgotten"] {
        assert!(told.contains(event), "{event}");
    }

    // An address without a record is whole, and nothing is stored for it.
    let records = host.store.inner.records().len();
    let nobody = address(NOBODY);
    assert_eq!(host.server.call_unlock(&nobody).await, Ok(()));
    assert_eq!(host.server.call_forget_devices(&nobody).await, Ok(()));
    let state = host.server.call_explain(&nobody).await.unwrap();
    assert_eq!((state.guesses.left, state.sends.left, state.challenges.len()), (Some(25), Some(50), 0));
    assert_eq!(host.store.inner.records().len(), records);
}

#[tokio::test]
async fn what_support_did_is_done_though_the_store_fails_once() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Twice, Mishap::Overwritten] {
        let host = Host::new();
        remembered(&host, json!({})).await;
        use_up(&host, &attackers()).await;
        assert!(host.server.call_explain(&address(PHONE)).await.unwrap().is_locked());
        host.store.fault(1, fault);
        assert_eq!(host.server.call_unlock(&address(PHONE)).await, Ok(()));
        let state = host.server.call_explain(&address(PHONE)).await.unwrap();
        assert_eq!((state.guesses.left, state.is_locked(), state.devices.len()), (Some(25), false, 1), "{fault:?}");
        host.store.fault(1, fault);
        assert_eq!(host.server.call_forget_devices(&address(PHONE)).await, Ok(()));
        assert_eq!(host.server.call_explain(&address(PHONE)).await.unwrap().devices, [], "{fault:?}");
    }
}

#[tokio::test]
async fn a_device_is_not_known_for_longer_when_the_clock_is_set_back() {
    let host = Host::new();
    let token = remembered(&host, json!({})).await;
    host.clock.set_back(secs(DAY));
    // The token is from the future. The device is known, and its time is shorter by a day.
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    let known_for = host.clock.now().until(state.devices[0].known_until);
    assert!(known_for <= secs(90 * DAY), "{known_for:?}");
    host.advance(secs(2 * DAY));
    use_up(&host, &attackers()).await;
    host.send(&with_token(&sms_send(PHONE), &token)).await;
}

#[test]
fn budgets_of_more_than_100_guesses_a_day_are_refused() {
    let build = |settings: Settings| {
        AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(settings)
            .build(MemoryStore::new(), MemoryDirectory::new())
            .err()
    };
    let quota = |count, window| otp::Quota::new(std::num::NonZeroU32::new(count).unwrap(), secs(window));
    let guesses = |of_address, of_device| {
        settings(|s| {
            s.guesses_per_address = of_address;
            s.devices = Some(with(DevicePolicy::default(), |policy| policy.guesses = of_device));
        })
    };
    assert_eq!(build(guesses(quota(70, DAY), quota(10, DAY))), None);
    assert_eq!(build(guesses(quota(71, DAY), quota(10, DAY))), Some(ConfigError::TooManyGuesses));
    assert_eq!(build(guesses(quota(25, DAY), quota(26, DAY))), Some(ConfigError::TooManyGuesses));
    assert_eq!(build(guesses(quota(25, DAY), quota(2, 3600))), Some(ConfigError::TooManyGuesses));
    assert_eq!(build(settings(|s| (s.guesses_per_address, s.devices) = (quota(100, 3600), None))), None);
    let sends = |sends| settings(|s| s.devices = Some(with(DevicePolicy::default(), |policy| policy.sends = sends)));
    let validity =
        |validity| settings(|s| s.devices = Some(with(DevicePolicy::default(), |policy| policy.validity = validity)));
    for refused in [secs(0), secs(3599), std::time::Duration::MAX] {
        assert_eq!(build(validity(refused)), Some(ConfigError::DeviceValidity));
    }
    assert_eq!(build(validity(secs(3600))), None);
    assert_eq!(build(sends(Vec::new())), Some(ConfigError::Quota));
    assert_eq!(build(sends(vec![quota(20, DAY)])), None);
    assert_eq!(build(sends(vec![quota(21, DAY)])), Some(ConfigError::TooManyChallengesOfDevice));
    assert_eq!(build(sends(vec![quota(100, 60)])), Some(ConfigError::TooManyChallengesOfDevice));
}

#[tokio::test]
async fn the_live_challenges_of_strangers_leave_room_for_those_of_a_device() {
    let code = CodePolicy::new(6, secs(180)).unwrap().with_token_validity(secs(DAY)).unwrap();
    let source = AuthSource::new(AuthSourceId::new(SMS_SOURCE).unwrap(), Channel::Sms).with_code(code);
    let host = Host::with_directory(Settings::default(), signing_key(), sample_directory().with_auth_source(source));
    let token = remembered(&host, json!({})).await;
    for _ in 0..49 {
        host.advance(secs(30));
        host.send(&sms_send(PHONE)).await;
    }
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!((state.challenges.len(), state.sends.left), (49, Some(0)));
    for _ in 0..10 {
        host.send(&with_token(&sms_send(PHONE), &token)).await;
        host.advance(secs(30));
    }
    let state = host.server.call_explain(&address(PHONE)).await.unwrap();
    assert_eq!((state.challenges.len(), state.devices[0].sends.left), (59, Some(0)));
}
