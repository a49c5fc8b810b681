//! How the cost of a login grows: with live challenges, with parallel requests for one address, with the age of a
//! session.
//!
//! Prints CSV for `benches/charts.py`. Its times mean little except relative to one another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, reason = "a benchmark fails loudly")]

use std::convert::Infallible;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Instant;
use std::{fs, mem};

use futures::future::join_all;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::settings::danger;
use otp_grant::store::{Record, Swap};
use otp_grant::time::{Clock, SystemClock};
use otp_grant::*;
use otp_grant_benches::{Bare, KEYS, USERS, directory, granted, is_measured, median, nanos, phone};
use otp_grant_tests::{
    Host, ISSUER, ManualClock, PHONE, Posts as _, Sent, but, json_request, keyring, read, secs, sms_grant, sms_send,
    text, wrong,
};
use pollster::block_on;
use ring::digest::{SHA256, digest};
use serde_json::json;

fn main() {
    let sizes: &[usize] = if is_measured() { &[1000, 10_000, 100_000, 1_000_000] } else { &[1000] };
    println!("of,line,at,value,unit");
    memory(sizes);
    live_challenges(sizes);
    for (size, stores) in if is_measured() { [(100_000, 40), (1_000_000, 5)] } else { [(100, 1), (1000, 1)] } {
        longest(size, stores);
    }
    two_cores(sizes);
    concurrency();
    record_sizes();
}

fn print(of: &str, line: &str, at: usize, value: f64, unit: &str) {
    println!("{of},{line},{at},{value:.2},{unit}");
}

/// What the process holds per challenge, with what the allocator adds. `tests/memory/store_memory.rs` counts the bytes
/// that the store requests.
fn memory(sizes: &[usize]) {
    // The first store takes the memory that the first record alone needs. That memory does not belong to the
    // challenges.
    let mut stores = vec![filled(1, ManualClock::new())];
    for size in sizes {
        let before = resident();
        stores.push(filled(*size, ManualClock::new()));
        print("memory", "resident", *size, (resident() - before) as f64 / *size as f64, "bytes a challenge");
    }
}

/// Logs in while this many challenges are alive. Measures what a login takes beside two bare signatures, and what the
/// store takes of it. The sizes take turns, and a change of the machine's speed affects all of them.
fn live_challenges(sizes: &[usize]) {
    let mut levels: Vec<_> = sizes.iter().map(|size| Level::new(*size)).collect();
    for _ in 0..if is_measured() { 32 } else { 1 } {
        levels.iter_mut().for_each(Level::turn);
    }
    for Level { size, sends, grants, floors, loads, swaps, of_grants, .. } in &mut levels {
        let grant = median(grants);
        print("live challenges", "login", *size, median(sends) + grant, "ns");
        print("live challenges", "grant", *size, grant, "ns");
        print("live challenges", "two signatures", *size, median(floors), "ns");
        for (line, nanos) in [("load", loads), ("swap", swaps), ("all of a grant", of_grants)] {
            nanos.sort_by(f64::total_cmp);
            for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
                let value = nanos[(nanos.len() as f64 * part) as usize];
                print("store operations of a grant", &format!("{line} {name}"), *size, value, "ns");
            }
        }
    }
}

/// A server with this many live challenges, and what its logins took.
struct Level {
    size: usize,
    server: AuthorizationServer<Arc<Timed>, MemoryDirectory>,
    store: Arc<Timed>,
    /// The requests that redeem some of the challenges.
    bodies: Vec<String>,
    bare: Bare,
    sends: Vec<f64>,
    grants: Vec<f64>,
    floors: Vec<f64>,
    loads: Vec<f64>,
    swaps: Vec<f64>,
    of_grants: Vec<f64>,
}

impl Level {
    fn new(size: usize) -> Self {
        let (server, store, bodies) = Self::filled(size);
        let [sends, grants, floors, loads, swaps, of_grants] = Default::default();
        Self { size, server, store, bodies, bare: Bare::of(ES256), sends, grants, floors, loads, swaps, of_grants }
    }

    fn filled(size: usize) -> (AuthorizationServer<Arc<Timed>, MemoryDirectory>, Arc<Timed>, Vec<String>) {
        // The clock stands still: on a busy machine codes would otherwise expire before their turn.
        let clock = ManualClock::new();
        let store = Arc::new(Timed { inner: MemoryStore::with_clock(clock.clone()), taken: Mutex::default() });
        let server = server(store.clone(), clock, Settings::default());
        // At most a quarter: the others stay alive throughout.
        let users = (size / 4).min(USERS as usize / 2);
        let mut bodies = Vec::new();
        for number in 0..size {
            // Other challenges lie between those of users. The records of users are therefore far apart.
            let user = number * users / size;
            if (number + 1) * users / size > user {
                let phone = phone(user as u64);
                bodies.push(sms_grant(&phone, &send(&server, &phone)).to_string());
            } else {
                send(&server, &phone(USERS + number as u64));
            }
        }
        // In another order than that of their sends.
        let order = (0..users).map(|number| mem::take(&mut bodies[number * PRIME % users]));
        let bodies = order.collect();
        store.forget();
        (server, store, bodies)
    }

    fn turn(&mut self) {
        let timer = median(&mut (0..999).map(|_| nanos(|| ()).0).collect::<Vec<_>>());
        for _ in 0..TURN {
            if self.bodies.is_empty() {
                (self.server, self.store, self.bodies) = Self::filled(self.size);
            }
            let stranger = phone(USERS + (self.size + self.bodies.len()) as u64);
            self.sends.push(nanos(|| send(&self.server, &stranger)).0);
            self.store.forget();
            let body = self.bodies.pop().unwrap();
            let (taken, reply) = nanos(|| token(&self.server, &body));
            self.grants.push(taken);
            let answer = granted(&reply);
            let signed = ["access_token", "id_token"].map(|name| text(&answer, name).rsplit_once('.').unwrap().0);
            self.floors.push(nanos(|| signed.map(|input| self.bare.sign(input.as_bytes()))).0);
            let [loads, swaps] = self.store.taken().map(|taken| taken.into_iter().map(|nanos| nanos - timer));
            let (loads, swaps): (Vec<f64>, Vec<f64>) = (loads.collect(), swaps.collect());
            self.of_grants.push(loads.iter().chain(&swaps).sum());
            self.loads.extend(loads);
            self.swaps.extend(swaps);
        }
    }
}

/// How long the lock is held at most, by an insert while the store grows, and by an insert that sweeps when all records
/// have expired at once. The shortest of several stores counts: some interruptions can't be detected, as a load that
/// finds nothing shows.
fn longest(size: usize, stores: usize) {
    let [mut inserts, mut sweeps, mut loads] = [f64::MAX; 3];
    for _ in 0..stores {
        let (clock, record) = (ManualClock::new(), challenge());
        let store = MemoryStore::with_clock(clock.clone());
        let insert = |number, record| assert!(block_on(store.swap(&key(number), None, record)).is_ok());
        inserts = inserts.min(longest_of(0..size, |number| insert(number, &record)));

        clock.advance(secs(DAY * 365));
        let lasting = Record::new(record.tag, clock.now().after(secs(DAY)), record.body.clone());
        let until_gone = (size..).take_while(|number| store.len() > number - size);
        sweeps = sweeps.min(longest_of(until_gone, |number| insert(number, &lasting)));
        let load = |number| assert!(block_on(store.load(&key(number))).is_ok());
        loads = loads.min(longest_of(size * 2..size * 9 / 4, load));
    }
    print("longest call", "insert while the store grows", size, inserts, "ns");
    print("longest call", "insert when all has expired", size, sweeps, "ns");
    print("longest call", "load of nothing", size, loads, "ns");
}

/// Nanoseconds of the longest call. A call does not count if this thread waited for a processor during it or a few
/// calls before.
fn longest_of(numbers: impl Iterator<Item = usize>, call: impl Fn(usize)) -> f64 {
    let (mut longest, mut waited): (f64, _) = (0.0, nanos_without_processor());
    for (count, number) in numbers.enumerate() {
        if count % 32 == 0 {
            waited = nanos_without_processor();
        }
        let (nanos, _) = nanos(|| call(number));
        if nanos > longest {
            let before = mem::replace(&mut waited, nanos_without_processor());
            if waited == before {
                longest = nanos;
            }
        }
    }
    longest
}

/// Loads and swaps, and whole logins, of one thread and of two on different addresses. Does not count the time that a
/// thread waited for a processor, which another program had.
fn two_cores(sizes: &[usize]) {
    for size in sizes {
        let store = filled(*size, ManualClock::new());
        let rounds = if is_measured() { 100_000 } else { 100 };
        let operations = |thread: usize| {
            for round in 0..rounds {
                let key = key((round * 2 + thread) * PRIME % size);
                let Ok(loaded) = block_on(store.load(&key));
                let Some(record) = loaded else { continue };
                let Ok(_) = block_on(store.swap(&key, Some(record.tag), &record));
            }
        };
        let ratio = best_of_two(&operations);
        print("two threads", "store", *size, ratio, "times one");
    }
    let rounds = if is_measured() { 1000 } else { 10 };
    let settings = danger::without_send_quotas(Settings::default());
    let server = server(MemoryStore::new(), SystemClock, settings);
    let ratio = best_of_two(&|thread| {
        for round in 0..rounds {
            let phone = phone((round * 2 + thread) as u64);
            granted(&token(&server, &sms_grant(&phone, &send(&server, &phone)).to_string()));
        }
    });
    print("two threads", "login", 0, ratio, "times one");
}

/// How many times as much work two threads do as one, each in its best run.
fn best_of_two(work: &(impl Fn(usize) + Sync)) -> f64 {
    let [mut one, mut two] = [f64::MAX; 2];
    for _ in 0..if is_measured() { 20 } else { 1 } {
        one = one.min(run(1, work));
        two = two.min(run(2, work));
    }
    2.0 * one / two
}

/// Nanoseconds that this many threads take, measured at the slowest.
fn run(threads: usize, work: &(impl Fn(usize) + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let (waited, begun) = (nanos_without_processor(), Instant::now());
                    work(thread);
                    begun.elapsed().as_nanos() as f64 - (nanos_without_processor() - waited)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).fold(0.0, f64::max)
    })
}

/// Parallel requests for one address, through a store that lets other requests run between its calls. Counts how often
/// each request calls the store, with the calls that it repeats because another request was faster.
fn concurrency() {
    for at_once in [1, 2, 4, 8, 16, 32, 64] {
        let requests = |line: &str, calls: usize| {
            print("concurrency", line, at_once, calls as f64 / at_once as f64, "store operations a request");
        };
        block_on(async {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            let right = sms_grant(PHONE, &sent);
            let guess = but(&right, json!({ "otp": wrong(&sent.code) }));
            host.store.yields.store(1, SeqCst);
            let (calls, _) = host.store_calls(join_all((0..at_once).map(|_| host.token(&guess)))).await;
            requests("wrong codes", calls);
        });
        block_on(async {
            let host = Host::new();
            let sent = host.send(&sms_send(PHONE)).await;
            let right = sms_grant(PHONE, &sent);
            host.store.yields.store(1, SeqCst);
            let (calls, _) = host.store_calls(join_all((0..at_once).map(|_| host.token(&right)))).await;
            requests("right codes", calls);
        });
        block_on(async {
            let host = Host::new();
            let answer = host.log_in(json!({})).await;
            host.store.yields.store(1, SeqCst);
            let refresh = || host.refresh(text(&answer, "refresh_token"));
            let (calls, _) = host.store_calls(join_all((0..at_once).map(|_| refresh()))).await;
            requests("refreshes", calls);
        });
    }
}

/// Records as JSON, as a database keeps them.
fn record_sizes() {
    block_on(async {
        let host = Host::new();
        let mut token = text(&host.log_in(json!({})).await, "refresh_token").to_owned();
        for refreshes in 0..=1000 {
            if [0, 1, 10, 100, 1000].contains(&refreshes) {
                print("record", "session by refreshes", refreshes, size_of_session(&host), "bytes");
            }
            host.advance(secs(600));
            let (status, answer) = host.refresh(&token).await;
            assert_eq!(status, 200, "{answer}");
            text(&answer, "refresh_token").clone_into(&mut token);
        }
    });
    block_on(async {
        let host = without_quotas();
        for sends in 1..=100 {
            host.send(&sms_send(PHONE)).await;
            if [1, 2, 5, 10, 20, 100].contains(&sends) {
                print("record", "address by sends", sends, size_of_address(&host), "bytes");
            }
            host.advance(secs(30));
        }
    });
    block_on(async {
        let host = without_quotas();
        for logins in 1..=100 {
            host.log_in(json!({})).await;
            if [1, 2, 5, 10, 20, 100].contains(&logins) {
                print("record", "address by logins", logins, size_of_address(&host), "bytes");
            }
            host.advance(secs(30));
        }
    });
}

fn without_quotas() -> Host {
    Host::with(danger::without_send_quotas(Settings::default()))
}

fn size_of_session(host: &Host) -> f64 {
    size(host, "session")
}

fn size_of_address(host: &Host) -> f64 {
    size(host, "authenticator")
}

fn size(host: &Host, kind: &str) -> f64 {
    let records = host.store.inner.records();
    let (_, record) = records.iter().find(|(_, record)| record.body.kind() == kind).unwrap();
    serde_json::to_string(record).unwrap().len() as f64
}

/// A store with this many challenges as sends leave them, one per address.
fn filled(size: usize, clock: ManualClock) -> MemoryStore {
    let (store, record) = (MemoryStore::with_clock(clock), challenge());
    for number in 0..size {
        let Ok(swap) = block_on(store.swap(&key(number), None, &record));
        assert_eq!(swap, Swap::Stored);
    }
    store
}

fn challenge() -> Record {
    let host = Host::new();
    block_on(host.send(&sms_send(PHONE)));
    host.store.inner.records().pop().unwrap().1
}

/// As uniform as the HMACs that are the keys of records.
fn key(number: usize) -> RecordKey {
    RecordKey::from_bytes(digest(&SHA256, &number.to_le_bytes()).as_ref().try_into().unwrap())
}

fn server<S: Store>(
    store: S,
    clock: impl Clock + 'static,
    settings: Settings,
) -> AuthorizationServer<S, MemoryDirectory> {
    let (_, pem) = ES256;
    let key = SigningKey::from_pem(pem).unwrap();
    AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .settings(settings)
        .clock(clock)
        .build(store, directory())
        .unwrap()
}

fn send<S: Store>(server: &AuthorizationServer<S, MemoryDirectory>, phone: &str) -> Sent {
    let body = sms_send(phone).to_string();
    let delivery = block_on(server.post_send(json_request(&body, None))).unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let (_, reply) = read(&delivery.accepted());
    Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply }
}

fn token<S: Store>(server: &AuthorizationServer<S, MemoryDirectory>, body: &str) -> Reply {
    block_on(server.post_token(json_request(body, None)))
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// How long this thread has waited while other threads had the processor.
fn nanos_without_processor() -> f64 {
    let numbers = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    numbers.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The embedded store, with the nanoseconds of each load and each swap.
struct Timed {
    inner: MemoryStore,
    taken: Mutex<[Vec<f64>; 2]>,
}

impl Timed {
    fn forget(&self) {
        self.taken.lock().unwrap().iter_mut().for_each(Vec::clear);
    }

    fn taken(&self) -> [Vec<f64>; 2] {
        self.taken.lock().unwrap().clone()
    }
}

impl Store for Timed {
    type Error = Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Infallible> {
        let (nanos, loaded) = nanos(|| block_on(self.inner.load(key)));
        self.taken.lock().unwrap()[0].push(nanos);
        loaded
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Infallible> {
        let (nanos, swapped) = nanos(|| block_on(self.inner.swap(key, expected, next)));
        self.taken.lock().unwrap()[1].push(nanos);
        swapped
    }
}

const ES256: (&str, &str) = KEYS[1];
/// A quarter of the smallest size.
const TURN: usize = 250;
const DAY: u64 = 24 * 60 * 60;
/// Larger than each modulus that it is used with, or no divisor of it: every index is visited, and neighbours are not
/// visited in a row.
const PRIME: usize = 7919;
