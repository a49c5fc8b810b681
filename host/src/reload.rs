//! Reading the configuration again while the host runs (SIGHUP).

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::args::Args;
use crate::config::{self, Config, ConfigError, StartOnly};
use crate::server::{App, Host, Running};
use crate::start::{self, Keys};
use crate::{configuration, descriptors, lifecycle};

/// Replaces the configuration as a whole, or not at all.
pub(crate) struct Reload {
    args: Arc<Args>,
    start_only: Arc<StartOnly>,
    running: Arc<Running>,
}

impl Reload {
    /// A reload of the host that was started with these arguments and settings.
    pub(crate) fn new(args: Arc<Args>, start_only: StartOnly, running: Arc<Running>) -> Self {
        Self { args, start_only: Arc::new(start_only), running }
    }

    /// Reads the configuration, and serves by it from now on. If anything is wrong with it, says so in one line, and
    /// goes on with the old one.
    pub(crate) async fn run(&self) {
        if self.args.demo {
            return tracing::warn!("SIGHUP is ignored: the demo has no file to read again");
        }
        lifecycle::tell_reloading();
        let reloaded = self.host().await;
        let metrics = Arc::clone(&self.running.app().host.process.metrics);
        metrics.last_reload_successful.set(i64::from(reloaded.is_ok()));
        match reloaded {
            Ok(host) => {
                start::warn_of_signing_keys(&self.running.app().host, &host);
                self.running.replace(App::new(Arc::new(host)));
                tracing::info!("reloaded");
            }
            Err(error) => tracing::error!("not reloaded, the old configuration stays: {error}"),
        }
        lifecycle::tell_ready();
    }

    /// The host of the new configuration, with the process of the old.
    async fn host(&self) -> Result<Host, ConfigError> {
        let (args, start_only) = (Arc::clone(&self.args), Arc::clone(&self.start_only));
        let old = Arc::clone(&self.running.app().host);
        // Files can be slow, and a text kit takes a while. Neither may delay requests.
        let prepare = move || {
            let (mut config, keys) = Handle::current().block_on(read(&args, &start_only))?;
            descriptors::provide(&mut config);
            if config.limits.connections < old.limits.connections {
                return Err(ConfigError::new("limits.connections", TOO_FEW_DESCRIPTORS));
            }
            let settings = config::settings(&config)?;
            let host = start::host(&config, settings, keys, Arc::clone(&old.process), Some(&old))?;
            Ok((config, host))
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let (config, host) = prepared.map_err(|error| ConfigError::new("the reload", error))??;
        // Last, because it announces the keys to other processes.
        start::check_keyring(&host.server).await?;
        config.warnings.log();
        Ok(host)
    }
}

/// Reads the configuration as a start does, and compares what only a start can change.
async fn read(args: &Args, start_only: &StartOnly) -> Result<(Config, Keys), ConfigError> {
    let (config, keys) = configuration(args).await?;
    start_only.compare(&StartOnly::of(&config)?)?;
    config::add_warnings(&config);
    Ok((config, keys))
}

const TOO_FEW_DESCRIPTORS: &str = "more connections of [delivery] leave fewer file descriptors for clients than at the \
     start; restart the host";
