//! Small counts, in a row that moves with the time. They are stored as one short text.

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::base64url::BASE64URL;

/// A row of counts. A count that was never added to is zero, and takes no room at the end of the row.
///
/// The row is stored as base64url of its counts, each in groups of 7 bits with the lowest group first (LEB128).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Counts(Vec<u32>);

impl Counts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator {
        self.0.iter().copied()
    }

    pub(crate) fn add(&mut self, index: usize, more: u32) {
        self.put(index, self.get(index).saturating_add(more));
    }

    /// Takes one away, if there is one.
    pub(crate) fn take(&mut self, index: usize) {
        self.put(index, self.get(index).saturating_sub(1));
    }

    pub(crate) fn put(&mut self, index: usize, count: u32) {
        if index >= self.0.len() {
            if count == 0 {
                return;
            }
            self.0.resize(index.saturating_add(1), 0);
        }
        if let Some(slot) = self.0.get_mut(index) {
            *slot = count;
        }
        self.trim();
    }

    /// Puts `places` zeros before the row, and forgets what is then past `most` places.
    pub(crate) fn move_back(&mut self, places: usize, most: usize) {
        let places = places.min(most);
        if self.0.is_empty() || places == 0 {
            return;
        }
        self.0.splice(..0, core::iter::repeat_n(0, places));
        self.0.truncate(most);
        self.trim();
    }

    /// Forgets the first counts.
    pub(crate) fn drop_first(&mut self, places: usize) {
        self.0.drain(..places.min(self.0.len()));
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl From<Counts> for String {
    fn from(counts: Counts) -> Self {
        let mut bytes = Vec::with_capacity(counts.0.len());
        for mut count in counts.0 {
            while let Some(group) = u8::try_from(count & 0x7f).ok().filter(|_| count > 0x7f) {
                bytes.push(group | 0x80);
                count >>= 7;
            }
            bytes.extend(u8::try_from(count));
        }
        BASE64URL.encode(bytes)
    }
}

impl TryFrom<String> for Counts {
    type Error = InvalidCounts;

    fn try_from(text: String) -> Result<Self, InvalidCounts> {
        let bytes = BASE64URL.decode(text).map_err(|_| InvalidCounts)?;
        let (mut counts, mut count, mut shift) = (Vec::new(), 0_u32, 0_u32);
        for byte in bytes {
            let group = u32::from(byte & 0x7f);
            let shifted = group.checked_shl(shift).filter(|shifted| shifted >> shift == group);
            count |= shifted.ok_or(InvalidCounts)?;
            if byte & 0x80 == 0 {
                counts.push(count);
                (count, shift) = (0, 0);
            } else {
                shift += 7;
            }
        }
        if shift != 0 || counts.len() > MOST_COUNTS {
            return Err(InvalidCounts);
        }
        let mut counts = Self(counts);
        counts.trim();
        Ok(counts)
    }
}

/// A stored text is not a row of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidCounts;

impl core::fmt::Display for InvalidCounts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a row of counts")
    }
}

/// More than any row has.
const MOST_COUNTS: usize = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_stored_as_it_was() {
        for row in [vec![], vec![0, 0, 3], vec![1, 127, 128, 300], vec![u32::MAX, 0, u32::MAX]] {
            let mut counts = Counts::default();
            row.iter().enumerate().for_each(|(index, count)| counts.put(index, *count));
            let text = String::from(counts.clone());
            assert_eq!(Counts::try_from(text).unwrap(), counts);
            assert!(counts.iter().eq(row));
        }
        assert_eq!(String::from(Counts(vec![1, 127, 128])), "AX-AAQ");
    }

    #[test]
    fn what_is_not_a_row_is_refused() {
        for text in ["!", "gA", "_____38", "gICAgBA", "gICAgIAB", &format!("{}AQI", "AQID".repeat(21))] {
            assert_eq!(Counts::try_from(text.to_owned()), Err(InvalidCounts), "{text}");
        }
        assert!(Counts::try_from(format!("{}AQ", "AQID".repeat(21))).is_ok_and(|counts| counts.iter().len() == 64));
        assert!(Counts::try_from("_____w8".to_owned()).is_ok_and(|counts| counts.get(0) == u32::MAX));
    }

    #[test]
    fn a_row_moves_and_forgets() {
        let mut counts = Counts(vec![1, 2, 3]);
        counts.move_back(2, 4);
        assert_eq!(counts.0, [0, 0, 1, 2]);
        counts.drop_first(1);
        assert_eq!(counts.0, [0, 1, 2]);
        counts.move_back(usize::MAX, 4);
        assert!(counts.is_empty());
    }
}
