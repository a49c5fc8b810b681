//! What a guard lets through: by the verdict of the host, and by countries, blocks, domains and budgets.

use super::*;

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
async fn a_login_whose_message_was_not_counted_loads_no_destination() {
    let off = Host::new();
    let sent = try_send(&off, NUMBER).await.unwrap();
    let on = off.beside(guarded(|_| {}), signing_key(), keyring());
    assert_eq!(on.store_calls(log_in(&on, NUMBER, &sent)).await, (4, 200));
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
