//! What is in place when requests meet on one record, and the kinds of requests that may.

use std::collections::HashMap;
use std::sync::Arc;

use otp_grant::{Record, RecordBody, RecordKey};

use crate::facts::{Past, View};
use crate::request::{Answer, Ask, CLIENT, Challenge, PUBLIC_CLIENT, Purpose, Tokens};
use crate::support::{START, secs};
use crate::world::{KNOWN, World};

pub struct Scene {
    pub name: String,
    pub records: HashMap<RecordKey, Record>,
    pub past: Past,
    /// When the requests come.
    pub at: u64,
    pub kinds: Vec<(&'static str, Ask)>,
    /// What is asked when they are over.
    pub aftermath: Vec<Ask>,
    /// By how much the clock may jump, in milliseconds.
    pub clock_jumps: &'static [i64],
}

/// How many guesses have been made at an address.
#[derive(Clone, Copy, Debug)]
pub enum Guessed {
    None,
    /// One guess is left for the first challenge.
    FourAtTheChallenge,
    /// One guess is left for the address.
    TwentyFourAtTheAddress,
}

impl Scene {
    /// An address with two challenges that share a code, and a third one for another usage. It can be sent to again, and
    /// the code is shared then, too.
    pub fn of_address(world: &World, user: &str, phone: &'static str, guessed: Guessed) -> Self {
        begin(world);
        let mut past = Past::default();
        if matches!(guessed, Guessed::TwentyFourAtTheAddress) {
            for guesses in [5, 5, 5, 5, 4] {
                let challenge = send(world, phone, Purpose::Login, PUBLIC_CLIENT, &mut past);
                for _ in 0..guesses {
                    guess_wrong(world, &challenge, &mut past);
                }
            }
        }
        let to_sign_up = send(world, phone, Purpose::Signup, CLIENT, &mut past);
        let first = send(world, phone, Purpose::Login, CLIENT, &mut past);
        let second = send(world, phone, Purpose::Login, CLIENT, &mut past);
        assert_eq!(first.code, second.code, "two challenges that share a code");
        if matches!(guessed, Guessed::FourAtTheChallenge) {
            for _ in 0..4 {
                guess_wrong(world, &first, &mut past);
            }
        }
        let guess =
            |challenge: &Arc<Challenge>, right| Ask::Guess { challenge: challenge.clone(), right, signs_up: false };
        let kinds = vec![
            ("send", Ask::Send { phone, purpose: Purpose::Login, client: CLIENT }),
            ("wrong", guess(&first, false)),
            ("wrong-sibling", guess(&second, false)),
            ("verify-wrong", guess(&to_sign_up, false)),
            ("verify", guess(&to_sign_up, true)),
            ("right", guess(&first, true)),
            ("right-sibling", guess(&second, true)),
        ];
        let aftermath = vec![guess(&first, true), guess(&second, true)];
        let name = format!("{user}-{guessed:?}");
        Self::begun(world, name, past, kinds, aftermath, &[2_000, 61_000, 301_000, 86_400_000, -2_000, -3_600_000])
    }

    /// A session that was refreshed some milliseconds ago, at the edge of its retry window or inside.
    pub fn of_session(world: &World, millis_ago: u64) -> Self {
        begin(world);
        let challenge = send(world, KNOWN, Purpose::Login, CLIENT, &mut Past::default());
        let Answer::LoggedIn(old) = world.ask(0, &Ask::Guess { challenge, right: true, signs_up: false }) else {
            panic!("no login");
        };
        world.clock.advance(secs(60));
        let Answer::Refreshed(current) = world.ask(0, &Ask::Refresh(old.refresh.clone())) else {
            panic!("no refresh");
        };
        world.clock.advance(std::time::Duration::from_millis(millis_ago));
        let records: HashMap<_, _> = world.store.records();
        let sessions = records.into_iter().filter(|(_, record)| matches!(record.body, RecordBody::Session(_)));
        world.store.begin(sessions.collect(), 0, None);
        let Tokens { refresh, access } = &current;
        let kinds = vec![
            ("refresh-old", Ask::Refresh(old.refresh.clone())),
            ("refresh", Ask::Refresh(refresh.clone())),
            ("sign-out", Ask::RevokeSession(refresh.clone())),
            ("revoke-access", Ask::RevokeAccess(access.clone())),
            ("introspect-old", Ask::IntrospectRefresh(old.refresh.clone())),
            ("introspect", Ask::IntrospectRefresh(refresh.clone())),
            ("introspect-access", Ask::IntrospectAccess(access.clone())),
            ("userinfo", Ask::Userinfo(access.clone())),
        ];
        let aftermath = vec![
            Ask::Userinfo(access.clone()),
            Ask::Refresh(refresh.clone()),
            Ask::Refresh(old.refresh.clone()),
            Ask::IntrospectRefresh(refresh.clone()),
        ];
        let name = format!("session-{millis_ago}-ms-after-its-refresh");
        let jumps = &[2_000, 11_000, 15 * 86_400_000, -2_000, -3_600_000];
        Self::begun(world, name, Past::default(), kinds, aftermath, jumps)
    }

    fn begun(
        world: &World,
        name: String,
        past: Past,
        kinds: Vec<(&'static str, Ask)>,
        aftermath: Vec<Ask>,
        clock_jumps: &'static [i64],
    ) -> Self {
        let (records, at) = (world.store.records(), world.now());
        let views = records.iter().map(|(key, record)| (*key, View::of(record))).collect();
        Self { name, records, past: Past { views, ..past }, at, kinds, aftermath, clock_jumps }
    }
}

fn begin(world: &World) {
    world.store.begin(HashMap::new(), 0, None);
    world.clock.set(START * 1000);
}

/// Sends, and waits until it can be sent again.
fn send(world: &World, phone: &'static str, purpose: Purpose, client: &'static str, past: &mut Past) -> Arc<Challenge> {
    past.sent.push(world.now());
    let Answer::Sent(challenge) = world.ask(0, &Ask::Send { phone, purpose, client }) else { panic!("no challenge") };
    world.clock.advance(secs(30));
    challenge
}

fn guess_wrong(world: &World, challenge: &Arc<Challenge>, past: &mut Past) {
    past.compared.push((challenge.id.clone(), world.now()));
    let answer = world.ask(0, &Ask::Guess { challenge: challenge.clone(), right: false, signs_up: false });
    assert!(matches!(answer, Answer::WrongCode), "{answer:?}");
}
