//! The command line of `admin`.

use clap::{Subcommand, ValueEnum};

/// What support staff ask for, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    pub(super) noun: Noun,

    /// Why, for the record: a ticket, at most 200 characters. No phone number and no e-mail address.
    #[arg(long, value_name = "TEXT", global = true, value_parser = read_reason)]
    pub(super) reason: Option<String>,

    /// Answer with one line of JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What a command is about.
#[derive(Debug, Subcommand)]
pub(super) enum Noun {
    /// The users of the table: list, show, lock, unlock, sign out.
    #[command(subcommand)]
    Users(Users),
    /// Sessions: end one.
    #[command(subcommand)]
    Sessions(Sessions),
    /// Phone numbers and e-mail addresses: what they have left, unlock, forget devices.
    #[command(subcommand)]
    Addresses(Addresses),
}

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// List the users, in the order of their subjects.
    List(ListArgs),
    /// Show one user.
    Show(ShowArgs),
    /// Lock an active user, who can then neither log in nor refresh.
    Lock(SubjectArgs),
    /// Make a locked user active again.
    Unlock(SubjectArgs),
    /// End every session of a user. The user can log in again.
    SignOut(SubjectArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// End one session, with every token of it.
    End {
        /// The `sid` of introspection and of ID tokens, and the `session` of the log.
        // One of 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        session_id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Addresses {
    /// Say what an address has left: guesses, messages, live codes and devices. It shows no code.
    Explain(AddressArgs),
    /// Clear the counted guesses and messages of an address and of its devices. The guesses of each code still count.
    Unlock(AddressArgs),
    /// Make an address forget its devices, after one was lost or stolen.
    ForgetDevices(AddressArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only users of this status.
    #[arg(long, value_enum)]
    pub(super) status: Option<Status>,

    /// Only users whose subject begins with this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) prefix: String,

    /// Only users behind this subject: the last one of the page before.
    #[arg(long, value_name = "SUBJECT", default_value = "")]
    pub(super) after: String,

    /// How many users at most.
    #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,

    /// Show phone numbers and e-mail addresses in full.
    #[arg(long)]
    pub(super) show_addresses: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// A subject, or else a phone number or an e-mail address, as users enter it. `-` reads it from standard input.
    #[arg(value_name = "SUBJECT|ADDRESS")]
    pub(super) user: String,

    /// Show phone numbers and e-mail addresses in full.
    #[arg(long)]
    pub(super) show_addresses: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SubjectArgs {
    /// The `sub` of tokens.
    pub(super) subject: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddressArgs {
    /// A phone number or an e-mail address, as users enter it. `-` reads it from standard input: other accounts of this
    /// machine can see the arguments of a command.
    pub(super) address: String,
}

/// The status of a user.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Status {
    Active,
    Locked,
    Frozen,
    Inactive,
}

impl Status {
    /// The name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Frozen => "frozen",
            Self::Inactive => "inactive",
        }
    }
}

impl Admin {
    /// The name of the command, for the record.
    pub(super) fn name(&self) -> &'static str {
        match &self.noun {
            Noun::Users(Users::List(_)) => "users list",
            Noun::Users(Users::Show(_)) => "users show",
            Noun::Users(Users::Lock(_)) => "users lock",
            Noun::Users(Users::Unlock(_)) => "users unlock",
            Noun::Users(Users::SignOut(_)) => "users sign-out",
            Noun::Sessions(Sessions::End { .. }) => "sessions end",
            Noun::Addresses(Addresses::Explain(_)) => "addresses explain",
            Noun::Addresses(Addresses::Unlock(_)) => "addresses unlock",
            Noun::Addresses(Addresses::ForgetDevices(_)) => "addresses forget-devices",
        }
    }
}

fn read_reason(text: &str) -> Result<String, &'static str> {
    let is_short = (1..=LONGEST_REASON).contains(&text.chars().count());
    let is_line = !text.chars().any(char::is_control);
    if is_short && is_line { Ok(text.to_owned()) } else { Err("one line of at most 200 characters") }
}

const LONGEST_REASON: usize = 200;
