//! What helps with a failure, as the command or the option of this command line.

use std::fmt::Display;

use pipepost::{Failure, Remedy};

/// What helps, as a sentence.
pub(super) fn sentence(remedy: &Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::AuthorizeAccount { account } => format!("To sign in again: `pipepost accounts authorize {account}`."),
        Remedy::ResumeAccount { account } => format!("To end the pause: `pipepost accounts resume {account}`."),
        Remedy::SettleMessage { key } => format!("To settle it: `pipepost ledger settle {key} --as sent|not-sent`."),
        Remedy::NamePolicy => "To name a policy: --policy FILE.".to_owned(),
        Remedy::RaiseTimeLimit => "To give one run more time: --timeout.".to_owned(),
        _ => return None,
    })
}

/// What was said of a failure, with what helps.
pub(super) fn told(said: &dyn Display, failure: Option<&Failure>) -> String {
    let remedy = failure.and_then(|failure| failure.remedy.as_ref());
    match remedy.and_then(sentence) {
        Some(sentence) => format!("{said} {sentence}"),
        None => said.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use pipepost::FailureKind;

    use super::*;

    #[test]
    fn what_helps_follows_what_was_said() {
        let failure = Failure::new(FailureKind::Uncertain, "It may have been sent.");
        assert_eq!(told(&failure, Some(&failure)), "It may have been sent.");
        let key = "friday/send/0".to_owned();
        let failure = failure.with_remedy(Remedy::SettleMessage { key });
        assert_eq!(
            told(&failure, Some(&failure)),
            "It may have been sent. To settle it: `pipepost ledger settle friday/send/0 --as sent|not-sent`."
        );
    }
}
