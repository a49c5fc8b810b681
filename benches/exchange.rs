//! A whole login, a send and a grant, as an exchange beside the same login as async calls.
//!
//! Both run over a store and a directory in memory. After the group, `overhead` is the time of the exchange beyond that
//! of the calls, from paired rounds.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has to fail loudly")]

use std::future::ready;
use std::sync::Arc;

use mimalloc::MiMalloc;
use otp_grant::exchange::{Engine, NoSigner, drive};
use otp_grant::{Delivery, MemoryDirectory, Reply, Request, SigningKey};
use otp_grant_benches::{
    KEYS, Server, USERS, Work, bench_work, criterion, directory, granted, is_measured, phone, print_overhead, server,
};
use otp_grant_tests::{Sent, sms_grant, sms_send, text};
use pollster::block_on;
use serde_json::Value;

/// The allocator of the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("login");
    bench_work(&mut group, "async_calls", &mut Login::over(async_calls));
    bench_work(&mut group, "exchange", &mut Login::over(exchange));
    group.finish();
    criterion.final_summary();
    if is_measured() {
        println!();
        print_overhead("exchange beside async calls", &mut Login::over(exchange));
    }
}

/// Answers a request of a client, and keeps the code that is to be delivered.
type Face = fn(&Server, &Request<'_>, &mut String) -> Reply;

fn async_calls(server: &Server, request: &Request<'_>, code: &mut String) -> Reply {
    block_on(server.handle(*request, |delivery| ready(deliver(delivery, code)))).unwrap()
}

fn exchange(server: &Server, request: &Request<'_>, code: &mut String) -> Reply {
    let step = Engine::of(server).begin(request).unwrap();
    let deliver = |delivery| ready(deliver(delivery, code));
    block_on(drive(step, server.store(), server.directory(), &NoSigner, deliver))
}

fn deliver(delivery: Delivery, code: &mut String) -> Reply {
    delivery.message().unwrap().code().expose_secret().clone_into(code);
    delivery.accepted()
}

/// Whole logins over one face. The floor is the same login as async calls.
struct Login {
    face: Face,
    directory: Arc<MemoryDirectory>,
    servers: [Arc<Server>; 2],
    begun: u64,
}

impl Login {
    fn over(face: Face) -> Self {
        let directory = Arc::new(directory());
        let servers = [(); 2].map(|()| fresh(&directory));
        Self { face, directory, servers, begun: 0 }
    }
}

fn fresh(directory: &Arc<MemoryDirectory>) -> Arc<Server> {
    let [_, _, (_, ed25519)] = KEYS;
    Arc::new(server(SigningKey::from_pem(ed25519).unwrap(), Arc::clone(directory)))
}

impl Work for Login {
    type Round = ([Arc<Server>; 2], String);

    fn prepare(&mut self) -> Self::Round {
        if self.begun == USERS {
            self.servers = [(); 2].map(|()| fresh(&self.directory));
            self.begun = 0;
        }
        self.begun += 1;
        (self.servers.clone(), phone(self.begun - 1))
    }

    fn floor(&self, ([server, _], phone): &Self::Round) {
        granted(&log_in(server, phone, async_calls));
    }

    fn work(&self, ([_, server], phone): &Self::Round) -> Reply {
        log_in(server, phone, self.face)
    }

    fn settle(&mut self, _: Self::Round, reply: &Reply) {
        granted(reply);
    }
}

fn log_in(server: &Server, phone: &str, face: Face) -> Reply {
    let mut code = String::new();
    let reply: Value = granted(&post(server, "/otp/send", &sms_send(phone), face, &mut code));
    let otp_token = text(&reply, "otp_token").to_owned();
    let sent = Sent { otp_token, code: code.clone(), reply };
    post(server, "/oauth2/token", &sms_grant(phone, &sent), face, &mut code)
}

fn post(server: &Server, path: &str, body: &Value, face: Face, code: &mut String) -> Reply {
    let body = body.to_string();
    let request = Request::new("POST", path).header("Content-Type", b"application/json").body(&body);
    face(server, &request, code)
}
