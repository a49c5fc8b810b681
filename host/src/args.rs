//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::admin::Admin;
use crate::logs::{LogFormat, LogLevel};

/// Logs users in with one-time codes, and issues OAuth 2.0 and OpenID Connect tokens for them.
#[derive(Debug, Parser)]
#[command(
    name = "otp-grant-host",
    version,
    group = ArgGroup::new("mode").required(true).args(["config", "demo"]),
    subcommand_negates_reqs = true
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// Serve sample clients and users without a file, and print codes here. Never where others can reach it.
    #[arg(long, global = true)]
    pub(crate) demo: bool,

    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// The issuer of tokens.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) issuer: Option<String>,

    /// Where records are kept: memory, redis://…, redis+sentinel://…, redis+cluster://…, postgres://… or sqlite:…
    #[arg(long, value_name = "URL", env = "OTP_GRANT_STORE", hide_env_values = true, global = true)]
    pub(crate) store: Option<String>,

    /// Append each code to this file, as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) outbox: Option<PathBuf>,

    /// How logs are written, on standard error.
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub(crate) log: LogFormat,

    /// How much is logged.
    #[arg(long, value_enum, default_value = "info", global = true)]
    pub(crate) log_level: LogLevel,

    /// Check the configuration, keys and all, and stop. Databases are not asked.
    #[arg(long)]
    pub(crate) check: bool,

    /// The secrets in `keys` were replaced on purpose, or a secret has leaked: the keys of other processes on the store
    /// do not count any more. For the first start with the new keys, not for every start.
    #[arg(long, conflicts_with = "check")]
    pub(crate) new_keys: bool,

    /// The algorithm of the demo's key, which is made now.
    #[arg(long, value_enum, conflicts_with_all = ["config", "key"])]
    pub(crate) alg: Option<Alg>,

    /// The demo's signing key.
    #[arg(long, value_name = "FILE.pem", conflicts_with = "config")]
    pub(crate) key: Option<PathBuf>,

    /// The public key of the demo's KEYED_CLIENT_ID, as a JWK. Without it there is no such client.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) keyed_client_jwk: Option<PathBuf>,

    /// The demo's master key, for several processes on one store: `openssl rand -base64 32`.
    #[arg(long, value_name = "BASE64", env = "OTP_GRANT_DEMO_SECRET", hide_env_values = true, global = true)]
    pub(crate) secret: Option<String>,

    /// Whether the demo limits how often an address is sent to.
    #[arg(long, value_enum, conflicts_with = "config")]
    pub(crate) send_quota: Option<Switch>,

    /// Whether the demo guards messages. Its header X-Send-Verdict has the verdict: allow, challenge, refuse or none.
    #[arg(long, value_enum, conflicts_with = "config")]
    pub(crate) guard: Option<GuardArg>,
}

impl Args {
    /// Reads the command line.
    pub(crate) fn read() -> Self {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        if let Some(wrong) = chooses_twice(&arguments) {
            Self::command().error(ErrorKind::ArgumentConflict, wrong).exit();
        }
        Self::parse()
    }
}

/// Says which setting is chosen twice: before `admin` and behind it.
///
/// A rule of `sudo` can end with `--config FILE admin *`. Who may run it must not reach another store behind `admin`,
/// nor leave the record of this file.
fn chooses_twice(arguments: &[OsString]) -> Option<String> {
    let count = |arguments: &[OsString], name: &str| {
        let is_it = |argument: &OsString| {
            let rest = argument.to_str().and_then(|text| text.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        arguments.iter().filter(|argument| is_it(argument)).count()
    };
    let (before, behind) = arguments.split_at(arguments.iter().position(|argument| argument == "admin")?);
    let names = ["--config", "--store", "--issuer", "--secret", "--demo"];
    let is_fixed = count(before, "--config") > 0;
    let twice = names.into_iter().find(|name| count(arguments, name) > 1);
    let other = names.into_iter().find(|name| is_fixed && count(behind, name) > 0);
    twice
        .map(|name| format!("{name} is given twice"))
        .or_else(|| other.map(|name| format!("{name} can't stand behind admin, because --config stands before it")))
}

/// What the host does besides serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What support staff can ask, and do for users. The hosts can be running.
    ///
    /// Needs the keys and databases of the hosts: --config as for the host, or --demo with --store, --secret and
    /// --issuer. `users` needs the table of users; `sessions` and `addresses` need a store that is not memory. Each
    /// command is recorded in the log, and in the file that `audit.file` names.
    ///
    /// Exits with 0 when it is done, with 1 when a database failed, with 2 when the arguments or the settings are
    /// wrong, and with 3 when the command can't be done, for instance because there is no such user.
    #[command(verbatim_doc_comment)]
    Admin(Admin),
}

/// The send guard of the demo.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GuardArg {
    /// It counts, and logs what it would refuse.
    Observe,
    /// It refuses.
    Enforce,
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Alg {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "EdDSA")]
    EdDsa,
    #[value(name = "Ed25519")]
    Ed25519,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}
