//! A complete host over HTTP, on axum: `cargo run -p otp-grant-example-axum -- --listen 127.0.0.1:8080`
//!
//! [--alg RS256|ES256|EdDSA] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use otp_grant::{AuthorizationServer, Keyring, MasterKey, MemoryDirectory, MemoryStore};
use otp_grant_example_support::{Options, Outbox, incoming, sample_directory};

/// The authorization server, and what delivers its codes.
struct Host {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
    outbox: Outbox,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. What is to outlive it, or to be shared, reads them from its
    // configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The ports: implement Store, ClientRegistry and UserStore for your databases, and put them here.
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    let host = Arc::new(Host { server, outbox: options.outbox()? });

    // The routes of your own service go before the fallback.
    let app = Router::new().fallback(answer).with_state(host);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("listening on http://{} ({algorithm})", listener.local_addr()?);
    // Replies are small: without TCP_NODELAY the end of one can wait for the acknowledgement of its beginning.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    Ok(axum::serve(listener, app).await?)
}

/// Answers a request to any endpoint: the crate finds out which one it is for, and whether it has the method.
async fn answer(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(body) = incoming::read_body(body.into_data_stream()).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let request = otp_grant::Request::from_http(&head.headers, &body);
    let send = |delivery| host.outbox.send(delivery);
    match host.server.handle(head.method.as_str(), head.uri.path(), request, send).await {
        Some(reply) => http::Response::from(reply).map(Body::from),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
