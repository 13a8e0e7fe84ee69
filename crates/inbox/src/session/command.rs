//! Commands as the client wrote them: parsed strictly, for a server that forgives teaches its clients bad habits.

use crate::message::Parameters;

/// A command line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Ehlo(&'a str),
    Helo(&'a str),
    StartTls,
    Auth {
        mechanism: &'a str,
        initial: Option<&'a str>,
    },
    /// What follows `MAIL FROM:`.
    Mail(&'a str),
    /// What follows `RCPT TO:`.
    Rcpt(&'a str),
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    /// BDAT whose size cannot be read, so that nobody knows where the next command begins.
    BadBdat,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    /// A known verb with something wrong about it.
    Malformed,
    Unknown,
}

impl<'a> Command<'a> {
    /// Takes apart a line without its line end.
    pub(super) fn parse(line: &'a str) -> Self {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let bare = |command| {
            if argument.trim_end().is_empty() {
                command
            } else {
                Command::Malformed
            }
        };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => Command::Ehlo(argument.trim()),
            "HELO" => Command::Helo(argument.trim()),
            "STARTTLS" => bare(Command::StartTls),
            "AUTH" => {
                let (mechanism, initial) = match argument.split_once(' ') {
                    Some((mechanism, initial)) => (mechanism, Some(initial.trim_end())),
                    None => (argument, None),
                };
                if mechanism.is_empty() {
                    Command::Malformed
                } else {
                    Command::Auth { mechanism, initial }
                }
            }
            "MAIL" => strip_prefix_ignoring_case(argument, "FROM:").map_or(Command::Malformed, Command::Mail),
            "RCPT" => strip_prefix_ignoring_case(argument, "TO:").map_or(Command::Malformed, Command::Rcpt),
            "DATA" => bare(Command::Data),
            "BDAT" => bdat(argument).unwrap_or(Command::BadBdat),
            "RSET" => bare(Command::Rset),
            "NOOP" => Command::Noop,
            "VRFY" => Command::Vrfy,
            "EXPN" => Command::Expn,
            "HELP" => Command::Help,
            "QUIT" => bare(Command::Quit),
            _ => Command::Unknown,
        }
    }
}

fn bdat(argument: &str) -> Option<Command<'_>> {
    let mut words = argument.split_ascii_whitespace();
    let size = words.next()?;
    if !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    match words.next() {
        None => Some(Command::Bdat {
            size: size.parse().ok()?,
            last,
        }),
        Some(_) => None,
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// What is wrong with the argument of MAIL or RCPT.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not a path in angle brackets.
    Syntax,
    /// In brackets, but no mailbox (RFC 5321 section 4.1.2); the text between them.
    Mailbox(String),
    /// A mailbox that needs SMTPUTF8, which was not asked for (RFC 6531).
    NeedsUtf8,
    /// A parameter that is not known here.
    Parameter,
    /// A parameter with a bad value.
    ParameterValue,
}

/// The argument of MAIL FROM: the reverse-path, without brackets, and the parameters, each only if its capability is offered.
pub(super) fn reverse_path(argument: &str, offers: impl Fn(&str) -> bool) -> Result<(String, Parameters), Fault> {
    let (path, rest) = path(argument)?;
    let mut parameters = Parameters::default();
    for word in rest.split_ascii_whitespace() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        match (key.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let size = value.parse().ok().filter(|_| digits);
                parameters.size = Some(size.ok_or(Fault::ParameterValue)?);
            }
            ("BODY", Some(value)) if offers("8BITMIME") => match value.to_ascii_uppercase() {
                value if value == "7BIT" || value == "8BITMIME" => parameters.body = Some(value),
                _ => return Err(Fault::ParameterValue),
            },
            ("SMTPUTF8", None) if offers("SMTPUTF8") => parameters.smtputf8 = true,
            // RFC 4954 section 5: taken, and of no consequence here.
            ("AUTH", Some(_)) => {}
            _ => return Err(Fault::Parameter),
        }
    }
    if !path.is_empty() {
        check_mailbox(path, parameters.smtputf8)?;
    }
    Ok((path.to_owned(), parameters))
}

/// The argument of RCPT TO: the forward-path, without brackets.
pub(super) fn forward_path(argument: &str, smtputf8: bool) -> Result<String, Fault> {
    let (path, rest) = path(argument)?;
    if !rest.trim().is_empty() {
        return Err(Fault::Parameter);
    }
    if !path.eq_ignore_ascii_case("postmaster") {
        check_mailbox(path, smtputf8)?;
    }
    Ok(path.to_owned())
}

/// Splits `<path> rest`. A `>` within a quoted local part does not end the path.
fn path(argument: &str) -> Result<(&str, &str), Fault> {
    let inner = argument.strip_prefix('<').ok_or(Fault::Syntax)?;
    let (mut quoted, mut escaped) = (false, false);
    for (index, character) in inner.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let rest = &inner[index + 1..];
                return if rest.is_empty() || rest.starts_with(' ') {
                    Ok((&inner[..index], rest))
                } else {
                    Err(Fault::Syntax)
                };
            }
            _ => {}
        }
    }
    Err(Fault::Syntax)
}

fn check_mailbox(mailbox: &str, smtputf8: bool) -> Result<(), Fault> {
    let bad = || Fault::Mailbox(mailbox.to_owned());
    let (local, domain) = mailbox.rsplit_once('@').ok_or_else(bad)?;
    // As RFC 5321, section 4.5.3.1, asks for: no limit on the local part but that of the line.
    if !is_local_part(local) || !is_domain(domain) || domain.len() > 255 {
        return Err(bad());
    }
    if mailbox.is_ascii() || smtputf8 {
        Ok(())
    } else {
        Err(Fault::NeedsUtf8)
    }
}

fn is_local_part(local: &str) -> bool {
    if let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut escaped = false;
        for character in inner.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return false,
                _ => {}
            }
        }
        return !escaped && local.len() > 1;
    }
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    })
}

/// A domain or an address literal (RFC 5321 sections 4.1.2 and 4.1.3).
pub(super) fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
        };
    }
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || c == '-' || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_in_any_case() {
        assert_eq!(Command::parse("ehlo mail.example"), Command::Ehlo("mail.example"));
        assert_eq!(
            Command::parse("Mail from:<a@b.example>"),
            Command::Mail("<a@b.example>")
        );
        assert_eq!(Command::parse("bdat 12 last"), Command::Bdat { size: 12, last: true });
        assert_eq!(
            Command::parse("AUTH PLAIN ="),
            Command::Auth {
                mechanism: "PLAIN",
                initial: Some("=")
            }
        );
        assert_eq!(Command::parse(""), Command::Unknown);
    }

    #[test]
    fn a_size_that_is_no_number_is_bad() {
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT +1 LAST",
            "BDAT 1 LAST more",
            "BDAT 99999999999999999999",
        ] {
            assert_eq!(Command::parse(line), Command::BadBdat, "{line}");
        }
    }

    #[test]
    fn paths_need_their_brackets() {
        for argument in [
            "a@b.example",
            " <a@b.example>",
            "<a@b.example",
            "<a@b.example>x",
            "Ann <a@b.example>",
        ] {
            assert_eq!(reverse_path(argument, |_| true), Err(Fault::Syntax), "{argument}");
        }
    }

    #[test]
    fn mailboxes_are_checked() {
        for good in [
            "<a@b.example>",
            "<\"a>b\"@b.example>",
            "<a.b+c@b>",
            "<a@[127.0.0.1]>",
            "<a@[IPv6:::1]>",
            "<postmaster>",
        ] {
            assert!(forward_path(good, false).is_ok(), "{good}");
        }
        for bad in [
            "<>",
            "<a>",
            "<a@>",
            "<@b>",
            "<a b@c>",
            "<a..b@c>",
            "<a@b..c>",
            "<a@-b>",
            "<a@[1.2.3]>",
            "<@x:a@b>",
        ] {
            assert!(matches!(forward_path(bad, false), Err(Fault::Mailbox(_))), "{bad}");
        }
        assert_eq!(forward_path("<jörg@b.example>", false), Err(Fault::NeedsUtf8));
        assert!(forward_path("<jörg@b.example>", true).is_ok());
    }

    #[test]
    fn parameters_of_mail_are_read() {
        let (from, parameters) = reverse_path("<> SIZE=12 BODY=8bitmime SMTPUTF8", |_| true).unwrap();
        assert_eq!(from, "");
        assert_eq!(
            parameters,
            Parameters {
                size: Some(12),
                body: Some("8BITMIME".into()),
                smtputf8: true
            }
        );
        assert_eq!(
            reverse_path("<> SMTPUTF8", |word| word != "SMTPUTF8"),
            Err(Fault::Parameter)
        );
        assert_eq!(
            reverse_path("<> BODY=8BITMIME", |word| word != "8BITMIME"),
            Err(Fault::Parameter)
        );
        assert_eq!(reverse_path("<> SIZE=-1", |_| true), Err(Fault::ParameterValue));
        assert_eq!(reverse_path("<> BODY=BINARYMIME", |_| true), Err(Fault::ParameterValue));
        assert_eq!(reverse_path("<> RET=FULL", |_| true), Err(Fault::Parameter));
    }
}
