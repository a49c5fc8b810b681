//! Fuzzes the C ABI with calls in any order: right ones, wrong ones, and handles that were answered or freed.
//!
//! Each call has three bytes: its kind, the handle and its argument. A model knows which handles are good. A bad handle
//! gives `BAD_HANDLE` and nothing else does, a refused call changes nothing, and bytes that were shown stay as they are
//! until their exchange is freed. No call has a fault of its own. `fuzz/run` adds AddressSanitizer.
#![no_main]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

use libfuzzer_sys::fuzz_target;
use otp_grant_c::*;

fuzz_target!(|input: &[u8]| {
    let mut host = Host::new();
    for [what, which, with] in input.as_chunks().0.iter().take(LONGEST_RUN) {
        host.call(*what, *which, *with);
    }
    host.end();
});

struct Host {
    engines: Vec<u64>,
    /// Every handle that an exchange ever had, and some that none had.
    handles: Vec<u64>,
    /// The exchanges by their present handle.
    live: HashMap<u64, Live>,
    records: HashMap<Vec<u8>, (Vec<u8>, u64, Vec<u8>)>,
    otp_token: String,
    code: String,
    events: u64,
}

/// An exchange that was not freed.
#[derive(Default)]
struct Live {
    shown: Vec<(Bytes, Vec<u8>)>,
}

impl Host {
    fn new() -> Box<Self> {
        let mut host = Box::new(Self {
            engines: vec![0],
            handles: vec![0, u64::MAX],
            live: HashMap::new(),
            records: HashMap::new(),
            otp_token: String::new(),
            code: String::new(),
            events: 0,
        });
        host.new_engine(0);
        host
    }

    fn call(&mut self, what: u8, which: u8, with: u8) {
        let handle = match self.handles.len() {
            // Mostly the newest handles.
            count if which < 128 => self.handles[count - 1 - usize::from(which) % count.min(4)],
            count => self.handles[usize::from(which) % count],
        };
        let handle = if with == 255 { handle ^ (1 << (which % 64)) } else { handle };
        match what % 24 {
            0 => self.begin(which, with),
            1..=6 => self.answer_well(handle),
            7 => self.answer_record(handle, with),
            8 => self.judge(handle, |next| unsafe { otp_grant_answer_swap(handle, u32::from(with % 4), next) }),
            9 => {
                let document = DOCUMENTS[usize::from(with) % DOCUMENTS.len()];
                self.judge(handle, |next| unsafe { otp_grant_answer_document(handle, odd(document, with), next) })
            }
            10 => {
                self.judge(handle, |next| unsafe { otp_grant_answer_signature(handle, odd("signature", with), next) })
            }
            11 => self.judge(handle, |next| unsafe { otp_grant_accept_delivery(handle, next) }),
            12 => self.judge(handle, |next| unsafe { otp_grant_fail_delivery(handle, u32::from(with % 6), next) }),
            13 => self.judge(handle, |next| unsafe { otp_grant_fail(handle, odd("out of order", with), next) }),
            14 => self.judge(handle, |next| unsafe { otp_grant_refuse(handle, next) }),
            15 => self.without_next(handle),
            16 => self.part(handle, u32::from(with % 20)),
            17 => self.header(handle, usize::from(with)),
            18 => self.number(handle, u32::from(with % 8)),
            19 => self.free(handle),
            20 => self.new_engine(with),
            21 => self.free_engine(which),
            22 => self.verb(which, with),
            _ => self.last_error(with),
        }
    }

    /// Makes an engine, or fails to.
    fn new_engine(&mut self, with: u8) {
        let mut engine = 77;
        let options = Options {
            observer: (with % 3 != 1).then_some(on_event),
            context: (&raw mut self.events).cast::<c_void>(),
            has_test_clock: u32::from(with % 3),
        };
        let options = if with % 5 == 4 { null() } else { &raw const options };
        let config = match with {
            0..128 => odd(CONFIG, with),
            _ => odd(&CONFIG[..usize::from(with) - 100], with),
        };
        match unsafe { otp_grant_engine_new(config, options, &raw mut engine) } {
            Status::Ok => self.engines.push(engine),
            Status::Configuration | Status::InvalidArgument => assert_eq!(engine, 77),
            other => panic!("{other:?}"),
        }
        assert_eq!(unsafe { otp_grant_engine_new(config, options, null_mut()) }, Status::InvalidArgument);
    }

    fn free_engine(&mut self, which: u8) {
        let engine = self.engine(which);
        let is_known = engine != 0;
        assert_eq!(otp_grant_engine_free(engine) == Status::Ok, is_known);
        self.engines.retain(|known| *known != engine || engine == 0);
        assert_eq!(otp_grant_engine_free(engine), Status::BadHandle);
        assert_eq!(otp_grant_engine_advance_clock(engine, 1), Status::BadHandle);
    }

    fn engine(&self, which: u8) -> u64 {
        self.engines[self.engines.len() - 1 - usize::from(which) % self.engines.len()]
    }

    fn begin(&mut self, which: u8, with: u8) {
        let body = match which % 4 {
            0 | 1 => r#"{"client_id":"app","auth_source_id":"sms","phone_number":"13612345678"}"#.to_owned(),
            2 => format!(
                "{{\"grant_type\":\"http://tencentciam.com/oauth2/grant-type/otp/sms\",\"client_id\":\"app\",\
                 \"auth_source_id\":\"sms\",\"phone_number\":\"13612345678\",\"auto_signup\":true,\
                 \"otp_token\":\"{}\",\"otp\":\"{}\"}}",
                self.otp_token, self.code
            ),
            _ => String::new(),
        };
        let path = ["/otp/send", "/otp/send", "/oauth2/token", "/oauth2/jwks"][usize::from(which % 4)];
        let method = if which % 4 == 3 { "GET" } else { "POST" };
        let header = Header { name: odd("Content-Type", 0), value: odd("application/json", 0) };
        let mut request = Request {
            method: odd(method, 0),
            path: odd(path, 0),
            headers: &raw const header,
            header_count: 1,
            body: odd(&body, 0),
            verdict: u32::from(with % 5),
        };
        match with {
            0..200 => {}
            200..210 => request.header_count = usize::from(with) << 59,
            210..220 => request.headers = null(),
            220..230 => request.headers = (&raw const header).cast::<u8>().wrapping_add(1).cast(),
            230..240 => request.body = odd(&body, with),
            _ => request.path = odd("/none", with),
        }
        let engine = self.engine(which / 4);
        self.begun(engine, |exchange| unsafe { otp_grant_begin(engine, &raw const request, exchange) });
        assert_ne!(unsafe { otp_grant_begin(engine, &raw const request, null_mut()) }, Status::Ok);
        assert_ne!(unsafe { otp_grant_begin(engine, null(), &mut 0) }, Status::Ok);
    }

    fn verb(&mut self, which: u8, with: u8) {
        let engine = self.engine(which);
        let none = Bytes { data: null(), length: 0 };
        let (token, client) = (odd("a.b.c", with), odd("app", with / 16));
        let header = Header { name: odd("DPoP", 0), value: token };
        let mut request = ApiRequest {
            method: odd("GET", with / 32),
            external_url: odd("https://api.example.com/orders", with / 16),
            headers: &raw const header,
            header_count: 1,
        };
        if with > 240 {
            request.header_count = usize::from(with) << 59;
        }
        let request = &raw const request;
        self.begun(engine, |exchange| match with % 14 {
            0 => unsafe { otp_grant_verify_access_token(engine, token, client, none, exchange) },
            1 => unsafe { otp_grant_check_access_token(engine, token, none, client, exchange) },
            2 => unsafe { otp_grant_revoke_session(engine, token, exchange) },
            3 => unsafe { otp_grant_check_keyring(engine, exchange) },
            4 => unsafe { otp_grant_announce_new_keyring(engine, exchange) },
            5 => unsafe { otp_grant_routes(engine, exchange) },
            6 => unsafe { otp_grant_key_set(engine, exchange) },
            7 => unsafe {
                otp_grant_normalise_address(engine, odd("sms", with / 32), odd("13612345678", with), exchange)
            },
            8 => unsafe { otp_grant_verify_access_token_of(engine, request, client, none, exchange) },
            9 => unsafe { otp_grant_check_access_token_of(engine, request, none, client, exchange) },
            10 => unsafe { otp_grant_explain(engine, odd("sms", with / 32), odd("13612345678", with / 16), exchange) },
            11 => unsafe { otp_grant_unlock(engine, odd("sms", with / 32), odd("13612345678", with / 16), exchange) },
            12 => unsafe {
                otp_grant_forget_devices(engine, odd("sms", with / 32), odd("13612345678", with / 16), exchange)
            },
            _ => {
                let code = CodeToVerify {
                    client,
                    usage: odd("signup", with / 32),
                    channel: odd("sms", 0),
                    address: odd("13612345678", 0),
                    otp_token: token,
                    otp: none,
                    code_verifier: odd("a-verifier-that-is-long-enough-to-be-one-1234", with / 32),
                    proof: if with % 2 == 0 { null() } else { request },
                    device_token: odd("no device token", with / 32),
                };
                unsafe { otp_grant_verify(engine, &raw const code, exchange) }
            }
        });
    }

    /// Notes an exchange that has begun.
    fn begun(&mut self, engine: u64, begin: impl FnOnce(*mut u64) -> Status) {
        let mut exchange = 77;
        match begin(&raw mut exchange) {
            Status::Ok => {
                assert!(engine != 0 && !self.handles.contains(&exchange));
                self.handles.push(exchange);
                self.live.insert(exchange, Live::default());
            }
            status => {
                assert!(exchange == 77 && (engine != 0 || status != Status::NotAnEndpoint), "{status:?}");
                assert!(status != Status::Internal && (engine == 0 || status != Status::BadHandle), "{status:?}");
            }
        }
    }

    /// Answers as a host does, so that the calls get far.
    fn answer_well(&mut self, handle: u64) {
        let kind = otp_grant_exchange_kind(handle);
        match kind {
            Kind::Load => {
                let key = read(handle, Part::RecordKey).unwrap();
                let found = self.records.get(&key).cloned();
                let record = found.as_ref().map(|(tag, delete_after_ms, body)| Record {
                    tag: of(tag),
                    delete_after_ms: *delete_after_ms,
                    body: of(body),
                });
                let record = record.as_ref().map_or(null(), |record| &raw const *record);
                self.judge(handle, |next| unsafe { otp_grant_answer_record(handle, record, next) });
            }
            Kind::Swap => {
                let key = read(handle, Part::RecordKey).unwrap();
                let is_expected =
                    self.records.get(&key).map(|(tag, ..)| tag) == read(handle, Part::ExpectedTag).as_ref();
                if is_expected {
                    let mut delete_after_ms = 0;
                    let number = unsafe { otp_grant_exchange_number(handle, 1, &raw mut delete_after_ms) };
                    assert_eq!(number, Status::Ok);
                    let (tag, body) = (read(handle, Part::Tag).unwrap(), read(handle, Part::RecordBody).unwrap());
                    self.records.insert(key, (tag, delete_after_ms, body));
                }
                self.judge(handle, |next| unsafe { otp_grant_answer_swap(handle, u32::from(is_expected), next) });
            }
            Kind::Deliver => {
                self.code = String::from_utf8(read(handle, Part::Code).unwrap()).unwrap();
                self.judge(handle, |next| unsafe { otp_grant_accept_delivery(handle, next) });
            }
            Kind::Reply => {
                let body = String::from_utf8(read(handle, Part::ReplyBody).unwrap()).unwrap();
                if let Some((_, rest)) = body.split_once("\"otp_token\":\"") {
                    self.otp_token = rest.split('"').next().unwrap_or_default().to_owned();
                }
                self.free(handle);
            }
            _ => {
                let document = match kind {
                    Kind::Client => r#"{"public":true,"may_send":true,"auth_sources":["sms"]}"#,
                    Kind::AuthSource => r#"{"channel":"sms"}"#,
                    Kind::UserByAddress => "null",
                    Kind::GrantedScope => r#"{"scope":"openid"}"#,
                    Kind::UserClaims | Kind::AccessTokenClaims => "{}",
                    _ => r#"{"subject":"ada"}"#,
                };
                self.judge(handle, |next| unsafe { otp_grant_answer_document(handle, of(document.as_bytes()), next) });
            }
        }
    }

    fn answer_record(&mut self, handle: u64, with: u8) {
        let record =
            Record { tag: odd("0123456789abcdef", with), delete_after_ms: u64::from(with), body: odd("{}", with / 16) };
        let pointer = match with % 5 {
            0 => null(),
            1 => (&raw const record).cast::<u8>().wrapping_add(1).cast(),
            _ => &raw const record,
        };
        self.judge(handle, |next| unsafe { otp_grant_answer_record(handle, pointer, next) });
    }

    /// Compares the outcome of an answer with the model.
    fn judge(&mut self, handle: u64, answer: impl FnOnce(*mut u64) -> Status) {
        let kind = otp_grant_exchange_kind(handle);
        let mut next = 77;
        let status = answer(&raw mut next);
        match (status, self.live.remove(&handle)) {
            (Status::Ok, Some(live)) => {
                assert!(kind != Kind::None && !is_over(kind) && !self.handles.contains(&next));
                assert_eq!(otp_grant_exchange_kind(handle), Kind::None);
                self.handles.push(next);
                self.live.insert(next, live);
            }
            (Status::InvalidArgument, live) => {
                assert_eq!(next, 77);
                self.live.extend(live.map(|live| (handle, live)));
            }
            (Status::BadHandle, None) => assert_eq!((next, kind), (77, Kind::None)),
            (Status::Over, Some(live)) => {
                assert!(next == 77 && is_over(kind));
                self.live.insert(handle, live);
            }
            (Status::WrongKind | Status::Malformed, Some(live)) => {
                assert!(next == 77 && !is_over(kind) && otp_grant_exchange_kind(handle) == kind);
                self.live.insert(handle, live);
            }
            (status, live) => panic!("{status:?} for an exchange that is there: {}", live.is_some()),
        }
        self.look();
    }

    fn without_next(&mut self, handle: u64) {
        let odd_pointer = (&raw mut self.events).cast::<u8>().wrapping_add(1).cast();
        for next in [null_mut(), odd_pointer] {
            assert_eq!(unsafe { otp_grant_refuse(handle, next) }, Status::InvalidArgument);
            assert_eq!(unsafe { otp_grant_answer_record(handle, null(), next) }, Status::InvalidArgument);
        }
        assert_eq!(otp_grant_exchange_kind(handle) != Kind::None, self.live.contains_key(&handle));
    }

    fn part(&mut self, handle: u64, part: u32) {
        let mut bytes = Bytes { data: null(), length: 1 };
        let status = unsafe { otp_grant_exchange_part(handle, part, &raw mut bytes) };
        self.shown(handle, status, (1..=16).contains(&part), &[bytes]);
        assert_eq!(unsafe { otp_grant_exchange_part(handle, part, null_mut()) }, Status::InvalidArgument);
    }

    fn header(&mut self, handle: u64, index: usize) {
        let mut header = Header { name: Bytes { data: null(), length: 1 }, value: Bytes { data: null(), length: 1 } };
        let status = unsafe { otp_grant_exchange_header(handle, index, &raw mut header) };
        self.shown(handle, status, true, &[header.name, header.value]);
    }

    fn number(&mut self, handle: u64, number: u32) {
        let mut value = 77;
        let status = unsafe { otp_grant_exchange_number(handle, number, &raw mut value) };
        assert!(status == Status::Ok || value == 0);
        self.shown(handle, status, (1..=5).contains(&number), &[]);
    }

    /// Compares the outcome of a question for a part with the model, and notes the bytes.
    fn shown(&mut self, handle: u64, status: Status, exists: bool, bytes: &[Bytes]) {
        match (status, self.live.get_mut(&handle)) {
            (Status::Ok, Some(live)) if exists => live.shown.extend(bytes.iter().map(|bytes| (*bytes, copy(*bytes)))),
            (Status::NoSuchPart, Some(_)) if exists => assert!(bytes.iter().all(|bytes| bytes.data.is_null())),
            (Status::BadHandle, None) if exists => assert!(bytes.iter().all(|bytes| bytes.data.is_null())),
            (Status::InvalidArgument, _) if !exists => {}
            (status, live) => panic!("{status:?} for an exchange that is there: {}", live.is_some()),
        }
    }

    fn free(&mut self, handle: u64) {
        self.look();
        let expected = if self.live.remove(&handle).is_some() { Status::Ok } else { Status::BadHandle };
        assert_eq!(otp_grant_exchange_free(handle), expected);
        assert_eq!(otp_grant_exchange_free(handle), Status::BadHandle);
    }

    /// Bytes that were shown are still there.
    fn look(&self) {
        for (bytes, copied) in self.live.values().flat_map(|live| &live.shown) {
            assert_eq!(copy(*bytes), *copied);
        }
    }

    fn last_error(&self, with: u8) {
        let mut buffer = [7_i8; 300];
        let capacity = usize::from(with);
        let length = unsafe { otp_grant_last_error(buffer.as_mut_ptr().cast(), capacity) };
        assert!(buffer[capacity..].iter().all(|byte| *byte == 7));
        assert!(capacity == 0 || buffer[..capacity].contains(&0) && length < 1000);
        assert_eq!(unsafe { otp_grant_last_error(null_mut(), capacity) }, length);
    }

    fn end(mut self: Box<Self>) {
        self.look();
        for (handle, _) in std::mem::take(&mut self.live) {
            assert_eq!(otp_grant_exchange_free(handle), Status::Ok);
        }
        for engine in self.engines.drain(..).filter(|engine| *engine != 0) {
            assert_eq!(otp_grant_engine_free(engine), Status::Ok);
        }
    }
}

fn is_over(kind: Kind) -> bool {
    matches!(kind, Kind::Reply | Kind::Document | Kind::Refused)
}

/// Reads a part of an exchange that is there.
fn read(handle: u64, part: Part) -> Option<Vec<u8>> {
    let mut bytes = Bytes { data: null(), length: 0 };
    let status = unsafe { otp_grant_exchange_part(handle, part as u32, &raw mut bytes) };
    (status == Status::Ok).then(|| copy(bytes))
}

/// Copies bytes that were shown, and looks at the zero byte behind them.
fn copy(bytes: Bytes) -> Vec<u8> {
    let with_end = unsafe { std::slice::from_raw_parts(bytes.data, bytes.length + 1) };
    let (end, copied) = with_end.split_last().unwrap();
    assert_eq!(*end, 0);
    copied.to_vec()
}

fn of(bytes: &[u8]) -> Bytes {
    Bytes { data: bytes.as_ptr(), length: bytes.len() }
}

/// The bytes of a text, or in one of 16 cases something that is wrong with them.
fn odd(text: &str, with: u8) -> Bytes {
    match with % 16 {
        1 => Bytes { data: null(), length: text.len() },
        2 => Bytes { data: text.as_ptr(), length: usize::MAX },
        3 => Bytes { data: text.as_ptr(), length: 1 << 63 },
        4 => Bytes { data: null(), length: 0 },
        5 => of(b"\xff\xfe"),
        6 => Bytes { data: text.as_ptr(), length: text.len() / 2 },
        _ => of(text.as_bytes()),
    }
}

unsafe extern "C" fn on_event(context: *mut c_void, event: Bytes) {
    let event = unsafe { std::slice::from_raw_parts(event.data, event.length) };
    assert!(event.starts_with(b"{\"") && event.ends_with(b"}"));
    unsafe { *context.cast::<u64>() += 1 };
}

const CONFIG: &str = r#"{"issuer":"https://login.example.com","keys":{"generate":true},"signing":{"active":{"generate":"EdDSA"}},"addresses":{"country_code":"86"},"danger":{"without_send_quotas":true}}"#;

const DOCUMENTS: [&str; 8] = [
    "null",
    "{}",
    "{",
    r#"{"public":true}"#,
    r#"{"channel":"sms"}"#,
    r#"{"subject":"ada"}"#,
    r#"{"scope":"openid"}"#,
    r#"{"sub":"eve"}"#,
];

const LONGEST_RUN: usize = 200;
