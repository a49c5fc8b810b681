//! The record of what support staff did: the members of `[audit]`.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the commands of `admin` are recorded, besides the log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    pub(crate) file: Option<PathBuf>,
}
