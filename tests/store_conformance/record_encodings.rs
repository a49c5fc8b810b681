//! The formats in which an adapter can keep records, found out by the suite for stores.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::conformance::{self, Report, Violation};
use otp_grant::store::{Record, Swap};
use pollster::block_on;

/// How an adapter writes records, and reads them again.
struct Encoding {
    write: fn(&Record) -> Option<Vec<u8>>,
    read: fn(&[u8]) -> Option<Record>,
}

const JSON: Encoding =
    Encoding { write: |record| serde_json::to_vec(record).ok(), read: |bytes| serde_json::from_slice(bytes).ok() };

/// As a document database keeps JSON: as values, whose members it sorts.
const DOCUMENT: Encoding = Encoding {
    write: |record| Some(serde_json::to_value(record).ok()?.to_string().into_bytes()),
    read: |bytes| serde_json::from_value(serde_json::from_slice(bytes).ok()?).ok(),
};

const CBOR: Encoding = Encoding {
    write: |record| {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes).ok()?;
        Some(bytes)
    },
    read: |bytes| ciborium::from_reader(bytes).ok(),
};

const NAMED_MESSAGE_PACK: Encoding =
    Encoding { write: |record| rmp_serde::to_vec_named(record).ok(), read: |bytes| rmp_serde::from_slice(bytes).ok() };

const MESSAGE_PACK_BY_POSITION: Encoding =
    Encoding { write: |record| rmp_serde::to_vec(record).ok(), read: |bytes| rmp_serde::from_slice(bytes).ok() };

/// An adapter with the parts of a record in columns of their own.
const COLUMNS: Encoding = Encoding {
    write: |record| {
        let mut row = record.tag.as_bytes().to_vec();
        row.extend(record.delete_after.as_unix_millis().to_be_bytes());
        row.extend(record.body.to_bytes().ok()?);
        Some(row)
    },
    read: |row| {
        let (tag, rest) = row.split_first_chunk()?;
        let (delete_after, body) = rest.split_first_chunk()?;
        Some(Record::new(
            Tag::from_bytes(*tag),
            otp_grant::time::Timestamp::from_unix_millis(u64::from_be_bytes(*delete_after)),
            otp_grant::store::RecordBody::from_bytes(body).ok()?,
        ))
    },
};

struct Encoded {
    encoding: Encoding,
    rows: Mutex<HashMap<RecordKey, (Tag, Vec<u8>)>>,
}

#[derive(Debug)]
struct NotARecord;

impl std::fmt::Display for NotARecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a record could not be written or read")
    }
}

impl std::error::Error for NotARecord {}

impl Store for Encoded {
    type Error = NotARecord;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, NotARecord> {
        let rows = self.rows.lock().unwrap();
        rows.get(key).map(|(_, row)| (self.encoding.read)(row).ok_or(NotARecord)).transpose()
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, NotARecord> {
        let mut rows = self.rows.lock().unwrap();
        if rows.get(key).map(|(tag, _)| *tag) != expected {
            return Ok(Swap::Conflict);
        }
        rows.insert(*key, (next.tag, (self.encoding.write)(next).ok_or(NotARecord)?));
        Ok(Swap::Stored)
    }
}

fn checked(encoding: Encoding) -> Result<Report, Violation> {
    let store = Arc::new(Encoded { encoding, rows: Mutex::default() });
    block_on(conformance::loads_records_whole(|| async { Ok(store.clone()) }))
}

#[test]
fn json_carries_every_record() {
    checked(JSON).unwrap();
    checked(DOCUMENT).unwrap();
    checked(COLUMNS).unwrap();
}

#[test]
fn cbor_carries_every_record() {
    checked(CBOR).unwrap();
}

#[test]
fn message_pack_with_names_carries_every_record() {
    checked(NAMED_MESSAGE_PACK).unwrap();
}

#[test]
fn message_pack_by_position_is_found() {
    checked(MESSAGE_PACK_BY_POSITION).unwrap_err();
}
