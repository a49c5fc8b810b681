//! Phone numbers and e-mail addresses: `admin addresses`.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use otp_grant::otp::{AddressState, BudgetState};
use otp_grant::time::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::args::Addresses;
use super::{Desk, Outcome, UNAVAILABLE, read_address, text_of};
use crate::calendar::{Rounded, Utc};
use crate::config::ConfigError;

pub(super) async fn run(desk: Desk<'_>, command: &Addresses) -> Result<Outcome, ConfigError> {
    let server = &desk.records.server;
    let (Addresses::Explain(on) | Addresses::Unlock(on) | Addresses::ForgetDevices(on)) = command;
    let address = read_address(server.addresses(), &text_of(&on.address, "ADDRESS")?)?;
    if let Some(key) = desk.records.key_of(&address).await {
        desk.record.is_about_address(key);
    }
    if let Some(failed) = desk.open_store().await? {
        return Ok(failed);
    }
    desk.record.begin()?;
    let done = match command {
        Addresses::Explain(_) => server.explain(&address).await.map(|state| {
            let now = SystemClock.now();
            let text = || format!("Records of {}\n{}", server.issuer().as_str(), Explained { state: &state, now });
            if desk.json { explain_as_json(&state).to_string() } else { text() }
        }),
        Addresses::Unlock(_) => server.unlock(&address).await.map(|()| told(desk.json, "unlocked", UNLOCKED)),
        Addresses::ForgetDevices(_) => {
            server.forget_devices(&address).await.map(|()| told(desk.json, "devices_forgotten", FORGOTTEN))
        }
    };
    Ok(done.map_or_else(|_| Outcome::Failed(UNAVAILABLE.to_owned()), Outcome::Done))
}

fn told(json: bool, member: &str, text: &str) -> String {
    if json { json!({ member: true }).to_string() } else { text.to_owned() }
}

fn explain_as_json(state: &AddressState) -> Value {
    let at = |instant: Timestamp| instant.as_unix_millis();
    let budget = |budget: &BudgetState| json!({ "left": budget.left, "available_at": budget.available_at.map(at) });
    let challenges = state.challenges.iter().map(|challenge| {
        json!({
            "code_expires_at": at(challenge.code_expires_at),
            "expires_at": at(challenge.expires_at),
            "guesses_left": challenge.guesses_left,
        })
    });
    let devices = state.devices.iter().map(|device| {
        json!({
            "known_until": at(device.known_until),
            "guesses": budget(&device.guesses),
            "sends": budget(&device.sends),
        })
    });
    json!({
        "is_locked": state.is_locked(),
        "guesses": budget(&state.guesses),
        "sends": budget(&state.sends),
        "challenges": challenges.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
    })
}

/// The state of an address, in words.
struct Explained<'a> {
    state: &'a AddressState,
    now: Timestamp,
}

impl Explained<'_> {
    /// What is left of a budget, and when there is more.
    fn left(&self, budget: &BudgetState) -> String {
        match (budget.left, budget.available_at) {
            (None, _) => "not limited".to_owned(),
            (Some(0), Some(again)) => format!("none, again at {}", self.at(again)),
            (Some(left), Some(next)) if !self.now.has_reached(next) => format!("{left}, the next at {}", self.at(next)),
            (Some(left), _) => left.to_string(),
        }
    }

    fn at(&self, instant: Timestamp) -> String {
        match self.now.until(instant) {
            Duration::ZERO => format!("{} (over)", Utc(instant)),
            wait => format!("{} (in {})", Utc(instant), Rounded(wait)),
        }
    }
}

impl Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, .. } = self;
        match state.guesses.available_at.filter(|_| state.is_locked()) {
            Some(again) => writeln!(f, "The address is LOCKED until {}.", self.at(again))?,
            None => writeln!(f, "The address is not locked.")?,
        }
        writeln!(f, "  guesses left:  {}", self.left(&state.guesses))?;
        writeln!(f, "  messages left: {}", self.left(&state.sends))?;
        writeln!(f, "Challenges: {}", count(state.challenges.len()))?;
        for challenge in &state.challenges {
            let over = self.now.has_reached(challenge.code_expires_at);
            let until =
                if over { "expired".to_owned() } else { format!("good until {}", self.at(challenge.code_expires_at)) };
            writeln!(f, "  - its code is {until}; guesses left: {}", challenge.guesses_left)?;
        }
        let mut devices = String::new();
        for device in &state.devices {
            let (guesses, sends) = (self.left(&device.guesses), self.left(&device.sends));
            let until = self.at(device.known_until);
            writeln!(devices, "  - known until {until}; guesses left: {guesses}; messages left: {sends}")?;
        }
        writeln!(f, "Devices: {}", count(state.devices.len()))?;
        f.write_str(&devices)
    }
}

fn count(number: usize) -> String {
    if number == 0 { "none".to_owned() } else { number.to_string() }
}

const UNLOCKED: &str = "The address has all its guesses and messages again. An attacker can lock it again; a user with a \
     remembered device can sign in all the same.";
const FORGOTTEN: &str = "The address knows no device any more.";
