//! The demo, from outside: the contract's samples, health, the page's headers, logs without secrets.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use support::{FORM, Host, JSON, Reply, log_in_over_http, log_in_over_http_as};

#[test]
fn the_samples_of_the_contract_work_over_http() {
    log_in_over_http(&Host::demo("samples", &[]), "ES256");
}

#[test]
fn they_work_with_rsa_and_json_logs() {
    let folder = support::Folder::new("rsa");
    let outbox = folder.write("outbox", "");
    let host = Host::start(folder, &["--demo", "--outbox", outbox.to_str().unwrap(), "--log", "json"]);
    log_in_over_http(&host, "RS256");
    for line in host.log().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
    }
    host.terminate();
    assert!(host.logged("stopped"));
    let answered = host.log().lines().filter(|line| line.contains(r#""message":"answered""#)).count();
    assert!(answered > 50, "{answered}");
}

#[test]
fn a_store_in_a_file_survives_a_restart() {
    let folder = support::Folder::new("sqlite");
    let store = format!("sqlite:{}", folder.file("records.db").display());
    let secret = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
    // Records are those of an issuer, which by default has the port in it.
    let issuer = "https://demo.example.com";
    let arguments = ["--store", store.as_str(), "--secret", secret, "--issuer", issuer];
    let mut first = Host::demo("sqlite-1", &arguments);
    log_in_over_http_as(&first, "ES256", issuer);
    first.terminate();
    assert_eq!(first.wait(), Some(0));
    // The address was sent to less than 30 seconds ago, by the process before.
    let second = Host::demo("sqlite-2", &arguments);
    let reply = second.post("/otp/send", JSON, SEND);
    assert!(reply.body.contains("sms_rate_limit_exceeded") && reply.head.contains("retry-after: "), "{reply:?}");
    assert_eq!(second.get("/healthz").status, 200);
}

#[test]
fn its_discovery_leads_to_its_endpoints() {
    let host = Host::demo("discovery", &[]);
    let metadata = host.get("/.well-known/openid-configuration").json();
    assert_eq!(metadata["issuer"], host.url());
    for (name, status) in [("token_endpoint", 400), ("jwks_uri", 405), ("userinfo_endpoint", 400)] {
        let path = metadata[name].as_str().unwrap().strip_prefix(&host.url()).unwrap();
        assert_eq!(host.post(path, FORM, "token=a").status, status, "{name}");
    }
    // Behind a proxy it is another one.
    let issuer = "https://demo.example.com/login";
    let host = Host::demo("issuer", &["--issuer", issuer]);
    let metadata = host.get("/login/.well-known/openid-configuration").json();
    assert_eq!(metadata["issuer"], issuer);
}

#[test]
fn the_client_with_a_key_is_there_once_its_key_is() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let folder = support::Folder::new("keyed");
    let file = folder.write("client.jwk", jwk);
    let methods = |host: &Host| {
        let metadata = host.get("/.well-known/oauth-authorization-server").json();
        metadata["token_endpoint_auth_methods_supported"].to_string()
    };
    assert!(!methods(&Host::demo("unkeyed", &[])).contains("private_key_jwt"));
    let keyed = Host::demo("keyed-host", &["--keyed-client-jwk", file.to_str().unwrap()]);
    assert!(methods(&keyed).contains("private_key_jwt"));
    // A client without the assertion is refused as an unknown one is.
    let body = SEND.replace("TENANT_SPA_CLIENT_ID", "KEYED_CLIENT_ID");
    assert_eq!(keyed.post("/otp/send", JSON, &body).json()["error"], "invalid_client");
}

#[test]
fn the_clients_that_need_a_key_or_a_challenge_are_refused_without() {
    let host = Host::demo("proofs", &[]);
    for (client, error) in [("DPOP_CLIENT_ID", "invalid_dpop_proof"), ("CHALLENGE_CLIENT_ID", "invalid_request")] {
        let reply = host.post("/otp/send", JSON, &SEND.replace("TENANT_SPA_CLIENT_ID", client));
        assert_eq!((reply.status, &reply.json()["error"]), (400, &error.into()), "{client}");
    }
}

#[test]
fn its_health_can_be_asked() {
    let host = Host::demo("health", &[]);
    let reply = host.get("/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    assert_eq!(host.post("/healthz", JSON, "{}").status, 405);
}

#[test]
fn a_console_that_is_gone_is_a_code_not_delivered() {
    let mut child = support::command(&["--demo", "--alg", "ES256", "--listen", "127.0.0.1:0", "--log-level", "error"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on http://").unwrap().split(' ').next().unwrap().to_owned();
    lines.next().unwrap().unwrap();
    drop(lines);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(support::post("/otp/send", JSON, SEND).as_bytes()).unwrap();
    let reply = Reply::read(stream);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((reply.status, &reply.json()["error"]), (503, &"temporarily_unavailable".into()));
}

#[test]
fn an_outbox_is_for_its_owner_alone() {
    let folder = support::Folder::new("outbox");
    let outbox = folder.file("codes");
    let host = Host::start(folder, &["--demo", "--alg", "ES256", "--outbox", outbox.to_str().unwrap()]);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 200);
    let file = std::fs::metadata(outbox).unwrap();
    assert!(file.len() > 0);
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[test]
fn one_user_has_a_number_with_and_without_its_country_and_a_new_one_is_known_by_it() {
    let host = Host::demo("numbers", &["--send-quota", "off"]);
    let known = |number: &str| {
        let common = format!(
            r#""client_id":"TENANT_SPA_CLIENT_ID","auth_source_id":"MOCK_SMS_OTP_AUTH_SOURCE_ID","phone_number":"{number}""#
        );
        let token = host.post("/otp/send", JSON, &format!("{{{common}}}")).json()["otp_token"].clone();
        let uri = "http://tencentciam.com/oauth2/grant-type/otp/sms";
        let code = host.last_code();
        let body = format!(
            r#"{{{common},"grant_type":"{uri}","otp_token":{token},"otp":"{code}","auto_signup":true,"scope":"openid phone"}}"#
        );
        let tokens = host.post("/oauth2/token", JSON, &body).json();
        let access = tokens["access_token"].as_str().unwrap();
        host.ask(&format!(
            "GET /userinfo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {access}\r\n\r\n"
        ))
        .json()
    };
    assert_eq!(known("13612345678")["sub"], "MOCK_USER_ID");
    assert_eq!(known("+86 136 1234 5678")["sub"], "MOCK_USER_ID");
    let new = known("13700000009");
    assert_eq!((&new["phone_number"], &new["phone_number_verified"]), (&"+8613700000009".into(), &true.into()));
    assert_eq!(known("+8613700000009"), new);
}

#[test]
fn the_page_lets_nothing_else_in() {
    let host = Host::demo("page", &[]);
    for path in [
        "/",
        "/page/app.js",
        "/page/challenge.js",
        "/page/clock.js",
        "/page/codes.js",
        "/page/devices.js",
        "/page/proof.js",
        "/page/server.js",
        "/page/step_address.js",
        "/page/step_code.js",
        "/page/step_tokens.js",
        "/page/tokens.js",
        "/page/view.js",
        "/page/words.js",
        "/page/words_ar.js",
        "/page/words_en.js",
        "/page/style.css",
        "/page/icon.svg",
    ] {
        let reply = host.get(path);
        assert_eq!(reply.status, 200, "{path}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
            "x-frame-options: deny",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-cache",
        ] {
            assert!(reply.head.contains(header), "{path}: {header}");
        }
        assert!(!reply.head.contains("unsafe"));
    }
    let page = host.get("/").body;
    assert!(page.contains("TENANT_SPA_CLIENT_ID") && page.contains("printed in the terminal"));
    // All of it is the host's own, and none of it stands in the document.
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
    assert!(!page.contains("https://") && !page.contains("{{"));
}

#[test]
fn no_secret_is_logged() {
    let host = Host::demo("logs", &["--log", "json"]);
    let (phone, email) = ("+8613612345678", "somebody@example.com");
    let mut secrets = vec![phone.to_owned(), "13612345678".to_owned(), email.to_owned(), "somebody".to_owned()];
    for (kind, member, address) in [("SMS", "phone_number", phone), ("EMAIL", "email", email)] {
        let common = format!(
            r#""client_id":"TENANT_CLIENT_ID","client_secret":"TENANT_CLIENT_SECRET","auth_source_id":"MOCK_{kind}_OTP_AUTH_SOURCE_ID","{member}":"{address}""#
        );
        let sent = host.post("/otp/send", JSON, &format!("{{{common}}}")).json();
        let (token, code) = (sent["otp_token"].as_str().unwrap(), host.last_code());
        let grant = |code: &str| {
            let kind = kind.to_ascii_lowercase();
            let uri = format!("http://tencentciam.com/oauth2/grant-type/otp/{kind}");
            let body =
                format!(r#"{{{common},"grant_type":"{uri}","otp_token":"{token}","otp":"{code}","auto_signup":true}}"#);
            host.post("/oauth2/token", JSON, &body)
        };
        assert_eq!(grant(if code == "000000" { "111111" } else { "000000" }).status, 400);
        let tokens = grant(&code).json();
        let texts = [&tokens["access_token"], &tokens["id_token"], &tokens["refresh_token"]];
        secrets.extend(texts.map(|token| token.as_str().unwrap().to_owned()));
        secrets.extend([token.to_owned(), code.clone()]);
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = format!("client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET&token={refresh}");
        assert_eq!(host.post("/oauth2/revoke", FORM, &form).status, 200);
        // Where they do not belong.
        host.get(&format!("/userinfo?access_token={refresh}"));
        host.get(&format!("/{address}/{refresh}"));
        host.ask(&format!("{code} / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nCookie: {refresh}\r\n\r\n"));
    }
    secrets.push("TENANT_CLIENT_SECRET".to_owned());
    host.terminate();
    assert!(host.logged("stopped"));
    let log = host.log();
    for event in ["code sent", "wrong code", "logged in", "session revoked", "answered"] {
        assert!(log.contains(&format!(r#""message":"{event}""#)), "{event}");
    }
    // A code is six digits, which a duration or a time could have as well: it would stand alone or in quotes.
    for secret in &secrets {
        let is_code = secret.len() == 6;
        let found = if is_code { log.contains(&format!("\"{secret}\"")) } else { log.contains(secret.as_str()) };
        assert!(!found, "{secret} is in the log");
    }
    // The demo prints them where they are asked for, and there alone.
    assert!(host.out().contains(&host.last_code()));
}

const SEND: &str = r#"{"client_id":"TENANT_SPA_CLIENT_ID","auth_source_id":"MOCK_SMS_OTP_AUTH_SOURCE_ID","phone_number":"13612345678"}"#;

#[test]
fn a_guard_that_observes_logs_what_it_would_refuse() {
    let host = Host::demo("guard", &["--guard", "observe"]);
    let request = support::post("/otp/send", JSON, SEND);
    let reply = host.ask(&request.replacen("\r\n", "\r\nX-Send-Verdict: refuse\r\n", 1));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(host.logged("send would be refused") && host.log().contains("cause=Verdict"), "{}", host.log());
    assert!(!host.log().contains("counts as challenge"));
    let both = "\r\nX-Send-Verdict: allow\r\nX-Send-Verdict: refuse\r\n";
    host.ask(&request.replacen("\r\n", both, 1));
    assert!(host.logged("two headers with a verdict count as challenge"));
    assert!(!host.log().contains("136123"));
}
