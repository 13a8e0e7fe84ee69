//! Scripted misbehaviour: rules that replace what the server would say at a place of the dialogue, and cuts that end it after a
//! number of bytes.
//!
//! A script is data: it is written with the builders here or read from JSON, and it holds no state. A [`Rule`] says where it
//! applies ([`At`] and its conditions) and what happens there (a list of [`Action`]s, in order). At each place the first rule
//! whose conditions hold decides. Unless the list itself says what is sent, the regular reply follows at its end, so that
//! `[{"delay_ms": 50}]` and `[{"strip": "STARTTLS"}]` mean what one expects.
//!
//! A command whose reply a rule replaces by a refusal, by silence or by a close is *not obeyed*: the recipient is not recorded,
//! the message not stored. [`Rule::obey`] says otherwise, which makes the server that stores a message and loses its reply.
//!
//! ```json
//! {"rules": [
//!    {"at": "rcpt", "contains": "nobody@", "do": [{"reply": "550 5.1.1 No such user"}]},
//!    {"at": "content", "nth": 2, "obey": true, "do": ["close"]}
//!  ],
//!  "cuts": [{"connection": 3, "sent": 120}]}
//! ```

mod action;
mod play;

pub use action::{Action, Raw};
pub(crate) use play::{Play, Scene};
use serde::{Deserialize, Serialize};

/// A place in the dialogue: where the server is about to reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum At {
    /// The connection has begun.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS, before the handshake.
    Starttls,
    /// The AUTH command itself, whether or not it brought an initial response.
    Auth,
    /// A line of the client within an AUTH exchange.
    AuthResponse,
    /// The verdict on the credentials, on whichever line they became complete. Comes after `auth` and `auth-response`, when no
    /// rule of theirs applied.
    SignIn,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, where `354` is due.
    Data,
    /// A chunk of BDAT that is not the last, once its octets are in. The last one is `content`.
    Bdat,
    /// The message is complete: the final dot, or the last chunk of BDAT.
    Content,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY, EXPN and HELP.
    Vrfy,
    /// QUIT.
    Quit,
    /// A command that the server does not know.
    Unknown,
    /// Every one of the above except `sign-in`: with [`Rule::nth`], the n-th reply of a connection.
    Any,
}

/// One rule of a [`Script`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where.
    pub at: At,
    /// Only when the command line (for `content`, the message) contains this, in any ASCII case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Only the n-th time on one connection, from 1, that the other conditions hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Only on the n-th connection of the server, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// Only with (`true`) or without (`false`) TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// At most so many times, all connections taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Whether the command is obeyed. Without it: it is, when the regular reply or one that begins with 2 or 3 is the first thing
    /// sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obey: Option<bool>,
    /// What happens, in order.
    #[serde(rename = "do")]
    pub actions: Vec<Action>,
}

impl Rule {
    /// A rule for this place, without conditions.
    pub fn at(at: At) -> Self {
        Self {
            at,
            contains: None,
            nth: None,
            connection: None,
            tls: None,
            times: None,
            obey: None,
            actions: Vec::new(),
        }
    }

    /// Only when the command line (for `content`, the message) contains this, in any ASCII case.
    #[must_use]
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.contains = Some(text.into());
        self
    }

    /// Only the n-th time on one connection, from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Only on the n-th connection, from 1.
    #[must_use]
    pub fn connection(mut self, connection: u64) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Only with or without TLS.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = Some(tls);
        self
    }

    /// At most so many times over all connections.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Whether the command is obeyed, whatever is replied.
    #[must_use]
    pub fn obey(mut self, obey: bool) -> Self {
        self.obey = Some(obey);
        self
    }

    /// Adds one action.
    #[must_use]
    pub fn act(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Adds a reply; lines are separated by `\n`, and each is sent with CRLF.
    #[must_use]
    pub fn reply(self, text: impl Into<String>) -> Self {
        self.act(Action::Reply(text.into()))
    }

    /// Adds the reply that the server would have given.
    #[must_use]
    pub fn regular(self) -> Self {
        self.act(Action::Regular)
    }

    /// Adds bytes exactly as they are.
    #[must_use]
    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.act(Action::Raw(Raw(bytes.into())))
    }

    /// Adds an orderly close of the connection.
    #[must_use]
    pub fn close(self) -> Self {
        self.act(Action::Close)
    }

    /// Says that nothing is sent.
    #[must_use]
    pub fn silence(self) -> Self {
        self.act(Action::Silence)
    }

    /// Adds a pause until [`Running::release`](crate::Running::release) is called with this name.
    #[must_use]
    pub fn hold(self, name: impl Into<String>) -> Self {
        self.act(Action::Hold(name.into()))
    }

    /// Adds a pause.
    #[must_use]
    pub fn delay(self, duration: std::time::Duration) -> Self {
        self.act(Action::Delay(duration))
    }

    /// Whether the command is obeyed, given the reply that the server would have sent.
    pub(crate) fn obeys(&self, regular_is_positive: bool) -> bool {
        self.obey.unwrap_or_else(
            || match self.actions.iter().find(|action| action.decides_what_is_sent()) {
                None | Some(Action::Regular) => regular_is_positive,
                Some(Action::Reply(text)) => text.starts_with(['2', '3']),
                Some(_) => false,
            },
        )
    }
}

/// The end of a connection after a number of bytes, counted over the whole connection (under TLS: of plaintext). The connection
/// is dropped there without a farewell, in TLS without `close_notify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Only the n-th connection, from 1; every one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// After so many bytes from the client. What they caused is carried out and replied first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// After so many bytes to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
}

/// What the server does other than it should.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The rules; the first that applies decides.
    pub rules: Vec<Rule>,
    /// The cuts.
    pub cuts: Vec<Cut>,
}

impl Script {
    /// A script that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a script from JSON. The error names the place.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Every time at this place: this reply instead. A reply that begins with 421 closes the connection, as everywhere
    /// (RFC 5321 section 3.8).
    #[must_use]
    pub fn reply(self, at: At, text: impl Into<String>) -> Self {
        self.rule(refusal(Rule::at(at), text.into()))
    }

    /// This recipient is refused with this reply.
    #[must_use]
    pub fn refuse_recipient(self, address: &str, text: impl Into<String>) -> Self {
        self.rule(refusal(
            Rule::at(At::Rcpt).contains(format!("<{address}>")),
            text.into(),
        ))
    }

    /// Messages that contain this are refused at their end with this reply.
    #[must_use]
    pub fn refuse_message(self, containing: &str, text: impl Into<String>) -> Self {
        self.rule(refusal(Rule::at(At::Content).contains(containing), text.into()))
    }

    /// EHLO does not offer this capability (`STARTTLS`, `AUTH`, `SIZE` and so on), with or without TLS; the commands still work.
    #[must_use]
    pub fn strip(self, capability: &str) -> Self {
        self.rule(Rule::at(At::Ehlo).act(Action::Strip(capability.to_owned())))
    }

    /// The n-th message of each connection is stored, and the connection closed instead of the reply.
    #[must_use]
    pub fn lose_reply_of_message(self, nth: u64) -> Self {
        self.rule(Rule::at(At::Content).nth(nth).obey(true).close())
    }

    /// These bytes follow the reply to STARTTLS in clear, before the handshake.
    #[must_use]
    pub fn inject_before_tls(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.rule(Rule::at(At::Starttls).regular().raw(bytes))
    }

    /// The replies to AUTH repeat everything that the client has sent, verbatim and with its base64 decoded.
    #[must_use]
    pub fn echo_sign_in(self) -> Self {
        let echo = |at| {
            Rule::at(at).act(Action::Echo {
                code: "535 5.7.8".to_owned(),
                decoded: true,
            })
        };
        self.rule(echo(At::SignIn))
    }

    /// Each connection ends after so many bytes from the client.
    #[must_use]
    pub fn cut_received(mut self, bytes: u64) -> Self {
        self.cuts.push(Cut {
            received: Some(bytes),
            ..Cut::default()
        });
        self
    }

    /// Each connection ends after so many bytes to the client.
    #[must_use]
    pub fn cut_sent(mut self, bytes: u64) -> Self {
        self.cuts.push(Cut {
            sent: Some(bytes),
            ..Cut::default()
        });
        self
    }

    /// The same rules, with each cut that has no connection yet bound to this one.
    #[must_use]
    pub fn cuts_on(mut self, connection: u64) -> Self {
        for cut in &mut self.cuts {
            cut.connection.get_or_insert(connection);
        }
        self
    }
}

fn refusal(rule: Rule, text: String) -> Rule {
    let closes = text.starts_with("421");
    let rule = rule.reply(text);
    if closes { rule.close() } else { rule }
}
