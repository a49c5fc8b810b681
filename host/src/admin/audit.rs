//! The record of what support staff did: lines of the log, and of a file if `[audit]` names one.
//!
//! A command is in the file before it does anything. What can't be recorded is not done. A second line has its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use nix::unistd::{Uid, User};
use otp_grant::id::{RecordKey, SessionId};
use otp_grant::time::{Clock as _, SystemClock};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;

use super::{Admin, Outcome};
use crate::calendar::Rfc3339;
use crate::config::{At as _, Config, ConfigError};

/// The record of one command.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    /// The same in both lines of a command.
    id: String,
    #[serde(flatten)]
    who: Who,
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The hashed address, as in the log of the hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses_shown: Option<bool>,
    /// Which users were listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(skip)]
    file: Option<(PathBuf, File)>,
}

/// The users that a list was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub(super) prefix: String,
    pub(super) after: String,
    pub(super) status: String,
    pub(super) limit: u16,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a Record,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The account that runs the command.
#[derive(Debug, Serialize)]
struct Who {
    uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The account that logged in at this machine, which neither `sudo` nor `su` changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    login_uid: Option<u32>,
    /// What the environment says, which an account can set as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
}

impl Record {
    /// The record of a command, which is in no file yet.
    pub(super) fn new(admin: &Admin) -> Result<Self, ConfigError> {
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random).at("the operating system")?;
        Ok(Self {
            id: format!("{:016x}", u64::from_ne_bytes(random)),
            who: Who::of_this_process(),
            command: admin.name(),
            reason: admin.reason.as_deref().map(in_one_line),
            subject: None,
            session: None,
            address: None,
            addresses_shown: None,
            listed: None,
            changed: None,
            file: None,
        })
    }

    /// Opens the file that the configuration names.
    pub(super) fn open(&mut self, config: &Config) -> Result<(), ConfigError> {
        let Some(path) = &config.audit.file else { return Ok(()) };
        let path = config.folder.join(path);
        let failed = |what: &dyn std::fmt::Display| ConfigError::new(PLACE, format_args!("{}: {what}", path.display()));
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(failed(&"not a file"));
        }
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(failed(&"other accounts can change it; chmod 600 makes it a record"));
        }
        self.file = Some((path, file));
        Ok(())
    }

    pub(super) fn is_about_subject(&mut self, subject: &str) {
        self.subject = Some(subject.to_owned());
    }

    pub(super) fn is_about_session(&mut self, session: SessionId) {
        self.session = Some(session.into());
    }

    pub(super) fn is_about_address(&mut self, key: RecordKey) {
        self.address = Some(key.into());
    }

    pub(super) fn shows_addresses(&mut self) {
        self.addresses_shown = Some(true);
    }

    pub(super) fn lists(&mut self, listed: Listed) {
        self.listed = Some(listed);
    }

    /// Says whether anything was done.
    pub(super) fn has_changed(&mut self, changed: bool) {
        self.changed = Some(changed);
    }

    /// Writes that the command begins. What it is about must be known. If this fails, it must not be done.
    pub(super) fn begin(&mut self) -> Result<(), ConfigError> {
        self.append("begun", None)
    }

    /// Logs and writes how the command ended.
    pub(super) fn end(mut self, ended: Result<Outcome, ConfigError>) -> Result<Outcome, ConfigError> {
        let (outcome, why) = match &ended {
            Ok(Outcome::Done(_)) => ("done", None),
            Ok(Outcome::Refused(why)) => ("refused", Some(why.clone())),
            Ok(Outcome::Failed(why)) => ("failed", Some(why.clone())),
            Err(error) => ("refused", Some(error.to_string())),
        };
        self.log(outcome, why.as_deref());
        match (self.append(outcome, why.as_deref()), ended) {
            (Err(error), Ok(Outcome::Done(_))) => {
                Ok(Outcome::Failed(format!("{error}; the command is done, and the file does not say so")))
            }
            // What can't be recorded is not answered either.
            (Err(error), Ok(_)) => Err(error),
            // The first failure is the one to mend.
            (_, ended) => ended,
        }
    }

    fn log(&self, outcome: &str, why: Option<&str>) {
        let Who { uid, user, login_uid, sudo_user } = &self.who;
        tracing::info!(
            target: TARGET,
            id = self.id,
            command = self.command,
            outcome,
            changed = self.changed,
            subject = self.subject.as_deref(),
            session = self.session.as_deref(),
            address = self.address.as_deref(),
            addresses_shown = self.addresses_shown,
            listed = self.listed.as_ref().map(tracing::field::debug),
            reason = self.reason.as_deref(),
            uid,
            user = user.as_deref(),
            login_uid = *login_uid,
            sudo_user = sudo_user.as_deref(),
            why,
            "admin"
        );
    }

    /// Appends a line to the file, in one write, and waits until it is on the disk.
    fn append(&mut self, outcome: &str, why: Option<&str>) -> Result<(), ConfigError> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let line = Line { time: Rfc3339(SystemClock.now()).to_string(), record: self, outcome, why };
        let written = serde_json::to_vec(&line).map_err(io::Error::other).and_then(|mut line| {
            line.push(b'\n');
            let mut file = file;
            file.write_all(&line)?;
            file.sync_data()
        });
        written.map_err(|error| ConfigError::new(PLACE, format_args!("{}: {error}", path.display())))
    }
}

impl Who {
    fn of_this_process() -> Self {
        let uid = Uid::current();
        let login_uid = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|uid| uid.trim().parse().ok());
        Self {
            uid: uid.as_raw(),
            user: User::from_uid(uid).ok().flatten().map(|user| user.name),
            // The largest number stands for no login, as in a service.
            login_uid: login_uid.filter(|uid| *uid != u32::MAX),
            sudo_user: std::env::var("SUDO_USER").ok().as_deref().map(in_one_line),
        }
    }
}

/// A text of the command line or the environment without what could break or turn a line: such characters are replaced.
fn in_one_line(text: &str) -> String {
    let breaks = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if breaks(letter) { '\u{fffd}' } else { letter }).collect()
}

/// The target of the lines in the log, which are written at every level.
pub(crate) const TARGET: &str = "otp_grant_host::audit";
const PLACE: &str = "audit.file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_in_its_line() {
        let replaced = "a\u{fffd}b";
        for breaking in ['\n', '\r', '\u{1b}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}'] {
            assert_eq!(in_one_line(&format!("a{breaking}b")), replaced, "{breaking:?}");
        }
        assert_eq!(in_one_line("ticket 4711: Müller, 山田"), "ticket 4711: Müller, 山田");
    }
}
