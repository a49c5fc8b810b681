//! Any sequence of sends, guesses, redemptions, clock steps and faults, against a small reference model.

use std::sync::atomic::Ordering::SeqCst;

use otp_grant::Settings;
use otp_grant::settings::danger;
use otp_grant_tests::*;
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Step {
    Send,
    Guess { challenge: usize, right: bool },
    Advance(u64),
    SetBack(u64),
    Fault { call: usize, fault: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Send),
        4 => (0..4_usize, any::<bool>()).prop_map(|(challenge, right)| Step::Guess { challenge, right }),
        2 => prop_oneof![Just(1), Just(29), Just(30), Just(60), Just(300), Just(86_400)].prop_map(Step::Advance),
        1 => prop_oneof![Just(1), Just(3600)].prop_map(Step::SetBack),
        1 => (0..4_usize, 0..FAULTS.len()).prop_map(|(call, fault)| Step::Fault { call, fault }),
    ]
}

const FAULTS: [Mishap; 6] =
    [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten, Mishap::Slow];

/// The model's knowledge of a challenge.
struct Challenge {
    sent: Sent,
    code_expires_at: u64,
    token_expires_at: u64,
    /// How many answers told whether the code was right.
    compared: usize,
    /// How many guesses can have been charged although the answer was a 503.
    unknown: usize,
}

#[derive(Default)]
struct Model {
    now: u64,
    challenges: Vec<Challenge>,
    /// The codes that logged a user in.
    spent: Vec<String>,
    /// The codes that were wrongly guessed at, and when.
    wrong_at: Vec<(String, u64)>,
    /// Whether the clock has ever been set back by more than the clocks of hosts can differ. Codes can then end early.
    set_back: bool,
    faulty: bool,
}

async fn play(steps: &[Step]) {
    let host = Host::with(danger::without_send_quotas(Settings::default()));
    let mut model = Model { now: 1_000_000, ..Model::default() };
    for step in steps {
        match step {
            Step::Advance(by) => {
                host.advance(secs(*by));
                model.now += by;
            }
            Step::SetBack(by) => {
                host.clock.set_back(secs(*by));
                model.now -= by;
                model.set_back = true;
            }
            Step::Fault { call, fault } => {
                host.store.fault(*call, FAULTS[*fault]);
                model.faulty = true;
            }
            Step::Send => match host.try_send(&sms_send(PHONE)).await {
                Ok(sent) => model.sent(sent),
                Err(reply) if reply.status() == 400 => assert!(model.budget() == 0 || model.faulty || model.set_back),
                Err(reply) => assert_eq!((reply.status(), model.faulty), (503, true)),
            },
            Step::Guess { challenge, right } => {
                let count = model.challenges.len();
                let Some(index) = count.checked_sub(1 + challenge) else { continue };
                let sent = model.challenges[index].sent.clone();
                let otp = if *right { sent.code.clone() } else { wrong(&sent.code) };
                let before = host.counters.logins.load(SeqCst);
                let reply = host.token(&but(&sms_grant(PHONE, &sent), json!({ "otp": otp }))).await;
                let logins = host.counters.logins.load(SeqCst) - before;
                assert_eq!(logins, usize::from(reply.0 == 200), "tokens and their commit go together");
                model.answered(index, *right, &reply);
            }
        }
    }
}

impl Model {
    fn sent(&mut self, sent: Sent) {
        let now = self.now;
        let in_flight = self.challenges.iter().rfind(|old| {
            old.sent.code == sent.code && old.code_expires_at > now && !self.spent.contains(&old.sent.code)
        });
        let code_expires_at = in_flight.map_or(now + 180, |old| old.code_expires_at);
        self.challenges.push(Challenge { sent, code_expires_at, token_expires_at: now + 300, compared: 0, unknown: 0 });
    }

    /// How many guesses are left for the address.
    fn budget(&self) -> usize {
        let now = self.now;
        25 - self.wrong_at.iter().filter(|(_, at)| *at + 86_400 > now).count().min(25)
    }

    fn answered(&mut self, index: usize, right: bool, reply: &(u16, serde_json::Value)) {
        let now = self.now;
        let budget = self.budget();
        let code = self.challenges[index].sent.code.clone();
        let unknown: usize =
            self.challenges.iter().filter(|other| other.sent.code == code).map(|other| other.unknown).sum();
        // A guess is compared with each code that is in time. This code therefore had at least the comparisons of these
        // challenges.
        let compared =
            self.challenges.iter().filter(|other| other.sent.code == code).map(|other| other.compared).sum::<usize>();
        let all_compared: usize = self.challenges.iter().map(|other| other.compared).sum();
        let spent = self.spent.contains(&self.challenges[index].sent.code);
        let challenge = &mut self.challenges[index];
        let code_expired = now >= challenge.code_expires_at;
        let token_expired = now >= challenge.token_expires_at;
        let description = reply.1["error_description"].as_str().unwrap_or_default();
        // Five seconds of tolerance, if the clock was set back.
        let sure = !self.set_back && !self.faulty;
        match (reply.0, description) {
            (200, _) => {
                assert!(right, "a wrong code logged in");
                assert!(!spent, "a code logged in twice");
                assert!(!code_expired || self.set_back, "an expired code logged in");
                assert!(compared < 5, "a sixth comparison");
                self.wrong_at.retain(|(guessed, _)| *guessed != code);
                self.spent.push(code);
            }
            (400, "Unknown or expired OTP") => {
                challenge.compared += 1;
                // An otp_token is valid for at least as long as its code. The guesses of a challenge are forgotten with
                // its otp_token, when a code that other challenges share has expired and can log no user in.
                assert!(compared < 5 || code_expired, "a sixth comparison");
                assert!(!right || code_expired || self.set_back, "a right code was refused");
                assert!(budget > 0 || self.set_back, "a comparison over the budget of the address");
                self.wrong_at.push((code, now));
            }
            (400, "Unknown or expired otp_token") => {
                let used_up = all_compared + unknown >= 5 || budget == 0;
                let older = self.challenges.len() - 1 - index;
                assert!(spent || token_expired || used_up || older >= 9 || !sure, "a live challenge was refused");
            }
            (503, _) => {
                assert!(self.faulty);
                challenge.unknown += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        pollster::block_on(play(&steps));
    }
}
