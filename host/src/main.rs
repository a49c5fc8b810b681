//! The reference host of otp-grant: a server that an operator can really run.

mod admin;
mod args;
mod calendar;
mod config;
mod delivery;
mod demo;
mod descriptors;
mod directory;
mod lifecycle;
mod logs;
mod metrics;
mod phone_numbers;
mod reload;
mod request_time;
mod server;
mod start;
mod store;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Args, Command};
use crate::config::{At as _, Config, ConfigError, Source, StartOnly};
use crate::lifecycle::Signals;
use crate::logs::Log;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::server::{App, Listener, Running};
use crate::start::Keys;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args = Arc::new(Args::read());
    let log = match Log::begin(args.log, args.log_level) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("--log: {error}");
            return ExitCode::from(2);
        }
    };
    // The delivery of messages and the databases speak TLS with this provider. The call can fail only if there is a
    // provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = runtime().and_then(|runtime| {
        let ended = runtime.block_on(async {
            match &args.command {
                Some(Command::Admin(admin)) => admin::run(&args, admin).await.map(Some),
                None => run(&args, Arc::new(Metrics::new(log.dropped()))).await.map(|()| None),
            }
        });
        // A reload that waits for a file must not keep the process.
        runtime.shutdown_background();
        ended
    });
    log.flush();
    match ended {
        Ok(outcome) => outcome.map_or(ExitCode::SUCCESS, |outcome| outcome.tell()),
        Err(error) => {
            // Not through the log: this is for the operator who typed the command, in whatever format logs are.
            eprintln!("{error}");
            ExitCode::from(if error.can_pass() { 1 } else { 2 })
        }
    }
}

/// With one core there is nothing to share among threads. A single thread takes requests in the order in which they
/// came, and what several of them ask of Redis at once goes there together.
fn runtime() -> Result<Runtime, ConfigError> {
    let mut builder = match std::thread::available_parallelism() {
        Ok(NonZeroUsize::MIN) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().at("the runtime")
}

async fn run(args: &Arc<Args>, metrics: Arc<Metrics>) -> Result<(), ConfigError> {
    let (mut config, keys) = configuration(args).await?;
    config::add_warnings(&config);
    if args.check {
        start::check(&config, keys, &metrics)?;
        config.warnings.log();
        println!("the configuration is good");
        return Ok(());
    }
    let start_only = StartOnly::of(&config)?;
    descriptors::provide(&mut config);
    let listener = Listener::open(config.listen).await?;
    let address = listener.address()?;
    let scraped = match config.metrics.listen {
        Some(listen) => Some(TcpListener::bind(listen).await.at("metrics.listen").map_err(ConfigError::that_can_pass)?),
        None => None,
    };
    if args.demo && args.issuer.is_none() {
        config.issuer = demo::issuer(address);
    }
    // The host handles signals before a client can see that it listens.
    let signals = Signals::handle()?;
    let started = start::start(config, keys, &metrics).await?;
    let store = &started.host.process.store;
    if store.is_shared() {
        demo::warn_of_unshared_keys(args);
    }
    if let Some(listener) = &scraped {
        let address = listener.local_addr().at("metrics.listen")?;
        tracing::info!(%address, "metrics are served");
        println!("metrics on http://{address}/metrics");
    }
    tracing::info!(%address, store = store.kind(), algorithm = %started.algorithm, "listening");
    println!("listening on http://{address} ({})", started.algorithm);
    if args.demo {
        if !address.ip().is_loopback() {
            tracing::warn!("the secrets of the demo are public, and others can reach this address");
        }
        println!("open http://{address} and sign in as 13612345678 or MOCK_USERNAME@example.com; codes appear here");
    }
    let process = Arc::clone(&started.host.process);
    let running = Arc::new(Running::new(App::new(Arc::new(started.host))));
    start::keep_checking_keyring(Arc::clone(&running));
    if let Some(listener) = scraped {
        tokio::spawn(metrics::serve(listener, Arc::clone(&process)));
    }
    let mut stop = signals.obey(Reload::new(Arc::clone(args), start_only, Arc::clone(&running)));
    lifecycle::tell_ready();
    let until = server::serve(listener, running, &mut stop).await;
    tokio::select! {
        () = process.queues.drain(until) => {}
        () = stop.requested_again() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// The configuration: that of the file or of the demo, with the replacements of the command line.
pub(crate) async fn configuration(args: &Args) -> Result<(Config, Keys), ConfigError> {
    let (mut config, mut keys) = match &args.config {
        Some(_) if args.secret.is_some() => {
            return Err(ConfigError::new("--secret", "it belongs to --demo; the file has its [keys]"));
        }
        Some(file) => {
            let config = Config::read(file)?;
            let keys = Keys::of(&config).await?;
            (config, keys)
        }
        None => demo::demo(args).await?,
    };
    keys.are_new |= args.new_keys;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(issuer) = &args.issuer {
        config.issuer.clone_from(issuer);
    }
    if let Some(store) = &args.store {
        config.store = Source::here(store);
    }
    if let Some(outbox) = &args.outbox {
        // Relative to where the command was typed, not to where the file lies.
        config.delivery.outbox = Some(std::path::absolute(outbox).at("--outbox")?);
    }
    Ok((config, keys))
}
