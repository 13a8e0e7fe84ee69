//! `pipepost serve`.

mod options;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) use options::ServeOptions;
use pipepost::serve::{CurrentHost, HostOperator, ServedHost};
use pipepost::state::StateStore as _;
use pipepost::{FailureKind, shutdown};
use pipepost_serve::metrics::Metrics;
use pipepost_serve::tokens::{TokenFile, Tokens};
use pipepost_serve::{Operating, Service, ServiceManager, Settings, StartError};
use pipepost_state_sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::error::CliError;
use super::logging::{answer, say};
use super::setup;
use super::signals::{Reload, Signals};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn execute(options: ServeOptions) -> Result<u8, CliError> {
    check(&options)?;
    let mut signals = Signals::listen().map_err(|error| CliError::io("signals", &error))?;
    // Before it says that it is ready: without somebody who listens, the signal would end the process.
    let reload = super::signals::reload();
    let manager = ServiceManager::from_environment().unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager is not told anything");
        ServiceManager::absent()
    });
    let globals = setup::globals(&options.globals)?;
    let store = SqliteStore::new(super::ledger::directory(options.state.clone())?);
    let host = setup::builder_in(&options.host, options.state.as_deref())?
        .state(Arc::new(store.clone()))
        .build()
        .await
        .inspect(setup::tell_replaced)?;
    let host = Arc::new(host);
    let current = CurrentHost::new(Arc::clone(&host));
    let operator = HostOperator::new(current.clone(), setup::sources(&options.host)?, globals.clone());
    let (tokens, ephemeral) = match &options.tokens {
        Some(path) => {
            let tokens = TokenFile::new(path).load();
            let tokens = tokens.map_err(|error| CliError::new(FailureKind::Configuration, error.to_string()))?;
            (tokens, None)
        }
        None => {
            let made = Tokens::ephemeral();
            let (tokens, token) = made.map_err(|error| CliError::new(FailureKind::Configuration, error.to_string()))?;
            (tokens, Some(token))
        }
    };
    let triggers = bind(options.listen, "--listen").await?;
    let admin = bind(options.admin, "--admin").await?;
    let settings = Settings {
        directory: options.directory.clone(),
        concurrency: options.concurrency.into(),
        queue_max: options.queue,
        keep: DAY * u32::from(options.keep),
        keep_payloads: DAY * u32::from(options.keep_payloads),
        callback: admin
            .local_addr()
            .ok()
            .map(|address| format!("http://{address}/oauth/callback")),
        allow_public: false,
    };
    let served = Arc::new(ServedHost::new(current, globals));
    let operating = Operating {
        operator: Arc::new(operator),
        ledger: store.reader(),
        metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
    };
    let service = Service::start(settings, served, store.runs(), tokens, operating)
        .await
        .map_err(not_started)?;
    let (stop, stopped) = watch::channel(false);
    let mut listeners = Vec::new();
    let mut lines = Vec::new();
    for (name, listener, routes) in [
        ("triggers", triggers, service.trigger_routes()),
        ("admin", admin, service.admin_routes()),
    ] {
        let address = listener.local_addr().map_err(|error| CliError::io(name, &error))?;
        lines.push(format!("{name:<9} http://{address}"));
        listeners.push(tokio::spawn(pipepost_serve::service::listen(
            listener,
            routes,
            stopped.clone(),
        )));
    }
    if let Some(token) = &ephemeral {
        lines.push(format!(
            "{:<9} {}  (for this process only; `pipepost tokens add` makes lasting ones)",
            "token",
            token.expose()
        ));
    }
    let served = service.pipelines().current().pipelines.len();
    lines.push(format!(
        "ready     {served} pipelines of {}",
        options.directory.display()
    ));
    for line in &lines {
        answer(line).map_err(|error| CliError::io("standard output", &error))?;
    }
    manager.ready(&format!("serving {served} pipelines"));
    wait(&service, &mut signals, reload, &manager).await;
    manager.stopping("ending: runs under way get time to end");
    say("pipepost: ending: nothing new begins; waiting for the runs under way. Again to end at once.");
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(i32::from(pipepost::exit_code(FailureKind::Transient)));
    });
    service
        .end(Duration::from_secs(options.drain.into()), shutdown::GRACE)
        .await;
    // An error means that nobody listens any more.
    let _ = stop.send(true);
    for listener in listeners {
        // A caller that keeps its connection open does not keep the process.
        if tokio::time::timeout(Duration::from_secs(1), listener).await.is_err() {
            tracing::debug!("connections were open at the end");
        }
    }
    host.close().await;
    Ok(0)
}

/// Waits for the signal to end. SIGHUP reads the directory anew.
async fn wait(service: &Arc<Service>, signals: &mut Signals, mut reload: Reload, manager: &ServiceManager) {
    let watchdog = manager.watchdog_interval();
    loop {
        tokio::select! {
            () = signals.next() => return,
            () = reload.next() => {
                manager.reloading();
                service.reload().await;
                manager.ready("serving");
            }
            () = alive(watchdog) => manager.alive(),
        }
    }
}

/// The moment to tell the service manager that the process turns.
async fn alive(interval: Option<Duration>) {
    match interval {
        Some(interval) => tokio::time::sleep(interval).await,
        None => std::future::pending().await,
    }
}

/// What was typed.
fn check(options: &ServeOptions) -> Result<(), CliError> {
    if !options.directory.is_dir() {
        return Err(CliError::no_input(
            "directory",
            &options.directory,
            &std::io::ErrorKind::NotFound.into(),
        ));
    }
    for (flag, address) in [("--listen", options.listen), ("--admin", options.admin)] {
        if !address.ip().is_loopback() && !options.behind_proxy {
            let sentence = format!(
                "{flag} {address} is not a loopback address, and tokens would cross the network in clear: \
                 let a proxy speak TLS and say --behind-proxy, or listen on 127.0.0.1."
            );
            return Err(CliError::new(FailureKind::Configuration, sentence));
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence = format!("Nothing can listen at {address}: {error}. Name another address with {flag}.");
        CliError::new(FailureKind::Configuration, sentence)
    })
}

fn not_started(error: StartError) -> CliError {
    match error {
        StartError::State(error) => error.into(),
        StartError::Directory { .. } => CliError::new(FailureKind::Configuration, error.to_string()),
    }
}
