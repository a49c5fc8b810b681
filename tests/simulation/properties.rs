//! What must hold of every history, one function a property. The numbers are those of section 2 of the design.

mod address;
mod answers;
mod session;

use crate::facts::History;

/// What was found to be wrong.
type Checked = Result<(), String>;

/// Holds a history against every property; the error names the one that it breaks.
pub fn check(history: &History<'_>) -> Checked {
    for (name, property) in PROPERTIES {
        property(history).map_err(|found| format!("{name}: {found}"))?;
    }
    Ok(())
}

/// A property, with its name.
type Property = (&'static str, fn(&History<'_>) -> Checked);

const PROPERTIES: [Property; 15] = [
    ("no comparison without a stored reservation", address::comparisons_are_reserved),
    ("comparisons within both budgets", address::comparisons_stay_within_both_budgets),
    ("exactly-once redemption", address::codes_are_redeemed_once),
    ("a code in flight lives on", address::challenges_end_for_a_reason),
    ("sends within quota", address::sends_stay_within_their_quotas),
    ("silence before proof", address::nothing_is_asked_before_proof),
    ("one successor", session::a_refresh_token_has_one_successor),
    ("theft is detected by the next use", session::theft_is_detected_by_the_next_use),
    ("no false revocation", session::nothing_is_revoked_without_cause),
    ("a revocation is final", session::what_was_revoked_stays_so),
    ("nothing valid after revocation", session::nothing_is_valid_after_its_end),
    ("no revocation that is only said", session::a_revocation_that_is_answered_is_stored),
    ("no token without a commit", answers::what_is_said_is_stored),
    ("unknown outcomes are resolved", answers::unknown_outcomes_are_resolved),
    ("nothing good is refused", answers::nothing_good_is_refused),
];

/// In milliseconds.
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

/// By how much a server may take the clock to be ahead after it was set back, since it knows other hosts' readings.
fn tolerance(history: &History<'_>) -> u64 {
    if history.clock_was_set_back { 5 * SECOND } else { 0 }
}
