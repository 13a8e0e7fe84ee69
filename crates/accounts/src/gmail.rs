//! What is particular to Gmail's servers when signing in with what people paste.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Where a `basic` account signs in.
pub(crate) const HOST: &str = "smtp.gmail.com";

/// The recipients that one message may have over SMTP.
pub(crate) const RECIPIENTS: u32 = 100;

/// Whether a host is one of Gmail's submission servers.
pub(crate) fn is_gmail(host: &str) -> bool {
    [HOST, "smtp-relay.gmail.com", "smtp.googlemail.com"]
        .iter()
        .any(|name| host.eq_ignore_ascii_case(name))
}

/// An app password without the blanks it is shown with: four groups of four letters. Anything else stays as it is,
/// since a blank may be part of a password.
pub(crate) fn without_blanks(secret: Secret) -> Secret {
    let text = secret.expose();
    let mut letters = Zeroizing::new(String::with_capacity(text.len()));
    letters.extend(text.chars().filter(|c| !c.is_whitespace()));
    let is_app_password = letters.len() == 16 && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_app_password && letters.len() != text.len() {
        Secret::from(letters)
    } else {
        secret
    }
}

/// Why a user name without its domain is refused. It is not shown: user name and password are swapped at times.
pub(crate) const USERNAME_WITHOUT_DOMAIN: &str = "Gmail's user name is the whole address, and this one has no domain; add @gmail.com, or @ and your organisation's domain";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_leave_app_passwords_alone() {
        for (pasted, expected) in [
            ("abcd efgh ijkl mnop", "abcdefghijklmnop"),
            (" abcd\u{a0}efgh ijkl mnop ", "abcdefghijklmnop"),
            ("abcdefghijklmnop", "abcdefghijklmnop"),
            ("a pass phrase of mine", "a pass phrase of mine"),
            ("abcd efgh ijkl mn0p", "abcd efgh ijkl mn0p"),
        ] {
            assert_eq!(without_blanks(Secret::new(pasted.to_owned())).expose(), expected);
        }
    }
}
