//! An OAuth provider that somebody else wrote: Authlib's, <https://authlib.org>.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::USER;
use crate::lines::PATIENCE;
use crate::peer::{Peer, Program};

const PROGRAM: Program = Program {
    name: "the provider",
    script: "oauth_provider.py",
    module: "authlib.integrations.flask_oauth2",
    packages: "Authlib and Flask",
};

/// What is unusual about a provider; the default is one that works.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// Who signs in.
    pub user: String,
    /// How long an access token lives, in seconds.
    pub life: u32,
    /// Each refresh token is good for one use.
    pub rotate: bool,
    /// There is a service account too.
    pub service: bool,
    /// The person refuses.
    pub deny: bool,
    /// The tenant that it serves, where a client may sign in as itself.
    pub tenant: Option<String>,
    /// The `iss` of its authorization responses; `own` is its own address.
    pub issuer: Option<String>,
    /// A refresh has to name its scopes.
    pub demand_scope: bool,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            user: USER.to_owned(),
            life: 3600,
            rotate: false,
            service: false,
            deny: false,
            tenant: None,
            issuer: None,
            demand_scope: false,
        }
    }
}

/// A running provider. It ends when this is dropped, or the test's process is gone.
pub struct Provider {
    peer: Peer,
    folder: TempDir,
}

impl Provider {
    /// The client's public name.
    pub const CLIENT: &'static str = "pipepost-tests.apps.example.test";
    /// The client's secret. Recognisable: no output may hold it.
    pub const CLIENT_SECRET: &'static str = "GOCSPX-PLANTED-client-secret";
    /// A refresh token that is good from the start. Recognisable too.
    pub const REFRESH_TOKEN: &'static str = "1//PLANTED-refresh-first";
    /// How every secret that it gives begins or goes on.
    pub const MARK: &'static str = "PLANTED-";

    /// Starts one on a port of the system's choice; none, in plain sight, where Python has no Authlib.
    pub fn start(options: &ProviderOptions) -> Option<Self> {
        let folder = TempDir::new().expect("a folder for temporary files");
        let argument = json!({
            "directory": folder.path(),
            "user": options.user,
            "client": { "id": Self::CLIENT, "secret": Self::CLIENT_SECRET },
            "known": [Self::REFRESH_TOKEN],
            "life": options.life,
            "rotate": options.rotate,
            "service": options.service,
            "deny": options.deny,
            "tenant": options.tenant,
            "issuer": options.issuer,
            "demand_scope": options.demand_scope,
        });
        Some(Self {
            peer: Peer::start(&PROGRAM, &argument)?,
            folder,
        })
    }

    /// Where a path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.peer.port())
    }

    /// The file of the access tokens that it gave.
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// How many access tokens it gave.
    pub fn given(&self) -> usize {
        std::fs::read_to_string(self.tokens())
            .unwrap_or_default()
            .lines()
            .count()
    }

    /// The service account's key file, as a console gives it for download.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.json")
    }

    /// Refuses every request for a token from now on with this code, or with this JSON object as the whole answer; `None`
    /// refuses no more.
    pub fn refuse(&self, code: Option<&str>) {
        let file = self.folder.path().join("refuse");
        match code {
            Some(code) => std::fs::write(file, code).expect("a writable folder"),
            None => drop(std::fs::remove_file(file)),
        }
    }

    /// Keeps every request for a token waiting, until it is let go.
    pub fn hold(&self) {
        self.refuse(Some("late"));
    }

    /// Waits until a request is kept waiting, and answers it and all that follow.
    pub fn let_go(&self) {
        while self.peer.event().unwrap_or_else(|| self.peer.died())["refused"] != "late" {}
        self.refuse(None);
    }

    /// The account `mail` of [`USER`] with this provider's tokens, at a server.
    pub fn account(&self, server: &Value) -> Value {
        let mut account = json!({
            "label": "mail",
            "type": "oauth-2",
            "username": USER,
            "client_id": Self::CLIENT,
            "client_secret": Self::CLIENT_SECRET,
            "refresh_token": Self::REFRESH_TOKEN,
            "scopes": ["https://mail.google.com/"],
            "token_endpoint": self.url("token"),
            "authorization_endpoint": self.url("authorize"),
        });
        for field in ["host", "port", "starttls_enable", "ca_file"] {
            account[field] = server[field].clone();
        }
        account
    }
}

/// What a browser shows in the end that opens this address and follows where it is sent.
///
/// # Panics
/// When an address does not answer, or sends on too often.
pub fn browse(address: &str) -> String {
    let mut at = address.to_owned();
    for _ in 0..5 {
        let answer = get(&at);
        match location(&answer) {
            Some(next) => at = next,
            None => return answer,
        }
    }
    panic!("`{address}` sends on and on");
}

/// Where a browser is sent that opens this address.
///
/// # Panics
/// When it is sent nowhere.
pub fn redirect_of(address: &str) -> String {
    let answer = get(address);
    location(&answer).unwrap_or_else(|| panic!("`{address}` sends nowhere: {answer}"))
}

fn get(address: &str) -> String {
    let rest = address.strip_prefix("http://").expect("plain HTTP on loopback");
    let (authority, target) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    write!(
        stream,
        "GET /{target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn location(answer: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    })
}
