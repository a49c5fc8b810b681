//! The send guard: countries, blocks and clients earn their messages, and the host's verdict counts.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::future::join_all;
use otp_grant::guard::{Countries, GuardMode, MessageBudget, SendGuard, Threshold, Verdict};
use otp_grant::id::{RecordKey, Tag};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{ConfigError, VerifyRequest};
use otp_grant::settings::danger;
use otp_grant::store::{Record, RecordBody, Swap};
use otp_grant::time::{Clock, Timestamp};
use otp_grant::wire::{ClientCredentials, SendRequest};
use otp_grant::*;
use otp_grant_tests::steps::{Mishap, Planned, Polled, SteppedStore};
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

const NUMBER: &str = "+8613612340001";

/// The settings of a guard that enforces.
fn guarded(change: impl FnOnce(&mut SendGuard)) -> Settings {
    settings(|settings| {
        settings.send_guard.mode = GuardMode::Enforce;
        change(&mut settings.send_guard);
    })
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn one_shard(guard: &mut SendGuard) {
    guard.shards = NonZeroU16::MIN;
}

/// A number of the block `NUMBER` is in.
fn in_block(number: usize) -> String {
    format!("+861361234{number:04}")
}

/// A number of the same country, in a block of its own.
fn in_country(number: usize) -> String {
    format!("+86137{number:04}0000")
}

fn with_budget(settings: Settings, budget: MessageBudget) -> Host {
    let client = Client::confidential(ClientId::new(CLIENT).unwrap(), ClientSecret::digest(CLIENT_SECRET))
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
        .with_message_budget(budget);
    Host::with_directory(settings, signing_key(), sample_directory().with_client(client))
}

/// Sends with a verdict, over the face of this run.
async fn send_as<T: Posts>(server: &T, verdict: Verdict, body: &Value) -> Result<Sent, (u16, Value)> {
    let bytes = body.to_string();
    let request = json_request(&bytes, None).to("POST", "/otp/send").with_verdict(verdict);
    let mut code = None;
    let deliver = |delivery: Delivery| {
        code = Some(delivery.message().map_or("246810", |message| message.code().expose_secret()).to_owned());
        std::future::ready(delivery.accepted())
    };
    let reply = read(&server.serve(request, deliver).await.unwrap());
    match code {
        Some(code) => Ok(Sent { otp_token: text(&reply.1, "otp_token").to_owned(), code, reply: reply.1 }),
        None => Err(reply),
    }
}

async fn try_send(host: &Host, phone: &str) -> Result<Sent, (u16, Value)> {
    send_as(&host.server, Verdict::None, &sms_send(phone)).await
}

async fn allowed(host: &Host, phone: &str) -> Result<Sent, (u16, Value)> {
    send_as(&host.server, Verdict::Allow, &sms_send(phone)).await
}

fn grant_of(phone: &str, sent: &Sent) -> Value {
    but(&sms_grant(phone, sent), json!({ "auto_signup": true }))
}

async fn log_in(host: &Host, phone: &str, sent: &Sent) -> u16 {
    host.token(&grant_of(phone, sent)).await.0
}

fn challenge_required() -> (u16, Value) {
    error(400, "challenge_required", "")
}

/// What a destination has counted: how many messages of the last hours were sent, and how many verified.
fn counted(body: &RecordBody) -> (u64, u64) {
    let body: Value = serde_json::from_slice(&body.to_bytes().unwrap()).unwrap();
    let hours = BASE64_URL_SAFE_NO_PAD.decode(body["destination"]["h"].as_str().unwrap_or_default()).unwrap();
    let (mut counts, mut shift, mut number) = (Vec::new(), 0, 0);
    for byte in hours {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            counts.push(std::mem::take(&mut number));
            shift = 0;
        }
    }
    (counts.iter().step_by(2).sum(), counts.iter().skip(1).step_by(2).sum())
}

fn all_counted(records: impl IntoIterator<Item = Record>) -> Vec<(u64, u64)> {
    let destinations = records.into_iter().filter(|record| record.body.kind() == "destination");
    let mut counted: Vec<_> = destinations.map(|record| counted(&record.body)).collect();
    counted.sort_unstable();
    counted
}

fn destinations(host: &Host) -> Vec<(u64, u64)> {
    all_counted(host.store.inner.records().into_iter().map(|(_, record)| record))
}

fn told(host: &Host, name: &str) -> usize {
    host.counters.told.lock().unwrap().iter().filter(|event| event.contains(name)).count()
}

#[tokio::test]
async fn a_guard_that_is_off_costs_nothing_and_ignores_the_verdict() {
    let host = Host::new();
    assert_eq!(Settings::default().send_guard.mode, GuardMode::Off);
    let sent = host.store_calls(send_as(&host.server, Verdict::Refuse, &sms_send(PHONE))).await;
    assert_eq!(sent.0, 2);
    let sent = sent.1.unwrap();
    let records = host.store.inner.records();
    let body: Value = serde_json::from_slice(&records[0].1.body.to_bytes().unwrap()).unwrap();
    assert!(records.len() == 1 && body["authenticator"].get("m").is_none(), "{body}");
    assert_eq!(host.store_calls(log_in(&host, PHONE, &sent)).await, (4, 200));
    assert!(destinations(&host).is_empty());
}

#[tokio::test]
async fn the_calls_of_a_guard_that_is_on_are_counted() {
    let host = Host::with(guarded(|guard| guard.countries = Some(Countries::only(["86"]).unwrap())));
    let (calls, sent) = host.store_calls(try_send(&host, NUMBER)).await;
    assert_eq!(calls, 2 + 4, "a send");
    let sent = sent.unwrap();
    // The quotas of the address refuse the second: its record alone is loaded, and nothing is charged.
    let (calls, refused) = host.store_calls(try_send(&host, NUMBER)).await;
    assert_eq!((calls, refused.unwrap_err().1["error"].as_str().unwrap()), (1, "sms_rate_limit_exceeded"));
    assert_eq!(destinations(&host), [(1, 0), (1, 0)]);
    let guess = but(&grant_of(NUMBER, &sent), json!({ "otp": wrong(&sent.code) }));
    assert_eq!(host.store_calls(host.token(&guess)).await.0, 2, "a wrong code");
    // Each of the two destinations is loaded and swapped.
    assert_eq!(host.store_calls(log_in(&host, NUMBER, &sent)).await, (4 + 4, 200), "a login");
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
    // The list and the verdict need no store.
    assert_eq!(host.store_calls(try_send(&host, "+442079460000")).await.0, 0);
    for verdict in [Verdict::Challenge, Verdict::Refuse] {
        assert_eq!(host.store_calls(send_as(&host.server, verdict, &sms_send(NUMBER))).await.0, 0);
    }
    // A block that is past its threshold: the address, the block.
    for number in 2..8 {
        try_send(&host, &in_block(number)).await.unwrap();
    }
    let (calls, refused) = host.store_calls(try_send(&host, &in_block(8))).await;
    assert_eq!((calls, refused.unwrap_err()), (2, challenge_required()));

    let host = with_budget(guarded(|_| {}), MessageBudget::new(count(1000), count(1000)));
    let (calls, sent) = host.store_calls(try_send(&host, NUMBER)).await;
    assert_eq!(calls, 2 + 6, "with the budget of a client");
    // The budget of a client counts messages, whatever becomes of them.
    assert_eq!(host.store_calls(log_in(&host, NUMBER, &sent.unwrap())).await, (4 + 4, 200));
    assert_eq!(destinations(&host), [(1, 0), (1, 1), (1, 1)]);

    let host = Host::with(guarded(|_| {}));
    let email = json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "email": EMAIL, "usage": "signup" });
    assert_eq!(host.store_calls(send_as(&host.server, Verdict::None, &email)).await.0, 2, "e-mail has no destination");
}

#[tokio::test]
async fn a_number_of_another_country_is_refused_as_one_that_the_provider_refuses() {
    let countries = Countries::only(["86", "1"]).unwrap().except(["1876"]).unwrap();
    let host = Host::with(guarded(|guard| guard.countries = Some(countries.clone())));
    for number in ["+8613612340001", "+12025550123"] {
        try_send(&host, number).await.unwrap();
    }
    for number in ["+18765550123", "+442079460000", "13612340001"] {
        assert_eq!(try_send(&host, number).await.unwrap_err(), error(400, "invalid_phone_number", ""));
    }
    // No verdict helps.
    assert_eq!(allowed(&host, "+18765550123").await.unwrap_err(), error(400, "invalid_phone_number", ""));
    let email = json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "email": EMAIL, "usage": "signup" });
    send_as(&host.server, Verdict::None, &email).await.unwrap();
    assert_eq!(told(&host, "SendRefused"), 4);
    assert_eq!(told(&host, "CountryNotAllowed"), 4);

    // The client is authenticated first.
    let stranger = but(&sms_send("+442079460000"), json!({ "client_secret": "wrong" }));
    assert_eq!(send_as(&host.server, Verdict::None, &stranger).await.unwrap_err().0, 401);

    let observing = Host::with(guarded(|guard| {
        (guard.mode, guard.countries) = (GuardMode::Observe, Some(countries));
    }));
    try_send(&observing, "+442079460000").await.unwrap();
    assert_eq!((told(&observing, "SendWouldBeRefused"), told(&observing, "SendRefused")), (1, 0));
}

#[tokio::test]
async fn the_hosts_verdict_challenges_and_refuses() {
    let quota = error(400, "insufficient_sms_quota", "");
    for (has_challenge, challenged) in [(true, challenge_required()), (false, quota.clone())] {
        let host = Host::with(guarded(|guard| guard.has_challenge = has_challenge));
        let send = async |verdict| send_as(&host.server, verdict, &sms_send(NUMBER)).await;
        assert_eq!(send(Verdict::Challenge).await.unwrap_err(), challenged);
        assert_eq!(send(Verdict::Refuse).await.unwrap_err(), quota);
        assert!(host.store.inner.is_empty());
        send(Verdict::Allow).await.unwrap();
        assert_eq!(told(&host, "SendChallenged"), usize::from(has_challenge));
        assert_eq!(told(&host, "Verdict"), 2);
        let email = json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "email": EMAIL, "usage": "signup" });
        let refused = send_as(&host.server, Verdict::Refuse, &email).await.unwrap_err();
        assert_eq!(refused, error(400, "insufficient_email_quota", ""));
    }
    let host = Host::with(guarded(|guard| guard.mode = GuardMode::Observe));
    for (number, verdict) in [Verdict::Challenge, Verdict::Refuse, Verdict::Allow].into_iter().enumerate() {
        send_as(&host.server, verdict, &sms_send(&in_country(number))).await.unwrap();
    }
    assert_eq!(told(&host, "SendWouldBeRefused"), 2);
}

/// The typed request carries the verdict, too.
#[tokio::test]
async fn a_typed_request_has_a_verdict() {
    let host = Host::with(guarded(|_| {}));
    let request = |verdict| {
        let credentials = ClientCredentials::Named {
            id: ClientId::new(CLIENT).unwrap(),
            secret: Some(PresentedSecret::new(CLIENT_SECRET)),
            basic: false,
        };
        let address = Address::Phone(AddressPolicy::default().phone_number(NUMBER).unwrap());
        SendRequest::new(credentials, Usage::Signup, address).with_verdict(verdict)
    };
    let refused = host.server.send(request(Verdict::Challenge)).await.unwrap_err();
    assert_eq!(refused, otp_grant::wire::SendError::ChallengeRequired);
    assert!(host.server.send(request(Verdict::Allow)).await.is_ok());
}

#[tokio::test]
async fn a_block_earns_its_messages_and_a_trusted_send_passes() {
    let host = Host::with(guarded(|_| {}));
    let mut sent = Vec::new();
    for number in 0..6 {
        sent.push(try_send(&host, &in_block(number)).await.unwrap());
    }
    let before = host.store.inner.records();
    assert_eq!(try_send(&host, &in_block(6)).await.unwrap_err(), challenge_required());
    assert_eq!(host.store.inner.records().len(), before.len(), "nothing is charged");
    assert_eq!(told(&host, "SendChallenged"), 1);
    assert_eq!(told(&host, "cause: Block"), 1);
    // Another block of the country is free, and so is another country.
    try_send(&host, &in_country(1)).await.unwrap();
    try_send(&host, "+442079460000").await.unwrap();
    // A person passes, and her login earns messages for others.
    let newcomer = allowed(&host, &in_block(6)).await.unwrap();
    assert_eq!(log_in(&host, &in_block(6), &newcomer).await, 200);
    assert_eq!(try_send(&host, &in_block(7)).await.unwrap_err(), challenge_required());
    for (number, sent) in sent.iter().enumerate() {
        assert_eq!(log_in(&host, &in_block(number), sent).await, 200);
    }
    // Seven of seven are verified.
    try_send(&host, &in_block(7)).await.unwrap();
    // An hour and more after the last code, nothing is let off.
    host.advance(secs(3600));
    for number in 8..15 {
        host.advance(secs(600));
        let _ = try_send(&host, &in_block(number)).await;
    }
    host.advance(secs(600));
    assert_eq!(try_send(&host, &in_block(20)).await.unwrap_err(), challenge_required());
    // A day later, all is forgotten but the best day.
    host.advance(secs(25 * 3600));
    try_send(&host, &in_block(20)).await.unwrap();
}

#[tokio::test]
async fn a_country_earns_its_messages_by_its_own_threshold() {
    let host = Host::with(guarded(|guard| {
        one_shard(guard);
        guard.country = Threshold::new(count(8), count(8));
    }));
    // The burst: eight young ones are let off, and the count is eight.
    for number in 0..16 {
        try_send(&host, &in_country(number)).await.unwrap();
    }
    assert_eq!(try_send(&host, &in_country(16)).await.unwrap_err(), challenge_required());
    assert_eq!(told(&host, "cause: Country"), 1);
    try_send(&host, "+442079460000").await.unwrap();
    allowed(&host, &in_country(16)).await.unwrap();
}

#[tokio::test]
async fn a_hot_country_is_spread_over_shards_by_its_addresses() {
    let host = Host::with(guarded(|guard| guard.shards = NonZeroU16::new(4).unwrap()));
    let mut passed = 0;
    for number in 0..200 {
        passed += usize::from(try_send(&host, &in_country(number)).await.is_ok());
    }
    // Each of the four shards has a count of five a day and three an hour, and lets three young ones off.
    assert_eq!(passed, 4 * 6);
    // The shard of an address does not move with the time: the same address is refused again.
    host.advance(secs(3 * 3600));
    let mut passed = 0;
    for number in 0..200 {
        passed += usize::from(try_send(&host, &in_country(number)).await.is_ok());
    }
    assert_eq!(passed, 0);
}

#[tokio::test]
async fn an_email_domain_is_judged_only_where_the_host_says_so() {
    let email = |user: usize, domain: &str| {
        json!({
            "client_id": CLIENT, "client_secret": CLIENT_SECRET, "usage": "signup",
            "email": format!("user{user}@{domain}"),
        })
    };
    let host = Host::with(guarded(|guard| guard.email_domain = Some(Threshold::new(count(2), count(1)))));
    let send = async |body: &Value| send_as(&host.server, Verdict::None, body).await;
    for user in 0..2 {
        send(&email(user, "example.com")).await.unwrap();
    }
    assert_eq!(send(&email(2, "example.com")).await.unwrap_err(), challenge_required());
    send(&email(2, "example.org")).await.unwrap();
    assert_eq!(told(&host, "cause: EmailDomain"), 1);
    let host = Host::with(guarded(|_| {}));
    for user in 0..20 {
        send_as(&host.server, Verdict::None, &email(user, "example.com")).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_has_a_budget_and_past_half_of_it_trust_is_needed() {
    let host = with_budget(guarded(one_shard), MessageBudget::new(count(10), count(14)));
    for number in 0..5 {
        try_send(&host, &in_country(number)).await.unwrap();
        assert_eq!(told(&host, "ClientBudgetHalfUsed"), usize::from(number == 4));
    }
    assert_eq!(try_send(&host, &in_country(5)).await.unwrap_err(), challenge_required());
    for number in 5..10 {
        allowed(&host, &in_country(number)).await.unwrap();
        assert_eq!(told(&host, "ClientBudgetUsed"), usize::from(number == 9));
    }
    // Past all of it, a challenge would not help.
    assert_eq!(allowed(&host, &in_country(10)).await.unwrap_err(), error(400, "insufficient_sms_quota", ""));
    assert_eq!((told(&host, "ClientBudgetHalfUsed"), told(&host, "ClientBudgetUsed")), (1, 1));
    // Another client has none.
    let other = but(&sms_send("+447911123456"), json!({ "client_id": PUBLIC_CLIENT, "client_secret": null }));
    send_as(&host.server, Verdict::None, &other).await.unwrap();
    // The next hour: four are left of the day.
    host.advance(secs(3600));
    for number in 12..16 {
        allowed(&host, &in_country(number)).await.unwrap();
    }
    assert_eq!(allowed(&host, &in_country(16)).await.unwrap_err(), error(400, "insufficient_sms_quota", ""));
}

#[tokio::test]
async fn the_budget_of_a_client_is_spread_over_shards() {
    let shards = |guard: &mut SendGuard| guard.shards = NonZeroU16::new(4).unwrap();
    let host = with_budget(guarded(shards), MessageBudget::new(count(40), count(1000)));
    let mut passed = 0;
    for number in 0..200 {
        // Each in a country of its own, as far as there are some, so that only the client counts.
        let number = format!("+{}12345{number:04}", 211 + number / 8);
        passed += usize::from(allowed(&host, &number).await.is_ok());
    }
    assert_eq!(passed, 4 * 10);
}

#[tokio::test]
async fn three_sends_in_a_second_to_one_number_charge_one_message() {
    let host = Host::with(guarded(|_| {}));
    let sends = join_all((0..3).map(|_| try_send(&host, NUMBER))).await;
    assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 1);
    assert_eq!(destinations(&host), [(1, 0), (1, 0)]);
    // Where the host lifts the quotas, three messages are sent. A login leaves one, which is verified.
    let host = Host::with(danger::without_send_quotas(guarded(|_| {})));
    let mut sends = Vec::new();
    for _ in 0..3 {
        sends.push(try_send(&host, NUMBER).await.unwrap());
    }
    assert_eq!(destinations(&host), [(3, 0), (3, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sends[1]).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn a_success_is_credited_once() {
    let host = Host::with(guarded(|_| {}));
    let first = try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(31));
    let second = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(destinations(&host), [(2, 0), (2, 0)]);
    assert_eq!(log_in(&host, NUMBER, &second).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
    // Both shared one code, which is spent.
    for sent in [&first, &second] {
        assert_eq!(log_in(&host, NUMBER, sent).await, 400);
    }
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
    // A code of its own, whose message was dropped by another success: it works, and is not credited. A neighbour has a
    // message that nobody reads.
    let host = Host::with(guarded(one_shard));
    try_send(&host, &in_block(9)).await.unwrap();
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let proof = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    host.advance(secs(31));
    let login = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &login).await, 200);
    assert_eq!(destinations(&host), [(2, 1), (2, 1)]);
    assert!(verify(&host, &proof).await);
    assert_eq!(destinations(&host), [(2, 1), (2, 1)]);
}

async fn verify(host: &Host, sent: &Sent) -> bool {
    let client = ClientId::new(CLIENT).unwrap();
    let address = Address::Phone(AddressPolicy::default().phone_number(NUMBER).unwrap());
    let (token, code) = (PresentedSecret::new(&*sent.otp_token), PresentedSecret::new(&*sent.code));
    host.server.call_verify(VerifyRequest::new(&client, Usage::Signup, address, token, code)).await.is_ok()
}

#[tokio::test]
async fn a_verification_is_credited_as_a_login_is() {
    let host = Host::with(guarded(|_| {}));
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let sent = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    let (calls, is_verified) = host.store_calls(verify(&host, &sent)).await;
    assert!(is_verified);
    assert_eq!(calls, 3 + 4);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn messages_whose_otp_token_is_over_are_not_dropped() {
    let host = Host::with(guarded(|_| {}));
    for wait in [31, 300] {
        try_send(&host, NUMBER).await.unwrap();
        host.advance(secs(wait));
    }
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(destinations(&host), [(3, 0), (3, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    // The otp_tokens of the first two are over.
    assert_eq!(destinations(&host), [(3, 1), (3, 1)]);

    let host = Host::with(guarded(|_| {}));
    try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(299));
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

/// Otherwise each login on a number of their own would give an attacker as many messages as its quotas allow.
#[tokio::test]
async fn a_login_drops_two_other_messages_at_most() {
    let host = Host::with(guarded(|guard| guard.mode = GuardMode::Observe));
    let mut sent = try_send(&host, NUMBER).await.unwrap();
    for _ in 0..6 {
        host.advance(secs(30));
        sent = try_send(&host, NUMBER).await.unwrap();
    }
    assert_eq!(destinations(&host), [(7, 0), (7, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(5, 1), (5, 1)]);
    // The rest stays unverified, also after another login.
    host.advance(secs(30));
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(6, 2), (6, 2)]);
}

/// A stranger who has sent to an address can't tell by the counts whether its owner logs in with a known device.
#[tokio::test]
async fn a_login_with_a_device_leaves_the_messages_of_others_as_they_are() {
    let host = Host::with(guarded(|guard| guard.mode = GuardMode::Observe));
    let sent = try_send(&host, NUMBER).await.unwrap();
    let (_, answer) = host.token(&but(&grant_of(NUMBER, &sent), json!({ "remember_device": true }))).await;
    let device = json!({ "device_token": text(&answer, "device_token") });
    host.advance(secs(30));
    try_send(&host, NUMBER).await.unwrap();
    let sent = send_as(&host.server, Verdict::None, &but(&sms_send(NUMBER), device.clone())).await.unwrap();
    assert_eq!(destinations(&host), [(3, 1), (3, 1)]);
    assert_eq!(host.token(&but(&grant_of(NUMBER, &sent), device)).await.0, 200);
    assert_eq!(destinations(&host), [(3, 2), (3, 2)]);
}

#[tokio::test]
async fn a_code_that_lives_longer_than_an_hour_is_credited() {
    let long = otp_grant::otp::CodePolicy::new(6, secs(3 * 3600)).unwrap();
    let mut guarded = guarded(|_| {});
    guarded.code = long;
    guarded.send_quotas = vec![otp_grant::otp::Quota::new(count(20), secs(24 * 3600))];
    let host = Host::with(guarded);
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let sent = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    host.advance(secs(2 * 3600));
    send_as(&host.server, Verdict::None, &sms_send(NUMBER)).await.unwrap();
    assert!(verify(&host, &sent).await);
    // The other message, of this moment, is dropped.
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn an_observing_guard_reports_and_refuses_nothing() {
    let host =
        with_budget(guarded(|guard| guard.mode = GuardMode::Observe), MessageBudget::new(count(16 * 6), count(16 * 6)));
    for number in 0..40 {
        try_send(&host, &in_block(number)).await.unwrap();
    }
    // One report for each send that would have been refused, by the first cause.
    assert_eq!(told(&host, "SendWouldBeRefused"), 34);
    assert_eq!((told(&host, "SendChallenged"), told(&host, "SendRefused")), (0, 0));
    assert!(destinations(&host).contains(&(40, 0)));
    // It refuses nothing, not even where only a later version may decide on its records.
    for (key, record) in host.store.inner.records() {
        if record.body.kind() == "destination" {
            let body = RecordBody::from_bytes(br#"{"destination.2":{"w":"x"}}"#).unwrap();
            let next = Record::new(Tag::from_bytes([7; Tag::LEN]), record.delete_after, body);
            let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &next).await;
            assert_eq!(swap, Swap::Stored);
        }
    }
    let sent = try_send(&host, &in_block(41)).await.unwrap();
    assert_eq!(log_in(&host, &in_block(41), &sent).await, 200);
    assert!(host.counters.faults.load(SeqCst) > 0);
}

#[tokio::test]
async fn no_send_is_decided_on_a_later_format() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    for (key, record) in host.store.inner.records() {
        if record.body.kind() == "destination" {
            let body = RecordBody::from_bytes(br#"{"destination.2":{"w":"x"}}"#).unwrap();
            assert_eq!(body.kind(), "destination");
            let next = Record::new(Tag::from_bytes([7; Tag::LEN]), record.delete_after, body);
            let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &next).await;
            assert_eq!(swap, Swap::Stored);
        }
    }
    let records = host.store.inner.records().len();
    assert_eq!(try_send(&host, &in_block(2)).await.unwrap_err().0, 503);
    assert_eq!(host.store.inner.records().len(), records);
    // A credit that fails changes no reply.
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
}

#[tokio::test]
async fn a_destination_keeps_the_members_of_a_later_version_and_reveals_nothing() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    for (key, record) in host.store.inner.records() {
        if record.body.kind() == "destination" {
            let mut body: Value = serde_json::from_slice(&record.body.to_bytes().unwrap()).unwrap();
            body["destination"]["later"] = json!([1, { "x": null }]);
            let body = RecordBody::from_bytes(body.to_string().as_bytes()).unwrap();
            let next = Record::new(Tag::from_bytes([7; Tag::LEN]), record.delete_after, body);
            let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &next).await;
            assert_eq!(swap, Swap::Stored);
        }
    }
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    let mut seen = 0;
    for (_, record) in host.store.inner.records() {
        let body = String::from_utf8(record.body.to_bytes().unwrap()).unwrap();
        for part in ["13612340001", "1361234", "861361", CLIENT, &sent.code, &sent.otp_token] {
            assert!(record.body.kind() == "session" || !body.contains(part), "{part} in {body}");
        }
        if record.body.kind() == "destination" {
            assert!(body.contains(r#""later":[1,{"x":null}]"#), "{body}");
            assert!(body.len() < 250, "{} bytes", body.len());
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

/// Every client, address and verdict has the same records to load, whether or not there is a user.
#[tokio::test]
async fn nothing_tells_a_known_from_an_unknown_user() {
    let mut traces = Vec::new();
    for phone in [PHONE, NOBODY, LOCKED_PHONE] {
        let host = Host::with(guarded(|_| {}));
        let (calls, sent) = host.store_calls(try_send(&host, phone)).await;
        assert!(sent.is_ok());
        traces.push((calls, host.directory.calls.lock().unwrap().clone(), destinations(&host)));
    }
    assert!(traces.iter().all(|trace| *trace == traces[0]), "{traces:?}");
}

#[tokio::test]
async fn two_hundred_parallel_sends_at_a_limit_of_five_are_five() {
    for yields in [0, 1, 3] {
        // The budget of the client: five untrusted messages.
        let host = with_budget(guarded(one_shard), MessageBudget::new(count(10), count(10)));
        host.store.yields.store(yields, SeqCst);
        let sends = join_all((0..200).map(|number| {
            let host = &host;
            // Each in a block of its own, in 20 countries.
            let phone = format!("+{}1234{number:04}0000", 211 + number % 20);
            async move { try_send(host, &phone).await }
        }))
        .await;
        assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 5, "{yields}");
        assert!(sends.iter().flat_map(|sent| sent.as_ref().err()).all(|reply| *reply == challenge_required()));
        assert!(destinations(&host).contains(&(5, 0)));
        assert_eq!(destinations(&host).iter().map(|(sent, _)| sent).sum::<u64>(), 3 * 5, "the rest is taken back");

        // A block: five unverified messages, of which one is let off.
        let host = Host::with(guarded(|guard| guard.block = Threshold::new(count(4), count(1))));
        host.store.yields.store(yields, SeqCst);
        let sends = join_all((0..200).map(|number| {
            let (host, phone) = (&host, in_block(number));
            async move { try_send(host, &phone).await }
        }))
        .await;
        assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 2, "{yields}");
        assert!(destinations(&host).contains(&(2, 0)));
        assert_eq!(destinations(&host).iter().map(|(sent, _)| sent).sum::<u64>(), 4, "the rest is taken back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_sends_on_four_threads_at_a_limit_of_six_are_six() {
    let host = Arc::new(Host::with(guarded(|_| {})));
    host.store.yields.store(2, SeqCst);
    let sends: Vec<_> = (0..200)
        .map(|number| {
            let host = host.clone();
            tokio::spawn(async move { host.try_send(&sms_send(&in_block(number))).await.is_ok() })
        })
        .collect();
    let mut passed = 0;
    for send in sends {
        passed += usize::from(send.await.unwrap());
    }
    assert_eq!(passed, 6);
    assert!(destinations(&host).contains(&(6, 0)));
}

/// A send that is refused when it is charged has sent nothing, and its address can be sent to at once.
#[tokio::test]
async fn a_refusal_at_the_charge_takes_everything_back() {
    let host = with_budget(guarded(one_shard), MessageBudget::new(count(2), count(2)));
    host.store.yields.store(1, SeqCst);
    let numbers = [in_country(1), in_country(2)];
    let sends = join_all(numbers.iter().map(|phone| try_send(&host, phone))).await;
    let refused = numbers.iter().zip(&sends).find(|(_, sent)| sent.is_err()).unwrap().0;
    assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 1);
    // The block of the refused number, the block of the other one, the country and the client.
    assert_eq!(destinations(&host), [(0, 0), (1, 0), (1, 0), (1, 0)]);
    // A challenge is passed, and no quota of the address is in the way.
    allowed(&host, refused).await.unwrap();
    assert_eq!(destinations(&host), [(1, 0), (1, 0), (2, 0), (2, 0)]);
}

/// A clock that is a little ahead of another one.
#[derive(Clone)]
struct Ahead(ManualClock, std::time::Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now().after(self.1)
    }
}

#[tokio::test]
async fn two_hosts_whose_clocks_differ_count_as_one() {
    // Around a full hour, at which the counts of an hour begin anew.
    for before in [0, 1, 3, 5, 6, 8] {
        let host = Host::with(guarded(|guard| guard.block = Threshold::new(count(5), count(5))));
        host.clock.advance(secs(3600 - before));
        let ahead = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(guarded(|guard| guard.block = Threshold::new(count(5), count(5))))
            .clock(Ahead(host.clock.clone(), secs(5)))
            .entropy(host.entropy.clone())
            .build(host.store.clone(), host.directory.clone())
            .unwrap();
        let mut sent = Vec::new();
        for number in 0..40 {
            let body = sms_send(&in_block(number));
            let reply = match number % 2 {
                0 => send_as(&host.server, Verdict::None, &body).await,
                _ => send_as(&ahead, Verdict::None, &body).await,
            };
            sent.extend(reply.ok().map(|sent| (number, sent)));
        }
        assert_eq!(sent.len(), 10, "{before}");
        assert!(destinations(&host).contains(&(10, 0)), "{before}");
        // Each host credits what the other one has charged.
        for (number, sent) in &sent {
            let grant = grant_of(&in_block(*number), sent).to_string();
            let reply = match number % 2 {
                0 => ahead.post_token(json_request(&grant, None)).await,
                _ => host.server.post_token(json_request(&grant, None)).await,
            };
            assert_eq!(reply.status(), 200);
        }
        assert!(destinations(&host).contains(&(10, 10)), "{before}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_gives_no_more_messages() {
    let host = Host::with(guarded(|_| {}));
    host.advance(secs(30 * 3600));
    for number in 0..6 {
        try_send(&host, &in_block(number)).await.unwrap();
    }
    for back in [4, 60, 3600, 7200, 86_400] {
        host.clock.set_back(secs(back));
        assert_eq!(try_send(&host, &in_block(7)).await.unwrap_err(), challenge_required(), "{back}");
    }
    // A day after the reading at which it was noticed, all is forgotten. It is not kept until the clock catches up.
    allowed(&host, &in_block(8)).await.unwrap();
    host.advance(secs(24 * 3600));
    try_send(&host, &in_block(9)).await.unwrap();
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let built = |settings: Settings| {
        AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(settings)
            .build(MemoryStore::new(), sample_directory())
            .err()
    };
    assert_eq!(built(guarded(|_| {})), None);
    assert_eq!(built(guarded(|guard| guard.shards = NonZeroU16::new(1024).unwrap())), None);
    let refused = Some(ConfigError::SendGuard);
    assert_eq!(built(guarded(|guard| guard.shards = NonZeroU16::new(1025).unwrap())), refused);
    assert_eq!(built(guarded(|guard| guard.block = Threshold::new(count(2), count(3)))), refused);
    assert_eq!(built(guarded(|guard| guard.email_domain = Some(Threshold::new(count(2), count(3))))), refused);
    assert_eq!(built(guarded(|guard| guard.country.verified_percent = 1001)), refused);
    assert_eq!(built(guarded(|guard| guard.country.verified_percent = 1000)), None);
}

/// A server on a store that goes step by step.
struct Stepped {
    server: AuthorizationServer<Arc<SteppedStore>, MemoryDirectory>,
    store: Arc<SteppedStore>,
    clock: ManualClock,
}

impl Stepped {
    fn new(settings: Settings) -> Self {
        let (clock, store) = (ManualClock::new(), Arc::new(SteppedStore::default()));
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(settings)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .build(store.clone(), sample_directory())
            .unwrap();
        Self { server, store, clock }
    }

    fn send(&self, phone: &str) -> Result<Sent, (u16, Value)> {
        self.store.begin(self.store.records(), 0, None);
        block_on(send_as(&self.server, Verdict::None, &sms_send(phone)))
    }

    fn log_in(&self, phone: &str, sent: &Sent) -> u16 {
        self.store.begin(self.store.records(), 0, None);
        let grant = grant_of(phone, sent).to_string();
        block_on(self.server.post_token(json_request(&grant, None))).status()
    }

    /// Runs one request with one mishap. Returns its answer, unless it was dropped, and whether the mishap came to
    /// pass.
    fn run<T>(
        &self,
        records: &HashMap<RecordKey, Record>,
        call: usize,
        mishap: Mishap,
        request: impl Future<Output = T>,
    ) -> (Option<T>, bool) {
        self.store.begin(records.clone(), 1, Some(Planned { request: 0, call, mishap }));
        let mut request: otp_grant_tests::steps::Request<'_, T> = Box::pin(request);
        let answer = loop {
            match self.store.poll(0, &mut request) {
                Polled::Answered(answer) => break Some(answer),
                Polled::Dropped => break None,
                Polled::Waits => {}
            }
        };
        let struck = self.store.mishap_came_to_pass();
        drop(request);
        self.store.apply_late();
        (answer, struck)
    }

    fn counted(&self) -> Vec<(u64, u64)> {
        all_counted(self.store.records().into_values())
    }
}

const MISHAPS: [Mishap; 7] = [
    Mishap::FailBefore,
    Mishap::FailAfter,
    Mishap::Late,
    Mishap::Twice,
    Mishap::Overwritten,
    Mishap::DropBefore,
    Mishap::DropAfter,
];

#[test]
fn a_crash_at_any_step_of_a_send_never_under_counts() {
    let world = Stepped::new(guarded(|_| {}));
    // A neighbour in the block has a message that nobody reads.
    world.send(&in_block(9)).unwrap();
    let begun = world.store.records();
    let began_at = world.clock.now();
    let mut runs = 0;
    for mishap in MISHAPS {
        for call in 0.. {
            world.clock.set(began_at);
            let body = sms_send(NUMBER);
            let (answer, struck) = world.run(&begun, call, mishap, send_as(&world.server, Verdict::None, &body));
            if !struck {
                assert!(call >= 6, "{mishap:?} at {call}");
                break;
            }
            runs += 1;
            let case = format!("{mishap:?} at {call}: {answer:?}");
            let delivered = 1 + u64::from(matches!(answer, Some(Ok(_))));
            let counted = world.counted();
            // The neighbour shares the block, and perhaps the shard of the country.
            assert!(counted.iter().any(|(sent, _)| *sent >= delivered), "{case}: {counted:?}");
            // A request that failed, and did not crash, leaves no message behind where the store allows it.
            if matches!(answer, Some(Err(_))) {
                assert!(!counted.contains(&(2, 0)), "{case}: {counted:?}");
            }
            // The address is used later. Its success drops what was charged for it, and nothing else.
            world.clock.advance(secs(31));
            let sent = world.send(NUMBER).unwrap();
            assert_eq!(world.log_in(NUMBER, &sent), 200);
            let after = world.counted();
            let block = after.iter().max().unwrap();
            assert!(block.0 - block.1 >= 1, "{case}: the neighbour's message is gone: {after:?}");
            assert!(block.1 == 1, "{case}: {after:?}");
            let unsettled: u64 = after.iter().map(|(sent, verified)| sent - verified).sum();
            assert!((2..=4).contains(&unsettled), "{case}: {after:?}");
        }
    }
    assert!(runs > 40);
}

#[test]
fn a_crash_at_any_step_of_a_login_credits_once_or_not_at_all() {
    let world = Stepped::new(guarded(|_| {}));
    world.send(&in_block(9)).unwrap();
    world.send(NUMBER).unwrap();
    world.clock.advance(secs(31));
    let sent = world.send(NUMBER).unwrap();
    let begun = world.store.records();
    let mut runs = 0;
    for mishap in MISHAPS {
        for call in 0.. {
            let grant = grant_of(NUMBER, &sent).to_string();
            let log_in = async { world.server.post_token(json_request(&grant, None)).await.status() };
            let (answer, struck) = world.run(&begun, call, mishap, log_in);
            if !struck {
                assert!(call >= 8, "{mishap:?} at {call}");
                break;
            }
            runs += 1;
            let case = format!("{mishap:?} at {call}: {answer:?}");
            // The credit comes after the four calls of the login, and changes no reply.
            assert!(call < 4 || matches!(answer, None | Some(200)), "{case}");
            let check = |counted: Vec<(u64, u64)>, is_over: bool| {
                for (sent, verified) in counted {
                    assert!(verified <= 1, "{case}: credited twice");
                    assert!(sent >= 1, "{case}");
                    if verified == 1 {
                        // Of three messages in the block (two in another shard), the other one of the address is
                        // dropped.
                        assert!(sent <= 2, "{case}");
                    }
                    assert!(is_over || sent - verified <= 3, "{case}");
                }
            };
            check(world.counted(), false);
            let unverified: u64 = world.counted().iter().map(|(sent, verified)| sent - verified).sum();
            assert!(unverified >= 2, "{case}: the neighbour's message is gone");
            if answer != Some(200) && answer.is_some() {
                assert!(
                    world.counted().iter().all(|(_, verified)| *verified == 0),
                    "{case}: credited before it is spent"
                );
                // A request that failed is repeated, and credited.
                assert!(matches!(world.log_in(NUMBER, &sent), 200 | 400), "{case}");
                check(world.counted(), true);
            }
            // A success is not credited again.
            let credited = world.counted();
            if world.log_in(NUMBER, &sent) == 400 {
                assert_eq!(world.counted(), credited, "{case}");
            }
        }
    }
    assert!(runs > 40);
}

/// The store goes down at any step and stays down until the request is answered.
#[test]
fn a_login_that_fails_is_not_credited() {
    let world = Stepped::new(guarded(|_| {}));
    world.send(&in_block(9)).unwrap();
    let sent = world.send(NUMBER).unwrap();
    let begun = world.store.records();
    let mut failed = 0;
    for call in 0..10 {
        world.store.begin(begun.clone(), 1, None);
        for call in call..call + 30 {
            world.store.plan(Planned { request: 0, call, mishap: Mishap::FailBefore });
        }
        let grant = grant_of(NUMBER, &sent).to_string();
        let mut request: otp_grant_tests::steps::Request<'_, u16> =
            Box::pin(async { world.server.post_token(json_request(&grant, None)).await.status() });
        let status = loop {
            match world.store.poll(0, &mut request) {
                Polled::Answered(status) => break status,
                Polled::Dropped => panic!("it was dropped"),
                Polled::Waits => {}
            }
        };
        drop(request);
        let verified: u64 = world.counted().iter().map(|(_, verified)| verified).sum();
        match status {
            200 => assert!(call >= 4, "{call}"),
            503 => assert_eq!(verified, 0, "{call}"),
            status => panic!("{status} at {call}"),
        }
        failed += usize::from(status == 503);
        // The request is repeated, and credited where it failed.
        if status == 503 && world.log_in(NUMBER, &sent) == 200 {
            assert!(world.counted().iter().any(|(_, verified)| *verified == 1), "{call}");
        }
    }
    assert_eq!(failed, 4);
}

/// A code that a failed request has spent is usable again, and so is its message.
#[tokio::test]
async fn a_login_that_was_undone_is_credited_when_it_is_repeated() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    // The swap that spends the code takes effect, and what became of it can't be read.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 503);
    host.store.heal();
    assert!(destinations(&host).iter().all(|(sent, verified)| (*sent, *verified) == (1, 0)));
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert!(destinations(&host).iter().all(|(sent, verified)| (*sent, *verified) == (1, 1)));
}

/// A send that failed leaves nothing that a login could settle, and takes no message away.
#[tokio::test]
async fn a_send_that_was_taken_back_leaves_the_message_before_it_to_be_credited() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(30));
    // The swap that opens the challenge takes effect, and what became of it can't be read.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(try_send(&host, NUMBER).await.unwrap_err().0, 503);
    assert_eq!(destinations(&host), [(1, 0), (1, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

/// An attacker who drops his connection before the charge has had nothing sent, and can't get anything dropped for it.
#[test]
fn sends_that_were_dropped_before_their_charge_settle_nothing() {
    let world = Stepped::new(danger::without_send_quotas(guarded(|_| {})));
    let body = sms_send(NUMBER);
    for number in 2..5 {
        world.send(&in_block(number)).unwrap();
    }
    for _ in 0..5 {
        // The address, the two destinations, the swap that opens the challenge.
        let begun = world.store.records();
        let (answer, struck) = world.run(&begun, 3, Mishap::DropAfter, send_as(&world.server, Verdict::None, &body));
        assert!(answer.is_none() && struck);
    }
    let sent = world.send(NUMBER).unwrap();
    assert_eq!(world.log_in(NUMBER, &sent), 200);
    assert!(world.counted().contains(&(4, 1)), "{:?}", world.counted());
}

#[tokio::test]
async fn a_known_device_passes_where_the_budget_of_its_client_is_used_up() {
    let host = with_budget(guarded(one_shard), MessageBudget::new(count(4), count(4)));
    let sent = try_send(&host, NUMBER).await.unwrap();
    let (_, answer) = host.token(&but(&grant_of(NUMBER, &sent), json!({ "remember_device": true }))).await;
    let token = text(&answer, "device_token").to_owned();
    for number in 2..5 {
        allowed(&host, &in_country(number)).await.unwrap();
    }
    host.advance(secs(30));
    assert_eq!(allowed(&host, &in_country(9)).await.unwrap_err().0, 400);
    let with_device = |phone: &str| but(&sms_send(phone), json!({ "device_token": token }));
    assert!(send_as(&host.server, Verdict::None, &with_device(NUMBER)).await.is_ok());
    // For another address, the token counts as none.
    assert!(send_as(&host.server, Verdict::Allow, &with_device(&in_country(9))).await.is_err());
}

#[tokio::test]
async fn a_test_identity_costs_no_message_and_the_same_calls() {
    let identity = |phone: &str| {
        let address = Address::Phone(AddressPolicy::default().phone_number(phone).unwrap());
        let end = Timestamp::from_unix_secs(START + 24 * 60 * 60);
        otp::TestIdentity::new(address, "246810", [ClientId::new(CLIENT).unwrap()], end)
    };
    let mut seen = Vec::new();
    for is_test in [false, true] {
        let settings = with(guarded(one_shard), |settings| {
            settings.test_identities.push(identity(if is_test { NUMBER } else { "+8613699999998" }));
        });
        let user = User::new(Subject::new("TEST").unwrap(), UserStatus::Active);
        let address = Address::Phone(AddressPolicy::default().phone_number(NUMBER).unwrap());
        let user = if is_test { user.as_test_subject() } else { user };
        let host = Host::with_directory(settings, signing_key(), sample_directory().with_user(user, [address]));
        let (send_calls, sent) = host.store_calls(try_send(&host, NUMBER)).await;
        let sent = sent.unwrap();
        let charged = destinations(&host);
        // A store that deletes what is due has the record of the destination for as long.
        let records = host.store.inner.records();
        let mut kept_until: Vec<_> = records.into_iter().map(|(_, record)| record.delete_after).collect();
        kept_until.sort_unstable();
        let (login_calls, (status, _)) = host.store_calls(host.token(&sms_grant(NUMBER, &sent))).await;
        assert_eq!(status, 200);
        seen.push((send_calls, login_calls, kept_until));
        let expected = if is_test { (0, 0) } else { (1, 0) };
        assert_eq!(charged, [expected, expected]);
        assert_eq!(destinations(&host), [if is_test { (0, 0) } else { (1, 1) }; 2]);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_test_identity_that_is_refused_at_the_charge_costs_the_same_calls() {
    let mut seen = Vec::new();
    for tested in [NUMBER, "+8613699999998"] {
        let address = Address::Phone(AddressPolicy::default().phone_number(tested).unwrap());
        let end = Timestamp::from_unix_secs(START + 24 * 60 * 60);
        let identity = otp::TestIdentity::new(address, "246810", [ClientId::new(CLIENT).unwrap()], end);
        let settings = with(guarded(one_shard), |settings| settings.test_identities.push(identity));
        let host = with_budget(settings, MessageBudget::new(count(2), count(2)));
        host.store.yields.store(1, SeqCst);
        let other = in_country(1);
        let (calls, (sent, refused)) =
            host.store_calls(futures::future::join(try_send(&host, &other), try_send(&host, NUMBER))).await;
        assert!(sent.is_ok());
        seen.push((calls, refused.unwrap_err()));
    }
    assert_eq!(seen[0], seen[1]);
}
