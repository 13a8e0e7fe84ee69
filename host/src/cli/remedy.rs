//! What helps with a failure, as the command or the option of this command line.

use std::fmt::Display;
use std::path::Path;

use pipepost::{Failure, Remedy};

/// What helps, as a sentence.
pub(super) fn sentence(remedy: &Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::AuthorizeAccount { account, file } => {
            format!("To sign in again: {}.", authorize(account, file.as_deref()))
        }
        Remedy::ResumeAccount { account } => format!("To end the pause: `pipepost accounts resume {account}`."),
        Remedy::RaiseAccountLimit { account } => {
            format!(
                "To raise the limit: `pipepost accounts edit {} --set limits.messages_per_day=N`.",
                word(account)
            )
        }
        Remedy::SettleMessage { key } => format!("To settle it: `pipepost ledger settle {key} --as sent|not-sent`."),
        Remedy::NamePolicy => "To name a policy: --policy FILE.".to_owned(),
        Remedy::RaiseTimeLimit => "To give one run more time: --timeout.".to_owned(),
        Remedy::Serve => {
            "Serve its directory: `pipepost serve DIR`. To see what it would start: `pipepost run --dry-run`."
                .to_owned()
        }
        _ => return None,
    })
}

/// How a person signs in to an account. What they grant is kept in the store, so an account of a file goes there first.
pub(super) fn authorize(label: &str, file: Option<&Path>) -> String {
    let authorize = format!("`pipepost accounts authorize {}`", word(label));
    match file {
        None => authorize,
        Some(file) => format!(
            "put the account into the store, which keeps what the person grants (`pipepost accounts add --from {} {}`), take it out of the file, and run {authorize}",
            word(&file.display().to_string()),
            word(label)
        ),
    }
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/@+:,=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
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
    fn an_account_of_a_file_goes_into_the_store_first() {
        assert_eq!(authorize("mail", None), "`pipepost accounts authorize mail`");
        let told = authorize("my mail", Some(Path::new("a b.json")));
        assert!(
            told.contains("`pipepost accounts add --from 'a b.json' 'my mail'`"),
            "{told}"
        );
        assert!(told.ends_with("`pipepost accounts authorize 'my mail'`"), "{told}");
        assert_eq!(word("it's"), r"'it'\''s'");
    }

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
