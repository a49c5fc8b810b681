//! What the targets share: the harness of the scenarios, and edits of a text.

#[path = "../tests/support/mod.rs"]
mod harness;

pub use harness::*;

/// Carries out a list of edits, three bytes each: what, where, and with what.
///
/// What is inserted comes from the alphabet of base64url more often than not, so that a decoder is passed; or from one
/// of `others`, tokens to splice in.
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

/// The base64url character whose bits differ in one place: the smallest change there is.
fn neighbour(character: char, with: u8) -> char {
    match BASE64URL.iter().position(|known| char::from(*known) == character) {
        Some(position) => char::from(BASE64URL[position ^ (1 << (with % 6))]),
        None => char::from(with),
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LONGEST: usize = 2000;
