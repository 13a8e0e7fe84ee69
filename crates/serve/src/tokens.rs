//! Tokens: who may ask the service for what.
//!
//! A token is `pp_` and 43 characters that hold 256 random bits. The file holds only its SHA-256: with so many random bits
//! a slow hash would add nothing. A presented token is compared with every entry in constant time, so the time of an
//! answer tells nothing about the tokens. A token is shown once, when it is made.

mod file;

use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

pub use self::file::{Listed, TokenFile, TokensError};
use crate::problem::{Problem, ProblemKind};

/// What every token begins with, so that people and secret scanners know one.
pub const PREFIX: &str = "pp_";

/// The characters after the prefix: 32 bytes in base64url without padding (RFC 4648, section 5).
const CHARACTERS: usize = 43;

/// A token, whole. `Debug` does not show it.
pub struct Token(Zeroizing<String>);

impl Token {
    /// Makes a new token of the system's random numbers.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn random() -> Result<Self, TokensError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| TokensError::NoRandom(error.to_string()))?;
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + CHARACTERS));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Ok(Self(text))
    }

    /// Returns the token itself, to be shown to the person who asked for it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> [u8; 32] {
        digest(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// One thing that a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `run:*`: start every pipeline.
    RunAll,
    /// `run:NAME`: start this pipeline.
    Run(String),
    /// `read`: see runs, messages, accounts without their secrets, pipelines, connectors, metrics.
    Read,
    /// `operate`: also cancel, continue, settle, pause and resume. It includes `read`.
    Operate,
    /// `admin`: everything; only this one changes accounts.
    Admin,
}

impl FromStr for Scope {
    type Err = TokensError;

    fn from_str(text: &str) -> Result<Self, TokensError> {
        match text {
            "run:*" => Ok(Self::RunAll),
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            "admin" => Ok(Self::Admin),
            _ => match text.strip_prefix("run:") {
                Some(name) if !name.is_empty() && !name.contains('*') => Ok(Self::Run(name.to_owned())),
                _ => Err(TokensError::Scope(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunAll => f.write_str("run:*"),
            Self::Run(name) => write!(f, "run:{name}"),
            Self::Read => f.write_str("read"),
            Self::Operate => f.write_str("operate"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// To start this pipeline.
    Run(&'a str),
    /// To start at least one pipeline.
    RunSome,
    /// To see.
    Read,
    /// To cancel, continue, settle, pause and resume.
    Operate,
    /// To change accounts.
    Admin,
}

impl Scope {
    /// Checks whether this scope gives what is needed.
    pub fn gives(&self, need: Need<'_>) -> bool {
        match (self, need) {
            (Self::Admin, _)
            | (Self::RunAll, Need::Run(_) | Need::RunSome)
            | (Self::Run(_), Need::RunSome)
            | (Self::Operate, Need::Operate | Need::Read) => true,
            (Self::Run(own), Need::Run(name)) => own == name,
            (Self::Read, Need::Read) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Need<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(name) => write!(f, "run:{name}"),
            Self::RunSome => f.write_str("run:NAME"),
            Self::Read => f.write_str("read"),
            Self::Operate => f.write_str("operate"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

/// One token of the file: its name and what it may do. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    name: String,
    digest: [u8; 32],
    may: Vec<Scope>,
}

/// The tokens that are taken.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    entries: Vec<Entry>,
}

/// Who asks: a token that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
    may: Vec<Scope>,
}

impl Tokens {
    /// Makes a set with one token that may everything and is written nowhere: it ends with the process.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn ephemeral() -> Result<(Self, Token), TokensError> {
        let token = Token::random()?;
        let entry = Entry {
            name: "ephemeral".to_owned(),
            digest: token.digest(),
            may: vec![Scope::Admin],
        };
        Ok((Self { entries: vec![entry] }, token))
    }

    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Returns whose token this is. Each call compares with every entry, whatever it finds.
    pub fn recognise(&self, presented: &str) -> Option<Caller> {
        let presented = digest(presented);
        let mut found = u64::MAX;
        for (position, entry) in self.entries.iter().enumerate() {
            let is_equal: Choice = entry.digest.ct_eq(&presented);
            found.conditional_assign(&(position as u64), is_equal);
        }
        let entry = self.entries.get(usize::try_from(found).ok()?)?;
        Some(Caller {
            name: entry.name.clone(),
            may: entry.may.clone(),
        })
    }

    /// Returns who sent the request: the token is in `Authorization: Bearer` (RFC 6750, section 2.1), or in `apikey`.
    ///
    /// # Errors
    /// A problem of the kind `unauthenticated`, if there is no token or none that is known; `bad-request` for two headers.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let presented = presented(headers)?;
        self.recognise(presented).ok_or_else(|| {
            Problem::unauthenticated("The token is not known here.").advise("Use one that was made for this service.")
        })
    }
}

/// The token that the request carries. Of two, nobody could say which one counts.
fn presented(headers: &HeaderMap) -> Result<&str, Problem> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        let detail = "The request has two headers `Authorization`; send one.";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    let of_bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let of_api_key = || {
        headers
            .get("apikey")
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    of_bearer.or_else(of_api_key).ok_or_else(|| {
        Problem::unauthenticated("The request has no token.")
            .advise("Send it as `Authorization: Bearer pp_...` or as `apikey: pp_...`.")
    })
}

/// Checks whether this text has the form of a token, so that a secret is not kept by accident.
pub fn has_the_form_of_a_token(text: &str) -> bool {
    let Some(at) = text.find(PREFIX) else { return false };
    let rest = &text.as_bytes()[at + PREFIX.len()..];
    let is_of_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    rest.iter().take_while(|byte| is_of_base64url(byte)).count() >= CHARACTERS
}

impl Caller {
    /// Returns the token's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks whether the token may do this.
    pub fn may(&self, need: Need<'_>) -> bool {
        self.may.iter().any(|scope| scope.gives(need))
    }

    /// Lets pass who may do this.
    ///
    /// # Errors
    /// A problem of the kind `forbidden` that names the scope that is missing.
    pub fn require(&self, need: Need<'_>) -> Result<(), Problem> {
        if self.may(need) {
            return Ok(());
        }
        let detail = format!(
            "The token `{}` may not do this; it needs the scope `{need}`.",
            self.name
        );
        Err(Problem::new(ProblemKind::Forbidden, detail))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn set(may: &[&str]) -> (Tokens, Token) {
        let token = Token::random().expect("random numbers");
        let entry = Entry {
            name: "shop".to_owned(),
            digest: token.digest(),
            may: may.iter().map(|scope| scope.parse().expect("a scope")).collect(),
        };
        let (others, _) = Tokens::ephemeral().expect("random numbers");
        let entries = others.entries.into_iter().chain([entry]).collect();
        (Tokens { entries }, token)
    }

    #[test]
    fn a_token_has_its_form_and_is_not_shown() {
        let token = Token::random().expect("random numbers");
        assert!(token.expose().starts_with("pp_"));
        assert_eq!(token.expose().len(), 46);
        assert!(has_the_form_of_a_token(&format!("Bearer {}", token.expose())));
        assert!(!has_the_form_of_a_token("pp_short"));
        assert!(!format!("{token:?}").contains(&token.expose()[3..]));
        assert_ne!(token.expose(), Token::random().expect("random numbers").expose());
    }

    #[test]
    fn a_token_is_known_by_either_header() {
        let (tokens, token) = set(&["read"]);
        for (name, value) in [
            ("authorization", format!("Bearer {}", token.expose())),
            ("authorization", format!("bearer  {}", token.expose())),
            ("apikey", token.expose().to_owned()),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(&value).expect("a header"));
            assert_eq!(tokens.caller(&headers).expect("known").name(), "shop");
        }
    }

    #[test]
    fn no_token_and_a_wrong_one_are_refused_with_401() {
        let (tokens, token) = set(&["read"]);
        let wrong = format!("{}A", &token.expose()[..45]);
        for (name, value) in [
            ("x-other", "x"),
            ("authorization", "Basic abc"),
            ("apikey", ""),
            ("apikey", "pp_"),
            ("apikey", wrong.as_str()),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).expect("a header"));
            if value == token.expose() {
                continue;
            }
            let problem = tokens.caller(&headers).expect_err(value);
            assert_eq!(problem.status().as_u16(), 401, "{value}");
            assert!(!problem.to_json().to_string().contains(&token.expose()[3..20]));
        }
        assert_eq!(Tokens::default().recognise(token.expose()), None);
    }

    #[test]
    fn a_scope_gives_what_it_says_and_no_more() {
        let needs = [
            Need::Run("digest"),
            Need::Run("other"),
            Need::Read,
            Need::Operate,
            Need::Admin,
        ];
        for (scope, expected) in [
            ("run:*", [true, true, false, false, false]),
            ("run:digest", [true, false, false, false, false]),
            ("read", [false, false, true, false, false]),
            ("operate", [false, false, true, true, false]),
            ("admin", [true, true, true, true, true]),
        ] {
            let scope: Scope = scope.parse().expect("a scope");
            assert_eq!(needs.map(|need| scope.gives(need)), expected, "{scope}");
            assert_eq!(scope.to_string().parse::<Scope>().expect("again"), scope);
        }
        let (tokens, token) = set(&["run:digest", "read"]);
        let caller = tokens.recognise(token.expose()).expect("known");
        assert!(caller.require(Need::Run("digest")).is_ok());
        let problem = caller.require(Need::Operate).expect_err("forbidden");
        assert_eq!(problem.status().as_u16(), 403);
        assert!(problem.detail().contains("`operate`"), "{}", problem.detail());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for wrong in ["", "run", "run:", "run:a*", "reading", "Admin", "*"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
