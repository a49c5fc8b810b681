//! Converts between a record and a row of the table.

use std::time::Duration;

use otp_grant::store::Record;
use otp_grant::time::Timestamp;

use crate::error::SqlStoreError;

/// The columns that a swap writes.
pub(crate) struct Row {
    pub(crate) tag: [u8; 16],
    pub(crate) value: String,
    pub(crate) delete_after: i64,
}

impl Row {
    pub(crate) fn of(record: &Record) -> Result<Self, SqlStoreError> {
        let value = serde_json::to_string(record).map_err(|_| SqlStoreError::NotARecord)?;
        Ok(Self { tag: *record.tag.as_bytes(), value, delete_after: saturated(record.delete_after) })
    }
}

pub(crate) fn decode(tag: &[u8], value: &str) -> Result<Record, SqlStoreError> {
    // The cause of the error would quote the value.
    let record: Record = serde_json::from_str(value).map_err(|_| SqlStoreError::NotARecord)?;
    // Swaps compare the tag of the column, and the core compares the tag in the record.
    if record.tag.as_bytes()[..] == *tag { Ok(record) } else { Err(SqlStoreError::NotARecord) }
}

/// Returns the latest `delete_after` that can be purged.
pub(crate) fn due(now: Timestamp) -> i64 {
    // A row is never due if its instant lies beyond the range of the column.
    saturated(now.before(KEPT_LONGER)).min(i64::MAX - 1)
}

fn saturated(at: Timestamp) -> i64 {
    i64::try_from(at.as_unix_millis()).unwrap_or(i64::MAX)
}

/// How much longer records are kept. A host whose clock is ahead of the other clocks by less than this purges nothing
/// too early.
const KEPT_LONGER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_fit_the_column() {
        let at = Timestamp::from_unix_millis;
        assert_eq!(saturated(at(u64::MAX)), i64::MAX);
        assert_eq!(saturated(at(0)), 0);
        assert_eq!(due(at(0)), 0);
        assert_eq!(due(at(1_800_000_000_000)), 1_799_999_940_000);
        assert!(due(at(u64::MAX)) < saturated(at(u64::MAX)));
    }

    #[test]
    fn what_is_not_a_record_is_an_error() {
        for value in ["", "{}", "null", "\u{0}", &"[".repeat(10_000)] {
            assert!(matches!(decode(&[0; 16], value), Err(SqlStoreError::NotARecord)));
        }
    }
}
