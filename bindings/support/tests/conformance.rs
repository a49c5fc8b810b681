//! The suite passes a store in a hash table, and finds what is wrong with a broken one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashMap, VecDeque};

use otp_grant_bindings::{ConformanceRun, Operation, OperationError, StoreRequest, StoredRecord};
use serde_json::Value;

/// How a store is broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Sound,
    /// A swap reads when it begins and writes when it ends.
    NotAtomic,
    /// The second instance fails to open.
    DoesNotOpen,
    /// Bodies come back with a byte less.
    Truncating,
}

struct Record {
    tag: Vec<u8>,
    delete_after_ms: u64,
    body: Vec<u8>,
}

/// Drives a run. Operations that are under way are done in another order than they began.
fn run(store: Store) -> Value {
    let mut run = ConformanceRun::new(None);
    let mut records: HashMap<Vec<u8>, Record> = HashMap::new();
    let mut under_way: VecDeque<(Operation, Option<bool>)> = VecDeque::new();
    let (mut most, mut turn) = (0, 0_usize);
    loop {
        for operation in run.operations() {
            let is_expected = match &operation.request {
                StoreRequest::Swap { key, expected, .. } if store == Store::NotAtomic => {
                    Some(records.get(key).map(|record| &record.tag) == expected.as_ref())
                }
                _ => None,
            };
            under_way.push_back((operation, is_expected));
        }
        for id in run.cancelled() {
            // Half of them were already on their way to the store.
            if id % 2 == 0 {
                under_way.retain(|(operation, _)| operation.id != id);
            }
        }
        most = most.max(under_way.len());
        turn += 1;
        let next = if turn % 2 == 0 { under_way.pop_front() } else { under_way.pop_back() };
        let Some((operation, was_expected)) = next else { break };
        let id = operation.id;
        match operation.request {
            StoreRequest::Open if store == Store::DoesNotOpen && operation.instance == 1 => {
                run.fail(id, "no connection").unwrap();
            }
            StoreRequest::Open => run.answer_opened(id).unwrap(),
            StoreRequest::Load { key } => {
                let found = records.get(&key).map(|record| StoredRecord {
                    tag: &record.tag,
                    delete_after_ms: record.delete_after_ms,
                    body: &record.body[..record.body.len() - usize::from(store == Store::Truncating)],
                });
                run.answer_record(id, found).unwrap();
            }
            StoreRequest::Swap { key, expected, tag, delete_after_ms, body } => {
                let is_expected =
                    was_expected.unwrap_or_else(|| records.get(&key).map(|record| &record.tag) == expected.as_ref());
                if is_expected {
                    records.insert(key, Record { tag, delete_after_ms, body });
                }
                run.answer_swap(id, is_expected).unwrap();
            }
        }
    }
    assert_eq!(run.outstanding(), 0);
    assert!(most > 10 || !matches!(store, Store::Sound | Store::NotAtomic), "{most}");
    serde_json::from_str(&run.report().unwrap()).unwrap()
}

#[test]
fn a_sound_store_passes() {
    let report = run(Store::Sound);
    assert_eq!(report["passed"], true, "{report}");
    // It deletes nothing.
    assert_eq!(report["not_observed"], serde_json::json!(["deleted_altogether"]));
}

#[test]
fn a_swap_that_is_not_atomic_is_found() {
    let report = run(Store::NotAtomic);
    assert_eq!((&report["passed"], &report["promise"]), (&false.into(), &"atomic_swap".into()), "{report}");
}

#[test]
fn a_store_that_fails_does_not_pass_and_the_report_has_its_message() {
    for (store, message) in [(Store::DoesNotOpen, "no connection"), (Store::Truncating, "body")] {
        let report = run(store);
        assert_eq!((&report["passed"], &report["promise"]), (&false.into(), &Value::Null), "{report}");
        assert!(report["message"].as_str().unwrap().contains(message), "{report}");
    }
}

#[test]
fn an_answer_to_no_operation_or_of_another_kind_is_refused() {
    let mut run = ConformanceRun::new(None);
    assert_eq!(run.answer_opened(1), Err(OperationError::Unknown));
    let operations = run.operations();
    let [operation] = &*operations else { panic!("{operations:?}") };
    assert_eq!((operation.instance, &operation.request), (0, &StoreRequest::Open));
    assert_eq!(run.answer_swap(operation.id, true), Err(OperationError::WrongKind));
    assert_eq!(run.answer_record(operation.id, None), Err(OperationError::WrongKind));
    assert!(run.operations().is_empty() && run.outstanding() == 1 && run.report().is_none());
    run.answer_opened(operation.id).unwrap();
    assert_eq!(run.answer_opened(operation.id), Err(OperationError::Unknown));
    assert_eq!(run.fail(operation.id, ""), Err(OperationError::Unknown));
    assert_eq!(run.operations().len(), 1);
}
