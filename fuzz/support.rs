//! The parts that the targets share: the harness of the scenarios, edits of a text, a count of memory, and the texts
//! that a refusal may have.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use otp_grant::Reply;
pub use otp_grant_tests::*;
use serde_json::Value;

/// Carries out a list of edits. Each edit has three bytes: its kind, its place and its argument.
///
/// Most inserted characters come from the alphabet of base64url, so that a decoder accepts them. An insertion can also
/// be a token of `others`.
pub fn edit(text: &str, edits: &[u8], others: &[&str]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for [what, place, with] in edits.as_chunks().0 {
        let place = usize::from(*place) * (text.len() + 1) / 256;
        let rest = text.len() - place;
        let length = usize::from(*with).min(rest);
        match what % 8 {
            0 | 1 if rest > 0 => text[place] = character(*with),
            2 if rest > 0 => text[place] = neighbour(text[place], *with),
            3 => text.insert(place, character(*with)),
            4 => drop(text.drain(place..place + length)),
            5 => text.truncate(place),
            6 => text.extend_from_within(place..place + length),
            7 => {
                let other = others.get(usize::from(*with) % others.len().max(1)).copied().unwrap_or_default();
                text.truncate(place);
                text.extend(other.chars().skip(place));
            }
            _ => {}
        }
        text.truncate(LONGEST);
    }
    text.into_iter().collect()
}

fn character(byte: u8) -> char {
    match byte {
        0..=127 => char::from(byte),
        _ => char::from(BASE64URL[usize::from(byte % 64)]),
    }
}

/// Returns the base64url character that differs in one bit, which is the smallest possible change.
fn neighbour(character: char, with: u8) -> char {
    match BASE64URL.iter().position(|known| char::from(*known) == character) {
        Some(position) => char::from(BASE64URL[position ^ (1 << (with % 6))]),
        None => char::from(with),
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LONGEST: usize = 2000;

/// Runs `work`. Returns the most bytes that it held at once beyond what was held before, and its result.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.load(SeqCst);
    PEAK.store(before, SeqCst);
    let result = work();
    (PEAK.load(SeqCst).saturating_sub(before), result)
}

/// Checks that the work on an input of this length holds no more than a small multiple of it.
#[track_caller]
pub fn assert_bounded(peak: usize, input: usize, multiple: usize) {
    assert!(peak <= BASE + multiple * input, "{peak} bytes for an input of {input}");
}

/// Empties the list of calls that the harness keeps. Otherwise its growth would be measured.
pub fn forget_calls(host: &Host) {
    host.directory.calls.lock().unwrap().clear();
    host.counters.told.lock().unwrap().clear();
}

/// Counts the memory that is held. The targets have one thread.
struct Counting;

// SAFETY: it passes every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(held, SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Checks that an answer contains nothing of the request. A refusal has only the words of the contract.
#[track_caller]
pub fn assert_ours(reply: &Reply) -> (u16, Value) {
    let (status, said) = read(reply);
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    if said["error"].is_null() {
        return (status, said);
    }
    for (name, value) in said.as_object().unwrap() {
        let is_ours = match (name.as_str(), value.as_str()) {
            ("error", Some(error)) => ERRORS.contains(&error),
            ("error_description", Some(description)) => {
                let of =
                    |subject: &&str| description.strip_prefix(*subject).is_some_and(|rest| PROBLEMS.contains(&rest));
                DESCRIPTIONS.contains(&description) || SUBJECTS.iter().any(of)
            }
            _ => value.is_u64(),
        };
        assert!(is_ours, "{said}");
    }
    (status, said)
}

/// The memory of the host and its fixed parts, whatever the input is.
const BASE: usize = 32 * 1024;
const ERRORS: [&str; 17] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_auth_source",
    "temporarily_unavailable",
    "malformed_phone_number",
    "malformed_email",
    "phone_number_is_used",
    "email_is_used",
    "sms_rate_limit_exceeded",
    "email_rate_limit_exceeded",
    "invalid_token",
    "insufficient_scope",
    "server_error",
];
const DESCRIPTIONS: [&str; 12] = [
    "Unknown or expired otp_token",
    "Mismatched OTP token and OTP sending parameters",
    "Unknown or expired OTP",
    "User not found",
    "Abnormal user status",
    "Unknown or expired refresh_token",
    "Auth source and application not associated",
    "SMS rate limit exceeded for same phone number",
    "Email rate limit exceeded for same email address",
    "Failed to send OTP. Please try again later.",
    "Temporarily unavailable. It is safe to try again.",
    "unsupported grant type",
];
const SUBJECTS: [&str; 16] = [
    "the body",
    "grant_type",
    "client_id",
    "client_secret",
    "auth_source_id",
    "phone_number",
    "email",
    "otp_token",
    "otp",
    "auto_signup",
    "scope",
    "usage",
    "refresh_token",
    "token",
    "token_type_hint",
    "access_token",
];
const PROBLEMS: [&str; 18] = [
    " is missing",
    " is given twice",
    " must be a string",
    " must be true or false",
    " must not be empty",
    " is not valid",
    " is not allowed here",
    " differs from the Authorization header",
    " is too large",
    " has an unsupported content type",
    " is not valid JSON",
    " is not a JSON object",
    " is not a valid form",
    " has an unknown member twice",
    " has neither phone_number nor email",
    " has both phone_number and email",
    " has a client_secret besides the Authorization header",
    " has an access_token besides the Authorization header",
];
