//! Artificially inflated traffic: an attacker has messages sent to numbers that nobody reads, beside honest users.
//!
//! The figures are printed: `cargo test --test scenarios -- pumping --nocapture`.

use std::num::NonZeroU16;
use std::sync::atomic::Ordering::SeqCst;

use futures::FutureExt;
use otp_grant::guard::{GuardMode, Verdict};
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

/// Over how many records a country is spread, by default.
const SHARDS: u64 = 16;
/// What one shard of a country without logins gets in a day: three messages, and three that are let off while they are
/// young.
const OF_A_SHARD: u64 = 3 + 3;
const DAY: u64 = 24 * 60;

/// A country, minute by minute.
struct Country {
    host: Host,
    random: u64,
    /// Messages to honest users, and how many of them were verified.
    honest: (u64, u64),
    /// How many newcomers had to pass a challenge, of how many.
    challenged: (u64, u64),
    pumped: u64,
    /// How many messages were verified today, and on the best day.
    verified: (u64, u64),
    /// Users with a device that their number knows, with its token.
    devices: Vec<(String, String)>,
    /// How many messages went to known devices.
    to_devices: u64,
}

impl Country {
    fn new() -> Self {
        let settings = settings(|settings| {
            settings.send_guard.mode = GuardMode::Enforce;
            assert_eq!(settings.send_guard.shards, NonZeroU16::new(16).unwrap());
        });
        let host = Host::with(settings);
        // Midnight.
        host.clock.set(Timestamp::from_unix_secs(20_000 * DAY * 60));
        Self {
            host,
            random: 0x9e37_79b9_7f4a_7c15,
            honest: (0, 0),
            challenged: (0, 0),
            pumped: 0,
            verified: (0, 0),
            devices: Vec::new(),
            to_devices: 0,
        }
    }

    /// A number below `end`, by xorshift. The run is the same each time.
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    fn send(&self, phone: &str, verdict: Verdict) -> Result<Sent, (u16, Value)> {
        self.send_body(&sms_send(phone), verdict)
    }

    fn send_body(&self, body: &Value, verdict: Verdict) -> Result<Sent, (u16, Value)> {
        let bytes = body.to_string();
        let request = json_request(&bytes, None).to("POST", "/otp/send").with_verdict(verdict);
        let mut code = None;
        let deliver = |delivery: Delivery| {
            code = Some(delivery.message().unwrap().code().expose_secret().to_owned());
            std::future::ready(delivery.accepted())
        };
        let reply = read(&block_on(self.host.server.serve(request, deliver).map(Option::unwrap)));
        match code {
            Some(code) => Ok(Sent { otp_token: text(&reply.1, "otp_token").to_owned(), code, reply: reply.1 }),
            None => Err(reply),
        }
    }

    /// Logs in, and has the device remembered.
    fn log_in(&mut self, phone: &str, sent: &Sent, device: Option<&str>) -> String {
        let more = json!({ "auto_signup": true, "remember_device": true, "device_token": device });
        let grant = but(&sms_grant(phone, sent), more);
        let (status, answer) = block_on(self.host.token(&grant));
        assert_eq!(status, 200);
        self.verified.0 += 1;
        text(&answer, "device_token").to_owned()
    }

    /// A user comes again with a device that is known, and the host says nothing of them. Whatever happens to the
    /// country, they are sent a code. Only the quotas of their own device can refuse them.
    fn known_device(&mut self) {
        let number = usize::try_from(self.below(self.devices.len() as u64)).unwrap();
        let (phone, token) = self.devices[number].clone();
        let send = but(&sms_send(&phone), json!({ "device_token": token }));
        match self.send_body(&send, Verdict::None) {
            Ok(sent) => {
                self.to_devices += 1;
                self.devices[number].1 = self.log_in(&phone, &sent, Some(&token));
            }
            Err((_, said)) => assert_eq!(said["error"], "sms_rate_limit_exceeded"),
        }
    }

    /// The attacker sends to a random number, which nobody reads.
    fn pump(&mut self) {
        let number = self.below(1_000_000_000);
        match self.send(&format!("+861{number:010}"), Verdict::None) {
            Ok(_) => self.pumped += 1,
            Err((400, said)) if said["error"] == "challenge_required" => {}
            Err((400, said)) if said["error"] == "sms_rate_limit_exceeded" => {}
            other => panic!("{other:?}"),
        }
    }

    /// The attacker verifies a number of his own. He solves a challenge for it where he must.
    fn verify_own(&mut self, number: u64) {
        let phone = format!("+8618{number:09}");
        let sent = self.send(&phone, Verdict::None).or_else(|_| self.send(&phone, Verdict::Allow));
        self.log_in(&phone, &sent.unwrap(), None);
    }

    /// An honest user asks for a code. Four of five redeem it. Two of three are known to the host, which says "allow".
    /// A newcomer passes the challenge where there is one.
    fn honest(&mut self) {
        if !self.devices.is_empty() && self.below(4) == 0 {
            return self.known_device();
        }
        let phone = format!("+8613{:09}", self.below(1_000_000_000));
        let is_known = self.below(3) > 0;
        let sent = if is_known {
            self.send(&phone, Verdict::Allow).expect("a user whom the host allows is refused")
        } else {
            self.challenged.1 += 1;
            self.send(&phone, Verdict::None).unwrap_or_else(|(_, said)| {
                assert_eq!(said["error"], "challenge_required");
                self.challenged.0 += 1;
                self.send(&phone, Verdict::Allow).expect("a newcomer who passed the challenge is refused")
            })
        };
        self.honest.0 += 1;
        if self.below(5) > 0 {
            let token = self.log_in(&phone, &sent, None);
            self.devices.push((phone, token));
            self.honest.1 += 1;
        }
    }

    /// A day with 200 honest users and an attacker who sends so many times in it, evenly.
    fn day(&mut self, users: u64, pumped: u64) -> u64 {
        let before = self.pumped;
        self.verified.0 = 0;
        for minute in 0..DAY {
            for _ in minute * pumped / DAY..(minute + 1) * pumped / DAY {
                self.pump();
            }
            for _ in 0..users {
                if self.below(DAY) == 0 {
                    self.honest();
                }
            }
            self.host.advance(secs(60));
        }
        self.verified.1 = self.verified.1.max(self.verified.0);
        self.pumped - before
    }

    /// The most messages of a pumper in a day: the floor of each shard, half of what was verified on the best day, and
    /// what the best hour of each shard lets off beyond its floor, which is counted generously as one message each.
    fn most(&self) -> u64 {
        SHARDS * OF_A_SHARD + self.verified.1 / 2 + SHARDS
    }

    /// After any attack, a newcomer gets in.
    fn lets_newcomers_in(&mut self) {
        let challenged = self.challenged;
        for _ in 0..100 {
            self.honest();
        }
        self.challenged = challenged;
        assert_eq!(self.host.counters.faults.load(SeqCst), 0);
    }
}

#[test]
fn a_country_without_users_gets_its_floor_in_each_shard() {
    let mut country = Country::new();
    let pumped = country.day(0, 20_000);
    println!("20,000 sends to a country without users: {pumped} messages, at most {}", SHARDS * OF_A_SHARD);
    assert!(pumped <= SHARDS * OF_A_SHARD);
    country.lets_newcomers_in();
}

#[test]
fn a_hundred_thousand_numbers_beside_two_hundred_honest_users() {
    let mut country = Country::new();
    for _ in 0..7 {
        country.day(200, 0);
    }
    let (quiet, honest) = (country.challenged, country.honest);
    country.challenged = (0, 0);
    let pumped = country.day(200, 100_000);
    let most = country.most();
    println!(
        "honest: {} messages in 7 days, {} verified; {} of {} newcomers challenged",
        honest.0, honest.1, quiet.0, quiet.1
    );
    println!("100,000 sends beside 200 honest users: {pumped} messages, at most {most}");
    println!("{} messages went to known devices, and none was refused for the country", country.to_devices);
    assert!(country.to_devices > 100);
    println!("on that day {} of {} newcomers are challenged", country.challenged.0, country.challenged.1);
    assert!(pumped <= most);
    country.lets_newcomers_in();
    // A day and a night later, the country has forgotten.
    country.day(200, 0);
    country.challenged = (0, 0);
    country.day(200, 0);
    println!("two days later {} of {} newcomers are challenged", country.challenged.0, country.challenged.1);
    assert!(country.challenged.0 * 4 <= country.challenged.1);
}

#[test]
fn a_slow_pumper_over_14_days() {
    let mut country = Country::new();
    let alone: Vec<u64> = (0..14).map(|_| country.day(0, 288)).collect();
    println!("one send in 5 minutes over 14 days, without users: {alone:?} messages");
    assert!(alone.iter().all(|pumped| *pumped <= SHARDS * OF_A_SHARD), "{alone:?}");
    assert!(alone.iter().sum::<u64>() <= 14 * SHARDS * 3 + SHARDS * 3);
    let mut country = Country::new();
    for _ in 0..7 {
        country.day(200, 0);
    }
    country.challenged = (0, 0);
    let beside: Vec<u64> = (0..14).map(|_| country.day(200, 288)).collect();
    println!("the same beside 200 honest users: {beside:?} messages");
    println!("in these days {} of {} newcomers are challenged", country.challenged.0, country.challenged.1);
    let most = country.most();
    assert!(beside.iter().all(|pumped| *pumped <= most), "{beside:?}, at most {most}");
    country.lets_newcomers_in();
}

#[test]
fn a_pumper_who_verifies_numbers_of_his_own_earns_half_a_message_a_day_for_each() {
    let mut costs = Vec::new();
    for own in [0, 160, 480] {
        let mut country = Country::new();
        for number in 0..own {
            country.verify_own(number);
            country.host.advance(secs(60));
        }
        country.host.advance(secs((DAY - own) * 60));
        let pumped: Vec<u64> = (0..14).map(|_| country.day(0, 2_000)).collect();
        println!("{own} own numbers are verified once, then 2,000 sends a day for 14 days: {pumped:?} messages");
        let most = SHARDS * OF_A_SHARD + own * 3 / 2;
        assert!(pumped.iter().all(|day| *day <= most), "{pumped:?}, at most {most}");
        costs.push(pumped.iter().sum::<u64>());
        country.lets_newcomers_in();
    }
    // Each verified number earns at most half a message on each of 14 days.
    for (own, total) in [(160, costs[1]), (480, costs[2])] {
        let earned = total.saturating_sub(costs[0]);
        println!("{own} numbers earn {earned} messages in 14 days, at most {}", own * 14 / 2);
        assert!(earned <= own * 14 / 2);
    }
}

/// Each login on a number of his own takes two other messages out of the counts, and no more.
#[test]
fn a_pumper_who_resends_to_numbers_of_his_own_gets_a_few_messages_for_each_login() {
    for sends in 1..=10 {
        let mut country = Country::new();
        let (mut messages, mut logins) = (0, 0);
        for number in 0..40 {
            let phone = format!("+8618100000{number:03}");
            let mut last = None;
            for _ in 0..sends {
                let Ok(sent) = country.send(&phone, Verdict::None) else { break };
                messages += 1;
                last = Some(sent);
                country.host.advance(secs(30));
            }
            if let Some(sent) = last {
                country.log_in(&phone, &sent, None);
                logins += 1;
            }
            country.host.advance(secs(60));
        }
        println!("40 own numbers of one block, up to {sends} sends each: {messages} messages for {logins} logins");
        // The login's own message, two that are dropped, one and a half that it earns, and the floor of the block.
        assert!(2 * messages <= 9 * logins + 2 * 8, "{messages} for {logins}");
        country.lets_newcomers_in();
    }
}
