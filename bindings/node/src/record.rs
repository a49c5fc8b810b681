//! The value under which a store keeps a record: JSON with the tag, the expiry and the body, as the stores in Rust
//! write it. A host in Rust and a host in Node can share one database.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a value says. The body is not parsed here.
pub(crate) struct Value<'a> {
    pub(crate) tag: Vec<u8>,
    pub(crate) delete_after_ms: u64,
    pub(crate) body: &'a [u8],
}

#[derive(Deserialize)]
struct Stored<'a> {
    tag: String,
    delete_after: u64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Writes the value of a record. The body is JSON, as the core has written it.
pub(crate) fn encode(tag: &[u8], delete_after_ms: u64, body: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"tag":"{}","delete_after":{delete_after_ms},"body":"#, URL_SAFE_NO_PAD.encode(tag));
    [head.as_bytes(), body, b"}"].concat()
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
