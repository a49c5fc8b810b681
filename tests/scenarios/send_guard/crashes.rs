//! Crashes and failures at every step of a send and of a login.

use super::*;

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
