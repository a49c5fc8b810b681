//! A complete host over HTTP without an async runtime, on tiny_http:
//! `cargo run -p otp-grant-example-blocking -- --listen 127.0.0.1:8080`
//!
//! Options: `[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota
//! off]`
//!
//! tiny_http has no timeouts: a client that falls silent in the middle of a body keeps one of the workers. In
//! production a proxy in front delivers only whole requests.

use std::error::Error;
use std::io::{self, Cursor};
use std::net::TcpListener;

use otp_grant::{AuthorizationServer, Keyring, MasterKey, MemoryDirectory, MemoryStore, Reply};
use otp_grant_example_support::{Options, Outbox, incoming, sample_directory};
use pollster::block_on;
use tiny_http::{Header, Request, Response, Server};

/// The authorization server, and what delivers its codes.
struct Host {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
    outbox: Outbox,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. A host whose sessions outlive the process, or that shares a store,
    // reads them from its configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The ports: implement Store, ClientRegistry and UserStore for your databases, and put them here. A blocking
    // database driver can be called directly: no other request shares the thread.
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    let host = Host { server, outbox: options.outbox()? };

    let listener = without_delay(TcpListener::bind(options.listen)?)?;
    let http = Server::from_listener(listener, None).map_err(|error| -> Box<dyn Error> { error })?;
    println!("listening on http://{} ({algorithm})", http.server_addr());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(&host, &http));
        }
    });
    Ok(())
}

/// Answers one request after another.
fn work(host: &Host, http: &Server) {
    for mut request in http.incoming_requests() {
        let response = answer(host, &mut request).unwrap_or_else(|_| empty(400));
        // A client that did not wait for its reply has lost the reply.
        let _ = request.respond(response);
    }
}

/// Answers a request to any endpoint. The crate finds the endpoint, and checks the method.
fn answer(host: &Host, request: &mut Request) -> io::Result<Response<Cursor<Vec<u8>>>> {
    let announced = request.body_length();
    let body = incoming::read_blocking_body(request.as_reader())?;
    if !incoming::is_whole(&body, announced) {
        return Ok(empty(400));
    }
    let headers = request.headers().iter();
    let headers = headers.map(|header| (header.field.as_str().as_str(), header.value.as_str().as_bytes()));
    let path = request.url().split('?').next().unwrap_or_default();
    let asked = otp_grant::Request::new(request.method().as_str(), path).headers(headers).body(&body);
    let reply = block_on(host.server.handle(asked, |delivery| host.outbox.send(delivery)));
    Ok(write(reply.unwrap_or_else(Reply::not_found)))
}

/// Writes a reply unchanged. Its headers matter (`Cache-Control`, `WWW-Authenticate`, `Retry-After`).
fn write(reply: Reply) -> Response<Cursor<Vec<u8>>> {
    let header = |(name, value): (&str, &str)| Header::from_bytes(name, value).ok();
    let (status, headers): (_, Vec<Header>) = (reply.status(), reply.headers().filter_map(header).collect());
    let response = Response::from_data(reply.into_body()).with_status_code(status);
    headers.into_iter().fold(response, Response::with_header)
}

/// Sets TCP_NODELAY on the listener. tiny_http gives no access to its connections, but on Unix they inherit the option.
/// tiny_http writes a reply in two parts. Without the option the second part waits 40 ms for the acknowledgement of the
/// first.
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

const WORKERS: usize = 8;
