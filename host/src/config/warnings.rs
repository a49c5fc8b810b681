//! Settings that are allowed and probably a mistake. Each is logged in one line, once the configuration has no error.

use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Config, guard, network_limits};

/// Collects warnings while a configuration is read. An error is reported alone, without the warnings before it.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds a warning with its place. It repeats no secret.
    pub(crate) fn add(&self, place: &str, what: impl Display) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{place}: {what}"));
    }

    /// Logs the warnings, once.
    pub(crate) fn log(&self) {
        for warning in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            tracing::warn!("{warning}");
        }
    }

    /// Adds a warning where every account of the machine can write a file, or can read a secret file.
    pub(super) fn add_permissions(&self, place: &str, path: &Path, file: &File, is_secret: bool) {
        let Ok(metadata) = file.metadata() else { return };
        let mode = metadata.permissions().mode() & 0o777;
        let can = match (mode & 0o002 != 0, mode & 0o004 != 0 && is_secret) {
            (true, _) => "change",
            (false, true) => "read",
            (false, false) => return,
        };
        if metadata.is_file() {
            self.add(
                place,
                format_args!("every account of this machine can {can} {} (mode {mode:03o})", path.display()),
            );
        }
    }
}

/// Adds the warnings that follow from the configuration as a whole.
pub(crate) fn add_warnings(config: &Config) {
    let is_public = config.issuer.starts_with("https://");
    let delivery = &config.delivery;
    let of_routes = [("delivery.sms.console", &delivery.sms), ("delivery.email.console", &delivery.email)];
    let of_routes = of_routes.map(|(place, route)| (place, route.as_ref().is_some_and(|route| route.console)));
    for (place, prints) in [("delivery.console", delivery.console)].into_iter().chain(of_routes) {
        if prints && is_public {
            let what = "codes go to the standard output, and from there to wherever it is kept, such as a journal";
            config.warnings.add(place, what);
        }
    }
    if config.danger.without_send_quotas && is_public {
        config.warnings.add("danger.without_send_quotas", "any caller can have any number of messages sent");
    }
    guard::add_warnings(config);
    network_limits::add_warnings(config);
}
