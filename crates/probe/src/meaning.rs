//! What a reply or an early end means to the person whose account this is.

use pipepost_replies::{self as gmail, FailureKind, Provider, explain_for};
use pipepost_smtp::{CloseReason, OutOfStep, Reply, Stage};

/// What happened, and what to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// By who can mend it and when.
    pub kind: FailureKind,
    /// What happened: sentences.
    pub message: String,
    /// What to do now.
    pub advice: Option<String>,
    /// The page to open.
    pub link: Option<String>,
}

/// What a refusing reply of this host's server means.
pub fn of_reply(host: &str, reply: &Reply, stage: Stage) -> Meaning {
    let enhanced = reply.enhanced().map(|code| (code.class, code.subject, code.detail));
    let provider = Provider::of_host(host);
    let meaning = explain_for(
        provider,
        reply.code(),
        enhanced,
        &reply.text(),
        Some(gmail_stage(stage)),
    );
    Meaning {
        kind: meaning.kind,
        message: format!("{} The server said: \"{reply}\".", meaning.cause),
        advice: Some(meaning.cure.into_owned()).filter(|cure| !cure.is_empty()),
        link: meaning.link,
    }
}

/// What an early end means.
pub fn of_ending(host: &str, ending: &CloseReason) -> Meaning {
    let configuration = |message: &str, advice: &str| Meaning {
        kind: FailureKind::Configuration,
        message: message.to_owned(),
        advice: Some(advice.to_owned()),
        link: None,
    };
    match ending {
        CloseReason::Refused { stage, reply } | CloseReason::Closing { stage, reply } => of_reply(host, reply, *stage),
        CloseReason::StartTlsRefused(reply) => of_reply(host, reply, Stage::StartTls),
        CloseReason::SignInRefused { reply: Some(reply), .. } => of_reply(host, reply, Stage::SignIn),
        CloseReason::StartTlsMissing => configuration(
            "The server does not offer STARTTLS, and TLS is required; if it is a well-known provider's, a firewall or a virus scanner on the way has taken the offer out.",
            "Use port 465 with TLS from the first byte, or another network.",
        ),
        CloseReason::NoMechanism { offered } if offered.is_empty() => configuration(
            "The server offers no sign-in, and the account has credentials.",
            "If it needs none, write \"auth\": false in the account; many servers offer it only after TLS, or on another port.",
        ),
        CloseReason::NoMechanism { offered } => Meaning {
            kind: FailureKind::Configuration,
            message: format!(
                "The server offers {}, and the account signs in by none of them.",
                offered.join(", ")
            ),
            advice: Some("Change \"auth\" in the account, or use an account of another type.".to_owned()),
            link: None,
        },
        CloseReason::Injected => configuration(
            "The server sent more than its reply before the TLS handshake; somebody on the way may be adding replies, so nothing was sent.",
            "Try another network, or port 465.",
        ),
        CloseReason::OutOfStep(OutOfStep::Unparsable(_)) => configuration(
            "What answers there is no mail server: its words are no SMTP replies. A proxy, or the sign-in page of a public network, may stand before it.",
            "Check host and port, and sign in to the network in a browser first if it asks for that.",
        ),
        other => Meaning {
            kind: FailureKind::Transient,
            message: format!("The conversation ended early: {other}."),
            advice: None,
            link: None,
        },
    }
}

fn gmail_stage(stage: Stage) -> gmail::Stage {
    match stage {
        Stage::Greeting => gmail::Stage::Greeting,
        Stage::Hello => gmail::Stage::Ehlo,
        Stage::StartTls => gmail::Stage::StartTls,
        Stage::SignIn => gmail::Stage::Auth,
        Stage::Sender => gmail::Stage::Mail,
        Stage::Recipient => gmail::Stage::Rcpt,
        Stage::Data => gmail::Stage::Data,
        Stage::Content => gmail::Stage::Content,
        Stage::Reset | Stage::Idle => gmail::Stage::Other,
    }
}
