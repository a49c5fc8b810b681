//! What support staff ask, and do for users, beside hosts that run: `otp-grant-host admin`.

mod addresses;
mod args;
mod audit;
mod records;
mod sessions;
mod users;

use std::process::ExitCode;

use otp_grant::{Address, AddressPolicy};

use crate::args::Args;
use crate::config::{At as _, Config, ConfigError};
use crate::configuration;
pub(crate) use args::Admin;
use args::Noun;
use audit::Record;
pub(crate) use audit::TARGET as AUDIT;
use records::Records;

/// What became of a command.
pub(crate) enum Outcome {
    /// The answer, for standard output.
    Done(String),
    /// It can't be done, for this reason.
    Refused(String),
    /// The store or the table failed.
    Failed(String),
}

impl Outcome {
    /// Tells the operator, and returns the exit code of the process.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Self::Done(answer) => {
                println!("{}", answer.trim_end());
                ExitCode::SUCCESS
            }
            Self::Refused(reason) => {
                eprintln!("{reason}");
                ExitCode::from(REFUSED)
            }
            Self::Failed(error) => {
                eprintln!("{error}");
                ExitCode::from(FAILED)
            }
        }
    }
}

/// Does what the command line asks, and records it. An error is one of the arguments or the settings.
pub(crate) async fn run(args: &Args, admin: &Admin) -> Result<Outcome, ConfigError> {
    let mut record = Record::new(admin)?;
    let ended = act(args, admin, &mut record).await;
    record.end(ended)
}

async fn act(args: &Args, admin: &Admin, record: &mut Record) -> Result<Outcome, ConfigError> {
    check_arguments(args)?;
    let (config, keys) = configuration(args).await?;
    record.open(&config)?;
    let records = Records::new(&config, keys)?;
    let desk = Desk { config: &config, records: &records, record, json: admin.json };
    match &admin.noun {
        Noun::Addresses(command) => addresses::run(desk, command).await,
        Noun::Sessions(command) => sessions::run(desk, command).await,
        Noun::Users(command) => users::run(desk, command, args).await,
    }
}

/// What every command works with.
struct Desk<'a> {
    config: &'a Config,
    records: &'a Records,
    record: &'a mut Record,
    json: bool,
}

impl Desk<'_> {
    /// Opens the store of the hosts. An outcome is why there is none.
    async fn open_store(&self) -> Result<Option<Outcome>, ConfigError> {
        let opened = self.records.open(self.config).await?;
        Ok(opened.err().map(|error| Outcome::Failed(format!("store: {error}"))))
    }
}

/// An option of a host that serves has no effect here. A store must be named.
fn check_arguments(args: &Args) -> Result<(), ConfigError> {
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
        (Some(_), false) => Ok(()),
        (None, true) if args.secret.is_none() => {
            Err(ConfigError::new("--secret", "the demo needs the one that its processes have"))
        }
        (None, true) if args.issuer.is_none() => {
            let what = "the demo needs that of its processes; their records are kept by it";
            Err(ConfigError::new("--issuer", what))
        }
        (None, true) => Ok(()),
        _ => Err(ConfigError::new("admin", "either --config FILE or --demo says where the records are")),
    }
}

/// An argument, or the line of standard input that `-` stands for.
fn text_of(argument: &str, place: &str) -> Result<String, ConfigError> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).at(place)?;
    Ok(line.trim().to_owned())
}

/// Reads an address as the endpoints do.
fn read_address(policy: &AddressPolicy, text: &str) -> Result<Address, ConfigError> {
    if text.contains('@') {
        policy.email(text).map(Address::Email).at("ADDRESS")
    } else {
        policy.phone_number(text).map(Address::Phone).at("ADDRESS")
    }
}

const FAILED: u8 = 1;
const REFUSED: u8 = 3;
const UNAVAILABLE: &str = "store: it failed; the lines above say how";
