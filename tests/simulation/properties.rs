//! The properties that must hold in every history. Each is one function.
//!
//! - The first properties read the records and know the rules. A number such as "7:" is that of a property in
//!   `ARCHITECTURE.md`.
//! - The other properties check a promise, which stands above each of them with its source. They look at requests from
//!   outside.

mod address;
mod answers;
mod devices;
mod guard;
mod guesses;
mod outage;
mod proofs;
mod reviewer;
mod sends;
mod session;
mod sign_out;
mod theft;

use crate::facts::History;

/// What was found to be wrong.
type Checked = Result<(), String>;

/// Checks a history against every property. Each finding begins with the name of the broken property.
pub fn check(history: &History<'_>) -> Vec<String> {
    let only = ONLY.get_or_init(|| std::env::var("SIMULATION_PROPERTY").ok());
    let is_asked = |name: &str, needs: Needs| {
        only.as_ref().is_none_or(|only| only == name) && (needs == Needs::Nothing || history.rules.is_exact)
    };
    let asked = PROPERTIES.iter().filter(|(name, needs, _)| is_asked(name, *needs));
    asked.filter_map(|(name, _, property)| Some(format!("{name}: {}", property(history).err()?))).collect()
}

/// A property, with its name.
type Property = (&'static str, Needs, fn(&History<'_>) -> Checked);

/// The kind of history that a property can be checked in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Only a history in which the times of the log are those that the hosts read.
    OneClock,
}

use Needs::{Nothing, OneClock};

const PROPERTIES: [Property; 52] = [
    ("no comparison without a stored reservation", Nothing, address::comparisons_are_reserved),
    ("comparisons within both budgets", OneClock, address::comparisons_stay_within_both_budgets),
    ("exactly-once redemption", Nothing, address::codes_are_redeemed_once),
    ("a code in flight lives on", OneClock, address::challenges_end_for_a_reason),
    ("sends within quota", OneClock, address::sends_stay_within_their_quotas),
    ("silence before proof", Nothing, address::nothing_is_asked_before_proof),
    ("what is taken back keeps no device", Nothing, address::a_login_that_is_taken_back_keeps_no_device),
    ("signed before it is stored", Nothing, session::a_session_is_stored_after_its_tokens_are_signed),
    ("one successor", OneClock, session::a_refresh_token_has_one_successor),
    ("theft is detected by the next use", OneClock, session::theft_is_detected_by_the_next_use),
    ("no false revocation", OneClock, session::nothing_is_revoked_without_cause),
    ("a revocation is final", Nothing, session::what_was_revoked_stays_so),
    ("nothing valid after revocation", OneClock, session::nothing_is_valid_after_its_end),
    ("no revocation that is only said", OneClock, session::a_revocation_that_is_answered_is_stored),
    ("no token without a commit", Nothing, answers::what_is_said_is_stored),
    ("unknown outcomes are resolved", Nothing, answers::unknown_outcomes_are_resolved),
    ("nothing good is refused", OneClock, answers::nothing_good_is_refused),
    ("theft is loud", Nothing, theft::theft_is_loud),
    ("overtaken is no theft", Nothing, theft::an_overtaken_refresh_is_no_theft),
    ("a retry window ends", Nothing, theft::a_retry_window_ends),
    ("all get one successor", Nothing, theft::all_get_one_successor),
    ("a current token refreshes", Nothing, theft::a_current_token_refreshes),
    ("a sign-out holds", Nothing, sign_out::a_sign_out_holds_at_every_host),
    ("a login after a sign-out", Nothing, sign_out::who_logs_in_after_a_sign_out_is_in),
    ("five for a code", Nothing, guesses::a_code_is_compared_five_times),
    ("25 a day for an address", Nothing, guesses::an_address_is_guessed_at_25_times_a_day),
    ("a right code logs in", Nothing, guesses::a_right_code_in_its_time_logs_in),
    ("a 503 can be retried", Nothing, guesses::a_503_can_be_retried),
    ("no code tells another", Nothing, guesses::no_code_tells_another),
    ("a stolen code is worth nothing", Nothing, guesses::a_stolen_code_is_worth_nothing_without_its_verifier),
    ("one guess for a proof", Nothing, proofs::a_proof_pays_for_one_guess),
    ("one refresh for a proof", Nothing, proofs::a_proof_advances_a_session_once),
    ("one userinfo for a proof", Nothing, proofs::a_proof_serves_userinfo_once),
    ("nothing without the key", Nothing, proofs::nothing_bound_is_worth_anything_without_its_key),
    ("a fresh proof is accepted", Nothing, proofs::a_fresh_proof_is_accepted),
    ("an assertion authenticates once", Nothing, proofs::an_assertion_authenticates_once),
    ("a send is refused for a reason", Nothing, sends::a_send_is_refused_for_a_reason),
    ("nothing is sent in vain", Nothing, sends::an_address_without_guesses_is_not_sent_to),
    ("a Retry-After is true", Nothing, sends::a_retry_after_is_true),
    ("a client that asks is remembered", Nothing, devices::a_client_that_asks_is_remembered),
    ("what is explained is true", Nothing, devices::what_is_explained_is_true),
    ("a message is counted before it is delivered", Nothing, guard::a_message_is_counted_before_it_is_delivered),
    ("no destination counts too few", Nothing, guard::no_destination_counts_too_few),
    ("a success is credited once", Nothing, guard::a_success_is_credited_once),
    ("an address has its destinations", Nothing, guard::an_address_has_its_destinations),
    ("no more than a threshold", Nothing, guard::no_more_is_delivered_than_a_threshold_lets_through),
    ("a challenge is for a reason", Nothing, guard::a_challenge_is_for_a_reason),
    ("a test identity is told from others", Nothing, reviewer::what_is_of_a_test_identity_says_so),
    ("a test identity ends", Nothing, reviewer::nothing_of_a_test_identity_outlives_it),
    ("a 503 is for what is down", Nothing, outage::a_503_is_for_what_is_down),
    ("answers of the contract", Nothing, outage::answers_are_those_of_the_contract),
    ("released tokens verify", Nothing, outage::released_tokens_verify),
];

static ONLY: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();

/// In milliseconds.
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

/// Returns by how much a server may consider a clock ahead after it was set back, since the server knows readings of
/// other hosts.
fn tolerance(history: &History<'_>) -> u64 {
    if history.clock_was_set_back { 5 * SECOND } else { 0 }
}
