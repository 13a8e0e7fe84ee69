//! Setting up the server.

use std::path::PathBuf;
use std::{fmt, io};

use rustls::SupportedProtocolVersion;
use tokio::net::TcpListener;

use crate::event::Event;
use crate::kept::{self, KeptError};
use crate::running::{Observer, Running, Shared};
use crate::script::Script;
use crate::service::Service;
use crate::settings::{Security, Settings};
use crate::store::{Store, StoreError};
use crate::tls::{Authority, Flaw, Identity, TlsError};

/// The local SMTP server. Begin with [`Inbox::builder`].
#[derive(Debug)]
pub struct Inbox(());

impl Inbox {
    /// Returns a builder with the defaults.
    pub fn builder() -> Builder {
        Builder {
            faces: Vec::new(),
            settings: Settings::default(),
            script: Script::default(),
            directory: None,
            keep: usize::MAX,
            names: Vec::new(),
            flaw: Flaw::None,
            identity: None,
            identity_directory: None,
            versions: Vec::new(),
            observer: None,
        }
    }
}

/// Sets up an [`Inbox`].
pub struct Builder {
    faces: Vec<(Security, String)>,
    settings: Settings,
    script: Script,
    directory: Option<PathBuf>,
    keep: usize,
    names: Vec<String>,
    flaw: Flaw,
    identity: Option<(String, Identity)>,
    identity_directory: Option<PathBuf>,
    versions: Vec<&'static SupportedProtocolVersion>,
    observer: Option<Box<Observer>>,
}

impl Builder {
    /// Adds a face: an address (`127.0.0.1:0` for a port that the system chooses) and how TLS begins there. Without any, the
    /// server listens for STARTTLS at `127.0.0.1:0`.
    #[must_use]
    pub fn listen(mut self, security: Security, address: impl Into<String>) -> Self {
        self.faces.push((security, address.into()));
        self
    }

    /// Accepts these users by password; mail is then refused without sign-in.
    #[must_use]
    pub fn users<U: Into<String>, P: Into<String>>(self, users: impl IntoIterator<Item = (U, P)>) -> Self {
        for (user, password) in users {
            self.settings.credentials.set_password(user, password);
        }
        self
    }

    /// Accepts these users by OAuth access token; mail is then refused without sign-in.
    #[must_use]
    pub fn tokens<U: Into<String>, T: Into<String>>(self, tokens: impl IntoIterator<Item = (U, T)>) -> Self {
        for (user, token) in tokens {
            self.settings.credentials.add_token(user, token);
        }
        self
    }

    /// Accepts every user name with any secret.
    #[must_use]
    pub fn anybody(self) -> Self {
        self.settings.credentials.allow_anybody();
        self
    }

    /// Sets whether a STARTTLS face requires TLS before AUTH and MAIL; the default is yes.
    #[must_use]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.settings.require_tls = require;
        self
    }

    /// Sets whether mail is refused without sign-in; the default is yes if there are users.
    #[must_use]
    pub fn require_auth(mut self, require: bool) -> Self {
        self.settings.require_auth = Some(require);
        self
    }

    /// Changes the settings that have no method here.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Neither offers nor obeys this capability.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        self.settings = self.settings.without(capability);
        self
    }

    /// Writes each message to this directory as well, as [`Store::in_directory`] says.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Keeps only the latest `count` messages in memory; all by default.
    #[must_use]
    pub fn keep(mut self, count: usize) -> Self {
        self.keep = count;
        self
    }

    /// Misbehaves as the script says.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Issues the certificate for these names and addresses too, in addition to `localhost`, `127.0.0.1` and `::1`.
    #[must_use]
    pub fn certificate_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names.extend(names.into_iter().map(Into::into));
        self
    }

    /// Keeps the certificate and its key in this directory, and presents the kept one when it begins again. The directory
    /// must exist.
    #[must_use]
    pub fn keep_identity(mut self, directory: impl Into<PathBuf>) -> Self {
        self.identity_directory = Some(directory.into());
        self
    }

    /// Presents a certificate with this flaw.
    #[must_use]
    pub fn certificate_flaw(mut self, flaw: Flaw) -> Self {
        self.flaw = flaw;
        self
    }

    /// Presents this certificate; [`Running::ca_pem`] returns `ca_pem`.
    #[must_use]
    pub fn identity(mut self, ca_pem: impl Into<String>, identity: Identity) -> Self {
        self.identity = Some((ca_pem.into(), identity));
        self
    }

    /// Speaks only these versions of TLS.
    #[must_use]
    pub fn tls_versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// Keeps the dialogue's lines for [`Running::transcript`], and tells the observer of each.
    #[must_use]
    pub fn record_dialogue(mut self) -> Self {
        self.settings.record_dialogue = true;
        self
    }

    /// Calls `observer` for each event, on the server's tasks: it should be quick.
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Binds the addresses and starts to serve, on the current tokio runtime.
    pub async fn start(self) -> Result<Running, StartError> {
        let (ca_pem, identity) = match (self.identity, self.identity_directory) {
            (Some(given), _) => given,
            (None, Some(directory)) => {
                kept::identity(&directory, &self.names).map_err(|error| StartError::kept(directory, error))?
            }
            (None, None) => {
                let authority = Authority::new()?;
                (authority.pem().to_owned(), authority.issue(&self.names, self.flaw)?)
            }
        };
        let tls = identity.server_config(&self.versions)?;
        let store = match self.directory {
            Some(directory) => Store::in_directory(directory, self.keep)?,
            None => Store::keeping(self.keep),
        };
        let mut faces = self.faces;
        if faces.is_empty() {
            faces.push((Security::StartTls, "127.0.0.1:0".to_owned()));
        }
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for (security, address) in faces {
            let bound = TcpListener::bind(&address)
                .await
                .and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) = bound.map_err(|source| StartError::listen(address, source))?;
            addresses.push((security, local));
            listeners.push((security, listener));
        }
        let shared = Shared::new(Service::with_script(self.settings, self.script), store, self.observer);
        Ok(Running::start(shared, listeners, addresses, ca_pem, identity, tls))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("faces", &self.faces)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why the server could not start.
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
}

#[derive(Debug)]
enum StartErrorKind {
    Listen { address: String, source: io::Error },
    Store(StoreError),
    Tls(TlsError),
    Kept { directory: PathBuf, source: KeptError },
}

impl StartError {
    fn kept(directory: PathBuf, source: KeptError) -> Self {
        Self {
            kind: StartErrorKind::Kept { directory, source },
        }
    }

    fn listen(address: String, source: io::Error) -> Self {
        Self {
            kind: StartErrorKind::Listen { address, source },
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StartErrorKind::Listen { address, source } => write!(
                f,
                "the inbox cannot listen at {address} ({source}): give an address of this machine and a free port, such as \
                 127.0.0.1:2525"
            ),
            StartErrorKind::Store(error) => write!(f, "{error}"),
            StartErrorKind::Tls(error) => write!(f, "{error}"),
            StartErrorKind::Kept { directory, source } => {
                let directory = directory.display();
                match source {
                    KeptError::File(error) => write!(
                        f,
                        "the inbox cannot keep its certificate in {directory} ({error}): name a directory that it can write"
                    ),
                    KeptError::Tls(error) => {
                        write!(f, "{error}; if {directory} holds a damaged identity.pem, delete it")
                    }
                }
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            StartErrorKind::Listen { source, .. } => Some(source),
            StartErrorKind::Store(error) => Some(error),
            StartErrorKind::Tls(error) => Some(error),
            StartErrorKind::Kept { source, .. } => Some(match source {
                KeptError::File(error) => error,
                KeptError::Tls(error) => error,
            }),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: StartErrorKind::Store(error),
        }
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self {
            kind: StartErrorKind::Tls(error),
        }
    }
}
