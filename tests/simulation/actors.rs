//! Who asks at random: honest users with several tabs, thieves with stolen tokens, and guessers who send as often as they
//! are let.

use std::collections::HashSet;
use std::sync::Arc;

use crate::facts::History;
use crate::request::{AccessToken, Answer, Ask, CLIENT, Challenge, PUBLIC_CLIENT, Purpose, RefreshToken, Tokens};
use crate::world::{KNOWN, LOCKED, OTHER, Random, UNKNOWN};

/// Who makes a request.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    User(usize),
    Thief,
    Guesser,
}

/// A request that somebody makes.
pub type Move = (Role, Ask);

pub struct Actors<'r> {
    random: &'r Random,
    users: Vec<User>,
    loot: Vec<Arc<RefreshToken>>,
    stolen_access: Vec<Arc<AccessToken>>,
    /// The challenges that the guesser has had sent.
    guessed_at: Vec<Arc<Challenge>>,
    /// The address that the guesser keeps at.
    target: &'static str,
    /// Sessions of which somebody but their user has had a token.
    stolen: HashSet<String>,
}

struct User {
    phone: &'static str,
    challenges: Vec<Arc<Challenge>>,
    wallet: Option<Wallet>,
    /// Whether they have done something in this round.
    is_busy: bool,
}

/// What the tabs of a user share.
struct Wallet {
    refresh: Arc<RefreshToken>,
    access: Arc<AccessToken>,
    old: Vec<Arc<RefreshToken>>,
    refreshed_at: u64,
    /// When the current refresh token was first used in this round.
    used_at: Option<u64>,
    /// Whether an answer to it was lost, and there has been no other.
    is_lost: bool,
}

impl<'r> Actors<'r> {
    pub fn new(random: &'r Random) -> Self {
        let user = |phone| User { phone, challenges: Vec::new(), wallet: None, is_busy: false };
        let users = [KNOWN, OTHER, KNOWN, LOCKED, UNKNOWN].map(user).into();
        let (loot, stolen_access, guessed_at, stolen) = Default::default();
        Self { random, users, loot, stolen_access, guessed_at, target: KNOWN, stolen }
    }

    /// What somebody does next; tabs do it at once.
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
        self.target = self.random.pick(&[KNOWN, OTHER, LOCKED, UNKNOWN]);
    }

    /// The guesser has another code sent to the target.
    pub fn besiege(&mut self) -> Vec<Move> {
        vec![(Role::Guesser, Ask::Send { phone: self.target, purpose: Purpose::Login, client: PUBLIC_CLIENT })]
    }

    /// What somebody does about an answer, or about there being none.
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
            Role::Guesser => match answer {
                Some(Answer::Sent(challenge)) => {
                    self.guessed_at.push(challenge.clone());
                    (0..self.random.below(8)).map(|_| self.guess_of_guesser(challenge)).collect()
                }
                _ => Vec::new(),
            },
        }
    }

    /// Whoever got no answer in time can't tell how long ago the token was used up, and logs in again.
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

    /// No user whose tokens nobody else had, and who asked again in time, is taken for a thief.
    pub fn check(&self, history: &History<'_>) -> Result<(), String> {
        if history.clock_was_set_back {
            return Ok(());
        }
        for change in history.changes() {
            let Some((before, after)) = change.of_session() else { continue };
            let is_new = before.revoked.is_none() && after.revoked.as_deref() == Some("reuse");
            let Some(Ask::Refresh(token)) = history.asks.get(change.request) else { continue };
            if is_new && !self.stolen.contains(&token.session) {
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
        let all = |asks: Vec<Ask>| asks.into_iter().map(|ask| (Role::User(index), ask)).collect();
        let Some(wallet) = &mut user.wallet else {
            let purpose = if random.percent(85) { Purpose::Login } else { Purpose::Signup };
            let is_recent = |challenge: &&Arc<Challenge>| now + 200_000 < challenge.expires_at;
            return match user.challenges.iter().rfind(is_recent).cloned() {
                // A double click, sometimes.
                Some(challenge) => {
                    let times = if random.percent(20) { 2 } else { 1 };
                    all((0..times).map(|_| guess(&challenge, random.percent(80))).collect())
                }
                None => all(vec![Ask::Send { phone: user.phone, purpose, client: CLIENT }]),
            };
        };
        let Wallet { refresh, access, .. } = &*wallet;
        match random.below(20) {
            0..=12 if now >= wallet.refreshed_at + 60_000 => {
                wallet.used_at = Some(now);
                let tabs = 1 + random.below(3);
                all(vec![Ask::Refresh(wallet.refresh.clone()); tabs])
            }
            0 => all(vec![Ask::RevokeSession(refresh.clone())]),
            1..=2 => all(vec![Ask::RevokeAccess(access.clone())]),
            3..=4 => all(vec![Ask::IntrospectRefresh(refresh.clone()), Ask::IntrospectAccess(access.clone())]),
            _ => all(vec![Ask::Userinfo(access.clone()); 1 + random.below(2)]),
        }
    }

    fn answered_to_user(&mut self, index: usize, ask: &Ask, answer: Option<&Answer>, now: u64) -> Vec<Move> {
        let random = self.random;
        let user = &mut self.users[index];
        let is_lost = matches!(answer, None | Some(Answer::Unavailable));
        let next = match (ask, answer) {
            (_, Some(Answer::Sent(challenge))) => {
                user.challenges.push(challenge.clone());
                random.percent(75).then(|| guess(challenge, random.percent(85)))
            }
            (Ask::Guess { .. }, Some(Answer::LoggedIn(tokens))) => {
                user.challenges.clear();
                user.wallet.get_or_insert_with(|| Wallet::new(tokens, now));
                None
            }
            (Ask::Guess { challenge, .. }, Some(Answer::Gone | Answer::Verified)) => {
                user.challenges.retain(|other| other.id != challenge.id);
                None
            }
            (Ask::Guess { challenge, .. }, Some(Answer::WrongCode)) => {
                random.percent(60).then(|| guess(challenge, random.percent(70)))
            }
            (Ask::Guess { challenge, .. }, Some(Answer::NoUser)) => {
                random.percent(50).then(|| Ask::Guess { challenge: challenge.clone(), right: true, signs_up: true })
            }
            (Ask::Guess { .. } | Ask::RevokeSession(_) | Ask::RevokeAccess(_), _) if is_lost => {
                random.percent(60).then(|| ask.clone())
            }
            (Ask::RevokeSession(_), _) => {
                user.wallet = None;
                None
            }
            (Ask::Refresh(token), _) => user.refreshed(token, answer, now),
            _ => None,
        };
        next.map(|ask| (Role::User(index), ask)).into_iter().collect()
    }

    fn next_of_thief(&mut self) -> Vec<Move> {
        let random = self.random;
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
        let token = random.pick(&self.loot);
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
        let mut moves = vec![(Role::Guesser, Ask::Send { phone, purpose: Purpose::Login, client: PUBLIC_CLIENT })];
        let latest: Vec<_> = self.guessed_at.iter().rev().take(4).cloned().collect();
        if !latest.is_empty() {
            moves.extend((0..random.below(8)).map(|_| self.guess_of_guesser(&random.pick(&latest))));
        }
        moves
    }

    /// One in a hundred is lucky.
    fn guess_of_guesser(&self, challenge: &Arc<Challenge>) -> Move {
        (Role::Guesser, guess(challenge, self.random.percent(1)))
    }
}

impl User {
    /// Takes the newest tokens; asks again at once when the answer was lost.
    fn refreshed(&mut self, token: &Arc<RefreshToken>, answer: Option<&Answer>, now: u64) -> Option<Ask> {
        let wallet = self.wallet.as_mut().filter(|wallet| wallet.refresh.session == token.session)?;
        match answer {
            Some(Answer::Refreshed(Tokens { refresh, access })) => {
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
                let in_time = wallet.used_at.is_some_and(|used| now < used + 5_000);
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
        let Tokens { refresh, access } = tokens.clone();
        Self { refresh, access, old: Vec::new(), refreshed_at: now, used_at: None, is_lost: false }
    }
}

fn guess(challenge: &Arc<Challenge>, right: bool) -> Ask {
    Ask::Guess { challenge: challenge.clone(), right, signs_up: false }
}
