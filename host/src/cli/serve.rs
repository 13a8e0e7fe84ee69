//! `pipepost serve`.

mod options;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) use options::ServeOptions;
use pipepost::net::SignInObserver;
use pipepost::serve::{CurrentHost, HostOperator, MetricsObserver, ServedHost};
use pipepost::state::CommitObserver;
use pipepost::{FailureKind, shutdown};
use pipepost_serve::listen::{HostNames, HttpLimits, ListenError, Listener, Protection};
use pipepost_serve::metrics::Metrics;
use pipepost_serve::tokens::{TokenFile, Tokens};
use pipepost_serve::{Operating, Service, ServiceManager, Settings, StartError};
use tokio::sync::watch;
use url::Url;

use super::error::CliError;
use super::logging::{answer, say};
use super::setup;
use super::signals::{Reload, Signals};

/// How long answers may take to be read at the very end.
const CLOSING: Duration = Duration::from_secs(1);

/// How often the file of tokens is looked at.
const TOKENS_INTERVAL: Duration = Duration::from_secs(2);

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
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let state = super::state::open_observed(
        options.state.clone(),
        Some(Arc::clone(&metrics) as Arc<dyn CommitObserver>),
    )?;
    let store = Arc::clone(&state.store);
    let observer = Arc::new(MetricsObserver::new(Arc::clone(&metrics)));
    let host = setup::builder_in(&options.host, Some(&state))?
        .state(Arc::clone(&store))
        .sign_in_observer(Arc::clone(&observer) as Arc<dyn SignInObserver>)
        .stop_observer(observer)
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
    let protection = protection(&options);
    let triggers = bind(&options.listen, &protection, "--listen").await?;
    let admin = bind(&options.admin, &protection, "--admin").await?;
    let public = public_urls(&options.public_url)?;
    let callback = public
        .first()
        .map_or_else(|| admin.url(), |url| url.as_str().trim_end_matches('/').to_owned());
    let names = HostNames::new(public.iter().filter_map(|url| url.host_str()).map(str::to_owned));
    let settings = Settings {
        directory: options.directory.clone(),
        concurrency: options.concurrency.into(),
        queue_max: options.queue,
        keep: DAY * u32::from(options.keep),
        keep_payloads: DAY * u32::from(options.keep_payloads),
        callback: Some(format!("{callback}/oauth/callback")),
        public_pipelines: setup::policy(options.host.policy.as_deref())?
            .public_pipelines()
            .clone(),
    };
    let served = Arc::new(ServedHost::new(current, globals));
    let operating = Operating {
        operator: Arc::new(operator),
        ledger: store.reader(),
        metrics,
    };
    let service = tokio::select! {
        // Nothing of it has begun.
        () = signals.next() => return Ok(0),
        started = Service::start(settings, served, store.runs(), tokens, operating) => started.map_err(not_started)?,
    };
    let (stop, stopped) = watch::channel(false);
    let mut listeners = Vec::new();
    let mut lines = Vec::new();
    for (name, listener, routes) in [
        ("triggers", triggers, service.trigger_routes()),
        ("admin", admin, service.admin_routes()),
    ] {
        lines.push(format!("{name:<9} {}", listener.url()));
        let mut stopped = stopped.clone();
        let stopped = async move {
            // An error means that nobody can say it any more.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        listeners.push(tokio::spawn(listener.serve(routes, names.clone(), stopped, CLOSING)));
    }
    if let Some(token) = &ephemeral {
        lines.push(format!(
            "{:<9} {}  (for this process only; `pipepost tokens add` makes lasting ones)",
            "token",
            token.expose()
        ));
    }
    let directory = service.pipelines().current();
    let served = directory.pipelines.len();
    let not_served = match directory.problems.len() {
        0 => String::new(),
        1 => "; 1 document is not served".to_owned(),
        count => format!("; {count} documents are not served"),
    };
    lines.push(format!(
        "ready     {served} pipelines of {}{not_served}",
        options.directory.display()
    ));
    for line in &lines {
        answer(line).map_err(|error| CliError::io("standard output", &error))?;
    }
    manager.ready(&format!("serving {served} pipelines"));
    if let Some(path) = options.tokens {
        tokio::spawn(watch_tokens(Arc::clone(&service), path));
    }
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
        if let Err(error) = listener.await {
            tracing::warn!(%error, "a listener ended early");
        }
    }
    host.close().await;
    // What goes on behind the service holds the state until the process is over.
    store.end().await;
    Ok(0)
}

/// Takes the tokens of the file again when it changed, so that a removed one is not taken any more.
async fn watch_tokens(service: Arc<Service>, path: PathBuf) {
    let about = |path: &Path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok(), about.len()))
    };
    let mut before = about(&path);
    let mut complained_of = None;
    loop {
        tokio::time::sleep(TOKENS_INTERVAL).await;
        let now = about(&path);
        if now == before {
            continue;
        }
        match TokenFile::new(&path).load() {
            Ok(tokens) => {
                service.set_tokens(tokens);
                before = now;
            }
            // Perhaps the next look finds it whole again. It is said once.
            Err(_) if complained_of == Some(now) => {}
            Err(error) => {
                tracing::warn!(%error, "the tokens stay as they were");
                complained_of = Some(now);
            }
        }
    }
}

/// Waits for the signal to end. SIGHUP reads the accounts and the directory anew.
async fn wait(service: &Arc<Service>, signals: &mut Signals, mut reload: Reload, manager: &ServiceManager) {
    let watchdog = manager.watchdog_interval();
    loop {
        tokio::select! {
            () = signals.next() => return,
            () = reload.next() => {
                manager.reloading();
                // A file that is never read to its end must not keep the service from ending.
                tokio::select! {
                    () = signals.next() => return,
                    () = service.reload() => manager.ready("serving"),
                }
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
    let directory = &options.directory;
    if directory.is_dir() {
        return Ok(());
    }
    if directory.exists() {
        let around = directory.parent().filter(|around| !around.as_os_str().is_empty());
        let around = around.unwrap_or_else(|| Path::new("."));
        return Err(CliError::no_directory(format!(
            "`{}` is a file, and `pipepost serve` takes a directory: `pipepost serve {}` serves all that is in it.",
            directory.display(),
            around.display()
        )));
    }
    let error = std::io::ErrorKind::NotFound.into();
    Err(CliError::no_input("directory", directory, &error))
}

/// What protects the traffic of both listeners.
fn protection(options: &ServeOptions) -> Protection {
    match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Protection::Tls {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        _ if options.behind_proxy => Protection::BehindProxy,
        _ => Protection::Loopback,
    }
}

fn public_urls(urls: &[String]) -> Result<Vec<Url>, CliError> {
    let parsed = |text: &String| {
        let url = Url::parse(text).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| {
                CliError::usage(format!(
                    "`{text}` is not an address such as https://pipepost.example.com; correct --public-url."
                ))
            })
    };
    urls.iter().map(parsed).collect()
}

async fn bind(address: &str, protection: &Protection, flag: &str) -> Result<Listener, CliError> {
    let bound = Listener::bind(address, protection, HttpLimits::default()).await;
    bound.map_err(|error| {
        let cure = match &error {
            ListenError::Unprotected(_) => {
                format!(
                    " Name --tls-cert and --tls-key, or say --behind-proxy, or name a loopback address with {flag}."
                )
            }
            ListenError::Taken(_) | ListenError::NotPermitted(_) => format!(" {flag} names it."),
            ListenError::Address { .. } => format!(" Correct {flag}."),
            _ => String::new(),
        };
        CliError::new(error.kind(), format!("{error}{cure}"))
    })
}

fn not_started(error: StartError) -> CliError {
    match error {
        StartError::State(error) => error.into(),
        StartError::Directory { .. } => CliError::new(FailureKind::Configuration, error.to_string()),
    }
}
