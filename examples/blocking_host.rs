//! A complete host over HTTP without an async runtime, on tiny_http:
//! `cargo run --example blocking_host -- --listen 127.0.0.1:8080`
//!
//! [--alg RS256|ES256|EdDSA] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota off]

mod support;

use std::error::Error;
use std::io::{self, Cursor, Read as _};
use std::net::TcpListener;

use otp_grant::{AuthorizationServer, Issuer, Keyring, MasterKey, MemoryDirectory, MemoryStore, Reply};
use pollster::block_on;
use support::{Options, Outbox, sample_directory};
use tiny_http::{Header, Method, Request, Response, Server};

/// The authorization server, and what delivers its codes.
struct Host {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
    outbox: Outbox,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. What is to outlive it, or to be shared, reads them from its
    // configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The two ports: implement Store and Directory for your databases, and put them here. A blocking database driver is
    // simply called: nothing here shares the thread.
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    let host = Host { server, outbox: options.outbox()? };
    let routes = routes(&options.issuer);

    let listener = without_delay(TcpListener::bind(options.listen)?)?;
    let http = Server::from_listener(listener, None).map_err(|error| -> Box<dyn Error> { error })?;
    println!("listening on http://{} ({algorithm})", http.server_addr());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(&host, &routes, &http));
        }
    });
    Ok(())
}

/// An endpoint: where it is, which methods it has, and what it makes of a request.
struct Route {
    path: String,
    methods: &'static [Method],
    answer: fn(&Host, otp_grant::Request<'_>) -> Reply,
}

fn routes(issuer: &Issuer) -> [Route; 8] {
    let route = |path: &str, methods, answer| Route { path: path.to_owned(), methods, answer };
    [
        route("/otp/send", POST, send),
        route("/oauth2/token", POST, |host, request| block_on(host.server.token(request))),
        route("/oauth2/revoke", POST, |host, request| block_on(host.server.revoke(request))),
        route("/oauth2/introspect", POST, |host, request| block_on(host.server.introspect(request))),
        route("/userinfo", GET_OR_POST, |host, request| block_on(host.server.userinfo(request))),
        route("/oauth2/jwks", GET, |host, _| host.server.jwks()),
        route(&issuer.metadata_path(), GET, |host, _| host.server.metadata()),
        route(&issuer.openid_configuration_path(), GET, |host, _| host.server.openid_configuration()),
    ]
}

/// Answers one request after the other.
fn work(host: &Host, routes: &[Route], http: &Server) {
    for mut request in http.incoming_requests() {
        let response = answer(host, routes, &mut request).unwrap_or_else(|_| empty(400));
        // A client that did not wait for its reply has lost it.
        let _ = request.respond(response);
    }
}

/// Finds the endpoint and gives its answer.
fn answer(host: &Host, routes: &[Route], request: &mut Request) -> io::Result<Response<Cursor<Vec<u8>>>> {
    let path = request.url().split('?').next().unwrap_or_default();
    let Some(route) = routes.iter().find(|route| route.path == path) else { return Ok(empty(404)) };
    if !route.methods.contains(request.method()) {
        let allowed = route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        return Ok(Header::from_bytes("Allow", allowed).into_iter().fold(empty(405), Response::with_header));
    }
    let incoming = Incoming::read(request)?;
    Ok(write((route.answer)(host, incoming.as_request())))
}

/// `POST /otp/send`: the crate opens a challenge, the host delivers its code, the client hears what came of it.
fn send(host: &Host, request: otp_grant::Request<'_>) -> Reply {
    match block_on(host.server.send_otp(request)) {
        Ok(delivery) => match host.outbox.deliver(&delivery) {
            Ok(()) => delivery.accepted(),
            Err(failure) => delivery.failed(failure),
        },
        Err(refusal) => refusal,
    }
}

/// What the crate wants to know of a request.
struct Incoming {
    content_type: Option<String>,
    authorization: Option<String>,
    body: Vec<u8>,
}

impl Incoming {
    /// Reads a request, but no more of its body than [`MOST_READ`]: the crate refuses what is longer than its own limit.
    fn read(request: &mut Request) -> io::Result<Self> {
        let header = |name: &'static str| {
            let named = request.headers().iter().find(|header| header.field.equiv(name));
            named.map(|header| header.value.as_str().to_owned())
        };
        let (content_type, authorization) = (header("Content-Type"), header("Authorization"));
        let (announced, mut body) = (request.body_length(), Vec::new());
        request.as_reader().take(MOST_READ.into()).read_to_end(&mut body)?;
        // tiny_http does not say when a client goes away; a body that was cut short must not be taken for a whole one.
        if body.len() < announced.unwrap_or_default().min(MOST_READ.into()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { content_type, authorization, body })
    }

    fn as_request(&self) -> otp_grant::Request<'_> {
        let (content_type, authorization) = (self.content_type.as_deref(), self.authorization.as_deref());
        otp_grant::Request { content_type, authorization, body: &self.body }
    }
}

/// Writes a reply as it is; its headers matter (`Cache-Control`, `WWW-Authenticate`, `Retry-After`).
fn write(reply: Reply) -> Response<Cursor<Vec<u8>>> {
    let header = |(name, value): (&str, &str)| Header::from_bytes(name, value).ok();
    let (status, headers): (_, Vec<Header>) = (reply.status(), reply.headers().filter_map(header).collect());
    let response = Response::from_data(reply.into_body()).with_status_code(status);
    headers.into_iter().fold(response, Response::with_header)
}

/// Sets TCP_NODELAY, which on Unix connections inherit; tiny_http does not let us at theirs. It writes a reply in two
/// parts, and without this the second waits 40 ms for the acknowledgement of the first.
fn without_delay(listener: TcpListener) -> io::Result<TcpListener> {
    #[cfg(unix)]
    let listener = {
        let socket = std::net::TcpStream::from(std::os::fd::OwnedFd::from(listener));
        socket.set_nodelay(true)?;
        TcpListener::from(std::os::fd::OwnedFd::from(socket))
    };
    Ok(listener)
}

fn empty(status: u16) -> Response<Cursor<Vec<u8>>> {
    Response::from_data(Vec::new()).with_status_code(status)
}

const GET: &[Method] = &[Method::Get, Method::Head];
const POST: &[Method] = &[Method::Post];
const GET_OR_POST: &[Method] = &[Method::Get, Method::Head, Method::Post];

const WORKERS: usize = 8;

/// More than the 16 KiB that the crate accepts, so that it is the crate that says so.
const MOST_READ: u16 = u16::MAX;
