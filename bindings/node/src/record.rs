//! The value under which a store keeps a record: JSON with the tag, the expiry and the body, as the stores in Rust
//! write it. A host in Rust and a host in Node can share one database.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Thrown, misuse};

/// What a value says. The body is not parsed here.
pub(crate) struct Value<'a> {
    pub(crate) tag: Vec<u8>,
    pub(crate) delete_after_ms: u64,
    pub(crate) body: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    tag: String,
    delete_after: u64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Writes the value of a record.
pub(crate) fn encode(tag: &[u8], delete_after_ms: u64, body: &[u8]) -> Result<Vec<u8>, Thrown> {
    let body = serde_json::from_slice(body).map_err(|_| misuse("the body of a record is not JSON"))?;
    let stored = Stored { tag: URL_SAFE_NO_PAD.encode(tag), delete_after: delete_after_ms, body };
    serde_json::to_vec(&stored).map_err(|_| misuse("a record can't be written"))
}

/// Reads the value of a record. The error does not quote the value.
pub(crate) fn decode(value: &[u8]) -> Option<Value<'_>> {
    let stored: Stored<'_> = serde_json::from_slice(value).ok()?;
    let tag = URL_SAFE_NO_PAD.decode(&stored.tag).ok()?;
    Some(Value { tag, delete_after_ms: stored.delete_after, body: stored.body.get().as_bytes() })
}

/// What a column or an index can hold: JavaScript's numbers are exact up to 2^53 - 1.
pub(crate) fn as_number(millis: u64) -> i64 {
    i64::try_from(millis).map_or(MAX_SAFE_INTEGER, |millis| millis.min(MAX_SAFE_INTEGER))
}

const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
