//! Fuzzes sends, guesses and a clock that moves in both directions, against a small model of what must never happen.
//!
//! Each operation has two bytes: its kind and its argument. Time is counted twice: by the clock, which can step back,
//! and by how far the clock went forward in all. A limit per stretch of time applies to the second, because a clock
//! that is set back gives nothing back.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use otp_grant::time::Clock;
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let mut world = World::new();
    for [what, with] in input.as_chunks().0.iter().take(LONGEST_RUN) {
        match what % 16 {
            0..=2 => world.send(*with),
            3..=4 => world.guess_newest(*with, true),
            5..=8 => world.guess_newest(*with, false),
            9 => world.guess(*with, true),
            10 => world.guess(*with, false),
            11 => world.guess_with_code_of_another(*with),
            12 => world.forward(Duration::from_millis(u64::from(*with) * 500)),
            13 => world.forward(STEPS[usize::from(*with) % STEPS.len()]),
            14 => world.forward(Duration::from_secs(u64::from(*with) * 600)),
            _ => world.back(BACK[usize::from(*with) % BACK.len()]),
        }
    }
});

struct World {
    host: Host,
    /// How far the clock went forward in all.
    forward: Duration,
    /// Whether the clock never went back. Only then must everything happen that can happen.
    steady: bool,
    addresses: [Address; 3],
    challenges: Vec<Challenge>,
}

#[derive(Default)]
struct Address {
    sends: Vec<Duration>,
    /// The challenge and the instant of each guess.
    guesses: Vec<(usize, Duration)>,
}

struct Challenge {
    address: usize,
    sent: Sent,
    sent_at: u64,
    code_expires_at: u64,
    comparisons: usize,
    is_spent: bool,
    /// Whether its code has logged a user in, through this challenge or another.
    code_is_spent: bool,
}

impl World {
    fn new() -> Self {
        Self {
            host: Host::new(),
            forward: Duration::ZERO,
            steady: true,
            addresses: Default::default(),
            challenges: Vec::new(),
        }
    }

    fn send(&mut self, with: u8) {
        let address = usize::from(with) % PHONES.len();
        let body = sms_send(PHONES[address]).to_string();
        let now = self.now();
        let guesses = self.guesses(address);
        let sends = &mut self.addresses[address].sends;
        let is_due = within(sends, self.forward, secs(30)) < 1 && within(sends, self.forward, DAY) < 50 && guesses < 25;
        let Ok(delivery) = block_on(self.host.server.post_send(json_request(&body, None))) else {
            assert!(!is_due || !self.steady, "a send that is due was refused");
            return;
        };
        assert!(is_due, "sent too often");
        sends.push(self.forward);
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let code_expires_at = now + u64::try_from(delivery.message().unwrap().validity().as_millis()).unwrap();
        let (_, reply) = read(&delivery.accepted());
        let otp_token = reply["otp_token"].as_str().unwrap().to_owned();
        let sent = Sent { otp_token, code, reply };
        let challenge = Challenge {
            address,
            sent,
            sent_at: now,
            code_expires_at,
            comparisons: 0,
            is_spent: false,
            code_is_spent: false,
        };
        self.challenges.push(challenge);
    }

    fn guess_newest(&mut self, with: u8, right: bool) {
        let address = usize::from(with) % PHONES.len();
        if let Some(index) = self.challenges.iter().rposition(|challenge| challenge.address == address) {
            let code = self.challenges[index].sent.code.clone();
            self.redeem(index, if right { code } else { wrong(&code) });
        }
    }

    fn guess(&mut self, with: u8, right: bool) {
        if let Some(index) = usize::from(with).checked_rem(self.challenges.len()) {
            let code = self.challenges[index].sent.code.clone();
            self.redeem(index, if right { code } else { wrong(&code) });
        }
    }

    fn guess_with_code_of_another(&mut self, with: u8) {
        if let Some(index) = usize::from(with / 16).checked_rem(self.challenges.len()) {
            let other = usize::from(with % 16) % self.challenges.len();
            self.redeem(index, self.challenges[other].sent.code.clone());
        }
    }

    fn redeem(&mut self, index: usize, code: String) {
        let challenge = &self.challenges[index];
        let address = challenge.address;
        let is_right = code == challenge.sent.code;
        let body = but(&sms_grant(PHONES[address], &challenge.sent), json!({ "otp": code }));
        let (status, answer) = block_on(self.host.token(&body));
        let now = self.now();

        // What must happen, as far as the model can tell.
        let is_live = !challenge.is_spent && now < challenge.code_expires_at;
        // A guess is charged to each code of the address that is in time. It still counts for the younger code when the
        // challenge that it named has expired: an otp_token lives for 300 seconds, and a code for 180.
        let of_address = || self.challenges.iter().filter(move |other| other.address == address);
        let charged: usize =
            of_address().filter(|other| now < other.sent_at + 480_000).map(|other| other.comparisons).sum();
        let has_guesses = charged < 5 && self.guesses(address) < 25;
        let has_to_pass = self.steady && is_right && is_live && has_guesses && !challenge.code_is_spent;
        // Another code of the address that is in time is also right.
        let is_good =
            of_address().any(|other| other.sent.code == code && now < other.code_expires_at && !other.code_is_spent);
        let description = answer["error_description"].as_str().unwrap_or_default();
        if has_to_pass {
            let expected = ["", "User not found", "Abnormal user status"][address];
            assert_eq!((status == 200, description), (address == 0, expected));
        }

        let (was_compared, has_proved) = match (status, description) {
            (200, _) => (true, true),
            (400, "User not found" | "Abnormal user status") => (true, true),
            (400, "Unknown or expired OTP") => (true, false),
            (400, "Unknown or expired otp_token") => (false, false),
            unexpected => panic!("{unexpected:?}"),
        };
        let challenge = &mut self.challenges[index];
        if was_compared {
            challenge.comparisons += 1;
            assert!(challenge.comparisons <= 5, "more than 5 comparisons of one challenge");
            assert!(!challenge.is_spent, "a spent challenge was compared");
            self.addresses[address].guesses.push((index, self.forward));
        }
        if has_proved {
            assert!(is_good, "a code passed that is wrong, expired or spent");
            assert!(now + 5_000 >= challenge.sent_at, "a clock that was set back revived a code");
        }
        if status == 200 {
            assert_eq!(address, 0, "a user who may not log in did");
            challenge.is_spent = true;
            let expiry = |other: &Challenge| {
                (other.sent.code == code && now < other.code_expires_at).then_some(other.code_expires_at)
            };
            let used: Vec<u64> =
                self.challenges.iter().filter(|other| other.address == address).filter_map(expiry).collect();
            for other in self.challenges.iter_mut().filter(|other| other.address == address && other.sent.code == code)
            {
                other.code_is_spent |= used.contains(&other.code_expires_at);
            }
            self.addresses[address].guesses.retain(|(through, _)| *through != index);
        }
        assert!(self.guesses(address) <= 25, "more than 25 guesses at one address in 24 hours");
    }

    /// Returns how many guesses at an address in a day were not forgiven by a login.
    fn guesses(&self, address: usize) -> usize {
        let guesses = self.addresses[address].guesses.iter();
        guesses.filter(|(_, at)| self.forward - *at < DAY).count()
    }

    fn forward(&mut self, by: Duration) {
        self.forward += by;
        self.host.advance(by);
    }

    fn back(&mut self, by: Duration) {
        self.steady = false;
        self.host.clock.set_back(by);
    }

    fn now(&self) -> u64 {
        self.host.clock.now().as_unix_millis()
    }
}

fn within(times: &[Duration], now: Duration, window: Duration) -> usize {
    times.iter().filter(|time| now - **time < window).count()
}

const PHONES: [&str; 3] = [PHONE, NOBODY, LOCKED_PHONE];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const STEPS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_secs(5),
    Duration::from_millis(29_999),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(23 * 60 * 60),
    DAY,
];
const BACK: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_secs(4),
    Duration::from_secs(5),
    Duration::from_millis(5_001),
    Duration::from_secs(60),
    DAY,
];
const LONGEST_RUN: usize = 200;
