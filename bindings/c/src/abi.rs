//! The functions that C calls.

#![allow(
    clippy::missing_safety_doc,
    reason = "the header states once, for all functions, what a caller must guarantee"
)]

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use otp_grant_bindings::{ClockOffset, Engine, StoredRecord};

use crate::exchange::{Answer, Exchange, State};
use crate::fault::{Fault, Status, entry, with_last_error};
use crate::handles::Table;
use crate::pointers::{headers, optional, optional_text, out_pointer, required, slice, text};
use crate::types::{
    ABI_VERSION, Bytes, EngineHandle, ExchangeHandle, Failure, Header, Kind, Number, Options, Part, Record, Request,
    Verdict,
};

/// Returns `OTP_GRANT_ABI_VERSION` as it was when the library was compiled. Compare the two when the program starts.
#[unsafe(no_mangle)]
pub extern "C" fn otp_grant_abi_version() -> u32 {
    ABI_VERSION
}

/// Copies the text of the last call of this thread that did not return `OK`, and a zero byte. Returns how many bytes
/// the text has, without that byte. A text that does not fit is cut. `buffer` can be NULL if `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    with_last_error(|text| {
        let most = capacity.saturating_sub(1);
        // A character is not cut in two.
        let length = (0..=text.len().min(most)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        if capacity > 0 && !buffer.is_null() {
            // SAFETY: the caller guarantees that `capacity` bytes can be written. `length` is less, and is no more than
            // the text has. The text is not the caller's memory.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), length) };
            // SAFETY: as above, `length` is less than `capacity`.
            let end = unsafe { buffer.add(length) };
            // SAFETY: as above. A `char` needs no alignment.
            unsafe { end.write(0) };
        }
        text.len()
    })
    .unwrap_or(0)
}

/// Makes an engine from a JSON document. `options` can be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_engine_new(
    config: Bytes,
    options: *const Options,
    engine: *mut EngineHandle,
) -> Status {
    entry(|| {
        out_pointer(engine, "engine")?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let config = unsafe { text(config, "config") }?;
        // SAFETY: the caller guarantees that the options can be read.
        let options = unsafe { optional(options, "options") }?;
        let mut builder = Engine::builder(config).map_err(|error| Fault::new(Status::Configuration, error))?;
        let mut clock = None;
        if let Some(Options { observer, context, has_test_clock }) = options {
            if let Some(observer) = observer {
                let observer = Observer { function: observer, context };
                builder = builder.observer(move |event| observer.tell(event));
            }
            match has_test_clock {
                0 => {}
                1 => builder = builder.clock_offset(clock.insert(ClockOffset::new()).clone()),
                _ => return Err(Fault::argument("has_test_clock", "0 or 1 is expected")),
            }
        }
        let made = builder.build().map_err(|error| Fault::new(Status::Configuration, error))?;
        let handle = ENGINES.insert((made, clock))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { engine.write(handle) };
        Ok(())
    })
}

/// Frees an engine. Its exchanges go on.
#[unsafe(no_mangle)]
pub extern "C" fn otp_grant_engine_free(engine: EngineHandle) -> Status {
    entry(|| ENGINES.remove(engine).map(drop))
}

/// Moves the clock of an engine that has a test clock, backwards if `ms` is negative.
#[unsafe(no_mangle)]
pub extern "C" fn otp_grant_engine_advance_clock(engine: EngineHandle, ms: i64) -> Status {
    entry(|| {
        let found = ENGINES.get(engine)?;
        let clock = found.1.as_ref().ok_or_else(|| Fault::argument("engine", "it has no test clock"))?;
        clock.advance_ms(ms);
        Ok(())
    })
}

/// Begins to answer a request. `NOT_AN_ENDPOINT` means that the host answers itself, such as with 404.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_begin(
    engine: EngineHandle,
    request: *const Request,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the request can be read.
        let request = unsafe { required(request, "request") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let method = unsafe { text(request.method, "method") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let path = unsafe { text(request.path, "path") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let body = unsafe { slice(request.body.data, request.body.length, "body") }?;
        // SAFETY: the caller guarantees that the headers can be read.
        let headers = unsafe { headers(request.headers, request.header_count) }?;
        let verdict = Verdict::from_number(request.verdict);
        let verdict = verdict.ok_or_else(|| Fault::argument("verdict", "there is no such verdict"))?;
        let step = engine.0.begin_with_verdict(method, path, headers, body, verdict.into());
        let step = step.ok_or_else(|| Fault::new(Status::NotAnEndpoint, "the path is not the path of an endpoint"))?;
        let handle = EXCHANGES.insert(Exchange::new(step))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to end a session. The exchange ends with `DOCUMENT` or `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_revoke_session(
    engine: EngineHandle,
    session: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let session = unsafe { text(session, "session") }?;
        let step = engine.0.revoke_session(session);
        let step = step.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::new(step))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to compare the keys with those of the other hosts on the store. The exchange ends with `DOCUMENT` or
/// `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_check_keyring(engine: EngineHandle, exchange: *mut ExchangeHandle) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let handle = EXCHANGES.insert(Exchange::new(ENGINES.get(engine)?.0.check_keyring()))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Begins to announce keys that replace those of the other hosts. The exchange ends with `DOCUMENT` or `REFUSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_announce_new_keyring(engine: EngineHandle, exchange: *mut ExchangeHandle) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let handle = EXCHANGES.insert(Exchange::new(ENGINES.get(engine)?.0.announce_new_keyring()))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Gives the endpoints as a `DOCUMENT`, a JSON array of `endpoint`, `path`, `url` and `methods`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_routes(engine: EngineHandle, exchange: *mut ExchangeHandle) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let handle = EXCHANGES.insert(Exchange::document(Ok(ENGINES.get(engine)?.0.routes())))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Gives the public keys as a `DOCUMENT` (RFC 7517).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_key_set(engine: EngineHandle, exchange: *mut ExchangeHandle) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let handle = EXCHANGES.insert(Exchange::document(Ok(ENGINES.get(engine)?.0.key_set())))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Gives the form in which the directory is asked for an address, as a `DOCUMENT` with `channel`, `address` and
/// `budget`. Addresses that have one budget share guesses and sends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_normalise_address(
    engine: EngineHandle,
    channel: Bytes,
    address: Bytes,
    exchange: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        out_pointer(exchange, "exchange")?;
        let engine = ENGINES.get(engine)?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let channel = unsafe { text(channel, "channel") }?;
        // SAFETY: the caller guarantees that the bytes can be read.
        let address = unsafe { text(address, "address") }?;
        let document = engine.0.normalise_address(channel, address);
        let document = document.map_err(|error| Fault::new(Status::InvalidArgument, error))?;
        let handle = EXCHANGES.insert(Exchange::document(Ok(document)))?;
        // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
        unsafe { exchange.write(handle) };
        Ok(())
    })
}

/// Returns what the exchange is at.
#[unsafe(no_mangle)]
pub extern "C" fn otp_grant_exchange_kind(exchange: ExchangeHandle) -> Kind {
    let mut kind = Kind::None;
    let status = entry(|| {
        kind = on(exchange, |state| Ok(state.kind()))?;
        Ok(())
    });
    if status == Status::Ok { kind } else { Kind::None }
}

/// Gives a part that is bytes: one of `enum otp_grant_part`. `bytes` is `{NULL, 0}` after any status but `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_exchange_part(exchange: ExchangeHandle, part: u32, bytes: *mut Bytes) -> Status {
    entry(|| {
        out_pointer(bytes, "bytes")?;
        // SAFETY: the caller guarantees that the bytes can be written, and the pointer was checked.
        unsafe { bytes.write(Bytes::NONE) };
        let part = Part::from_number(part).ok_or_else(|| Fault::argument("part", "there is no such part"))?;
        let shown = on(exchange, |state| state.part(part).map(Bytes::shown))?;
        // SAFETY: as above.
        unsafe { bytes.write(shown) };
        Ok(())
    })
}

/// Gives a part that is a number: one of `enum otp_grant_number`. `value` is 0 after any status but `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_exchange_number(exchange: ExchangeHandle, number: u32, value: *mut u64) -> Status {
    entry(|| {
        out_pointer(value, "value")?;
        // SAFETY: the caller guarantees that the value can be written, and the pointer was checked.
        unsafe { value.write(0) };
        let number = Number::from_number(number).ok_or_else(|| Fault::argument("number", "there is no such number"))?;
        let found = on(exchange, |state| state.number(number))?;
        // SAFETY: as above.
        unsafe { value.write(found) };
        Ok(())
    })
}

/// Gives a header of the reply. `header` is `{{NULL, 0}, {NULL, 0}}` after any status but `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_exchange_header(
    exchange: ExchangeHandle,
    index: usize,
    header: *mut Header,
) -> Status {
    entry(|| {
        out_pointer(header, "header")?;
        // SAFETY: the caller guarantees that the header can be written, and the pointer was checked.
        unsafe { header.write(Header { name: Bytes::NONE, value: Bytes::NONE }) };
        let shown = on(exchange, |state| {
            let name = state.header(index, false).map(Bytes::shown)?;
            Ok(Header { name, value: state.header(index, true).map(Bytes::shown)? })
        })?;
        // SAFETY: as above.
        unsafe { header.write(shown) };
        Ok(())
    })
}

/// Answers `LOAD`. `record` is NULL if nothing is stored. Each answer writes the next handle of the exchange to `next`,
/// and the handle that was answered is good for nothing. After any status but `OK`, `next` is not written, and the
/// question is still to be answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_answer_record(
    exchange: ExchangeHandle,
    record: *const Record,
    next: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        // SAFETY: the caller guarantees that the record can be read.
        let record = unsafe { optional(record, "record") }?;
        let read = |bytes: Bytes, name| {
            // SAFETY: the caller guarantees that the bytes can be read.
            unsafe { slice(bytes.data, bytes.length, name) }
        };
        let record = match record {
            Some(Record { tag, delete_after_ms, body }) => {
                Some(StoredRecord { tag: read(tag, "tag")?, delete_after_ms, body: read(body, "body")? })
            }
            None => None,
        };
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::Record(record), next) }
    })
}

/// Answers `SWAP`: 1 if the record is in place, 0 if another one was stored than expected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_answer_swap(
    exchange: ExchangeHandle,
    stored: u32,
    next: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        let stored = match stored {
            0 => false,
            1 => true,
            _ => return Err(Fault::argument("stored", "0 or 1 is expected")),
        };
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::Swap(stored), next) }
    })
}

/// Answers a question of the directory with a JSON document, or with `{NULL, 0}` for what is unknown.
///
/// CLIENT and AUTH_SOURCE: a client or an auth source. USER_BY_ADDRESS, USER_BY_SUBJECT and SIGN_UP: a user, or
/// `{NULL, 0}` for a refused sign-up. USER_CLAIMS and ACCESS_TOKEN_CLAIMS: an object of claims. GRANTED_SCOPE:
/// `{"scope":"openid"}`, or `{NULL, 0}` to grant nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_answer_document(
    exchange: ExchangeHandle,
    document: Bytes,
    next: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        // SAFETY: the caller guarantees that the bytes can be read.
        let document = unsafe { optional_text(document, "document") }?;
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::Document(document), next) }
    })
}

/// Answers `SIGN` with the signature in the form of a JWS (ES256: r and s, 64 bytes).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_answer_signature(
    exchange: ExchangeHandle,
    signature: Bytes,
    next: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        // SAFETY: the caller guarantees that the bytes can be read.
        let signature = unsafe { slice(signature.data, signature.length, "signature") }?;
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::Signature(signature), next) }
    })
}

/// Answers `DELIVER`: the code was sent or queued.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_accept_delivery(exchange: ExchangeHandle, next: *mut ExchangeHandle) -> Status {
    // SAFETY: the caller guarantees that the next handle can be written.
    entry(|| unsafe { answer(exchange, Answer::Accept, next) })
}

/// Answers `DELIVER`: the code could not be sent, for one of `enum otp_grant_failure`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_fail_delivery(
    exchange: ExchangeHandle,
    failure: u32,
    next: *mut ExchangeHandle,
) -> Status {
    entry(|| {
        let failure = Failure::from_number(failure);
        let failure = failure.ok_or_else(|| Fault::argument("failure", "there is no such failure"))?;
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::FailDelivery(failure.into()), next) }
    })
}

/// Says that the part of the host that should answer has failed, whatever the question is. The client mostly gets 503.
/// The observer receives the message, which is UTF-8. A delivery that fails in this way is undeliverable, and the
/// observer does not receive the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_fail(exchange: ExchangeHandle, message: Bytes, next: *mut ExchangeHandle) -> Status {
    entry(|| {
        // SAFETY: the caller guarantees that the bytes can be read.
        let message = unsafe { text(message, "message") }?;
        // SAFETY: the caller guarantees that the next handle can be written.
        unsafe { answer(exchange, Answer::Fail(message), next) }
    })
}

/// Says that the host does not answer questions of this kind. GRANTED_SCOPE then grants all that is requested,
/// ACCESS_TOKEN_CLAIMS adds nothing and SIGN_UP refuses. Any other question fails.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otp_grant_refuse(exchange: ExchangeHandle, next: *mut ExchangeHandle) -> Status {
    // SAFETY: the caller guarantees that the next handle can be written.
    entry(|| unsafe { answer(exchange, Answer::Refuse, next) })
}

/// Frees an exchange, at any step. To free a question is to drop the request, as if the client had hung up.
#[unsafe(no_mangle)]
pub extern "C" fn otp_grant_exchange_free(exchange: ExchangeHandle) -> Status {
    entry(|| {
        let found = EXCHANGES.get(exchange)?;
        // Bytes that were shown must not go away under a call on another thread.
        let state = found.lock()?;
        let removed = EXCHANGES.remove(exchange)?;
        drop(state);
        drop(removed);
        Ok(())
    })
}

pub(crate) static ENGINES: Table<(Engine, Option<ClockOffset>)> = Table::new();
pub(crate) static EXCHANGES: Table<Exchange> = Table::new();

/// Does something with an exchange, while no other call does.
fn on<R>(handle: ExchangeHandle, work: impl FnOnce(&mut State) -> Result<R, Fault>) -> Result<R, Fault> {
    let exchange = EXCHANGES.get(handle)?;
    let mut state = exchange.lock()?;
    // It can have been answered or freed before it was locked.
    let again = EXCHANGES.get(handle)?;
    if !Arc::ptr_eq(&exchange, &again) {
        return Err(Fault::bad_handle());
    }
    work(&mut state)
}

/// Answers a question.
///
/// # Safety
/// `next` must be NULL, or point to a handle that can be written.
unsafe fn answer(handle: ExchangeHandle, answer: Answer<'_>, next: *mut ExchangeHandle) -> Result<(), Fault> {
    out_pointer(next, "next")?;
    let renewed = on(handle, |state| {
        state.answer(answer)?;
        EXCHANGES.renew(handle)
    })?;
    // SAFETY: the caller guarantees that the handle can be written, and the pointer was checked.
    unsafe { next.write(renewed) };
    Ok(())
}

/// A function of C that receives events.
struct Observer {
    function: unsafe extern "C" fn(*mut c_void, Bytes),
    context: *mut c_void,
}

// SAFETY: the header says that several threads can call the observer at once, with the same context.
unsafe impl Send for Observer {}

// SAFETY: as above.
unsafe impl Sync for Observer {}

impl Observer {
    fn tell(&self, event: &str) {
        let with_end = [event.as_bytes(), b"\0"].concat();
        let event = Bytes { data: with_end.as_ptr(), length: event.len() };
        // SAFETY: the caller of `otp_grant_engine_new` guarantees that the function can be called with this context,
        // and the bytes are there during the call.
        unsafe { (self.function)(self.context, event) };
    }
}
