//! MAIL, RCPT and DATA: one mail transaction (RFC 5321 section 3.3).

use super::command::{self, Fault};
use super::{Answer, Effect, Mode, Reply, Session};
use crate::message::Parameters;
use crate::session::content::Incoming;

/// A transaction between MAIL and the end of its content.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) from: String,
    pub(super) parameters: Parameters,
    pub(super) recipients: Vec<String>,
    /// The chunks of BDAT so far, and their number; none before the first.
    pub(super) chunks: Option<(Vec<u8>, u32)>,
    /// A chunk was refused: nothing but RSET leads on.
    pub(super) broken: bool,
}

impl Transaction {
    pub(super) fn new(from: String, parameters: Parameters) -> Self {
        Self {
            from,
            parameters,
            recipients: Vec::new(),
            chunks: None,
            broken: false,
        }
    }
}

impl Session {
    pub(super) fn mail(&mut self, argument: &str) -> Answer {
        if self.helo.is_none() {
            return self.refuse(503, "5.5.1 EHLO/HELO first.");
        }
        if self.lacks_tls() {
            return self.refuse(530, "5.7.0 Must issue a STARTTLS command first.");
        }
        if self.settings.requires_auth() && self.user.is_none() {
            return self.refuse(
                530,
                "5.7.0 Authentication Required. For more information, go to\n\
                 5.7.0 https://support.google.com/mail/?p=WantAuthError",
            );
        }
        if self.transaction.is_some() {
            return self.refuse(503, "5.5.1 MAIL was given already, RSET first.");
        }
        match command::reverse_path(argument, |word| self.settings.offers(word)) {
            Ok((_, parameters)) if parameters.size.is_some_and(|size| size > self.settings.size_limit) => {
                self.too_large()
            }
            Ok((from, parameters)) => {
                // The reply already bears the identifier of the transaction that it begins.
                let id = format!("pipepost-{}-{}", self.connection, self.transactions + 1);
                Answer {
                    reply: Reply::signed(250, "2.1.0 OK", &id),
                    effect: Effect::Mail(from, parameters),
                }
            }
            Err(fault) => self.faulty("sender", "5.1.7", fault),
        }
    }

    pub(super) fn rcpt(&mut self, argument: &str) -> Answer {
        let Some(transaction) = &self.transaction else {
            return self.no_transaction();
        };
        if transaction.chunks.is_some() {
            return self.refuse(503, "5.5.1 RCPT after BDAT, RSET first.");
        }
        if transaction.recipients.len() >= self.settings.max_recipients {
            return self.refuse(
                452,
                "4.5.3 Your message has too many recipients. For more information regarding\n\
                 4.5.3 Google's sending limits, go to\n\
                 4.5.3 https://support.google.com/mail/?p=TooManyRecipientsError",
            );
        }
        match command::forward_path(argument, transaction.parameters.smtputf8) {
            Ok(address) => self.accept("2.1.5 OK", Effect::Recipient(address)),
            Err(fault) => self.faulty("recipient", "5.1.3", fault),
        }
    }

    pub(super) fn data(&mut self) -> Answer {
        let Some(transaction) = &self.transaction else {
            return self.no_transaction();
        };
        if transaction.chunks.is_some() {
            return self.refuse(503, "5.5.1 DATA after BDAT, RSET first.");
        }
        if transaction.recipients.is_empty() {
            // A script may answer 354 all the same, and then the content is read.
            return Answer {
                reply: self.signed(503, "5.5.1 RCPT first."),
                effect: Effect::Data,
            };
        }
        Answer {
            reply: self.signed(354, "Go ahead"),
            effect: Effect::Data,
        }
    }

    pub(super) fn begin_data(&mut self) {
        self.mode = Mode::Content(Incoming::data(self.settings.size_limit));
    }

    pub(super) fn too_large(&self) -> Answer {
        self.refuse(
            552,
            "5.2.3 Your message exceeded Google's message size limits. For more information,\n\
             5.2.3 go to https://support.google.com/mail/?p=MaxSizeError",
        )
    }

    /// What needs a sender came without one.
    pub(super) fn no_transaction(&self) -> Answer {
        let first = if self.helo.is_none() { "EHLO/HELO" } else { "MAIL" };
        self.refuse(503, &format!("5.5.1 {first} first."))
    }

    fn faulty(&self, whose: &str, enhanced: &str, fault: Fault) -> Answer {
        match fault {
            Fault::Syntax => self.refuse(555, "5.5.2 Syntax error."),
            Fault::Mailbox(address) => self.refuse(
                553,
                &format!("{enhanced} The {whose} address <{address}> is not a valid RFC 5321 address."),
            ),
            Fault::NeedsUtf8 => self.refuse(553, &format!("5.6.7 The {whose} address needs SMTPUTF8.")),
            Fault::Parameter => self.refuse(555, "5.5.4 Unsupported parameter."),
            Fault::ParameterValue => self.refuse(501, "5.5.4 Invalid parameter value."),
        }
    }
}
