//! Sends at once, at several hosts, and under clocks that differ.

use super::*;

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
