//! What a sender asks of delivery status notifications (RFC 3461).
//!
//! The parameters are sent only to a server that offers DSN. A message goes to every other server without them.

use std::fmt;
use std::str::FromStr;

use crate::address::Address;

/// What one transaction asks for. The default asks for nothing, and nothing is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DsnRequest {
    /// The events that a notification is wanted for, the same for every recipient. None: the server decides, which means
    /// failures and perhaps delays.
    pub notify: Option<Notify>,
    /// How much of the message a notification of failure returns. None: the server decides.
    pub ret: Option<Return>,
    /// The sender's own name for the transaction, which notifications repeat.
    pub envelope_id: Option<EnvelopeId>,
}

impl DsnRequest {
    /// Checks whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.notify.is_none() && self.ret.is_none() && self.envelope_id.is_none()
    }
}

/// The parameters as they are written in MAIL and RCPT, separated by blanks.
impl fmt::Display for DsnRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.notify.map(|notify| format!("NOTIFY={notify}")),
            self.ret.map(|ret| format!("RET={}", ret.as_str())),
            self.envelope_id.as_ref().map(|id| format!("ENVID={}", id.as_xtext())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(" "))
    }
}

/// The events that a notification is wanted for: NOTIFY of RFC 3461, section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// No notification, whatever happens.
    Never,
    /// A notification of each event that is true. At least one is.
    On {
        /// The message was delivered.
        success: bool,
        /// The message cannot be delivered.
        failure: bool,
        /// The delivery takes longer than usual.
        delay: bool,
    },
}

impl FromStr for Notify {
    type Err = DsnError;

    /// Reads `NEVER`, or some of `SUCCESS`, `FAILURE` and `DELAY`, each once, with commas or blanks between, in upper or
    /// lower case.
    fn from_str(text: &str) -> Result<Self, DsnError> {
        let (mut never, mut success, mut failure, mut delay) = (false, false, false, false);
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        for word in words {
            let flag = match word.to_ascii_uppercase().as_str() {
                "NEVER" => &mut never,
                "SUCCESS" => &mut success,
                "FAILURE" => &mut failure,
                "DELAY" => &mut delay,
                _ => return Err(DsnError::Notify),
            };
            if std::mem::replace(flag, true) {
                return Err(DsnError::Notify);
            }
        }
        match (never, success || failure || delay) {
            (true, false) => Ok(Self::Never),
            (false, true) => Ok(Self::On {
                success,
                failure,
                delay,
            }),
            _ => Err(DsnError::Notify),
        }
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On {
            success,
            failure,
            delay,
        } = *self
        else {
            return f.write_str("NEVER");
        };
        let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let words: Vec<&str> = words
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, word)| word)
            .collect();
        f.write_str(&words.join(","))
    }
}

/// How much of the message a notification of failure returns: RET of RFC 3461, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The whole message.
    Full,
    /// Its headers.
    Headers,
}

impl Return {
    /// Returns the keyword: `FULL` or `HDRS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

impl FromStr for Return {
    type Err = DsnError;

    /// Reads `FULL` or `HDRS`, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, DsnError> {
        match text.to_ascii_uppercase().as_str() {
            "FULL" => Ok(Self::Full),
            "HDRS" => Ok(Self::Headers),
            _ => Err(DsnError::Return),
        }
    }
}

/// The sender's own name for a transaction: ENVID of RFC 3461, section 4.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeId(Box<str>);

impl EnvelopeId {
    /// The maximum length before it is encoded, in characters.
    pub const MAX: usize = 100;

    /// Takes printable ASCII, blanks included. It is encoded when it is sent.
    ///
    /// # Errors
    /// [`DsnError::EnvelopeId`] when the text is empty, too long, or holds another character: notifications could not
    /// repeat it.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let is_printable = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        if text.is_empty() || text.len() > Self::MAX || !is_printable {
            return Err(DsnError::EnvelopeId);
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name in the encoding of the command.
    pub fn as_xtext(&self) -> String {
        xtext(&self.0)
    }
}

/// The reason why a text asks for nothing that RFC 3461 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DsnError {
    /// NOTIFY is neither `NEVER` nor some of `SUCCESS`, `FAILURE`, `DELAY`.
    Notify,
    /// RET is neither `FULL` nor `HDRS`.
    Return,
    /// ENVID is no printable ASCII of 1 to 100 characters.
    EnvelopeId,
}

impl fmt::Display for DsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notify => "it is NEVER, or some of SUCCESS, FAILURE and DELAY, each once",
            Self::Return => "it is FULL or HDRS",
            Self::EnvelopeId => "it is 1 to 100 printable characters of ASCII",
        })
    }
}

impl std::error::Error for DsnError {}

/// How much RFC 3461, section 4, adds to the longest RCPT line.
const RECIPIENT_PARAMETERS_MAX: usize = 500;

/// The parameters of RCPT for this recipient, each after a blank.
pub(crate) fn recipient_parameters(request: &DsnRequest, recipient: &Address) -> String {
    let mut parameters = String::new();
    if let Some(notify) = request.notify {
        parameters.push_str(&format!(" NOTIFY={notify}"));
    }
    // The type `rfc822` holds ASCII; the one for the rest (RFC 6533) few servers know, and it may be left out.
    if !recipient.needs_smtputf8() {
        let original = format!(" ORCPT=rfc822;{}", xtext(recipient.as_str()));
        if parameters.len() + original.len() <= RECIPIENT_PARAMETERS_MAX {
            parameters.push_str(&original);
        }
    }
    parameters
}

/// RFC 3461, section 4: printable characters but for `+` and `=` stand for themselves, every other octet as `+` and two
/// digits.
fn xtext(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if matches!(octet, b'!'..=b'~') && !matches!(octet, b'+' | b'=') {
            out.push(char::from(octet));
        } else {
            out.push('+');
            out.push(char::from(HEX[usize::from(octet >> 4)]));
            out.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_alone_or_some_of_the_three_each_once() {
        for (text, said) in [
            ("never", "NEVER"),
            ("SUCCESS", "SUCCESS"),
            ("delay, failure", "FAILURE,DELAY"),
            ("Success Failure Delay", "SUCCESS,FAILURE,DELAY"),
        ] {
            assert_eq!(
                text.parse::<Notify>().map(|notify| notify.to_string()),
                Ok(said.to_owned())
            );
        }
        for text in [
            "",
            ",",
            "NEVER,FAILURE",
            "NEVER,NEVER",
            "SUCCESS,SUCCESS",
            "ALWAYS",
            "SUCCESS;DELAY",
        ] {
            assert_eq!(text.parse::<Notify>(), Err(DsnError::Notify), "{text}");
        }
    }

    #[test]
    fn an_envelope_id_is_printable_and_has_a_hundred_characters_at_most() {
        let id = EnvelopeId::parse("a b+c=d~").unwrap();
        assert_eq!((id.as_str(), id.as_xtext().as_str()), ("a b+c=d~", "a+20b+2Bc+3Dd~"));
        assert!(EnvelopeId::parse(&"x".repeat(100)).is_ok());
        for text in ["", "a\r\nRCPT TO:<x@y.test>", "a\tb", "ä", &"x".repeat(101)] {
            assert_eq!(EnvelopeId::parse(text), Err(DsnError::EnvelopeId), "{text:?}");
        }
    }

    #[test]
    fn the_original_recipient_is_said_where_its_type_can_hold_it() {
        let request = DsnRequest {
            notify: Some(Notify::Never),
            ..DsnRequest::default()
        };
        let of = |text: &str| recipient_parameters(&request, &Address::parse(text).unwrap());
        assert_eq!(of("a+b@x.test"), " NOTIFY=NEVER ORCPT=rfc822;a+2Bb@x.test");
        assert_eq!(of("\"a b\"@x.test"), " NOTIFY=NEVER ORCPT=rfc822;\"a+20b\"@x.test");
        assert_eq!(of("ä@x.test"), " NOTIFY=NEVER");
        assert_eq!(of(&format!("{}@x.test", "+".repeat(300))), " NOTIFY=NEVER");
    }
}
