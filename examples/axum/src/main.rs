//! A complete host over HTTP, on axum: `cargo run -p otp-grant-example-axum -- --listen 127.0.0.1:8080`
//!
//! Options: `[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota
//! off]`

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use otp_grant::jwt::{AccessTokenClaims, Audience};
use otp_grant::wire::PresentedAccessToken;
use otp_grant::{AuthorizationServer, Keyring, MasterKey, MemoryDirectory, MemoryStore, Reply, Scope};
use otp_grant_example_support::{Options, Outbox, incoming, sample_directory};

/// The authorization server, what delivers its codes, and what the host's own routes need.
struct Host {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
    outbox: Outbox,
    /// The scope that the greeting needs.
    needed: Scope,
    /// The URL of the greeting as clients know it. A proof of a key is for one URL.
    greeting: String,
}

const GREETING: &str = "/greeting";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. A host whose sessions outlive the process, or that shares a store,
    // reads them from its configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The ports: implement Store, ClientRegistry and UserStore for your databases, and put them here.
    let greeting = format!("{}{GREETING}", options.issuer.as_str());
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    let host = Arc::new(Host { server, outbox: options.outbox()?, needed: Scope::parse("profile")?, greeting });

    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("listening on http://{} ({algorithm})", listener.local_addr()?);
    // Replies are small. Without TCP_NODELAY the end of a reply can wait for the acknowledgement of its beginning.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    Ok(axum::serve(listener, app(host)).await?)
}

/// The routes of your own service go before the fallback.
fn app(host: Arc<Host>) -> Router {
    Router::new().route(GREETING, get(greet)).fallback(answer).with_state(host)
}

/// A route of the host's own. It greets the user of an access token that has the scope `profile`.
async fn greet(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match authorize(&host, &head).await {
        Ok(claims) => format!("Hello, {}!\n", claims.subject.as_str()).into_response(),
        Err(refused) => write(refused),
    }
}

/// The claims of a request's access token, if the token is good now and has the scope.
async fn authorize(host: &Host, head: &Parts) -> Result<AccessTokenClaims, Reply> {
    let token = PresentedAccessToken::from_http(head, &host.greeting)?;
    let claims = host.server.check_access_token(token, Audience::EveryClient).await?;
    claims.require_scope(&host.needed)?;
    Ok(claims)
}

/// Answers a request to any endpoint. The crate finds the endpoint, and checks the method.
async fn answer(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(body) = incoming::read_body(body.into_data_stream()).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let request = otp_grant::Request::from_http(&head, &body);
    let reply = host.server.handle(request, |delivery| host.outbox.send(delivery)).await;
    write(reply.unwrap_or_else(Reply::not_found))
}

fn write(reply: Reply) -> Response {
    http::Response::from(reply).map(Body::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails has to fail loudly")]
mod tests {
    use otp_grant::{Delivery, Issuer, SigningKey};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    const TENANT: [(&str, &str); 3] =
        [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "TENANT_CLIENT_SECRET"), ("phone_number", "13612345678")];

    fn host() -> Arc<Host> {
        let keyring = Keyring::new(&MasterKey::generate().unwrap(), &MasterKey::generate().unwrap());
        let key = SigningKey::generate(otp_grant::jwt::Algorithm::ES256).unwrap();
        let issuer = Issuer::new(otp_grant_example_support::ISSUER).unwrap();
        let greeting = format!("{}{GREETING}", issuer.as_str());
        let server = AuthorizationServer::builder(issuer, keyring, key);
        let server = server.build(MemoryStore::new(), sample_directory().unwrap()).unwrap();
        Arc::new(Host { server, outbox: Outbox::default(), needed: Scope::parse("profile").unwrap(), greeting })
    }

    /// Posts a request of the tenant's client. The code of a send comes back beside the answer.
    async fn post(host: &Host, path: &str, members: Value) -> (Value, String) {
        let mut body = members;
        for (name, value) in TENANT {
            body[name] = value.into();
        }
        body["auth_source_id"] = "MOCK_SMS_OTP_AUTH_SOURCE_ID".into();
        let (body, mut code) = (body.to_string(), String::new());
        let request = otp_grant::Request::new("POST", path).header("Content-Type", "application/json").body(&body);
        let deliver = async |delivery: Delivery| {
            code = delivery.message().unwrap().code().expose_secret().to_owned();
            delivery.accepted()
        };
        let reply = host.server.handle(request, deliver).await.unwrap();
        (serde_json::from_slice(reply.body()).unwrap(), code)
    }

    async fn access_token(host: &Host, scope: &str) -> String {
        let (sent, code) = post(host, "/otp/send", json!({})).await;
        let grant = json!({
            "grant_type": otp_grant::settings::SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code, "scope": scope,
        });
        post(host, "/oauth2/token", grant).await.0["access_token"].as_str().unwrap().to_owned()
    }

    /// Status, challenge and body of the greeting.
    async fn greeted(host: &Arc<Host>, authorization: Option<String>) -> (StatusCode, String, String) {
        let request = Request::builder().uri(GREETING);
        let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        let response = app(Arc::clone(host)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (status, challenge.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_greeting_is_for_tokens_with_the_scope_alone() {
        let good = host();
        let token = access_token(&good, "openid profile").await;
        let hello = (StatusCode::OK, String::new(), "Hello, MOCK_USER_ID!\n".to_owned());
        assert_eq!(greeted(&good, Some(format!("Bearer {token}"))).await, hello);

        let none = greeted(&good, None).await;
        assert_eq!(none.0, StatusCode::UNAUTHORIZED);
        assert!(none.1.starts_with("Bearer, DPoP "), "{}", none.1);
        let (status, challenge, _) = greeted(&good, Some(format!("Bearer {token}A"))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(challenge.starts_with(r#"Bearer error="invalid_token""#), "{challenge}");

        let without = host();
        let token = access_token(&without, "openid").await;
        let (status, challenge, _) = greeted(&without, Some(format!("Bearer {token}"))).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(challenge.ends_with(r#", scope="profile""#), "{challenge}");
    }
}
