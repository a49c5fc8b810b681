//! What support staff ask of an address, and do for its user: `otp-grant-host admin`.

use std::fmt::{self, Display, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use otp_grant::otp::{AddressState, BudgetState};
use otp_grant::time::{Clock as _, SystemClock, Timestamp};
use otp_grant::{Address, AddressPolicy, AuthorizationServer};
use serde_json::{Value, json};

use crate::args::{AddressArgs, Admin, Args};
use crate::calendar::{Rounded, Utc};
use crate::config::{self, At as _, ConfigError};
use crate::metrics::{Measured, Metrics};
use crate::start::{self, Server};
use crate::store::AnyStore;
use crate::{configuration, directory};

/// What became of a command.
pub(crate) enum Outcome {
    /// The answer, for standard output.
    Done(String),
    StoreFailed(String),
}

impl Outcome {
    /// Tells the operator, and returns the exit code of the process.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Self::Done(answer) => {
                println!("{}", answer.trim_end());
                ExitCode::SUCCESS
            }
            Self::StoreFailed(error) => {
                eprintln!("store: {error}");
                ExitCode::from(STORE_FAILED)
            }
        }
    }
}

/// Does what the command line asks. An error is one of the arguments or the settings.
pub(crate) async fn run(args: &Args, admin: &Admin) -> Result<Outcome, ConfigError> {
    let server = match server(args).await? {
        Opened::Server(server) => server,
        Opened::NoStore(error) => return Ok(Outcome::StoreFailed(error.to_string())),
    };
    start::check_keyring(&server).await?;
    let (Admin::Explain(on) | Admin::Unlock(on) | Admin::ForgetDevices(on)) = admin;
    let address = read(server.addresses(), on)?;
    let done = match admin {
        Admin::Explain(_) => server.explain(&address).await.map(|state| {
            let now = SystemClock.now();
            let text = || format!("Records of {}\n{}", server.issuer().as_str(), Explained { state: &state, now });
            if on.json { explain_as_json(&state).to_string() } else { text() }
        }),
        Admin::Unlock(_) => server.unlock(&address).await.map(|()| told(on, "unlocked", UNLOCKED)),
        Admin::ForgetDevices(_) => {
            server.forget_devices(&address).await.map(|()| told(on, "devices_forgotten", FORGOTTEN))
        }
    };
    Ok(done.map_or_else(|_| Outcome::StoreFailed(FAILED.to_owned()), Outcome::Done))
}

/// A server on the store of the hosts, or why the store can't be opened.
enum Opened {
    Server(Box<Server>),
    NoStore(crate::store::StoreError),
}

/// A server on the store of the hosts. It serves nobody, and creates no table.
async fn server(args: &Args) -> Result<Opened, ConfigError> {
    let of_serving = [
        ("--check", args.check),
        ("--new-keys", args.new_keys),
        ("--outbox", args.outbox.is_some()),
        ("--listen", args.listen.is_some()),
        ("--guard", args.guard.is_some()),
    ];
    if let Some((name, _)) = of_serving.into_iter().find(|(_, is_given)| *is_given) {
        return Err(ConfigError::new(name, "it is for a host that serves, and does not go with admin"));
    }
    match (&args.config, args.demo) {
        (Some(_), false) => {}
        (None, true) if args.secret.is_none() => {
            return Err(ConfigError::new("--secret", "the demo needs the one that its processes have"));
        }
        (None, true) if args.issuer.is_none() => {
            return Err(ConfigError::new(
                "--issuer",
                "the demo needs that of its processes; their records are kept by it",
            ));
        }
        (None, true) => {}
        _ => return Err(ConfigError::new("admin", "either --config FILE or --demo says where the records are")),
    }
    let (config, keys) = configuration(args).await?;
    let url = config.store.read("store", &config)?;
    config::check_database_url("store", &url)?;
    if AnyStore::kind_of(url.expose()).at("store")? == "memory" {
        return Err(ConfigError::new("store", IN_MEMORY));
    }
    let settings = config::settings(&config)?;
    let store = match AnyStore::open(&url, false).await {
        Ok(store) => Arc::new(store),
        Err(error) => return Ok(Opened::NoStore(error)),
    };
    let directory = directory::read_without_users(&config)?;
    AuthorizationServer::builder(config::issuer(&config)?, keys.keyring, keys.signing)
        .settings(settings)
        .observer(otp_grant::observer::TracingObserver)
        .build(Measured::new(store, Metrics::new(Default::default()).store), directory)
        .at("the configuration")
        .map(|server| Opened::Server(Box::new(server)))
}

/// Reads an address as the endpoints do.
fn read(policy: &AddressPolicy, on: &AddressArgs) -> Result<Address, ConfigError> {
    if on.address.contains('@') {
        policy.email(&on.address).map(Address::Email).at("ADDRESS")
    } else {
        policy.phone_number(&on.address).map(Address::Phone).at("ADDRESS")
    }
}

fn told(on: &AddressArgs, member: &str, text: &str) -> String {
    if on.json { json!({ member: true }).to_string() } else { text.to_owned() }
}

fn explain_as_json(state: &AddressState) -> Value {
    let at = |instant: Timestamp| instant.as_unix_millis();
    let budget = |budget: &BudgetState| json!({ "left": budget.left, "available_at": budget.available_at.map(at) });
    let challenges = state.challenges.iter().map(|challenge| {
        json!({
            "code_expires_at": at(challenge.code_expires_at),
            "expires_at": at(challenge.expires_at),
            "guesses_left": challenge.guesses_left,
        })
    });
    let devices = state.devices.iter().map(|device| {
        json!({
            "known_until": at(device.known_until),
            "guesses": budget(&device.guesses),
            "sends": budget(&device.sends),
        })
    });
    json!({
        "is_locked": state.is_locked(),
        "guesses": budget(&state.guesses),
        "sends": budget(&state.sends),
        "challenges": challenges.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
    })
}

/// The state of an address, in words.
struct Explained<'a> {
    state: &'a AddressState,
    now: Timestamp,
}

impl Explained<'_> {
    /// What is left of a budget, and when there is more.
    fn left(&self, budget: &BudgetState) -> String {
        match (budget.left, budget.available_at) {
            (None, _) => "not limited".to_owned(),
            (Some(0), Some(again)) => format!("none, again at {}", self.at(again)),
            (Some(left), _) => left.to_string(),
        }
    }

    fn at(&self, instant: Timestamp) -> String {
        match self.now.until(instant) {
            Duration::ZERO => format!("{} (over)", Utc(instant)),
            wait => format!("{} (in {})", Utc(instant), Rounded(wait)),
        }
    }
}

impl Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, .. } = self;
        match state.guesses.available_at.filter(|_| state.is_locked()) {
            Some(again) => writeln!(f, "The address is LOCKED until {}.", self.at(again))?,
            None => writeln!(f, "The address is not locked.")?,
        }
        writeln!(f, "  guesses left:  {}", self.left(&state.guesses))?;
        writeln!(f, "  messages left: {}", self.left(&state.sends))?;
        writeln!(f, "Challenges: {}", count(state.challenges.len()))?;
        for challenge in &state.challenges {
            let over = self.now.has_reached(challenge.code_expires_at);
            let until =
                if over { "expired".to_owned() } else { format!("good until {}", self.at(challenge.code_expires_at)) };
            writeln!(f, "  - its code is {until}; guesses left: {}", challenge.guesses_left)?;
        }
        let mut devices = String::new();
        for device in &state.devices {
            let (guesses, sends) = (self.left(&device.guesses), self.left(&device.sends));
            let until = self.at(device.known_until);
            writeln!(devices, "  - known until {until}; guesses left: {guesses}; messages left: {sends}")?;
        }
        writeln!(f, "Devices: {}", count(state.devices.len()))?;
        f.write_str(&devices)
    }
}

fn count(number: usize) -> String {
    if number == 0 { "none".to_owned() } else { number.to_string() }
}

const STORE_FAILED: u8 = 1;
const FAILED: &str = "it failed; the lines above say how";
const IN_MEMORY: &str = "records in memory belong to the process of the host, and no other process can read them; the hosts \
     need a store of redis, postgres or sqlite";
const UNLOCKED: &str = "The address has all its guesses and messages again. An attacker can lock it again; a user with a \
     remembered device can sign in all the same.";
const FORGOTTEN: &str = "The address knows no device any more.";
