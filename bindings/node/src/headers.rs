//! The headers of a request, as JavaScript passes them.

use zeroize::Zeroizing;

use crate::error::{Thrown, misuse};

/// Names and values. The values are wiped: one of them is a token or the secret of a client.
pub(crate) struct Headers {
    in_turns: Zeroizing<Vec<String>>,
    values: Vec<Zeroizing<Vec<u8>>>,
}

impl Headers {
    /// Reads names and values in turns.
    pub(crate) fn read(in_turns: Vec<String>) -> Result<Self, Thrown> {
        let in_turns = Zeroizing::new(in_turns);
        if in_turns.len() % 2 != 0 {
            return Err(misuse("a header has no value"));
        }
        let values = in_turns.iter().skip(1).step_by(2).map(|value| latin1(value)).collect();
        Ok(Self { in_turns, values })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let names = self.in_turns.iter().step_by(2).map(String::as_str);
        names.zip(self.values.iter().map(|value| value.as_slice()))
    }
}

/// The bytes of a header. Node gives each byte as one character. Any other character was never in a header.
fn latin1(value: &str) -> Zeroizing<Vec<u8>> {
    // A vector that grows would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len()));
    bytes.extend(value.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')));
    bytes
}
