//! A record as a row, and the statements on it.

use std::time::Duration;

use otp_grant::{Record, Timestamp};

use crate::error::SqlStoreError;

/// The columns `tag` and `value`.
pub(crate) type Stored = (Vec<u8>, String);

/// What a swap writes.
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

pub(crate) fn decode((tag, value): &Stored) -> Result<Record, SqlStoreError> {
    // The cause would quote the value.
    let record: Record = serde_json::from_str(value).map_err(|_| SqlStoreError::NotARecord)?;
    // Swaps go by the one tag, the core by the other.
    if record.tag.as_bytes()[..] == tag[..] { Ok(record) } else { Err(SqlStoreError::NotARecord) }
}

/// The latest `delete_after` that may be purged.
pub(crate) fn due(now: Timestamp) -> i64 {
    // A row whose instant lies beyond what the column holds is never due.
    saturated(now.before(KEPT_LONGER)).min(i64::MAX - 1)
}

fn saturated(at: Timestamp) -> i64 {
    i64::try_from(at.as_unix_millis()).unwrap_or(i64::MAX)
}

/// How much longer records are kept: a host whose clock is ahead of the others' by less purges nothing too early.
const KEPT_LONGER: Duration = Duration::from_secs(60);

pub(crate) const LOAD: &str = "SELECT tag, value FROM otp_grant_records WHERE key = $1";

pub(crate) const INSERT: &str = "\
    INSERT INTO otp_grant_records (key, tag, value, delete_after) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING";

pub(crate) const UPDATE: &str = "\
    UPDATE otp_grant_records SET tag = $2, value = $3, delete_after = $4 WHERE key = $1 AND tag = $5";

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
            assert!(matches!(decode(&(vec![0; 16], value.to_owned())), Err(SqlStoreError::NotARecord)));
        }
    }
}
