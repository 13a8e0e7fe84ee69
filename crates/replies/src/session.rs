//! The reason why a session ended, or a command was refused, in sentences for the owner of the account.
//!
//! The account's test and the connector that sends both use these sentences.

use pipepost_core::FailureKind;
use pipepost_smtp::{CloseReason, OutOfStep, Reply, ReplyError, ReplyErrorKind, Stage as SmtpStage};

use crate::link::first_link;
use crate::{Provider, Retry, Stage, explain_for};

/// What happened in a session, and what to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFailure {
    /// The kind of failure, which says who can repair it and when.
    pub kind: FailureKind,
    /// What happened, in sentences that name the server.
    pub message: String,
    /// What to do now.
    pub advice: Option<String>,
    /// The page to open, if the server named one.
    pub link: Option<String>,
    /// What another try may achieve when nobody changes anything.
    pub retry: Retry,
}

impl SessionFailure {
    fn new(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            message,
            advice: None,
            link: None,
            retry: Retry::No,
        }
    }

    fn advising(mut self, advice: &str) -> Self {
        self.advice = Some(advice.to_owned());
        self
    }
}

/// What an account signs in with, by the mechanism.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credential {
    Password,
    Token,
    Certificate,
}

impl Credential {
    fn of(mechanism: &str) -> Self {
        let is = |name: &str| mechanism.eq_ignore_ascii_case(name);
        if is("XOAUTH2") || is("OAUTHBEARER") {
            Self::Token
        } else if is("EXTERNAL") {
            Self::Certificate
        } else {
            Self::Password
        }
    }

    /// Cause and cure where the table's speak of passwords.
    fn refused(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Password => None,
            Self::Token => Some((
                "The server did not accept the access token.",
                "Check that username is the mailbox that the token was made for, that the account's scopes allow SMTP, and \
                 that this mailbox may sign in over SMTP; then sign in to the provider again for this account.",
            )),
            Self::Certificate => Some((
                "The server did not accept the client certificate for this user.",
                "Check that client_certificate is one that the server trusts, and that username is the user whom it names.",
            )),
        }
    }
}

/// Explains a reply of `host` that refuses a sign-in by `mechanism`. A refused token is no matter of a password.
pub fn explain_sign_in(host: &str, mechanism: &str, reply: &Reply) -> SessionFailure {
    let explained = explain_reply(host, reply, SmtpStage::SignIn);
    let speaks_of_passwords = [Some(&explained.message), explained.advice.as_ref()]
        .into_iter()
        .flatten()
        .any(|text| text.to_ascii_lowercase().contains("password"));
    match Credential::of(mechanism).refused() {
        Some((cause, cure)) if speaks_of_passwords => {
            let is_passing = explained.kind.is_temporary();
            let cause = if is_passing {
                "The server takes no sign-in at the moment."
            } else {
                cause
            };
            let cure = if is_passing {
                "Wait before the next try; each one prolongs the time."
            } else {
                cure
            };
            SessionFailure {
                message: format!("{cause} `{host}` said: \"{reply}\"."),
                advice: Some(cure.to_owned()),
                // The table's pages are about passwords; the server's own may be about anything.
                link: first_link(&reply.text(), None),
                ..explained
            }
        }
        _ => explained,
    }
}

/// Explains a reply of `host` that refuses the command of `stage`.
pub fn explain_reply(host: &str, reply: &Reply, stage: SmtpStage) -> SessionFailure {
    let enhanced = reply.enhanced().map(|code| (code.class, code.subject, code.detail));
    let provider = Provider::of_host(host);
    let explanation = explain_for(provider, reply.code(), enhanced, &reply.text(), Some(stage.into()));
    SessionFailure {
        kind: explanation.kind,
        message: format!("{} `{host}` said: \"{reply}\".", explanation.cause),
        advice: Some(explanation.cure.into_owned()).filter(|cure| !cure.is_empty()),
        link: explanation.link,
        retry: explanation.retry,
    }
}

/// Explains why the session with `host` ended before a message was sent.
pub fn explain_close(host: &str, reason: &CloseReason) -> SessionFailure {
    let configuration = |message: String| SessionFailure::new(FailureKind::Configuration, message);
    match reason {
        CloseReason::Refused { stage, reply } | CloseReason::Closing { stage, reply } => {
            explain_reply(host, reply, *stage)
        }
        CloseReason::StartTlsRefused(reply) if reply.code() >= 500 => configuration(format!(
            "The server `{host}` refuses STARTTLS, and TLS is required; it said: \"{reply}\"."
        ))
        .advising("Use its TLS port (465)."),
        CloseReason::StartTlsRefused(reply) => explain_reply(host, reply, SmtpStage::StartTls),
        CloseReason::SignInRefused { mechanism, reply: Some(reply) } => explain_sign_in(host, mechanism, reply),
        CloseReason::SignInRefused { mechanism, reply: None } => SessionFailure::new(
            FailureKind::Authentication,
            format!("The sign-in at `{host}` by {mechanism} failed."),
        ),
        CloseReason::StartTlsMissing => configuration(format!(
            "The server `{host}` does not offer STARTTLS, and TLS is required; if it is a well-known provider's, a firewall or a virus scanner on the way has taken the offer out."
        ))
        .advising("Use port 465 with TLS from the first byte, or another network; where this server is to be spoken to in clear, turn TLS off in account and step."),
        CloseReason::NoMechanism { offered, .. } if offered.is_empty() => configuration(format!(
            "The server `{host}` offers no sign-in, and the account has credentials."
        ))
        .advising("If it needs none, write \"auth\": false in the account; many servers offer it only after TLS, or on another port."),
        CloseReason::NoMechanism { offered, wanted } => configuration(format!(
            "The server `{host}` offers {}, and the account signs in by none of them.",
            offered.join(", ")
        ))
        .advising(mechanism_advice(offered, wanted)),
        CloseReason::Injected => configuration(format!(
            "The server `{host}` sent more than its reply before the TLS handshake; somebody on the way may be injecting replies, so nothing was sent."
        ))
        .advising("Try another network, or port 465."),
        // What is too long is an SMTP reply still; a mail server may do better on the next connection.
        CloseReason::OutOfStep(OutOfStep::Unparsable(error)) if !is_too_long(*error) => configuration(format!(
            "What answers at `{host}` is no mail server: its words are not SMTP replies. A proxy, or the sign-in page of a public network, may be in between."
        ))
        .advising("Check host and port, and sign in to the network in a browser first if it asks for that."),
        other => SessionFailure::new(
            FailureKind::Transient,
            format!("The conversation with `{host}` ended early: {other}."),
        ),
    }
}

/// What to do where the account signs in by none of the mechanisms that a server offers. Only what can be followed is
/// advised: another value of `auth`, where the account's own secret fits a mechanism on offer.
fn mechanism_advice(offered: &[String], wanted: &[String]) -> &'static str {
    const PASSWORD: [&str; 4] = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5"];
    const TOKEN: [&str; 2] = ["XOAUTH2", "OAUTHBEARER"];
    const WINDOWS: [&str; 4] = ["NTLM", "GSSAPI", "GSS-SPNEGO", "KERBEROS_V4"];
    let some = |list: &[String], names: &[&str]| {
        list.iter()
            .any(|one| names.iter().any(|name| name.eq_ignore_ascii_case(one)))
    };
    let (has_password, has_token) = (some(wanted, &PASSWORD), some(wanted, &TOKEN));
    if (has_password && some(offered, &PASSWORD)) || (has_token && some(offered, &TOKEN)) {
        "Write \"auth\": true in the account and leave `mail.smtp.auth.mechanisms` out, so that a mechanism on offer is chosen."
    } else if some(offered, &PASSWORD) {
        "Give the account a user name and a password (type `smtp-auth-and-properties`); at many providers it is an app password."
    } else if some(offered, &TOKEN) {
        "The server takes access tokens only: use an account of the type `oauth-2`."
    } else if some(offered, &["EXTERNAL"]) {
        "The server takes client certificates only: write `client_certificate` and `client_key` into the account."
    } else if some(offered, &WINDOWS) {
        "NTLM and GSSAPI, a Windows domain's own ways, are not spoken. Ask the server's administrator to offer LOGIN or PLAIN over TLS (in Exchange: basic authentication on the receive connector), or to take mail from this machine without a sign-in; then write \"auth\": false."
    } else {
        "None of them is spoken here. Ask the server's administrator to offer PLAIN, LOGIN, SCRAM-SHA-256 or CRAM-MD5 over TLS."
    }
}

/// How a server leaves without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing came, however long one waited.
    Silent,
    /// It closed the connection.
    Closed,
}

/// Explains that `server` (`host:port`) has left without the reply that was waited for. `stage` is what was waited for;
/// none where it is not known.
pub fn explain_loss(server: &str, loss: Loss, stage: Option<SmtpStage>) -> SessionFailure {
    let what = match (loss, stage) {
        (Loss::Silent, None) => "did not answer in time".to_owned(),
        (Loss::Silent, Some(stage)) => {
            let what = match stage {
                SmtpStage::Greeting => "the connection and sent no greeting".to_owned(),
                SmtpStage::StartTls => "STARTTLS and did not go on".to_owned(),
                stage => format!("{stage} and sent no reply"),
            };
            format!("did not answer in time: it took {what}")
        }
        (Loss::Closed, Some(SmtpStage::Greeting)) => "closed the connection and sent no greeting".to_owned(),
        (Loss::Closed, Some(SmtpStage::StartTls)) => "closed the connection after STARTTLS".to_owned(),
        (Loss::Closed, Some(stage)) => format!("closed the connection at {stage}"),
        (Loss::Closed, None) => "closed the connection".to_owned(),
    };
    let failure = SessionFailure::new(FailureKind::Transient, format!("The server `{server}` {what}."));
    match (loss, stage) {
        (Loss::Silent, Some(SmtpStage::Greeting)) => failure.advising(
            "Most often a firewall takes the connection and passes nothing on, or host and port are not those of a mail server for sending (587 begins in clear, 465 with TLS). Check them, or try another network; a slow server needs a larger `mail.smtp.timeout` or a longer run.",
        ),
        (Loss::Closed, Some(SmtpStage::Greeting)) => failure.advising(
            "Most often the server takes nothing from this network, or the port begins with TLS (465) and the account does not. Check host and port, or try another network.",
        ),
        _ => failure,
    }
}

fn is_too_long(error: ReplyError) -> bool {
    matches!(
        error.kind(),
        ReplyErrorKind::LineTooLong | ReplyErrorKind::TooManyLines | ReplyErrorKind::TooLong
    )
}

impl From<SmtpStage> for Stage {
    fn from(stage: SmtpStage) -> Self {
        match stage {
            SmtpStage::Greeting => Self::Greeting,
            SmtpStage::Hello => Self::Ehlo,
            SmtpStage::StartTls => Self::StartTls,
            SmtpStage::SignIn => Self::Auth,
            SmtpStage::Sender => Self::Mail,
            SmtpStage::Recipient => Self::Rcpt,
            SmtpStage::Data => Self::Data,
            SmtpStage::Content => Self::Content,
            SmtpStage::Reset | SmtpStage::Idle => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use pipepost_smtp::parse_reply;

    use super::*;

    #[test]
    fn a_refused_token_is_no_matter_of_a_password() {
        for text in [
            "535 5.7.8 Username and Password not accepted. https://support.google.com/mail/?p=BadCredentials a1 - gsmtp",
            "534-5.7.9 Application-specific password required. a1 - gsmtp\r\n534 5.7.9 a1 - gsmtp",
            "535 5.7.3 Authentication unsuccessful [LO2P265CA0483.GBRP265.PROD.OUTLOOK.COM]",
            "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
            "535 Authentication failed",
            "535 5.7.0 (#AUTH005) Too many bad auth attempts.",
            "550 5.7.1 Access denied",
            "454 4.7.0 Too many login attempts, please try again later. a1 - gsmtp",
            "421 4.7.0 Too many authentication failures",
            "534 5.7.9 Mechanism too weak",
        ] {
            let reply = parse_reply(text).expect(text);
            for (mechanism, matter) in [
                ("XOAUTH2", "token"),
                ("oauthbearer", "token"),
                ("EXTERNAL", "certificate"),
            ] {
                let told = explain_sign_in("mail.example", mechanism, &reply);
                let advice = told.advice.unwrap_or_default();
                let own = told.message.split("said:").next().unwrap_or_default();
                for said in [own, &advice] {
                    assert!(!said.to_lowercase().contains("password"), "{mechanism} {text}: {said}");
                }
                assert!(
                    told.kind.is_temporary() || own.contains(matter),
                    "{mechanism} {text}: {own}"
                );
                assert_eq!(
                    told.kind,
                    explain_sign_in("mail.example", "PLAIN", &reply).kind,
                    "{text}"
                );
            }
        }
        let reply = parse_reply("535 5.7.8 Bad credentials").expect("a reply");
        let told = explain_sign_in("mail.example", "LOGIN", &reply);
        assert!(told.advice.unwrap_or_default().contains("password"));
    }

    /// Each advice can be followed by the account that gets it.
    #[test]
    fn mechanisms_that_do_not_meet_lead_to_what_the_account_can_do() {
        let list = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (offered, wanted, advice) in [
            ("LOGIN PLAIN", "CRAM-MD5", "Write \"auth\": true"),
            ("SCRAM-SHA-256", "PLAIN LOGIN", "Write \"auth\": true"),
            ("XOAUTH2", "OAUTHBEARER", "Write \"auth\": true"),
            ("LOGIN PLAIN", "XOAUTH2 OAUTHBEARER", "smtp-auth-and-properties"),
            ("XOAUTH2 NTLM", "PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5", "`oauth-2`"),
            ("EXTERNAL", "PLAIN LOGIN", "client_certificate"),
            ("NTLM", "PLAIN LOGIN", "NTLM and GSSAPI"),
            ("gssapi DIGEST-MD5", "XOAUTH2", "NTLM and GSSAPI"),
            ("DIGEST-MD5 SCRAM-SHA-1", "PLAIN LOGIN", "None of them is spoken here"),
        ] {
            let reason = CloseReason::NoMechanism {
                offered: list(offered),
                wanted: list(wanted),
            };
            let told = explain_close("mail.example", &reason);
            assert_eq!(told.kind, FailureKind::Configuration);
            assert!(told.message.contains(&offered.replace(' ', ", ")), "{}", told.message);
            let said = told.advice.unwrap_or_default();
            assert!(said.contains(advice), "{offered} for {wanted}: {said}");
        }
    }

    #[test]
    fn what_a_setting_forbids_is_said_of_a_token_too() {
        let reply = parse_reply(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        );
        let told = explain_sign_in("smtp.office365.com", "XOAUTH2", &reply.expect("a reply"));
        assert!(told.message.contains("turned off"), "{}", told.message);
    }
}
