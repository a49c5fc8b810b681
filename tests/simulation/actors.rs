//! The actors of a random history: honest users with several tabs, thieves with stolen tokens, and guessers who send as
//! often as the limits allow.

use otp_grant_tests::{CLIENT, PUBLIC_CLIENT};
use std::collections::HashSet;
use std::sync::Arc;

use crate::facts::History;
use crate::request::{
    AccessToken, Answer, Ask, Challenge, Device, OTHER_VERIFIER, Purpose, RefreshToken, Tokens, With,
};
use crate::season::{Kind, Season};
use crate::world::{CAREFUL, KNOWN, LOCKED, OTHER, Random, UNKNOWN};

/// The kind of actor that makes a request.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    User(usize),
    Thief,
    Guesser,
    /// A stranger who uses up what everybody shares of an address, without a device token that is good.
    Locker,
}

/// How the actors of a history behave.
pub struct Habits {
    /// For how long after the first use of a token an honest client repeats a request whose answer was lost, in
    /// milliseconds.
    retries_for: u64,
    /// Whether thieves keep alive the sessions that they are in.
    thieves_stay: bool,
    /// Whether users read a message only some time after it has arrived.
    reads_late: bool,
    /// How long a code is valid, in milliseconds.
    code_validity: u64,
    spread: u64,
}

impl Habits {
    pub fn of(season: &Season) -> Self {
        let (spread, setup) = (season.spread(), &season.setups[0]);
        let windows_close = season.change == Some(crate::season::Change::RetryWindow) || setup.retry_window == 0;
        Self {
            retries_for: if windows_close || season.longest_call > 300 { 0 } else { 5_000_u64.saturating_sub(spread) },
            thieves_stay: matches!(season.kind, Kind::ShortSessions | Kind::Clocks),
            reads_late: season.kind == Kind::LongCodes,
            code_validity: setup.code_validity * 1000,
            spread,
        }
    }
}

/// A request and the role of the actor who makes it.
pub type Move = (Role, Ask);

pub struct Actors<'r> {
    random: &'r Random,
    habits: Habits,
    users: Vec<User>,
    loot: Vec<Arc<RefreshToken>>,
    stolen_access: Vec<Arc<AccessToken>>,
    /// The challenges that were sent for the guesser.
    guessed_at: Vec<Arc<Challenge>>,
    /// The address at which the guesser keeps guessing.
    target: &'static str,
    /// The sessions of which another actor than their user has had a token.
    stolen: HashSet<String>,
}

struct User {
    phone: &'static str,
    challenges: Vec<Arc<Challenge>>,
    wallet: Option<Wallet>,
    /// Whether the user has done something in this round.
    is_busy: bool,
    /// When the user looks at the messages, or can ask again.
    waits_until: u64,
    /// How often the user has entered the present code.
    tries: usize,
    /// The device that the user logs in with, where the client has asked to remember it.
    device: Option<Arc<Device>>,
}

/// The tokens that the tabs of a user share.
struct Wallet {
    refresh: Arc<RefreshToken>,
    access: Arc<AccessToken>,
    old: Vec<Arc<RefreshToken>>,
    refreshed_at: u64,
    /// When the current refresh token was first used in this round.
    used_at: Option<u64>,
    /// Whether an answer to the token was lost and no other answer came.
    is_lost: bool,
}

impl<'r> Actors<'r> {
    pub fn new(random: &'r Random, habits: Habits) -> Self {
        let user = |phone| User {
            phone,
            challenges: Vec::new(),
            wallet: None,
            is_busy: false,
            waits_until: 0,
            tries: 0,
            device: None,
        };
        let users = [KNOWN, OTHER, KNOWN, LOCKED, UNKNOWN, CAREFUL].map(user).into();
        let (loot, stolen_access, guessed_at, stolen) = Default::default();
        Self { random, habits, users, loot, stolen_access, guessed_at, target: KNOWN, stolen }
    }

    /// Returns what an actor does next. The tabs of a user act at once.
    pub fn next(&mut self, now: u64) -> Vec<Move> {
        match self.random.below(20) {
            0..=12 => {
                let user = self.random.below(self.users.len());
                self.next_of_user(user, now)
            }
            13..=15 => self.next_of_thief(),
            _ => self.next_of_guesser(),
        }
    }

    pub fn choose_a_target(&mut self) {
        let targets = if self.habits.reads_late { [CAREFUL; 4] } else { [KNOWN, OTHER, LOCKED, UNKNOWN] };
        self.target = self.random.pick(&targets);
    }

    /// The user who enters only right codes tries to log in, again and again.
    pub fn insist(&mut self, now: u64) -> Vec<Move> {
        let index = self.users.len() - 1;
        self.users[index].is_busy = true;
        self.next_of_careful(index, now)
    }

    pub fn log_out(&mut self, phone: &str) {
        for user in self.users.iter_mut().filter(|user| user.phone == phone) {
            user.wallet = None;
        }
    }

    /// The locker requests another code for the target. Now and then, a device token comes along that is not good for
    /// it.
    pub fn lock(&mut self) -> Vec<Move> {
        let random = self.random;
        let devices: Vec<&Arc<Device>> = self.users.iter().filter_map(|user| user.device.as_ref()).collect();
        let device = (!devices.is_empty() && random.percent(30)).then(|| match random.pick(&devices) {
            device if random.percent(50) => device.altered(),
            device => device.clone(),
        });
        let with = With { device, ..With::default() };
        vec![(Role::Locker, Ask::Send { phone: self.target, purpose: Purpose::Login, client: PUBLIC_CLIENT, with })]
    }

    /// The host's support staff helps the user of the target.
    pub fn support(&mut self) -> Vec<Move> {
        let phone = self.target;
        let ask = match self.random.below(8) {
            0 => Ask::ForgetDevices { phone },
            1 => Ask::Unlock { phone },
            _ => Ask::Explain { phone },
        };
        vec![(Role::Guesser, ask)]
    }

    /// The guesser requests another code for the target.
    pub fn besiege(&mut self) -> Vec<Move> {
        vec![(
            Role::Guesser,
            Ask::Send { phone: self.target, purpose: Purpose::Login, client: PUBLIC_CLIENT, with: With::default() },
        )]
    }

    /// Returns what an actor does after an answer, or after a lost answer.
    pub fn answered(&mut self, role: Role, ask: &Ask, answer: Option<&Answer>, now: u64) -> Vec<Move> {
        match role {
            Role::User(user) => self.answered_to_user(user, ask, answer, now),
            Role::Thief => {
                match (ask, answer) {
                    (_, Some(Answer::Refreshed(tokens))) => {
                        self.loot.push(tokens.refresh.clone());
                        self.stolen_access.push(tokens.access.clone());
                    }
                    (Ask::Refresh(token), Some(Answer::Refused)) => {
                        self.loot.retain(|other| other.session != token.session);
                    }
                    _ => {}
                }
                Vec::new()
            }
            Role::Locker => match answer {
                Some(Answer::Sent(challenge)) if challenge.phone != CAREFUL => {
                    vec![(role, guess(challenge, false)); 4 + self.random.below(3)]
                }
                _ => Vec::new(),
            },
            Role::Guesser => match answer {
                Some(Answer::Sent(challenge)) if challenge.phone != CAREFUL => {
                    self.guessed_at.push(challenge.clone());
                    (0..self.random.below(8)).map(|_| self.guess_of_guesser(challenge)).collect()
                }
                _ => Vec::new(),
            },
        }
    }

    /// A user without an answer in time can't tell how long ago the token was used, and logs in again.
    pub fn round_is_over(&mut self) {
        for user in &mut self.users {
            user.is_busy = false;
            if let Some(wallet) = &mut user.wallet {
                wallet.used_at = None;
            }
            if user.wallet.as_ref().is_some_and(|wallet| wallet.is_lost) {
                user.wallet = None;
            }
        }
    }

    /// Checks that no honest user is taken for a thief, if nobody else had the user's tokens and the user asked again
    /// in time.
    pub fn check(&self, history: &History<'_>) -> Result<(), String> {
        if history.clock_was_set_back {
            return Ok(());
        }
        for change in history.changes() {
            let Some((before, after)) = change.of_session() else { continue };
            let is_new = before.revoked.is_none() && after.revoked.as_deref() == Some("reuse");
            let Some(Ask::Refresh(token)) = history.asks.get(change.request) else { continue };
            // A request that came too late for a retry, because the directory was slow, looks like that of a thief.
            let loaded = history.loads(change.request).next();
            let in_time = loaded.is_some_and(|(place, _)| {
                let loaded_at = history.entries[place].at + 2 * self.habits.spread;
                token.generation == before.generation
                    || loaded_at < before.used_at + history.rules.shortest_retry_window
            });
            if is_new && in_time && !self.stolen.contains(&token.session) {
                return Err(format!("honest users stay: request {} was taken for a thief's", change.request));
            }
        }
        Ok(())
    }

    fn next_of_user(&mut self, index: usize, now: u64) -> Vec<Move> {
        let random = self.random;
        let user = &mut self.users[index];
        if std::mem::replace(&mut user.is_busy, true) {
            return Vec::new();
        }
        if user.phone == CAREFUL && (user.wallet.is_none() || random.percent(10)) {
            return self.next_of_careful(index, now);
        }
        let all = |asks: Vec<Ask>| asks.into_iter().map(|ask| (Role::User(index), ask)).collect();
        let Some(wallet) = &mut user.wallet else {
            let purpose = if random.percent(85) { Purpose::Login } else { Purpose::Signup };
            let is_recent = |challenge: &&Arc<Challenge>| now + 200_000 < challenge.expires_at;
            return match user.challenges.iter().rfind(is_recent).cloned() {
                // Sometimes a double click.
                Some(challenge) => {
                    let times = if random.percent(20) { 2 } else { 1 };
                    all((0..times).map(|_| guess(&challenge, random.percent(80))).collect())
                }
                None => {
                    // Now and then the device is a new one.
                    if random.percent(5) {
                        user.device = None;
                    }
                    all(vec![user.send(purpose)])
                }
            };
        };
        let Wallet { refresh, access, .. } = &*wallet;
        match random.below(20) {
            0..=12 if now >= wallet.refreshed_at + 60_000 => {
                wallet.used_at = Some(now);
                let tabs = 1 + random.below(3);
                all(vec![Ask::Refresh(wallet.refresh.clone()); tabs])
            }
            0 => {
                let phone = user.phone;
                let old = wallet.old.last().unwrap_or(refresh).clone();
                all(vec![match random.below(6) {
                    0 if [KNOWN, OTHER, CAREFUL].contains(&phone) => {
                        Ask::SignOutEverywhere { phone, in_whole_seconds: random.percent(50) }
                    }
                    1 => Ask::EndSession(refresh.clone()),
                    2 => Ask::RevokeSession(old),
                    _ => Ask::RevokeSession(refresh.clone()),
                }])
            }
            1..=2 => all(vec![Ask::RevokeAccess(access.clone())]),
            3..=4 => all(vec![Ask::IntrospectRefresh(refresh.clone()), Ask::IntrospectAccess(access.clone())]),
            _ => all(vec![Ask::Userinfo(access.clone()); 1 + random.below(2)]),
        }
    }

    /// Returns the next moves of the user who enters only right codes and asks for a new code when none is in time.
    fn next_of_careful(&mut self, index: usize, now: u64) -> Vec<Move> {
        let (random, habits) = (self.random, &self.habits);
        let user = &mut self.users[index];
        user.wallet = None;
        user.tries = 0;
        if now < user.waits_until {
            return Vec::new();
        }
        let margin = 2 * habits.spread + 15_000;
        // The otp_token is valid for longer than the code.
        let sent_at = |challenge: &Challenge| challenge.expires_at - habits.code_validity.max(300_000);
        user.challenges.retain(|challenge| now + margin < sent_at(challenge) + habits.code_validity);
        let ask = match user.challenges.as_slice() {
            [] => user.send(Purpose::Login),
            _ if habits.reads_late && random.percent(20) => user.send(Purpose::Login),
            challenges => guess(&random.pick(challenges), true),
        };
        vec![(Role::User(index), ask)]
    }

    fn answered_to_careful(&mut self, index: usize, ask: &Ask, answer: Option<&Answer>, now: u64) -> Option<Ask> {
        let (random, habits) = (self.random, &self.habits);
        let user = &mut self.users[index];
        match (ask, answer) {
            (_, Some(Answer::Sent(challenge))) => {
                let challenge = if random.percent(50) { &challenge.remembering() } else { challenge };
                user.challenges.push(challenge.clone());
                let late = if habits.reads_late { random.up_to(habits.code_validity - 60_000) } else { 0 };
                user.waits_until = now + late;
                (late == 0).then(|| guess(challenge, true))
            }
            (Ask::Send { .. }, Some(Answer::Throttled { retry_after })) => {
                user.waits_until = now + retry_after * 1000 + habits.spread;
                None
            }
            (Ask::Guess { .. }, Some(Answer::Unavailable)) => {
                user.tries += 1;
                (user.tries < 5).then(|| ask.clone())
            }
            (Ask::Guess { challenge, .. }, answer) => {
                user.challenges.retain(|other| other.id != challenge.id);
                if let Some(Answer::LoggedIn(tokens)) = answer {
                    user.challenges.clear();
                    user.keep(tokens);
                    user.wallet.get_or_insert_with(|| Wallet::new(tokens, now));
                    return Some(Ask::Userinfo(tokens.access.clone()));
                }
                None
            }
            _ => None,
        }
    }

    fn answered_to_user(&mut self, index: usize, ask: &Ask, answer: Option<&Answer>, now: u64) -> Vec<Move> {
        let random = self.random;
        if self.users[index].phone == CAREFUL && matches!(ask, Ask::Send { .. } | Ask::Guess { .. }) {
            let next = self.answered_to_careful(index, ask, answer, now);
            return next.map(|ask| (Role::User(index), ask)).into_iter().collect();
        }
        let retries_for = self.habits.retries_for;
        let user = &mut self.users[index];
        let is_lost = matches!(answer, None | Some(Answer::Unavailable));
        let next = match (ask, answer) {
            (_, Some(Answer::Sent(challenge))) => {
                let challenge = if random.percent(50) { &challenge.remembering() } else { challenge };
                user.challenges.push(challenge.clone());
                random.percent(75).then(|| guess(challenge, random.percent(85)))
            }
            (Ask::Guess { .. }, Some(Answer::LoggedIn(tokens))) => {
                user.challenges.clear();
                user.keep(tokens);
                user.wallet.get_or_insert_with(|| Wallet::new(tokens, now));
                random.percent(30).then(|| Ask::Userinfo(tokens.access.clone()))
            }
            (Ask::Guess { challenge, .. }, Some(Answer::UnknownOtpToken | Answer::Verified)) => {
                user.challenges.retain(|other| other.id != challenge.id);
                None
            }
            (Ask::Guess { challenge, .. }, Some(Answer::WrongCode { .. })) => {
                random.percent(60).then(|| guess(challenge, random.percent(70)))
            }
            (Ask::Guess { challenge, .. }, Some(Answer::NoUser)) => {
                random.percent(50).then(|| Ask::Guess { challenge: challenge.clone(), right: true, signs_up: true })
            }
            (Ask::Guess { .. } | Ask::RevokeSession(_) | Ask::EndSession(_) | Ask::RevokeAccess(_), _) if is_lost => {
                random.percent(60).then(|| ask.clone())
            }
            (Ask::RevokeSession(_) | Ask::EndSession(_) | Ask::SignOutEverywhere { .. }, _) => {
                user.wallet = None;
                None
            }
            (Ask::Refresh(token), _) => user.refreshed(token, answer, now, retries_for),
            _ => None,
        };
        next.map(|ask| (Role::User(index), ask)).into_iter().collect()
    }

    fn next_of_thief(&mut self) -> Vec<Move> {
        let random = self.random;
        let challenges: Vec<&Arc<Challenge>> =
            self.users.iter().flat_map(|user| &user.challenges).filter(|one| one.verifier.is_some()).collect();
        if !challenges.is_empty() && random.percent(50) {
            let stolen = random.pick(&challenges).stolen(random.pick(&[None, Some(OTHER_VERIFIER)]));
            return vec![(Role::Thief, Ask::Steal(Arc::new(stolen))); 1 + random.below(6)];
        }
        let wallets: Vec<&Wallet> = self.users.iter().filter_map(|user| user.wallet.as_ref()).collect();
        if !wallets.is_empty() && (self.loot.is_empty() || random.percent(20)) {
            let wallet = wallets[random.below(wallets.len())];
            let mut tokens = wallet.old.clone();
            tokens.extend([wallet.refresh.clone(), wallet.refresh.clone()]);
            self.stolen.insert(wallet.refresh.session.clone());
            self.stolen_access.push(wallet.access.clone());
            self.loot.push(random.pick(&tokens));
        }
        if self.loot.is_empty() || random.percent(30) {
            return Vec::new();
        }
        let token = if self.habits.thieves_stay && random.percent(70) {
            self.loot[self.loot.len() - 1].clone()
        } else {
            random.pick(&self.loot)
        };
        let ask = match random.below(20) {
            0 => Ask::RevokeSession(token),
            1..=2 => Ask::IntrospectRefresh(token),
            3..=5 if !self.stolen_access.is_empty() => Ask::Userinfo(random.pick(&self.stolen_access)),
            _ => Ask::Refresh(token),
        };
        vec![(Role::Thief, ask); 1 + random.below(2)]
    }

    fn next_of_guesser(&mut self) -> Vec<Move> {
        let random = self.random;
        let phone = random.pick(&[KNOWN, KNOWN, OTHER, LOCKED, UNKNOWN]);
        let mut moves = vec![(
            Role::Guesser,
            Ask::Send { phone, purpose: Purpose::Login, client: PUBLIC_CLIENT, with: With::default() },
        )];
        let latest: Vec<_> = self.guessed_at.iter().rev().take(4).cloned().collect();
        if !latest.is_empty() {
            moves.extend((0..random.below(8)).map(|_| self.guess_of_guesser(&random.pick(&latest))));
        }
        moves
    }

    /// One guess in a hundred is right.
    fn guess_of_guesser(&self, challenge: &Arc<Challenge>) -> Move {
        (Role::Guesser, guess(challenge, self.random.percent(1)))
    }
}

impl User {
    fn send(&self, purpose: Purpose) -> Ask {
        let with = With { device: self.device.clone(), ..With::default() };
        Ask::Send { phone: self.phone, purpose, client: CLIENT, with }
    }

    /// Keeps the device token of a login.
    fn keep(&mut self, tokens: &Tokens) {
        if let Some(device) = &tokens.device {
            self.device = Some(device.clone());
        }
    }

    /// Keeps the newest tokens, and asks again at once when the answer was lost.
    fn refreshed(
        &mut self,
        token: &Arc<RefreshToken>,
        answer: Option<&Answer>,
        now: u64,
        retries_for: u64,
    ) -> Option<Ask> {
        let wallet = self.wallet.as_mut().filter(|wallet| wallet.refresh.session == token.session)?;
        match answer {
            Some(Answer::Refreshed(Tokens { refresh, access, .. })) => {
                if refresh.generation > wallet.refresh.generation {
                    wallet.old.push(std::mem::replace(&mut wallet.refresh, refresh.clone()));
                    wallet.access = access.clone();
                    wallet.refreshed_at = now;
                    wallet.is_lost = false;
                }
                None
            }
            None | Some(Answer::Unavailable) if wallet.refresh.generation == token.generation => {
                wallet.is_lost = true;
                let in_time = wallet.used_at.is_some_and(|used| now < used + retries_for);
                in_time.then(|| Ask::Refresh(token.clone()))
            }
            None | Some(Answer::Unavailable) => None,
            Some(_) => {
                self.wallet = None;
                None
            }
        }
    }
}

impl Wallet {
    fn new(tokens: &Tokens, now: u64) -> Self {
        let Tokens { refresh, access, .. } = tokens.clone();
        Self { refresh, access, old: Vec::new(), refreshed_at: now, used_at: None, is_lost: false }
    }
}

fn guess(challenge: &Arc<Challenge>, right: bool) -> Ask {
    Ask::Guess { challenge: challenge.clone(), right, signs_up: false }
}
