//! A complete host over HTTP, on axum: `cargo run --example axum_host -- --listen 127.0.0.1:8080`
//!
//! [--alg RS256|ES256|EdDSA] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]

mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use axum::serve::ListenerExt;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use otp_grant::{AuthorizationServer, Keyring, MasterKey, MemoryDirectory, MemoryStore, Reply};
use support::{Options, Outbox, sample_directory};

/// The authorization server, and what delivers its codes.
struct Host {
    server: Server,
    outbox: Outbox,
}

type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. What is to outlive it, or to be shared, reads them from its
    // configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The two ports: implement Store and Directory for your databases, and put them here.
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    let host = Arc::new(Host { server, outbox: options.outbox()? });

    let issuer = &options.issuer;
    let (get_only, post_only) = (MethodFilter::GET, MethodFilter::POST);
    let app = Router::new()
        .route("/otp/send", endpoint(post_only, |host, request| send(host, request).boxed()))
        .route("/oauth2/token", endpoint(post_only, |host, request| host.server.token(request).boxed()))
        .route("/oauth2/revoke", endpoint(post_only, |host, request| host.server.revoke(request).boxed()))
        .route("/oauth2/introspect", endpoint(post_only, |host, request| host.server.introspect(request).boxed()))
        .route("/userinfo", endpoint(get_only.or(post_only), |host, request| host.server.userinfo(request).boxed()))
        .route("/oauth2/jwks", document(Server::jwks))
        .route(&issuer.metadata_path(), document(Server::metadata))
        .route(&issuer.openid_configuration_path(), document(Server::openid_configuration))
        .with_state(host);
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

/// `POST /otp/send`: the crate opens a challenge, the host delivers its code, the client hears what came of it.
async fn send(host: &Host, request: otp_grant::Request<'_>) -> Reply {
    match host.server.send_otp(request).await {
        Ok(delivery) => match host.outbox.deliver(&delivery) {
            Ok(()) => delivery.accepted(),
            Err(failure) => delivery.failed(failure),
        },
        Err(refusal) => refusal,
    }
}

/// What an endpoint makes of a request. Its future is boxed, so that all endpoints have one type.
type Answer = for<'a> fn(&'a Host, otp_grant::Request<'a>) -> BoxFuture<'a, Reply>;

/// An endpoint that takes a request and gives a reply. Other methods than its own get 405.
fn endpoint(methods: MethodFilter, answer: Answer) -> MethodRouter<Arc<Host>> {
    on(methods, async move |State(host): State<Arc<Host>>, request: Request| {
        let (head, body) = request.into_parts();
        let Some(body) = read(body).await else { return StatusCode::BAD_REQUEST.into_response() };
        write(answer(&host, otp_request(&head.headers, &body)).await)
    })
}

/// A public document: the key set, and what clients can find out about the server.
fn document(reply: fn(&Server) -> Reply) -> MethodRouter<Arc<Host>> {
    get(async move |State(host): State<Arc<Host>>| write(reply(&host.server)))
}

/// Reads a body, but no more than a little beyond [`MOST_READ`]: the crate refuses what is longer than its own limit.
///
/// `None` when the client fell silent or went away. A body that was cut short must not be taken for a whole one.
async fn read(body: Body) -> Option<Vec<u8>> {
    let reading = async {
        let (mut chunks, mut read) = (body.into_data_stream(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            read.extend_from_slice(&chunk.ok()?);
            if read.len() > MOST_READ {
                break;
            }
        }
        Some(read)
    };
    tokio::time::timeout(PATIENCE, reading).await.ok()?
}

/// What the crate wants to know of a request.
fn otp_request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> otp_grant::Request<'a> {
    // A header that is no text is still a header: empty, it names nobody, where an absent one would be passed over.
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    otp_grant::Request { content_type: text(CONTENT_TYPE), authorization: text(AUTHORIZATION), body }
}

/// Writes a reply as it is; its headers matter (`Cache-Control`, `WWW-Authenticate`, `Retry-After`).
fn write(reply: Reply) -> Response {
    let builder = Response::builder().status(reply.status());
    let builder = reply.headers().fold(builder, |builder, (name, value)| builder.header(name, value));
    // The crate makes no header that HTTP could not carry.
    builder.body(Body::from(reply.into_body())).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// More than the 16 KiB that the crate accepts, so that it is the crate that says so.
const MOST_READ: usize = 64 * 1024;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);
