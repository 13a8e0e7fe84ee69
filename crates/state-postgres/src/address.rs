//! Where the database is, from a `postgres://` address.
//!
//! The parts are libpq's, with three differences. Without `sslmode` the connection is encrypted and the server's name
//! verified, unless it stays on this machine; a mode that encrypts without asking who the server is does not exist. A
//! password may be a reference, `${file:PATH}` or `${env:NAME}`, so that none has to be on a command line. And `lease`
//! says for how many seconds a worker may be silent before the others take it for dead.

mod password;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// What such an address begins with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// How long a worker may be silent before the others take it for dead.
const LEASE: Duration = Duration::from_secs(30);

/// The longest bound of a wait for the server.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// How long to wait for a connection to one host.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Stands for a password that is a reference, while the address is parsed.
const PLACEHOLDER: &str = "reference";

/// The address of a database, with what opens it. Shows no password.
#[derive(Clone)]
pub struct Address {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    pub(crate) lease: Duration,
    place: String,
}

/// How the connection is protected.
#[derive(Debug, Clone)]
pub(crate) enum Tls {
    /// Not at all: it stays on this machine, or the address says so.
    Off,
    /// By TLS, with the server's name verified, by these authorities or by the system's.
    Verified(Vec<CertificateDer<'static>>),
}

/// The reason why an address cannot be used, as a sentence. It holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("place", &self.place)
            .field("tls", &matches!(self.tls, Tls::Verified(_)))
            .field("lease", &self.lease)
            .finish()
    }
}

impl Address {
    /// Returns whether a text is such an address, right or wrong.
    pub fn is_one(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address. Reads the files that it names, and the password file of libpq.
    ///
    /// # Errors
    /// Returns a sentence that says which part is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::parse_within(text, &|name| std::env::var(name).ok())
    }

    /// Reads an address, with these environment variables.
    fn parse_within(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, AddressError> {
        let (text, reference) = without_reference(text)?;
        let (rest, query) = text.split_once('?').unwrap_or((&text, ""));
        let own = Own::read(query)?;
        // Whatever follows the first one would be taken for a host, a database or a parameter, and shown.
        let names = own.others.iter().filter_map(|pair| pair.split('=').next());
        if rest.matches('@').count() > 1 || names.into_iter().any(|name| name.contains('@')) {
            return Err(AddressError(
                "The address of the database has more than one `@`; write %40 for one within the password or another part, %2F for `/` and %3F for `?`, or ${file:PATH} in the place of the password."
                    .to_owned(),
            ));
        }
        let others = own.others.join("&");
        let plain = format!("{rest}{}{others}", if others.is_empty() { "" } else { "?" });
        let mut config = Config::from_str(&plain).map_err(|error| {
            // What is wrong, and never the value.
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            AddressError(format!(
                "The address of the database cannot be read: {reason}; write postgres://USER@HOST:PORT/DATABASE."
            ))
        })?;
        if config.get_hosts().is_empty() {
            return Err(AddressError(
                "The address of the database names no host; write postgres://USER@HOST:PORT/DATABASE.".to_owned(),
            ));
        }
        let place = place(&config);
        match reference {
            Some(reference) => {
                config.password(password::resolve(&reference, variable).map_err(AddressError)?);
            }
            None if config.get_password().is_some() => tracing::warn!(
                "The password is written in the address of the database, where others may see it; use PGPASSFILE, or ${{file:PATH}} in its place."
            ),
            None => {
                let named = own.passfile.as_deref().map(PathBuf::from);
                if let Some(found) = password::look_up(named, &config, variable).map_err(AddressError)? {
                    config.password(found);
                }
            }
        }
        let tls = own.tls(&config, &place)?;
        config.ssl_mode(match tls {
            Tls::Off => SslMode::Disable,
            Tls::Verified(_) => SslMode::Require,
        });
        if !own.names_target {
            // Whatever is not the primary cannot be written.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        } else if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
            return Err(AddressError(format!(
                "`{place}` asks for a server that can only be read, and the state is written; write target_session_attrs=read-write."
            )));
        }
        let lease = own.lease.unwrap_or(LEASE);
        let mut address = Self {
            config,
            tls,
            lease,
            place,
        };
        address.bound();
        Ok(address)
    }

    /// Bounds each wait that the address does not bound, so that a network that swallows packets is noticed.
    fn bound(&mut self) {
        let patience = self.patience();
        if self.config.get_connect_timeout().is_none() {
            self.config.connect_timeout(patience.min(CONNECT_MAX));
        }
        if self.config.get_tcp_user_timeout().is_none() {
            self.config.tcp_user_timeout(patience);
        }
        // The system counts them in whole seconds.
        let keepalive = patience.max(Duration::from_secs(1));
        self.config.keepalives_idle(keepalive);
        self.config.keepalives_interval(keepalive);
        self.config.keepalives_retries(2);
        if self.config.get_application_name().is_none() {
            self.config.application_name("pipepost");
        }
    }

    /// How long an answer may take, before it counts as lost.
    pub(crate) fn patience(&self) -> Duration {
        (self.lease / 2).min(PATIENCE_MAX)
    }

    /// Returns the address as it may be shown: hosts, ports and database, without user and password.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Hosts, ports and database.
fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate();
    let hosts: Vec<String> = hosts
        .map(|(at, host)| match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", port(at)),
            Host::Tcp(host) => format!("{host}:{}", port(at)),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{}", path.display(), port(at)),
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{}/{database}", hosts.join(","))
}

/// Takes the reference out of the place of the password: it may hold what separates an address's parts.
fn without_reference(text: &str) -> Result<(String, Option<String>), AddressError> {
    let Some(begin) = text.find("${") else {
        return Ok((text.to_owned(), None));
    };
    let wrong = || {
        AddressError(
            "In the address of the database, a reference is for the place of the password: write postgres://USER:${file:PATH}@HOST/DATABASE."
                .to_owned(),
        )
    };
    let end = text[begin..].find('}').ok_or_else(wrong)? + begin;
    let (before, after) = (&text[..begin], &text[end + 1..]);
    if !before.ends_with(':')
        || !after.starts_with('@')
        || SCHEMES.iter().any(|scheme| before == &scheme[..scheme.len() - 2])
    {
        return Err(wrong());
    }
    Ok((
        format!("{before}{PLACEHOLDER}{after}"),
        Some(text[begin + 2..end].to_owned()),
    ))
}

/// The parameters that are not left to the client's own parser.
#[derive(Debug, Default)]
struct Own<'t> {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    passfile: Option<String>,
    lease: Option<Duration>,
    names_target: bool,
    others: Vec<&'t str>,
}

impl<'t> Own<'t> {
    fn read(query: &'t str) -> Result<Self, AddressError> {
        let mut own = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match name {
                "sslmode" => own.sslmode = Some(value),
                "sslrootcert" => own.sslrootcert = Some(value),
                "passfile" => own.passfile = Some(value),
                "lease" => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
                    let seconds: u64 = seconds.ok_or_else(|| {
                        AddressError(
                            "In the address of the database, `lease` is a number of seconds from 1 to 3600.".to_owned(),
                        )
                    })?;
                    own.lease = Some(Duration::from_secs(seconds));
                }
                _ => {
                    own.names_target |= name == "target_session_attrs";
                    own.others.push(pair);
                }
            }
        }
        Ok(own)
    }

    fn tls(&self, config: &Config, place: &str) -> Result<Tls, AddressError> {
        let is_here = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse()
                        .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        match self.sslmode.as_deref() {
            Some("disable") => return Ok(Tls::Off),
            None if is_here && self.sslrootcert.is_none() => return Ok(Tls::Off),
            Some("verify-full") | None => {}
            Some("allow" | "prefer" | "require" | "verify-ca") => {
                return Err(AddressError(format!(
                    "`{place}` asks for a sslmode that does not verify the server's name, so that another one could take its place; write sslmode=verify-full, with sslrootcert=FILE if its authority is your own, or sslmode=disable in a network that you trust."
                )));
            }
            Some(_) => {
                return Err(AddressError(format!(
                    "`{place}` asks for a sslmode that does not exist; write verify-full or disable."
                )));
            }
        }
        let Some(file) = &self.sslrootcert else {
            return Ok(Tls::Verified(Vec::new()));
        };
        let authorities = authorities(Path::new(file)).map_err(|reason| {
            AddressError(format!(
                "The certificates in `{file}`, which sslrootcert names, cannot be used: {reason}."
            ))
        })?;
        Ok(Tls::Verified(authorities))
    }
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no certificate in PEM in it".to_owned());
    }
    Ok(found)
}

/// A value without its percent-encoding.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = std::str::from_utf8(after.get(..2).unwrap_or_default());
        let code = code.ok().and_then(|code| u8::from_str_radix(code, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse_within(text, &|_| None)
    }

    fn refused(text: &str) -> String {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.ends_with('.') && !error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn several_hosts_are_read_and_shown_without_user_and_password() {
        let address = parse("postgres://ann:hush@one:5433,two:5434/mail?sslmode=disable&lease=2").expect("an address");
        assert_eq!(address.place(), "postgres://one:5433,two:5434/mail");
        assert_eq!(address.lease, Duration::from_secs(2));
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(address.config.get_password(), Some(&b"hush"[..]));
        let shown = format!("{address:?} {:?} {}", address.config, address.place());
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_password_that_is_a_reference_may_hold_what_separates_the_parts() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let file = folder.path().join("a@b:c?d");
        std::fs::write(&file, "hu/sh@\n").expect("a writable folder");
        let text = format!("postgres://ann:${{file:{}}}@localhost/mail", file.display());
        let address = parse(&text).expect("an address");
        assert_eq!(address.config.get_password(), Some(&b"hu/sh@"[..]));
        assert_eq!(address.place(), "postgres://localhost:5432/mail");
        let missing = refused("postgres://ann:${file:/nowhere/at/all}@localhost/mail");
        assert!(missing.contains("/nowhere/at/all"), "{missing}");
        let unset = refused("postgres://ann:${env:UNSET}@localhost/mail");
        assert!(unset.contains("UNSET"), "{unset}");
        refused("postgres://${file:/etc/passwd}@localhost/mail");
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted_and_the_servers_name_verified() {
        let tls = |text: &str| matches!(parse(text).expect(text).tls, Tls::Verified(_));
        assert!(tls("postgres://db.example.test/mail"));
        assert!(tls("postgres://localhost,db.example.test/mail"));
        assert!(tls("postgres://localhost/mail?sslmode=verify-full"));
        for here in ["localhost", "127.0.0.1", "[::1]", "%2Ftmp%2Fsockets"] {
            assert!(!tls(&format!("postgres://ann@{here}/mail")), "{here}");
        }
        assert!(!tls("postgres://db.example.test/mail?sslmode=disable"));
        for unverified in ["allow", "prefer", "require", "verify-ca"] {
            let error = refused(&format!(
                "postgres://ann:hush@db.example.test/mail?sslmode={unverified}"
            ));
            assert!(
                error.contains("sslmode=verify-full") && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_no_password_with_it() {
        for (text, said) in [
            ("postgres://", "names no host"),
            ("postgres://ann:hush@host:port/mail", "cannot be read"),
            ("postgres://ann:a@hush@host/mail", "%40"),
            ("postgres://ann:a@b/hush@host/mail", "%40"),
            ("postgres://ann:a@b?hush@host/mail", "%40"),
            (
                "postgres://ann:hush@host/mail?target_session_attrs=read-only",
                "read-write",
            ),
            ("postgres://ann:hush@host/mail?lease=0", "`lease`"),
            ("postgres://ann:hush@host/mail?colour=hush", "cannot be read"),
            ("postgres://ann:hush@host/mail?sslmode=hush", "sslmode"),
            ("postgres://ann:hush@host/mail?sslrootcert=/nowhere", "/nowhere"),
        ] {
            let error = refused(text);
            assert!(error.contains(said) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
