//! `otp-grant-host admin`, and a host beside which it works.

use std::path::Path;

use serde_json::Value;

use super::{FORM, Host, JSON, Reply, command};

/// A host on a store in a file. An address has 3 guesses.
pub fn config(store: &str) -> String {
    let (key, signing) = (
        "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=",
        "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    format!(
        r#"
issuer = "http://127.0.0.1:8080"
store = "{store}"
keys = {{ index = "{key}", sealing = "{key}" }}
signing = {{ active = "{signing}" }}
auth_sources.mail = {{ channel = "email" }}
delivery = {{ outbox = "outbox" }}
quotas = {{ sends = [{{ count = 50, per = "24h" }}], guesses_per_address = {{ count = 3, per = "24h" }} }}
clients.app = {{ public = true, may_send = true, auth_sources = ["mail"] }}
users.list = [{{ subject = "ada", email = "{EMAIL}" }}]
"#
    )
}

/// A host whose users are in a table, and whose commands of support are recorded in a file.
pub fn with_table(store: &str, users: &str, audit: &Path) -> String {
    let listed = format!("users.list = [{{ subject = \"ada\", email = \"{EMAIL}\" }}]");
    config(store).replace(&listed, &format!("users.table = \"{users}\"\naudit.file = \"{}\"", audit.display()))
}

/// The exit code of a command, its answer and its error.
pub fn admin(file: &Path, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["admin"], arguments, &["--config", file.to_str().unwrap()]].concat();
    let output = command(&arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What a good command answers with `--json`.
pub fn done(file: &Path, arguments: &[&str]) -> Value {
    let (code, answer, error) = admin(file, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?} {error}");
    serde_json::from_str(&answer).unwrap()
}

/// The last line of the record.
pub fn recorded(audit: &Path) -> Value {
    let text = std::fs::read_to_string(audit).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Signs a user up, or in. Gives the tokens.
pub fn log_in(host: &Host, email: &str) -> Reply {
    let common = format!(r#""client_id":"app","auth_source_id":"mail","email":"{email}""#);
    let sent = host.post("/otp/send", JSON, &format!("{{{common}}}"));
    let (uri, token) = ("http://tencentciam.com/oauth2/grant-type/otp/email", sent.json()["otp_token"].clone());
    let code = host.last_code();
    let body = format!(
        r#"{{{common},"grant_type":"{uri}","otp_token":{token},"otp":"{code}","auto_signup":true,"scope":"openid"}}"#
    );
    host.post("/oauth2/token", JSON, &body)
}

pub fn logged_in(host: &Host, email: &str) -> Value {
    let tokens = log_in(host, email);
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    tokens.json()
}

/// Refreshes, and keeps the new refresh token.
pub fn refresh(host: &Host, tokens: &mut Value) -> u16 {
    let token = tokens["refresh_token"].as_str().unwrap();
    let body = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
    let reply = host.post("/oauth2/token", FORM, &body);
    if reply.status == 200 {
        *tokens = reply.json();
    }
    reply.status
}

/// The user of an access token, unless it is refused.
pub fn userinfo(host: &Host, tokens: &Value) -> Option<String> {
    let token = tokens["access_token"].as_str().unwrap();
    let reply = host.ask(&format!(
        "GET /userinfo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    ));
    (reply.status == 200).then(|| reply.json()["sub"].as_str().unwrap().to_owned())
}

/// The user of the file, or the one who signs up in the table.
pub const EMAIL: &str = "ada@example.com";
