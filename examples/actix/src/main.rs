//! A complete host over HTTP, on actix-web: `cargo run -p otp-grant-example-actix -- --listen 127.0.0.1:8080`
//!
//! Options: `[--alg RS256|PS256|ES256|EdDSA|Ed25519] [--key FILE.pem] [--outbox FILE] [--issuer URL] [--send-quota
//! off]`

use std::error::Error;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use otp_grant::{AuthorizationServer, Keyring, MasterKey, MemoryDirectory, MemoryStore, Reply};
use otp_grant_example_support::{Options, Outbox, incoming, sample_directory};

/// The authorization server, and what delivers its codes.
struct Host {
    server: AuthorizationServer<MemoryStore, MemoryDirectory>,
    outbox: Outbox,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_command_line();

    // Secrets that live as long as the process. A host whose sessions outlive the process, or that shares a store,
    // reads them from its configuration: MasterKey::from_base64.
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let signing_key = options.signing_key()?;
    let algorithm = signing_key.algorithm();
    // The ports: implement Store, ClientRegistry and UserStore for your databases, and put them here.
    let server = AuthorizationServer::builder(options.issuer.clone(), keyring, signing_key)
        .settings(options.settings()?)
        .build(MemoryStore::new(), sample_directory()?)?;
    // Made once: actix-web calls the closure below for each of its threads, and all of them share this value.
    let host = web::Data::new(Host { server, outbox: options.outbox()? });

    // The routes of your own service go before the default.
    let app = move || App::new().app_data(host.clone()).default_service(web::to(answer));
    let http = HttpServer::new(app).bind(options.listen)?;
    for address in http.addrs() {
        println!("listening on http://{address} ({algorithm})");
    }
    Ok(http.run().await?)
}

/// Answers a request to any endpoint. The crate finds the endpoint, and checks the method.
async fn answer(host: web::Data<Host>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let Some(body) = incoming::read_body(body).await else { return HttpResponse::BadRequest().finish() };
    // actix-web 4 takes the end of a connection for the end of a body. Only the length tells whether the body is whole.
    let headers = request.headers();
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if headers.contains_key(TRANSFER_ENCODING) {
        return HttpResponse::LengthRequired().finish();
    }
    if !incoming::is_whole(&body, announced) {
        return HttpResponse::BadRequest().finish();
    }
    // actix-web has its own types for headers, so this passes headers on as text.
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let asked = otp_grant::Request::new(request.method().as_str(), request.path()).headers(headers).body(&body);
    let reply = host.server.handle(asked, |delivery| host.outbox.send(delivery)).await;
    write(reply.unwrap_or_else(Reply::not_found))
}

/// Writes a reply unchanged. Its headers matter (`Cache-Control`, `WWW-Authenticate`, `Retry-After`).
fn write(reply: Reply) -> HttpResponse {
    // The crate uses only statuses that HTTP has.
    let status = StatusCode::from_u16(reply.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in reply.headers() {
        response.append_header(header);
    }
    response.body(reply.into_body())
}
