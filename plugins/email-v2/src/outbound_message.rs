//! A message on its way: its transactions, how they ended, and what that means for the message.

use std::collections::HashSet;

use pipepost_smtp::{Address, DsnRequest, Id, Outcome as SmtpOutcome, Settled, Stage, Verdict as RecipientVerdict};

use crate::failure::{Failure, FailureKind};
use crate::message::Prepared;
use crate::output::{Outcome, Rejection, Report};
use crate::remainder::Remainder;
use crate::replies::{self, Breach, Server, Verdict};
use crate::world::{Part, Stop};

/// A message and what is known of it so far.
#[derive(Debug)]
pub(crate) struct OutboundMessage {
    pub(crate) call: u32,
    pub(crate) prepared: Prepared,
    /// Transactions that are under way or to be sent.
    open: usize,
    next_part: u32,
    accepted: Vec<String>,
    rejected: Vec<Rejection>,
    uncertain: Vec<String>,
    response: Option<String>,
    /// The first reason for which somebody does not get it.
    failure: Option<Verdict>,
    /// The first of these that may pass.
    deferral: Option<Verdict>,
    /// Who is to get it; none: all of the envelope.
    only: Option<Vec<String>>,
    /// This attempt has confirmed something.
    confirmed: bool,
    /// The host has the output for the case that nobody learns how it ends. Written by [`Self::take_in_doubt`] and
    /// [`Self::forget_in_doubt`] only.
    has_told_in_doubt: bool,
    /// That output, valid until the first recipient is settled: made with the message, while the server is at work.
    untouched: Option<String>,
}

/// One transaction of a message: some of its recipients.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) message: usize,
    pub(crate) part: u32,
    pub(crate) recipients: Vec<Address>,
    /// How often a server has asked for another connection for it.
    pub(crate) moves: u32,
    /// The host has claimed it, ahead of its announcement.
    pub(crate) is_claimed: bool,
}

/// What a settled transaction means for the part that the host keeps books of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PartEnd {
    /// The server took it.
    Confirmed,
    /// The server refused it with this reply, verbatim.
    Refused(String),
    /// Nothing was sent, or nobody can tell: the host knows from the bytes.
    Open,
}

/// What follows from a settled transaction.
#[derive(Debug)]
pub(crate) struct Consequence {
    pub(crate) part: PartEnd,
    /// To be sent in a further transaction.
    pub(crate) further: Option<Transaction>,
}

impl OutboundMessage {
    /// A message, or with a remainder what an earlier attempt left of it.
    ///
    pub(crate) fn new(call: u32, prepared: Prepared, remainder: Option<Remainder>) -> Self {
        let only = remainder.as_ref().map(|left| left.recipients.clone());
        let Remainder {
            accepted,
            rejected,
            part,
            ..
        } = remainder.unwrap_or_default();
        let mut message = Self {
            call,
            prepared,
            open: 0,
            next_part: part,
            accepted,
            rejected,
            uncertain: Vec::new(),
            response: None,
            failure: None,
            deferral: None,
            only,
            confirmed: false,
            has_told_in_doubt: false,
            untouched: None,
        };
        message.untouched = Some(message.in_doubt());
        message
    }

    /// The transactions that it takes, with at most so many recipients each.
    ///
    /// # Errors
    /// When nobody of those who are still to get it is among its recipients.
    pub(crate) fn transactions(&mut self, message: usize, recipients: usize) -> Result<Vec<Transaction>, Failure> {
        let envelope = &self.prepared.envelope.recipients;
        let all: Vec<Address> = match &self.only {
            None => envelope.clone(),
            Some(only) => {
                let is_due = |recipient: &&Address| only.iter().any(|due| due == recipient.as_str());
                envelope.iter().filter(is_due).cloned().collect()
            }
        };
        if all.is_empty() {
            return Err(Failure::new(
                FailureKind::Invalid,
                "None of those who are still to get the message is among its recipients.",
            ));
        }
        let wants_apart = |recipient: &Address| !self.prepared.utf8_headers && recipient.needs_smtputf8();
        if all.len() <= recipients.max(1) && !all.iter().any(wants_apart) {
            return Ok(vec![self.transaction(message, all)]);
        }
        // Who needs SMTPUTF8 and is in no header has a transaction apart: a server without it refuses that one alone.
        let (wide, plain): (Vec<Address>, Vec<Address>) = all
            .into_iter()
            .partition(|recipient| !self.prepared.utf8_headers && recipient.needs_smtputf8());
        Ok([plain, wide]
            .iter()
            .flat_map(|alike| alike.chunks(recipients.max(1)))
            .map(|some| self.transaction(message, some.to_vec()))
            .collect())
    }

    /// Leaves out the transactions with recipients who need SMTPUTF8, which the account turns off: they are rejected, and
    /// the others get the message.
    ///
    /// # Errors
    /// When there are no others.
    pub(crate) fn without_beyond_ascii(&mut self, transactions: Vec<Transaction>) -> Result<Vec<Transaction>, Failure> {
        let (wide, plain): (Vec<Transaction>, Vec<Transaction>) = transactions
            .into_iter()
            .partition(|transaction| transaction.recipients.iter().any(Address::needs_smtputf8));
        for transaction in wide {
            let names: Vec<&str> = transaction.recipients.iter().map(Address::as_str).collect();
            let failure = Failure::new(
                FailureKind::Invalid,
                format!(
                    "`{}` needs SMTPUTF8, which the account turns off (`mail.smtp.allowutf8`).",
                    names.join("`, `")
                ),
            );
            if plain.is_empty() {
                return Err(failure);
            }
            self.fail(&transaction, &failure.into());
        }
        Ok(plain)
    }

    fn transaction(&mut self, message: usize, recipients: Vec<Address>) -> Transaction {
        let part = self.next_part;
        self.next_part += 1;
        self.open += 1;
        Transaction {
            message,
            part,
            recipients,
            moves: 0,
            is_claimed: false,
        }
    }

    /// The transaction as the protocol takes it. `account`: what its account asks of notifications.
    pub(crate) fn as_smtp(
        &self,
        id: Id,
        transaction: &Transaction,
        account: &DsnRequest,
    ) -> pipepost_smtp::Transaction {
        pipepost_smtp::Transaction {
            id,
            sender: self.prepared.envelope.sender.clone(),
            recipients: transaction.recipients.clone(),
            size: self.prepared.content.size(),
            eight_bit: self.prepared.eight_bit,
            // What only its envelope asks for, the protocol sees there.
            utf8: self.prepared.utf8_headers,
            dsn: self.dsn(account),
        }
    }

    /// What is asked of notifications: the step's word, else the account's.
    pub(crate) fn dsn(&self, account: &DsnRequest) -> DsnRequest {
        let step = &self.prepared.dsn;
        DsnRequest {
            notify: step.notify.or(account.notify),
            ret: step.ret.or(account.ret),
            envelope_id: step.envelope_id.clone(),
        }
    }

    /// Takes note of how a transaction ended. It is not one that will be sent again as it is.
    pub(crate) fn note(
        &mut self,
        server: &Server<'_>,
        transaction: &Transaction,
        settled: Settled,
        stop: Option<Stop>,
        wire: Option<&Breach>,
    ) -> Consequence {
        self.open -= 1;
        let names = transaction
            .recipients
            .iter()
            .map(|recipient| recipient.as_str().to_owned());
        let mut deferred = Vec::new();
        let is_accepted = matches!(settled.outcome, SmtpOutcome::Accepted { .. });
        let is_uncertain = matches!(settled.outcome, SmtpOutcome::Uncertain(_));
        let first_refused = transaction
            .recipients
            .iter()
            .zip(&settled.recipients)
            .find_map(|(recipient, verdict)| match verdict {
                RecipientVerdict::Rejected(reply) => Some(replies::of_recipient(server, recipient.as_str(), reply)),
                _ => None,
            });
        // Why those fail who were not rejected themselves.
        let common = match &settled.outcome {
            SmtpOutcome::Accepted { .. } => None,
            SmtpOutcome::Refused { reply, stage } => {
                let own = first_refused.clone().filter(|_| *stage == Stage::Recipient);
                Some((
                    own.unwrap_or_else(|| replies::of_reply(server, reply, *stage)),
                    Some(reply.clone()),
                ))
            }
            SmtpOutcome::NotSent(reason) => Some((replies::of_not_sent(server, reason, stop, wire), None)),
            SmtpOutcome::Uncertain(ending) => Some((uncertain(server, ending, wire), None)),
        };
        for ((name, address), verdict) in names.zip(&transaction.recipients).zip(settled.recipients) {
            match verdict {
                RecipientVerdict::Rejected(reply) => self.reject(server, name, &reply, Stage::Recipient),
                RecipientVerdict::Deferred(_) if is_accepted => deferred.push(address.clone()),
                RecipientVerdict::Accepted if is_accepted => self.accepted.push(name),
                _ if is_uncertain => self.uncertain.push(name),
                _ => {
                    if let Some((verdict, reply)) = &common {
                        self.rejected.push(Rejection {
                            recipient: name,
                            code: reply.as_ref().map(pipepost_smtp::Reply::code),
                            enhanced: reply
                                .as_ref()
                                .and_then(|reply| reply.enhanced().map(|code| code.to_string())),
                            text: reply
                                .as_ref()
                                .map_or_else(|| verdict.failure.message.clone(), pipepost_smtp::Reply::text),
                            kind: verdict.failure.kind,
                        });
                    }
                }
            }
        }
        if let Some((verdict, _)) = &common {
            self.defer(verdict);
        }
        if let Some((verdict, _)) = common
            && (self.failure.is_none() || verdict.failure.kind == FailureKind::Uncertain)
        {
            self.failure = Some(verdict);
        } else if self.failure.is_none() {
            self.failure = first_refused;
        }
        let part = match &settled.outcome {
            SmtpOutcome::Accepted { reply } => {
                self.response = Some(replies::said(reply));
                self.confirmed = true;
                PartEnd::Confirmed
            }
            SmtpOutcome::Refused { reply, .. } => {
                self.response = Some(replies::said(reply));
                // The host forgets a message of which nothing was committed.
                self.forget_in_doubt();
                PartEnd::Refused(reply.verbatim())
            }
            SmtpOutcome::NotSent(_) | SmtpOutcome::Uncertain(_) => PartEnd::Open,
        };
        let further = (!deferred.is_empty()).then(|| self.transaction(transaction.message, deferred));
        Consequence { part, further }
    }

    fn reject(&mut self, server: &Server<'_>, recipient: String, reply: &pipepost_smtp::Reply, stage: Stage) {
        let mut verdict = replies::of_reply(server, reply, stage);
        let kind = verdict.failure.kind;
        if stage == Stage::Recipient {
            verdict.failure.message = format!("<{recipient}> was refused: {}", verdict.failure.message);
        }
        self.defer(&verdict);
        self.rejected.push(Rejection {
            recipient,
            code: Some(reply.code()),
            enhanced: reply.enhanced().map(|code| code.to_string()),
            text: reply.text(),
            kind,
        });
    }

    /// A transaction of it will not travel.
    pub(crate) fn fail(&mut self, transaction: &Transaction, failed: &Verdict) {
        self.open -= 1;
        self.rejected
            .extend(transaction.recipients.iter().map(|recipient| Rejection {
                recipient: recipient.as_str().to_owned(),
                code: None,
                enhanced: None,
                text: failed.failure.message.clone(),
                kind: failed.failure.kind,
            }));
        self.defer(failed);
        self.failure.get_or_insert_with(|| failed.clone());
    }

    /// Remembers the first reason that may pass.
    fn defer(&mut self, verdict: &Verdict) {
        if verdict.failure.kind.is_temporary() && self.deferral.is_none() {
            self.deferral = Some(verdict.clone());
        }
    }

    /// Returns a transaction of it as the host knows it.
    pub(crate) fn part(&self, transaction: &Transaction) -> Part {
        Part {
            call: self.call,
            number: transaction.part,
        }
    }

    /// Whether every transaction of it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// The message's outcome: the worst of its transactions. It is sent when somebody gets it and nobody is uncertain.
    ///
    /// A message that was sent is a failure even so where some were refused for now, with them as the remainder, and
    /// where this attempt did nothing for it: the host, which knows the attempts before, takes the output for what it is.
    pub(crate) fn outcome(self) -> Result<Option<String>, pipepost_sdk::Failure> {
        let remainder = self.remainder();
        let outcome = if !self.uncertain.is_empty() {
            Outcome::Uncertain
        } else if self.accepted.is_empty() {
            Outcome::Failed
        } else {
            Outcome::Sent
        };
        let unknown = || Failure::new(FailureKind::Refused, "The server took the message for nobody.").into();
        let reason = if remainder.is_some() && outcome != Outcome::Uncertain {
            self.deferral.or(self.failure)
        } else {
            self.failure
        };
        let verdict: Option<Verdict> = match outcome {
            Outcome::Sent if remainder.is_none() && self.confirmed => None,
            _ => Some(reason.unwrap_or_else(unknown)),
        };
        let shown = verdict.as_ref().filter(|_| outcome != Outcome::Sent);
        let output = self.prepared.output.render(&Report {
            outcome,
            accepted: &self.accepted,
            rejected: &self.rejected,
            uncertain: &self.uncertain,
            response: self.response.as_deref(),
            failure: shown.map(|verdict| &verdict.failure),
        });
        match verdict {
            None => Ok(Some(output)),
            Some(verdict) => Err(verdict.into_failure(remainder.map(|left| left.render()), Some(output))),
        }
    }

    /// Returns the output for the case that nobody learns how it ends, unless the host has it.
    pub(crate) fn take_in_doubt(&mut self) -> Option<String> {
        let is_news = !std::mem::replace(&mut self.has_told_in_doubt, true);
        is_news.then(|| self.in_doubt())
    }

    /// Notes that the host has no such output: it refused the announcement, or forgot a message of which nothing was
    /// committed.
    pub(crate) fn forget_in_doubt(&mut self) {
        self.has_told_in_doubt = false;
    }

    /// The output should nobody learn how it ends: everybody of whom nothing is known yet is uncertain.
    fn in_doubt(&mut self) -> String {
        let is_untouched = self.accepted.is_empty() && self.rejected.is_empty();
        if let Some(untouched) = self.untouched.take().filter(|_| is_untouched) {
            return untouched;
        }
        let known: HashSet<&str> = self
            .accepted
            .iter()
            .chain(self.rejected.iter().map(|rejection| &rejection.recipient))
            .map(String::as_str)
            .collect();
        let recipients = self.prepared.envelope.recipients.iter();
        let uncertain: Vec<String> = recipients
            .map(Address::as_str)
            .filter(|recipient| !known.contains(recipient))
            .map(str::to_owned)
            .collect();
        self.prepared.output.render(&Report {
            accepted: &self.accepted,
            rejected: &self.rejected,
            uncertain: &uncertain,
            ..Report::new(Outcome::Uncertain)
        })
    }

    /// Those who were refused for now, and those of whom nobody can tell. None: nobody, or everybody.
    fn remainder(&self) -> Option<Remainder> {
        let (deferred, rejected): (Vec<_>, Vec<_>) = self
            .rejected
            .iter()
            .partition(|rejection| rejection.kind.is_temporary());
        let deferred = deferred.into_iter().map(|rejection| rejection.recipient.clone());
        let recipients: Vec<String> = self.uncertain.iter().cloned().chain(deferred).collect();
        let is_everybody = self.accepted.is_empty() && rejected.is_empty();
        (!recipients.is_empty() && !is_everybody).then(|| Remainder {
            recipients,
            accepted: self.accepted.clone(),
            rejected: rejected.into_iter().cloned().collect(),
            part: self.next_part,
        })
    }
}

fn uncertain(server: &Server<'_>, ending: &pipepost_smtp::CloseReason, wire: Option<&Breach>) -> Verdict {
    let host = server.host;
    let why = wire.map_or_else(|| format!("{ending}."), |breach| replies::of_connection(server, breach));
    Failure::new(
        FailureKind::Uncertain,
        format!("The message was sent to `{host}` to its end, and the server's answer did not come: {why} It may have been delivered and may not."),
    )
    .with_advice("Look for it in the Sent folder or the server's log before sending it again; a second copy would carry the same Message-ID")
    .into()
}
