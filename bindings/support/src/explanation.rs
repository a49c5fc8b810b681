//! What an address has left, as a document.

use otp_grant::otp::{AddressState, BudgetState, DeviceState, LiveChallenge};
use otp_grant::time::Timestamp;
use serde_json::{Value, json};

/// Writes the state of an address.
pub(crate) fn explanation(state: &AddressState) -> String {
    let challenges: Vec<Value> = state.challenges.iter().map(challenge).collect();
    let devices: Vec<Value> = state.devices.iter().map(device).collect();
    let document = json!({
        "is_locked": state.is_locked(),
        "guesses": budget(&state.guesses),
        "sends": budget(&state.sends),
        "challenges": challenges,
        "devices": devices,
    });
    document.to_string()
}

fn challenge(challenge: &LiveChallenge) -> Value {
    json!({
        "code_expires_at": challenge.code_expires_at.as_unix_millis(),
        "expires_at": challenge.expires_at.as_unix_millis(),
        "guesses_left": challenge.guesses_left,
    })
}

fn device(device: &DeviceState) -> Value {
    json!({
        "known_until": device.known_until.as_unix_millis(),
        "guesses": budget(&device.guesses),
        "sends": budget(&device.sends),
    })
}

fn budget(budget: &BudgetState) -> Value {
    json!({ "left": budget.left, "available_at": budget.available_at.map(Timestamp::as_unix_millis) })
}
