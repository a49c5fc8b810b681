//! Serves one request, for callgrind to count its instructions: `instructions code 0`. `timing/run` compares the counts.

use std::env::args;

use otp_grant::*;
use otp_grant_timing::*;
use pollster::block_on;

fn main() {
    let [kind, case] = [1, 2].map(|argument| args().nth(argument).unwrap_or_default());
    let position = || case.parse().expect("a position");
    let reply = match kind.as_str() {
        // A grant whose code is wrong in one digit.
        "code" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            grant(&host, &grant_body(&otp_token, &with_other_digit(&code, position(), 1)))
        }
        // A grant whose code has expired, and is right or wrong in one digit.
        "expired" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            host.advance(CODE_VALIDITY);
            let presented = if case == "right" { code } else { with_other_digit(&code, position(), 1) };
            grant(&host, &grant_body(&otp_token, &presented))
        }
        // A grant whose otp_token is wrong in one byte of its MAC.
        "otp_token" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            grant(&host, &grant_body(&with_other_mac(&otp_token, position(), 1), &code))
        }
        // A grant of a client that nobody knows, or whose secret has a digest that is wrong in one byte.
        "client" => {
            let (id, position) = if case == "unknown" { (UNKNOWN_CLIENT, 0) } else { (CLIENT, position()) };
            grant(&host(neighbour(position)), &grant_body("A", "0123456789").replace(CLIENT, id))
        }
        // A send to the address of a user who is active, locked or unknown.
        "send" => {
            let user = match case.as_str() {
                "known" => Some(UserStatus::Active),
                "locked" => Some(UserStatus::Locked),
                "unknown" => None,
                _ => panic!("no such user"),
            };
            send(&Host::new(user, ClientSecret::digest(SECRET)), &login_body())
        }
        _ => panic!("no such kind of request"),
    };
    println!("{} {}", reply.status(), String::from_utf8_lossy(reply.body()));
}

fn host(secret: ClientSecret) -> Host {
    Host::new(Some(UserStatus::Active), secret)
}

/// Counted, from the bytes of the request to those of the reply.
#[inline(never)]
fn grant(host: &Host, body: &str) -> Reply {
    block_on(host.server.token(json_request(body)))
}

/// Counted, from the bytes of the request to those of the reply.
#[inline(never)]
fn send(host: &Host, body: &str) -> Reply {
    block_on(host.server.send_otp(json_request(body))).map_or_else(|refusal| refusal, Delivery::accepted)
}

/// As long as [`CLIENT`].
const UNKNOWN_CLIENT: &str = "UNKNOWN_CLIENTID";
