//! The send guard: countries, blocks and clients earn their messages, and the host's verdict counts.

mod at_once;
mod crashes;
mod credits;
mod destinations_kept;
mod lets_through;
mod test_identity;

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::future::join_all;
use otp_grant::guard::{Countries, GuardMode, MessageBudget, SendGuard, Threshold, Verdict};
use otp_grant::id::{RecordKey, Tag};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{ConfigError, VerifyRequest};
use otp_grant::settings::danger;
use otp_grant::store::{Record, RecordBody, Swap};
use otp_grant::time::{Clock, Timestamp};
use otp_grant::wire::{ClientCredentials, SendRequest};
use otp_grant::*;
use otp_grant_tests::steps::{Mishap, Planned, Polled, SteppedStore};
use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

const NUMBER: &str = "+8613612340001";

/// The settings of a guard that enforces.
fn guarded(change: impl FnOnce(&mut SendGuard)) -> Settings {
    settings(|settings| {
        settings.send_guard.mode = GuardMode::Enforce;
        change(&mut settings.send_guard);
    })
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn one_shard(guard: &mut SendGuard) {
    guard.shards = NonZeroU16::MIN;
}

/// A number of the block `NUMBER` is in.
fn in_block(number: usize) -> String {
    format!("+861361234{number:04}")
}

/// A number of the same country, in a block of its own.
fn in_country(number: usize) -> String {
    format!("+86137{number:04}0000")
}

fn with_budget(settings: Settings, budget: MessageBudget) -> Host {
    let client = Client::confidential(ClientId::new(CLIENT).unwrap(), ClientSecret::digest(CLIENT_SECRET))
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
        .with_message_budget(budget);
    Host::with_directory(settings, signing_key(), sample_directory().with_client(client))
}

/// Sends with a verdict, over the face of this run.
async fn send_as<T: Posts>(server: &T, verdict: Verdict, body: &Value) -> Result<Sent, (u16, Value)> {
    let bytes = body.to_string();
    let request = json_request(&bytes, None).to("POST", "/otp/send").with_verdict(verdict);
    let mut code = None;
    let deliver = |delivery: Delivery| {
        code = Some(delivery.message().map_or("246810", |message| message.code().expose_secret()).to_owned());
        std::future::ready(delivery.accepted())
    };
    let reply = read(&server.serve(request, deliver).await.unwrap());
    match code {
        Some(code) => Ok(Sent { otp_token: text(&reply.1, "otp_token").to_owned(), code, reply: reply.1 }),
        None => Err(reply),
    }
}

async fn try_send(host: &Host, phone: &str) -> Result<Sent, (u16, Value)> {
    send_as(&host.server, Verdict::None, &sms_send(phone)).await
}

async fn allowed(host: &Host, phone: &str) -> Result<Sent, (u16, Value)> {
    send_as(&host.server, Verdict::Allow, &sms_send(phone)).await
}

fn grant_of(phone: &str, sent: &Sent) -> Value {
    but(&sms_grant(phone, sent), json!({ "auto_signup": true }))
}

async fn log_in(host: &Host, phone: &str, sent: &Sent) -> u16 {
    host.token(&grant_of(phone, sent)).await.0
}

fn challenge_required() -> (u16, Value) {
    error(400, "challenge_required", "")
}

/// What a destination has counted: how many messages of the last hours were sent, and how many verified.
fn counted(body: &RecordBody) -> (u64, u64) {
    let body: Value = serde_json::from_slice(&body.to_bytes().unwrap()).unwrap();
    let hours = BASE64_URL_SAFE_NO_PAD.decode(body["destination"]["h"].as_str().unwrap_or_default()).unwrap();
    let (mut counts, mut shift, mut number) = (Vec::new(), 0, 0);
    for byte in hours {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            counts.push(std::mem::take(&mut number));
            shift = 0;
        }
    }
    (counts.iter().step_by(2).sum(), counts.iter().skip(1).step_by(2).sum())
}

fn all_counted(records: impl IntoIterator<Item = Record>) -> Vec<(u64, u64)> {
    let destinations = records.into_iter().filter(|record| record.body.kind() == "destination");
    let mut counted: Vec<_> = destinations.map(|record| counted(&record.body)).collect();
    counted.sort_unstable();
    counted
}

fn destinations(host: &Host) -> Vec<(u64, u64)> {
    all_counted(host.store.inner.records().into_iter().map(|(_, record)| record))
}

fn told(host: &Host, name: &str) -> usize {
    host.counters.told.lock().unwrap().iter().filter(|event| event.contains(name)).count()
}
