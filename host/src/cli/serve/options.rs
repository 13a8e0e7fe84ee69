//! The flags of `pipepost serve`.

use std::path::PathBuf;

use clap::Args;

use super::super::arguments::{Globals, HostOptions};

#[derive(Debug, Args)]
pub(in super::super) struct ServeOptions {
    /// The directory of pipelines (*.json) and their templates
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// Where requests start pipelines; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8725", env = "PIPEPOST_LISTEN")]
    pub(super) listen: String,
    /// Where the API for operators is; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8726", env = "PIPEPOST_ADMIN")]
    pub(super) admin: String,
    /// The file of tokens, as `pipepost tokens add` makes it; without one, a token for this process is printed
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TOKENS")]
    pub(super) tokens: Option<PathBuf>,
    /// The number of runs under way at once
    #[arg(long, value_name = "N", default_value_t = 32, env = "PIPEPOST_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) concurrency: u16,
    /// The number of runs that wait at most; further requests are answered with 503
    #[arg(long, value_name = "N", default_value_t = 100_000, env = "PIPEPOST_QUEUE")]
    pub(super) queue: u64,
    /// How many days a run is kept after its end
    #[arg(long, value_name = "DAYS", default_value_t = 30, env = "PIPEPOST_KEEP_RUNS")]
    pub(super) keep: u16,
    /// How many days a run's message and output are kept after its end
    #[arg(long, value_name = "DAYS", default_value_t = 7, env = "PIPEPOST_KEEP_PAYLOADS")]
    pub(super) keep_payloads: u16,
    /// How many seconds the listeners still answer after SIGTERM, while runs end
    #[arg(long, value_name = "SECONDS", default_value_t = 5, env = "PIPEPOST_DRAIN")]
    pub(super) drain: u16,
    /// Something in front of the listeners speaks TLS: they may have addresses that are not loopback
    #[arg(long, env = "PIPEPOST_BEHIND_PROXY")]
    pub(super) behind_proxy: bool,
    /// The certificate that the listeners present, in PEM, with those that sign it
    #[arg(
        long,
        value_name = "FILE",
        env = "PIPEPOST_TLS_CERT",
        requires = "tls_key",
        conflicts_with = "behind_proxy"
    )]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TLS_KEY", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// The address by which callers reach the service, such as https://pipepost.example.com; its name is taken in `Host`
    /// headers, and providers send people back to it after a sign-in. May be given more than once
    #[arg(long, value_name = "URL", env = "PIPEPOST_PUBLIC_URL", value_delimiter = ',')]
    pub(super) public_url: Vec<String>,
    #[command(flatten)]
    pub(super) host: HostOptions,
    #[command(flatten)]
    pub(super) globals: Globals,
    /// Where runs, the ledger, limits and pauses are recorded, instead of the user's state directory
    #[arg(
        long,
        value_name = "DIR|postgres://…",
        env = "PIPEPOST_STATE",
        hide_env_values = true
    )]
    pub(super) state: Option<PathBuf>,
}
