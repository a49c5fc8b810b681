//! What the example hosts share beside the crate: the arguments, the sample directory, the key, the outbox, and the
//! reading of bodies.

pub mod incoming;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use otp_grant::directory::UserClaims;
use otp_grant::id::InvalidId;
use otp_grant::jwt::Algorithm;
use otp_grant::scope::InvalidScope;
use otp_grant::server::OtpMessage;
use otp_grant::settings::danger;
use otp_grant::*;
use serde_json::json;

/// The issuer of the tokens, unless `--issuer` names another one.
pub const ISSUER: &str = "https://sample.portal.example.com";

/// The scopes that the tenant's clients may request.
pub const SCOPES: &str = "openid profile email phone offline_access";

/// The options of the command line.
pub struct Options {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The issuer of the tokens.
    pub issuer: Issuer,
    send_quota: bool,
    algorithm: Algorithm,
    key: Option<PathBuf>,
    outbox: Option<PathBuf>,
}

impl Options {
    /// Reads the command line. An argument that can't be read ends the process with one line and code 2.
    pub fn from_command_line() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(2)
        })
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            issuer: Issuer::new(ISSUER)?,
            send_quota: true,
            algorithm: Algorithm::RS256,
            key: None,
            outbox: None,
        };
        while let Some(name) = arguments.next() {
            if !["--listen", "--alg", "--key", "--outbox", "--issuer", "--send-quota"].contains(&&*name) {
                return Err(format!("unknown argument {name:?}").into());
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = || format!("{name} cannot be {value:?}");
            match (&*name, &*value) {
                ("--listen", _) => options.listen = value.parse().map_err(|_| wrong())?,
                ("--alg", _) => options.algorithm = value.parse().map_err(|_| wrong())?,
                ("--key", _) => options.key = Some(value.into()),
                ("--outbox", _) => options.outbox = Some(value.into()),
                ("--issuer", _) => options.issuer = Issuer::new(&value).map_err(|_| wrong())?,
                ("--send-quota", "off") => options.send_quota = false,
                ("--send-quota", "on") => options.send_quota = true,
                _ => return Err(wrong().into()),
            }
        }
        Ok(options)
    }

    /// The sample settings, without send quotas after `--send-quota off`.
    ///
    /// # Errors
    /// Never: the sample scopes are valid.
    pub fn settings(&self) -> Result<Settings, InvalidScope> {
        let settings = sample_settings()?;
        Ok(if self.send_quota { settings } else { danger::without_send_quotas(settings) })
    }

    /// The key of `--key`, or a new key of `--alg` that is lost with the process.
    ///
    /// # Errors
    /// When the file cannot be read or is no private key, or when no key can be made.
    pub fn signing_key(&self) -> Result<SigningKey, Box<dyn Error>> {
        match (&self.key, self.algorithm) {
            (Some(file), _) => {
                let wrong = |error: &dyn Error| format!("{}: {error}", file.display());
                let pem = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
                Ok(SigningKey::from_pem(&pem).map_err(|error| wrong(&error))?)
            }
            (None, algorithm @ (Algorithm::RS256 | Algorithm::PS256)) => Ok(made_rsa_key()?.with_algorithm(algorithm)?),
            (None, algorithm) => Ok(SigningKey::generate(algorithm)?),
        }
    }

    /// Opens the outbox, which appends to the file of `--outbox`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn outbox(&self) -> io::Result<Outbox> {
        let open = |file| OpenOptions::new().create(true).append(true).open(file);
        Ok(Outbox { file: self.outbox.as_ref().map(open).transpose()?.map(Mutex::new) })
    }
}

/// Stands for the SMS and mail providers: prints the codes, and appends them to a file as JSON lines.
#[derive(Default)]
pub struct Outbox {
    file: Option<Mutex<File>>,
}

impl Outbox {
    /// "Sends" a code, and tells the client the result. A real host would queue the message. A client could otherwise
    /// time the delivery.
    pub async fn send(&self, delivery: Delivery) -> Reply {
        match delivery.message().map_or(Ok(()), |message| self.deliver(message)) {
            Ok(()) => delivery.accepted(),
            Err(failure) => delivery.failed(failure),
        }
    }

    fn deliver(&self, message: &OtpMessage) -> Result<(), DeliveryFailure> {
        let (to, code) = (message.address().as_str(), message.code().expose_secret());
        let usage = message.usage();
        println!(
            "to {to}: {code} is your code for {usage}, valid for {} seconds",
            message.validity().as_millis().div_ceil(1000)
        );
        let Some(file) = &self.file else { return Ok(()) };
        // Writes in one call, without a buffer: the reader of the file sees whole lines, and sees them before the
        // reply.
        let line = format!("{{\"to\":{},\"code\":{},\"usage\":{}}}\n", json!(to), json!(code), json!(usage.as_str()));
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|error| {
            eprintln!("the outbox cannot be written: {error}");
            DeliveryFailure::Undeliverable
        })
    }
}

/// The defaults, with the scopes and claims that this host lists in its discovery documents.
///
/// # Errors
/// Never: the sample scopes are valid.
pub fn sample_settings() -> Result<Settings, InvalidScope> {
    let claims = ["name", "preferred_username", "email", "email_verified", "phone_number", "phone_number_verified"];
    let mut settings = Settings::default();
    settings.scopes_supported = Scope::parse(SCOPES)?;
    settings.claims_supported = claims.map(str::to_owned).to_vec();
    Ok(settings)
}

/// The clients, auth sources and users of the contract's samples, and an API that introspects tokens.
///
/// # Errors
/// Never: the sample names and addresses are valid.
pub fn sample_directory() -> Result<MemoryDirectory, Box<dyn Error>> {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID")?;
    let email = AuthSourceId::new("MOCK_EMAIL_OTP_AUTH_SOURCE_ID")?;
    let tenant = |client: Client| {
        let allowed = Scope::parse(SCOPES)?;
        let client = client.with_auth_source(sms.clone()).with_auth_source(email.clone());
        Ok::<_, Box<dyn Error>>(client.with_scopes(allowed, Scope::openid())?)
    };
    let confidential = |id, secret| Ok::<_, InvalidId>(Client::confidential(ClientId::new(id)?, secret));
    // The API logs no user in. Clients call it with tokens of the tenant's clients.
    let api = confidential("API_CLIENT_ID", ClientSecret::digest("API_CLIENT_SECRET"))?.with_grants([]);

    let policy = AddressPolicy::default();
    let addresses = |phone, email| {
        let phone = Address::Phone(policy.phone_number(phone)?);
        Ok::<_, Box<dyn Error>>([phone, Address::Email(policy.email(email)?)])
    };
    let user = |subject, status| Ok::<_, InvalidId>(User::new(Subject::new(subject)?, status));

    let directory = MemoryDirectory::new()
        .with_client(tenant(confidential("TENANT_CLIENT_ID", ClientSecret::digest("TENANT_CLIENT_SECRET"))?)?)
        .with_client(tenant(Client::public(ClientId::new("TENANT_SPA_CLIENT_ID")?).with_sending())?)
        .with_client(confidential("OTHER_CLIENT_ID", ClientSecret::digest("OTHER_CLIENT_SECRET"))?)
        .with_client(api.with_introspection_of_every_token())
        .with_auth_source(AuthSource::new(sms.clone(), Channel::Sms))
        .with_auth_source(AuthSource::new(email.clone(), Channel::Email))
        .with_user(user("MOCK_USER_ID", UserStatus::Active)?, addresses("13612345678", "MOCK_USERNAME@example.com")?)
        .with_user(user("LOCKED_USER_ID", UserStatus::Locked)?, addresses("13600000000", "locked@example.com")?);
    let claims = UserClaims::new()
        .with("name", "Mock User")
        .with("preferred_username", "MOCK_USERNAME")
        .with("email", "MOCK_USERNAME@example.com")
        .with("email_verified", true)
        .with("phone_number", "+8613612345678")
        .with("phone_number_verified", true);
    directory.put_claims(Subject::new("MOCK_USER_ID")?, claims);
    Ok(directory)
}

/// The crate makes no RSA keys. `openssl genpkey` makes them, or the `rsa` crate as here.
fn made_rsa_key() -> Result<SigningKey, Box<dyn Error>> {
    use rsa::pkcs8::EncodePrivateKey as _;

    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
    Ok(SigningKey::from_der(key.to_pkcs8_der()?.as_bytes())?)
}
