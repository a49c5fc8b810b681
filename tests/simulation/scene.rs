//! Scenes: the state before requests meet on one record, and the kinds of requests that can meet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use otp_grant::guard::Verdict;
use otp_grant::id::RecordKey;
use otp_grant::store::Record;
use otp_grant::time::Timestamp;
use otp_grant_tests::{CLIENT, DPOP_CLIENT, PUBLIC_CLIENT, START, secs};

use crate::acts::{Rules, acts};
use crate::facts::{OUTSIDE, Past, View};
use crate::proof::{Assertion, DPOP_CLIENT_OF_A_THIEF, HOLDER, Proof, THIEF};
use crate::request::{Answer, Ask, Challenge, Device, Purpose, RefreshToken, Tokens, With};
use crate::world::{KNOWN, LOCKED, OTHER, PUMPED, REVIEWER, World};

pub struct Scene {
    pub name: String,
    pub records: HashMap<RecordKey, Record>,
    pub past: Past,
    pub rules: Rules,
    /// When the requests come.
    pub at: u64,
    pub kinds: Vec<(&'static str, Ask)>,
    /// The requests that follow, and their hosts.
    pub aftermath: Vec<(usize, Ask)>,
    /// Whether the results of the requests are used before the aftermath.
    pub follows_up: bool,
    /// How far the clock can jump, in milliseconds.
    pub clock_jumps: &'static [i64],
    /// How long a call of the directory or the signer can take, in milliseconds.
    pub pauses: &'static [u64],
}

/// How many guesses were made at an address.
#[derive(Clone, Copy, Debug)]
pub enum Guessed {
    None,
    /// One guess is left for the first challenge.
    FourAtTheChallenge,
    /// One guess is left for the address.
    TwentyFourAtTheAddress,
}

/// A device token that counts as none.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    None,
    OfAnotherAddress,
    OfAnotherClient,
    Expired,
    Altered,
}

/// The end that is two seconds away.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The idle end of a session.
    Idle,
    /// The absolute end of a session.
    Absolute,
    /// The end of an access token.
    AccessToken,
    /// No end. The older refresh token was released so long ago that a session would have ended without a refresh.
    OldToken,
}

impl Scene {
    /// An address with two challenges that share a code, and with a third challenge for another usage. It can be sent
    /// to again, and a resend also shares the code.
    pub fn of_address(world: &World, user: &str, phone: &'static str, guessed: Guessed) -> Self {
        let mut before = Before::begin(world);
        if matches!(guessed, Guessed::TwentyFourAtTheAddress) {
            for guesses in [5, 5, 5, 5, 4] {
                let challenge = before.send(phone, Purpose::Login, PUBLIC_CLIENT);
                for _ in 0..guesses {
                    before.guess_wrong(&challenge);
                }
                // The next code is a new one.
                world.clock.advance(secs(world.setup(0).code_validity));
            }
        }
        let to_sign_up = before.send(phone, Purpose::Signup, CLIENT);
        let first = before.send(phone, Purpose::Login, CLIENT);
        let second = before.send(phone, Purpose::Login, CLIENT);
        assert_eq!(first.code, second.code, "two challenges that share a code");
        if matches!(guessed, Guessed::FourAtTheChallenge) {
            for _ in 0..4 {
                before.guess_wrong(&first);
            }
        }
        let kinds = vec![
            ("send", send(phone, CLIENT)),
            ("wrong", guess(&first, false)),
            ("wrong-sibling", guess(&second, false)),
            ("verify-wrong", guess(&to_sign_up, false)),
            ("verify", guess(&to_sign_up, true)),
            ("right", guess(&first, true)),
            ("right-sibling", guess(&second, true)),
        ];
        let scene = before.end(format!("{user}-{guessed:?}"), kinds);
        Self {
            aftermath: vec![(0, guess(&first, true)), (0, guess(&second, true))],
            clock_jumps: &[2_000, 61_000, 301_000, 86_400_000, -2_000, -3_600_000],
            ..scene
        }
    }

    /// An address that was sent to so long ago that exactly half of the time of its code is left.
    pub fn of_a_resend(world: &World) -> Self {
        let mut before = Before::begin(world);
        let first = before.send(KNOWN, Purpose::Login, CLIENT);
        world.clock.advance(secs(30));
        let kinds = vec![
            ("send", send(KNOWN, CLIENT)),
            ("send-of-a-stranger", send(KNOWN, PUBLIC_CLIENT)),
            ("wrong", guess(&first, false)),
            ("right", guess(&first, true)),
        ];
        let scene = before.end("resend".to_owned(), kinds);
        Self {
            follows_up: true,
            aftermath: vec![(0, guess(&first, true)), (0, send(KNOWN, CLIENT))],
            clock_jumps: &[1, 31_000],
            pauses: &[1, 31_000],
            ..scene
        }
    }

    /// An address with two codes of one binding that are both in time. Three guesses were made at the first code, and a
    /// third challenge shares the second code.
    pub fn of_two_codes(world: &World) -> Self {
        let mut before = Before::begin(world);
        let first = before.send(KNOWN, Purpose::Login, CLIENT);
        for _ in 0..3 {
            before.guess_wrong(&first);
        }
        world.clock.advance(secs(world.setup(0).code_validity / 2 - 29));
        let second = before.send(KNOWN, Purpose::Login, CLIENT);
        assert_ne!(first.code, second.code, "two codes");
        // The otp_token of one challenge with the code of the other.
        let crossed = |of: &Challenge, code: &Challenge| Arc::new(Challenge { code: code.code.clone(), ..of.clone() });
        let kinds = vec![
            ("send", send(KNOWN, CLIENT)),
            ("wrong-first", guess(&first, false)),
            ("wrong-second", guess(&second, false)),
            ("first", guess(&first, true)),
            ("second", guess(&second, true)),
            ("second-at-first", guess(&crossed(&first, &second), true)),
            ("first-at-second", guess(&crossed(&second, &first), true)),
        ];
        let scene = before.end("two-codes".to_owned(), kinds);
        let aftermath = [
            (0, guess(&first, true)),
            (0, guess(&crossed(&first, &second), true)),
            (0, guess(&crossed(&second, &first), true)),
            (0, guess(&second, true)),
        ];
        Self { follows_up: true, aftermath: aftermath.into(), clock_jumps: &[29_000], pauses: &[1, 29_000], ..scene }
    }

    /// An address whose codes are valid for ten minutes. Another client has sent ten codes to it since the first.
    pub fn of_many_challenges(world: &World) -> Self {
        let mut before = Before::begin(world);
        let first = before.send(KNOWN, Purpose::Login, CLIENT);
        for _ in 0..9 {
            before.send(KNOWN, Purpose::Login, PUBLIC_CLIENT);
        }
        let kinds = vec![
            ("send", send(KNOWN, CLIENT)),
            ("send-of-a-stranger", send(KNOWN, PUBLIC_CLIENT)),
            ("wrong", guess(&first, false)),
            ("right", guess(&first, true)),
        ];
        let scene = before.end("many-challenges".to_owned(), kinds);
        Self { aftermath: vec![(0, guess(&first, true))], ..scene }
    }

    /// A session that was refreshed some milliseconds ago, inside its retry window or at its edge.
    pub fn of_session(world: &World, millis_ago: u64) -> Self {
        let mut before = Before::begin(world);
        let old = before.log_in();
        world.clock.advance(secs(60));
        let current = before.refresh(&old.refresh);
        world.clock.advance(Duration::from_millis(millis_ago));
        before.keep_sessions_alone();
        let Tokens { refresh, access, .. } = &current;
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
        let scene = before.end(format!("session-{millis_ago}-ms-after-its-refresh"), kinds);
        let aftermath = [
            Ask::Userinfo(access.clone()),
            Ask::Refresh(refresh.clone()),
            Ask::Refresh(old.refresh.clone()),
            Ask::IntrospectRefresh(refresh.clone()),
        ];
        Self {
            aftermath: aftermath.map(|ask| (0, ask)).into(),
            clock_jumps: &[2_000, 11_000, 15 * 86_400_000, -2_000, -3_600_000],
            ..scene
        }
    }

    /// A session that has been refreshed twice, two seconds before an end by the clock of the first host.
    pub fn of_an_end(world: &World, end: End) -> Self {
        let setup = world.setup(0);
        let (idle, absolute) = (secs(setup.idle), secs(setup.absolute));
        let mut before = Before::begin(world);
        let oldest = before.log_in();
        let first = if matches!(end, End::AccessToken) { secs(60) } else { idle - secs(3_600) };
        world.clock.advance(first);
        let old = before.refresh(&oldest.refresh);
        let (current, left) = match end {
            End::Idle => (old, idle - secs(2)),
            End::AccessToken => (old, secs(298)),
            // The oldest token was released an hour longer ago than the idle time of a session.
            End::OldToken => (old, secs(7_200)),
            End::Absolute => {
                let second = idle - secs(86_400);
                world.clock.advance(second);
                (before.refresh(&old.refresh), absolute - first - second - secs(2))
            }
        };
        world.clock.advance(left);
        before.keep_sessions_alone();
        let Tokens { refresh, access, .. } = &current;
        let mut kinds = vec![
            ("refresh-old", Ask::Refresh(oldest.refresh.clone())),
            ("refresh", Ask::Refresh(refresh.clone())),
            ("sign-out-by-old", Ask::RevokeSession(oldest.refresh.clone())),
            ("sign-out", Ask::RevokeSession(refresh.clone())),
            ("end-session", Ask::EndSession(refresh.clone())),
            ("revoke-access", Ask::RevokeAccess(access.clone())),
            ("sign-out-everywhere", Ask::SignOutEverywhere { phone: KNOWN, in_whole_seconds: false }),
        ];
        if matches!(end, End::AccessToken) {
            kinds.push(("userinfo", Ask::Userinfo(access.clone())));
        }
        let scene = before.end(format!("two-seconds-before-{end:?}"), kinds);
        let hosts = 0..world.hosts();
        let aftermath = hosts.flat_map(|host| {
            let asks = [Ask::Userinfo(access.clone()), Ask::Refresh(refresh.clone())];
            asks.map(|ask| (host, ask))
        });
        Self { follows_up: true, aftermath: aftermath.collect(), pauses: &[1, 3_000], ..scene }
    }

    /// A user who has just logged in at the last host.
    pub fn of_a_login(world: &World) -> Self {
        let mut before = Before::begin(world);
        world.clock.advance(Duration::from_millis(100));
        before.host = world.hosts() - 1;
        let Tokens { refresh, access, .. } = before.log_in();
        world.clock.advance(Duration::from_millis(800));
        before.keep_sessions_alone();
        let everywhere = |in_whole_seconds| Ask::SignOutEverywhere { phone: KNOWN, in_whole_seconds };
        let kinds = vec![
            ("refresh", Ask::Refresh(refresh.clone())),
            ("sign-out-everywhere", everywhere(false)),
            ("sign-out-everywhere-in-whole-seconds", everywhere(true)),
        ];
        let scene = before.end("login".to_owned(), kinds);
        let hosts = 0..world.hosts();
        let asks = [Ask::Userinfo(access), Ask::Refresh(refresh)];
        let aftermath = hosts.flat_map(|host| asks.clone().map(|ask| (host, ask)));
        Self { aftermath: aftermath.collect(), ..scene }
    }

    /// A session that was refreshed a minute after it began, a minute ago.
    pub fn of_refreshes(world: &World) -> Self {
        let mut before = Before::begin(world);
        let old = before.log_in();
        world.clock.advance(secs(60));
        let current = before.refresh(&old.refresh);
        world.clock.advance(secs(60));
        before.keep_sessions_alone();
        let Tokens { refresh, access, .. } = &current;
        let kinds = vec![
            ("refresh", Ask::Refresh(refresh.clone())),
            ("refresh-old", Ask::Refresh(old.refresh.clone())),
            ("revoke-access", Ask::RevokeAccess(access.clone())),
            ("sign-out", Ask::RevokeSession(refresh.clone())),
        ];
        let scene = before.end("refreshes".to_owned(), kinds);
        let hosts = 0..world.hosts();
        let aftermath = hosts.map(|host| (host, Ask::Userinfo(access.clone())));
        Self {
            follows_up: true,
            aftermath: aftermath.collect(),
            clock_jumps: &[1, 2_000, 11_000],
            pauses: &[1, 11_000],
            ..scene
        }
    }

    /// An address that a stranger has locked but for one guess, and whose owner has a known device. The device has a
    /// code of its own, and one guess left.
    pub fn of_a_locker(world: &World) -> Self {
        let mut before = Before::begin(world);
        let (device, foreign) = (before.remember(KNOWN), before.remember(OTHER));
        before.use_up(KNOWN, PUBLIC_CLIENT, None, 24);
        let of_stranger = before.send_with(KNOWN, PUBLIC_CLIENT, None);
        before.use_up(KNOWN, CLIENT, Some(&device), 9);
        let of_device = before.send_with(KNOWN, CLIENT, Some(&device));
        let sent = |client, device: &Arc<Device>| Ask::Send {
            phone: KNOWN,
            purpose: Purpose::Login,
            client,
            with: With { device: Some(device.clone()), ..With::default() },
        };
        let kinds = vec![
            ("send", send(KNOWN, PUBLIC_CLIENT)),
            ("send-of-device", sent(CLIENT, &device)),
            ("wrong", guess(&of_stranger, false)),
            ("wrong-with-foreign", guess(&of_stranger.on(Some(&foreign)), false)),
            ("wrong-of-device", guess(&of_device, false)),
            ("right-of-device", guess(&of_device.remembering(), true)),
            ("unlock", Ask::Unlock { phone: KNOWN }),
            ("forget", Ask::ForgetDevices { phone: KNOWN }),
        ];
        let scene = before.end("locker".to_owned(), kinds);
        let hosts = world.hosts();
        let aftermath = [
            Ask::Explain { phone: KNOWN },
            guess(&of_stranger, false),
            guess(&of_stranger, false),
            guess(&of_device, true),
        ];
        let aftermath = aftermath.into_iter().enumerate().map(|(index, ask)| (index % hosts, ask)).collect();
        Self { follows_up: true, aftermath, ..scene }
    }

    /// An address with three devices, and a login that asks to be remembered as another one.
    pub fn of_a_fourth_device(world: &World) -> Self {
        let mut before = Before::begin(world);
        for _ in 0..3 {
            before.remember(KNOWN);
        }
        let challenge = before.send_with(KNOWN, CLIENT, None);
        before.end("fourth-device".to_owned(), vec![("right", guess(&challenge.remembering(), true))])
    }

    /// A block to which all but one of the messages were sent that it gives without a reason to be trusted: three in an
    /// hour, and three that are younger than their code's time. A user of the block has a known device.
    pub fn of_a_pumper(world: &World) -> Self {
        let mut before = Before::begin(world);
        let device = before.remember(KNOWN);
        for phone in &PUMPED[..4] {
            let Answer::Sent(_) = before.ask(send(phone, PUBLIC_CLIENT)) else { panic!("no challenge") };
        }
        let ask = Ask::Send { phone: PUMPED[4], purpose: Purpose::Signup, client: CLIENT, with: With::default() };
        let Answer::Sent(own) = before.ask(ask) else { panic!("no challenge") };
        let with = |phone, client, with| Ask::Send { phone, purpose: Purpose::Login, client, with };
        let allowed = With { verdict: Verdict::Allow, ..With::default() };
        let of_device = With { device: Some(device), ..With::default() };
        let kinds = vec![
            ("pump", send(PUMPED[5], PUBLIC_CLIENT)),
            ("pump-another", send(PUMPED[6], PUBLIC_CLIENT)),
            ("verify", guess(&own, true)),
            ("allowed", with(PUMPED[7], PUBLIC_CLIENT, allowed)),
            ("owner", with(KNOWN, CLIENT, of_device.clone())),
        ];
        let scene = before.end("pumper".to_owned(), kinds);
        let aftermath = [
            send(PUMPED[6], PUBLIC_CLIENT),
            send(PUMPED[7], PUBLIC_CLIENT),
            send(LOCKED, PUBLIC_CLIENT),
            send(OTHER, PUBLIC_CLIENT),
            with(KNOWN, CLIENT, of_device),
        ];
        let aftermath = aftermath.map(|ask| (0, ask)).into();
        Self { aftermath, clock_jumps: &[121_000, 7 * 86_400_000], ..scene }
    }

    /// A test identity some seconds before its end, with a session and two challenges.
    pub fn of_a_reviewer(world: &World, seconds: u64) -> Self {
        let mut before = Before::begin(world);
        let challenge = before.send(REVIEWER, Purpose::Login, CLIENT);
        let Answer::LoggedIn(tokens) = before.ask(guess(&challenge, true)) else { panic!("no login") };
        let left = world.setup(0).review_ends.unwrap() - START - 30 - seconds;
        world.clock.advance(secs(left - 30));
        let challenge = before.send(REVIEWER, Purpose::Login, CLIENT);
        let kinds = vec![
            ("send", send(REVIEWER, CLIENT)),
            ("wrong", guess(&challenge, false)),
            ("right", guess(&challenge, true)),
            ("refresh", Ask::Refresh(tokens.refresh.clone())),
            ("introspect", Ask::IntrospectAccess(tokens.access.clone())),
        ];
        let scene = before.end(format!("{seconds}-s-before-the-end-of-a-test-identity"), kinds);
        let hosts = 0..world.hosts();
        let wrong = guess(&challenge, false);
        let aftermath = hosts.flat_map(|host| {
            let asks = [wrong.clone(), wrong.clone(), wrong.clone(), Ask::Refresh(tokens.refresh.clone())];
            asks.map(|ask| (host, ask))
        });
        let aftermath = aftermath.chain([(0, wrong.clone()), (0, guess(&challenge, true))]).collect();
        Self { aftermath, clock_jumps: &[310_000], pauses: &[3_000], ..scene }
    }

    /// A stranger at an address, with a token that counts as none, or with none.
    pub fn of_a_token(world: &World, client: &'static str, token: Token) -> Self {
        let mut before = Before::begin(world);
        let old = before.remember(KNOWN);
        world.clock.advance(secs(91 * 86_400));
        let (own, foreign) = (before.remember(KNOWN), before.remember(OTHER));
        let token = match token {
            Token::None => None,
            Token::OfAnotherAddress => Some(foreign),
            Token::OfAnotherClient => Some(own),
            Token::Expired => Some(old),
            Token::Altered => Some(own.altered()),
        };
        let challenge = before.send_with(KNOWN, client, None);
        let challenge = challenge.on(token.as_ref());
        let with = With { device: token, ..With::default() };
        let kinds = vec![
            ("send", Ask::Send { phone: KNOWN, purpose: Purpose::Login, client, with }),
            ("wrong", guess(&challenge, false)),
            ("right", guess(&challenge, true)),
        ];
        before.end("token".to_owned(), kinds)
    }

    /// A code that was sent by the first host.
    pub fn of_a_code(world: &World) -> Self {
        let mut before = Before::begin(world);
        let first = before.send(KNOWN, Purpose::Login, CLIENT);
        let kinds =
            vec![("send", send(KNOWN, CLIENT)), ("wrong", guess(&first, false)), ("right", guess(&first, true))];
        let scene = before.end("code".to_owned(), kinds);
        let hosts = (0..world.hosts()).rev();
        let aftermath = hosts.map(|host| (host, guess(&first, true)));
        Self { follows_up: true, aftermath: aftermath.collect(), pauses: &[1, 31_000], ..scene }
    }
}

impl Scene {
    /// A code that was sent to a client with a key, and a code that a thief asked for with another key. The thief also
    /// has the code of the user.
    pub fn of_proofs_at_a_login(world: &World) -> Self {
        let mut before = Before::begin(world);
        let challenge = before.send(KNOWN, Purpose::Login, DPOP_CLIENT);
        let at = world.now();
        let [once, late] =
            [("once", at), ("late", at - 20_000)].map(|(id, at)| challenge.with(Some(&Proof::new(HOLDER, id, at))));
        let without = Ask::Steal(challenge.with(None));
        let by_thief = Ask::Steal(challenge.with(Some(&Proof::new(THIEF, "once", at))));
        let kinds = vec![
            ("wrong", guess(&once, false)),
            ("right", guess(&once, true)),
            ("right-late-proof", guess(&late, true)),
            ("steal", without),
            ("steal-by-another-key", by_thief),
            ("send-by-another-key", send(KNOWN, DPOP_CLIENT_OF_A_THIEF)),
        ];
        let scene = before.end("proofs-at-a-login".to_owned(), kinds);
        let last = challenge.with(Some(&Proof::new(HOLDER, "last", at)));
        let aftermath = [guess(&once, false), guess(&once, true), guess(&last, true), guess(&last, true)];
        let aftermath = aftermath.map(|ask| (0, ask)).into();
        Self { follows_up: true, aftermath, ..scene }
    }

    /// A session that is bound to a key, and was refreshed nine times in nine seconds. A thief has its tokens and
    /// proofs, and not the key.
    pub fn of_proofs_at_a_session(world: &World) -> Self {
        let mut before = Before::begin(world);
        let challenge = before.send(KNOWN, Purpose::Login, DPOP_CLIENT);
        let first = Proof::new(HOLDER, "login", world.now());
        let Answer::LoggedIn(mut tokens) = before.ask(guess(&challenge.with(Some(&first)), true)) else {
            panic!("no login")
        };
        let mut used = vec![first];
        for number in 0..9 {
            world.clock.advance(secs(1));
            let proof = Proof::new(HOLDER, &format!("refresh {number}"), world.now());
            tokens = before.refresh(&tokens.refresh.with(Some(&proof)));
            used.push(proof);
        }
        // The latest refresh can't be repeated any more.
        world.clock.advance(secs(20));
        before.keep_sessions_alone();
        let at = world.now();
        let Tokens { refresh, access, .. } = &tokens;
        let refreshed_by = |proof: &Arc<Proof>| Ask::Refresh(refresh.with(Some(proof)));
        let [fresh, late, by_thief] = [(HOLDER, "fresh", at), (HOLDER, "late", at - 10_000), (THIEF, "fresh", at)]
            .map(|(key, id, at)| Proof::new(key, id, at));
        let [userinfo, userinfo_by_thief] = [HOLDER, THIEF].map(|key| Proof::with(access, key, "userinfo", at));
        let kinds = vec![
            ("refresh", refreshed_by(&fresh)),
            ("refresh-late-proof", refreshed_by(&late)),
            ("replay-of-the-login", refreshed_by(&used[0])),
            ("replay-of-the-latest", refreshed_by(&used[9])),
            ("steal", Ask::StealSession(refresh.with(None))),
            ("steal-by-another-key", Ask::StealSession(refresh.with(Some(&by_thief)))),
            ("steal-access", Ask::StealAccess(access.with(None))),
            ("steal-access-by-another-key", Ask::StealAccess(access.with(Some(&userinfo_by_thief)))),
            ("userinfo", Ask::Userinfo(access.with(Some(&userinfo)))),
            ("sign-out", Ask::RevokeSession(refresh.clone())),
        ];
        let scene = before.end("proofs-at-a-session".to_owned(), kinds);
        let again = Proof::with(access, HOLDER, "userinfo again", at);
        let aftermath = [
            refreshed_by(&used[1]),
            refreshed_by(&Proof::new(HOLDER, "last", at)),
            Ask::Userinfo(access.with(Some(&userinfo))),
            Ask::Userinfo(access.with(Some(&again))),
        ];
        let aftermath = aftermath.map(|ask| (0, ask)).into();
        Self { follows_up: true, aftermath, clock_jumps: &[11_000], ..scene }
    }

    /// A client that signs assertions, and a thief who knows the `jti` of one.
    pub fn of_assertions(world: &World) -> Self {
        let before = Before::begin(world);
        let assertion = |key, id| Ask::Assert(Assertion::new(key, id, world.now()));
        let kinds = vec![
            ("assertion", assertion(HOLDER, "one")),
            ("another", assertion(HOLDER, "another")),
            ("forged", assertion(THIEF, "one")),
        ];
        let aftermath = [assertion(HOLDER, "one"), assertion(HOLDER, "one"), assertion(HOLDER, "last")];
        let scene = before.end("assertions".to_owned(), kinds);
        Self { aftermath: aftermath.map(|ask| (0, ask)).into(), clock_jumps: &[66_000, -2_000], ..scene }
    }

    /// Returns the same scene under another name, for a world that differs.
    #[must_use]
    pub fn named(self, world: &str) -> Self {
        Self { name: format!("{world}-{}", self.name), ..self }
    }
}

/// What happens before the requests of a scene.
struct Before<'w> {
    world: &'w World,
    past: Past,
    /// The host of the requests.
    host: usize,
    /// How many events have happened.
    place: usize,
}

impl<'w> Before<'w> {
    fn begin(world: &'w World) -> Self {
        world.store.begin(HashMap::new(), 0, None);
        world.clock.set(Timestamp::from_unix_secs(START));
        world.forget_sign_outs();
        world.log.take();
        Self { world, past: Past::default(), host: 0, place: 0 }
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        let Self { world, host, place, past } = self;
        let answer = world.ask_at(*host, world.store.join(), &ask);
        let mut entries = world.log.take();
        entries.iter_mut().for_each(|entry| entry.request = 0);
        past.acts.extend(acts(&[ask], &[*host], &entries, &[], *place));
        past.acts.iter_mut().for_each(|act| act.number = OUTSIDE);
        *place += entries.len();
        answer
    }

    /// Sends, and waits until the address can be sent to again.
    fn send(&mut self, phone: &'static str, purpose: Purpose, client: &'static str) -> Arc<Challenge> {
        self.past.sent.push(self.world.now());
        let Answer::Sent(challenge) = self.ask(Ask::Send { phone, purpose, client, with: With::default() }) else {
            panic!("no challenge")
        };
        self.world.clock.advance(secs(30));
        challenge
    }

    fn guess_wrong(&mut self, challenge: &Arc<Challenge>) {
        self.past.compared.push((challenge.id.clone(), self.world.now()));
        let answer = self.ask(guess(challenge, false));
        assert!(matches!(answer, Answer::WrongCode { .. }), "{answer:?}");
    }

    fn send_with(&mut self, phone: &'static str, client: &'static str, device: Option<&Arc<Device>>) -> Arc<Challenge> {
        let with = With { device: device.cloned(), ..With::default() };
        let Answer::Sent(challenge) = self.ask(Ask::Send { phone, purpose: Purpose::Login, client, with }) else {
            panic!("no challenge")
        };
        if device.is_none() {
            self.past.sent.push(self.world.now());
        }
        self.world.clock.advance(secs(30));
        challenge
    }

    /// Logs in, and asks to be remembered.
    fn remember(&mut self, phone: &'static str) -> Arc<Device> {
        let challenge = self.send_with(phone, CLIENT, None).remembering();
        let Answer::LoggedIn(tokens) = self.ask(guess(&challenge, true)) else { panic!("no login") };
        tokens.device.unwrap()
    }

    /// Makes wrong guesses.
    fn use_up(&mut self, phone: &'static str, client: &'static str, device: Option<&Arc<Device>>, mut guesses: usize) {
        while guesses > 0 {
            let challenge = self.send_with(phone, client, device);
            for _ in 0..guesses.min(5) {
                self.guess_wrong(&challenge);
            }
            guesses -= guesses.min(5);
            // The next code is a new one.
            self.world.clock.advance(secs(self.world.setup(0).code_validity));
        }
    }

    fn log_in(&mut self) -> Tokens {
        let Answer::Sent(challenge) = self.ask(send(KNOWN, CLIENT)) else { panic!("no challenge") };
        let Answer::LoggedIn(tokens) = self.ask(guess(&challenge, true)) else { panic!("no login") };
        tokens
    }

    fn refresh(&mut self, token: &Arc<RefreshToken>) -> Tokens {
        let Answer::Refreshed(tokens) = self.ask(Ask::Refresh(token.clone())) else { panic!("no refresh") };
        tokens
    }

    fn keep_sessions_alone(&self) {
        let records = self.world.store.records();
        let sessions = records.into_iter().filter(|(_, record)| record.body.kind() == "session");
        self.world.store.begin(sessions.collect(), 0, None);
    }

    fn end(self, name: String, kinds: Vec<(&'static str, Ask)>) -> Scene {
        let Self { world, past, .. } = self;
        let (records, at) = (world.store.records(), world.now());
        let views = records.iter().map(|(key, record)| (*key, View::of(record))).collect();
        let setups: Vec<_> = (0..world.hosts()).map(|host| world.setup(host)).collect();
        let (aftermath, follows_up, clock_jumps, pauses) = (Vec::new(), false, &[], &[]);
        let (past, rules) = (Past { views, ..past }, Rules::of(&setups));
        Scene { name, records, past, rules, at, kinds, aftermath, follows_up, clock_jumps, pauses }
    }
}

fn send(phone: &'static str, client: &'static str) -> Ask {
    Ask::Send { phone, purpose: Purpose::Login, client, with: With::default() }
}

fn guess(challenge: &Arc<Challenge>, right: bool) -> Ask {
    Ask::Guess { challenge: challenge.clone(), right, signs_up: false }
}
