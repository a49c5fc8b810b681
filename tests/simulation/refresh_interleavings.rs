//! Every interleaving of 2 and of 3 concurrent refreshes, before, at, after and across the edge of the retry window,
//! with one mishap at each store call. A token never has two successors. No session is falsely revoked inside the
//! window, and each replay outside it revokes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use otp_grant::id::RecordKey;
use otp_grant::jwt::Audience;
use otp_grant::store::Record;
use otp_grant::time::Timestamp;
use otp_grant::{AuthorizationServer, Issuer, MemoryDirectory, SigningKey};
use otp_grant_tests::steps::{Mishap, Planned, Request, Run, Search, Step, SteppedStore};
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

#[test]
fn two_refreshes() {
    let runs = explore(&[[OLD, OLD], [OLD, CURRENT], [CURRENT, CURRENT]], &MISHAPS);
    println!("{runs} schedules of two refreshes");
    assert!(runs > 1_000);
}

#[test]
fn three_refreshes() {
    let runs = explore(
        &[[OLD, OLD, OLD], [OLD, OLD, CURRENT], [OLD, CURRENT, CURRENT], [CURRENT, CURRENT, CURRENT]],
        &MISHAPS,
    );
    println!("{runs} schedules of three refreshes");
    assert!(runs > 50_000);
}

#[test]
fn a_refresh_beside_one_that_goes_on() {
    let mishaps = [Mishap::FailBefore, Mishap::FailAfter, Mishap::DropAfter];
    let runs = explore(&[[CURRENT, TWICE]], &MISHAPS) + explore(&[[TWICE, TWICE]], &mishaps);
    println!("{runs} schedules of a refresh beside one that goes on");
    assert!(runs > 5_000);
}

#[test]
fn refreshes_beside_a_sign_out() {
    let mishaps = [Mishap::FailBefore, Mishap::FailAfter, Mishap::DropAfter];
    let runs = explore(&[[CURRENT, CURRENT, SIGN_OUT], [OLD, CURRENT, SIGN_OUT]], &mishaps);
    println!("{runs} schedules of refreshes beside a sign-out");
    assert!(runs > 20_000);
}

/// What a request presents: the superseded refresh token; its successor; the successor and then the token that the
/// server gave for it; or the successor for a sign-out. The number of the first three is the generation that they use
/// up.
const OLD: usize = 0;
const CURRENT: usize = 1;
const TWICE: usize = 2;
const SIGN_OUT: usize = 3;

const MISHAPS: [Mishap; 6] =
    [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::DropBefore, Mishap::DropAfter];

/// The clock during a run, relative to the end of the window in which `OLD` gets its successor again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    At,
    After,
    /// The clock passes the edge during the run.
    Across,
}

impl When {
    /// How many milliseconds after the last instant of the window a run begins.
    fn millis_later(self) -> u64 {
        match self {
            Self::Before | Self::Across => 0,
            Self::At => 1,
            Self::After => 2,
        }
    }
}

/// Runs every schedule of these requests, at every time, without a mishap and with each single mishap.
fn explore<const N: usize>(combinations: &[[usize; N]], mishaps: &[Mishap]) -> usize {
    let world = World::new();
    let mut runs = 0;
    for presented in combinations {
        for when in [When::Before, When::At, When::After, When::Across] {
            let (schedules, calls) = world.every_schedule(presented, when, None);
            runs += schedules;
            for (request, call) in (0..N).flat_map(|request| (0..calls[request]).map(move |call| (request, call))) {
                let plans = mishaps.iter().map(|mishap| Planned { request, call, mishap: *mishap });
                runs += plans.map(|planned| world.every_schedule(presented, when, Some(planned)).0).sum::<usize>();
            }
        }
    }
    runs
}

/// A session that has been rotated once, on a store that goes step by step.
struct World {
    server: AuthorizationServer<Arc<SteppedStore>, MemoryDirectory>,
    store: Arc<SteppedStore>,
    clock: ManualClock,
    counters: Counters,
    /// The session at the beginning of each run.
    begun: HashMap<RecordKey, Record>,
    /// `OLD` and `CURRENT`, and the access token that came with `CURRENT`.
    tokens: [String; 2],
    access_token: String,
}

impl World {
    fn new() -> Self {
        let (clock, counters, store) = (ManualClock::new(), Counters::default(), Arc::new(SteppedStore::default()));
        let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .observer(counters.clone())
            .build(store.clone(), sample_directory())
            .unwrap();
        let delivery = block_on(server.post_send(json_request(&sms_send(PHONE).to_string(), None))).unwrap();
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply = read(&delivery.accepted()).1;
        let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
        let (_, first) = read(&block_on(server.post_token(json_request(
            &but(&sms_grant(PHONE, &sent), json!({ "scope": "profile" })).to_string(),
            None,
        ))));
        let tokens = [text(&first, "refresh_token").to_owned(), String::new()];
        let (begun, access_token) = (HashMap::new(), String::new());
        let mut world = Self { server, store, clock, counters, begun, tokens, access_token };
        let (_, second) = block_on(world.request(OLD));
        world.tokens[CURRENT] = text(&second, "refresh_token").to_owned();
        world.access_token = text(&second, "access_token").to_owned();
        world.begun = world.store.records();
        world.begun.retain(|_, record| record.body.kind() == "session");
        world
    }

    /// The number of schedules, and the most calls that each request made.
    fn every_schedule(&self, presented: &[usize], when: When, planned: Option<Planned>) -> (usize, Vec<usize>) {
        let (mut search, mut runs, mut calls) = (Search::default(), 0, vec![0; presented.len()]);
        loop {
            self.store.begin(self.begun.clone(), presented.len(), planned);
            self.clock.set(Timestamp::from_unix_millis(START * 1000 + 9_999 + when.millis_later()));
            let before = self.counters.reuses.load(SeqCst);
            let requests = presented.iter().map(|token| -> Request<'_, _> { Box::pin(self.request(*token)) });
            let cross = || self.clock.set(Timestamp::from_unix_millis(START * 1000 + 10_001));
            let cross: Option<&dyn Fn()> = if when == When::Across { Some(&cross) } else { None };
            let is_spared = |index| planned.is_none_or(|planned| planned.request != index);
            let alike =
                |one: usize, other: usize| presented[one] == presented[other] && is_spared(one) && is_spared(other);
            let run = search.run(&self.store, requests.collect(), alike, cross);
            // A plan for a call that no request made gives the same run as no plan.
            if let Some(run) = run.filter(|_| planned.is_none() || self.store.mishap_came_to_pass()) {
                runs += 1;
                let reported = self.counters.reuses.load(SeqCst) - before;
                calls = self.store.calls().into_iter().zip(calls).map(|(made, most)| made.max(most)).collect();
                self.check(&Checked { presented, when, planned, run: &run, reported });
            }
            if !search.advance() {
                return (runs, calls);
            }
        }
    }

    /// Checks the answers and the stored session.
    fn check(&self, checked: &Checked<'_>) {
        let Checked { presented, planned, run, reported, .. } = checked;
        let (generation, revoked) = self.stored();
        let mut successors = BTreeMap::from([(OLD, self.tokens[CURRENT].as_str())]);
        for (index, (token, answer)) in presented.iter().zip(&run.answers).enumerate() {
            match answer {
                Some((200, _)) if *token == SIGN_OUT => assert!(revoked.is_some(), "signed out in vain: {checked}"),
                Some((200, tokens)) => {
                    let refresh_token = text(tokens, "refresh_token");
                    let successor = successors.entry(*token).or_insert(refresh_token);
                    assert_eq!(*successor, refresh_token, "two successors: {checked}");
                    assert!(generation > *token, "released what is not stored: {checked}");
                    // A superseded token gets no answer after its window.
                    assert!(*token != OLD || !self.came_late(checked, index), "given too late: {checked}");
                }
                // Other requests advanced the session while this one ran. It gets nothing, and the session does not
                // end.
                Some((400, _)) if generation >= (*token).min(CURRENT) + 2 => {}
                Some((400, _)) => assert!(revoked.is_some(), "refused what is good: {checked}"),
                Some((503, _)) | None => assert!(planned.is_some(), "a mishap without one: {checked}"),
                other => panic!("{other:?}: {checked}"),
            }
            let was_told = answer.as_ref().is_some_and(|(status, _)| *status != 503);
            let too_late = *token == OLD && self.came_late(checked, index);
            assert!(!(too_late && was_told) || revoked.is_some(), "a replay went unnoticed: {checked}");
        }
        let goes_on = presented.contains(&TWICE);
        assert!(generation <= if goes_on { 3 } else { 2 }, "rotated twice by one token: {checked}");

        let reuse = revoked.as_deref() == Some("reuse");
        let is_due = match presented.contains(&OLD) {
            true => {
                generation >= 2
                    || (0..presented.len()).any(|index| presented[index] == OLD && self.came_late(checked, index))
            }
            // A client whose own rotation was stored is no thief, whatever answer it got.
            false => {
                let is_of_current = planned.is_some_and(|planned| presented[planned.request] == CURRENT);
                let was_rotated = self.store.stored_all_the_same().is_some_and(|record| stored(&record).1.is_none());
                generation == 3 && !(is_of_current && was_rotated)
            }
        };
        assert!(!reuse || is_due, "a false revocation: {checked}");
        let was_dropped = run.answers.contains(&None);
        assert!(*reported <= 1 && (*reported == 0 || reuse), "reported, but not stored: {checked}");
        assert!(*reported == 1 || !reuse || was_dropped || planned.is_some(), "not reported: {checked}");
        self.check_aftermath(checked, revoked.is_some());
    }

    /// Whether the first load of a request came after the window.
    fn came_late(&self, checked: &Checked<'_>, index: usize) -> bool {
        let steps = &checked.run.steps;
        let place = |wanted| steps.iter().position(|step| *step == wanted);
        match checked.when {
            When::Before => false,
            When::At | When::After => true,
            When::Across => place(Step::Outside).is_some_and(|edge| place(Step::Request(index)) > Some(edge)),
        }
    }

    /// Checks the requests that come later: either every token is dead, or none is lost.
    fn check_aftermath(&self, checked: &Checked<'_>, revoked: bool) {
        self.store.begin(self.store.records(), 0, None);
        let mut given = checked.run.answers.iter().flatten().filter_map(|(_, body)| body["access_token"].as_str());
        for access_token in [given.next(), Some(&self.access_token)].into_iter().flatten() {
            let good = block_on(self.server.call_check_access_token(access_token, Audience::EveryClient));
            assert_eq!(good.is_ok(), !revoked, "{good:?}: {checked}");
        }
        if revoked {
            assert_eq!(block_on(self.request(CURRENT)).0, 400, "alive after its end: {checked}");
            return;
        }
        // A client that used the current token asks again, with or without an answer. If its successor has been used,
        // that request would be a replay.
        if self.stored().0 == 3 {
            return;
        }
        let answers = checked.presented.iter().zip(&checked.run.answers).filter(|(token, _)| **token == CURRENT);
        for (_, answer) in answers {
            let (status, again) = block_on(self.request(CURRENT));
            assert_eq!(status, 200, "lost: {checked}");
            if let Some((200, tokens)) = answer {
                assert_eq!(tokens["refresh_token"], again["refresh_token"], "two successors: {checked}");
            }
        }
    }

    fn stored(&self) -> (usize, Option<String>) {
        stored(self.store.records().values().next().unwrap())
    }

    async fn request(&self, presented: usize) -> (u16, Value) {
        if presented == SIGN_OUT {
            let body = form(&[("token", &self.tokens[CURRENT])], &[]);
            return read(&self.server.post_revoke(form_request(&body, None)).await);
        }
        let (status, answer) = self.refresh(&self.tokens[presented.min(CURRENT)]).await;
        if presented == TWICE && status == 200 {
            return self.refresh(text(&answer, "refresh_token")).await;
        }
        (status, answer)
    }

    async fn refresh(&self, refresh_token: &str) -> (u16, Value) {
        let body = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], &[]);
        read(&self.server.post_token(form_request(&body, None)).await)
    }
}

/// The generation of a session, and the reason of its revocation, if it was revoked.
fn stored(record: &Record) -> (usize, Option<String>) {
    let session = &serde_json::to_value(record).unwrap()["body"]["session"];
    (usize::try_from(session["g"].as_u64().unwrap()).unwrap(), session["d"].as_str().map(str::to_owned))
}

/// A finished run, with the values that a failure prints.
struct Checked<'a> {
    presented: &'a [usize],
    when: When,
    planned: Option<Planned>,
    run: &'a Run<(u16, Value)>,
    /// How many replays the observer heard of.
    reported: usize,
}

impl std::fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let statuses: Vec<_> =
            self.run.answers.iter().map(|answer| answer.as_ref().map(|(status, _)| status)).collect();
        let Self { presented, when, planned, run, .. } = self;
        write!(f, "{presented:?} {when:?} {planned:?} {:?} -> {statuses:?}", run.steps)
    }
}
