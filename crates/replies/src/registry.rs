//! The meaning of an enhanced code by itself: the registry of RFC 5248 as data, with the codes of RFC 3463, 4468, 4954,
//! 5248, 6531, 6710, 7293, 7372, 7505 and 8689.

use pipepost_core::FailureKind;

use crate::meaning::Scope;

/// A subject and detail, and their meaning.
pub(crate) struct Detail {
    pub(crate) subject: u16,
    pub(crate) detail: u16,
    /// The kind in the permanent class; the class 4 makes it transient.
    pub(crate) kind: FailureKind,
    pub(crate) scope: Scope,
    pub(crate) cause: &'static str,
    /// For the permanent class, and begins with a verb.
    pub(crate) cure: &'static str,
}

const fn on(
    subject: u16,
    detail: u16,
    kind: FailureKind,
    scope: Scope,
    cause: &'static str,
    cure: &'static str,
) -> Detail {
    Detail {
        subject,
        detail,
        kind,
        scope,
        cause,
        cure,
    }
}

use FailureKind::{Authentication, Configuration, Invalid, Refused};
use Scope::{Account, Connection, Recipient, Transaction};

#[rustfmt::skip]
pub(crate) const DETAILS: &[Detail] = &[
    // X.1: addresses.
    on(1, 0, Refused, Recipient, "Something about an address is wrong.",
        "Check how the address is written."),
    on(1, 1, Refused, Recipient, "There is no mailbox with this address.",
        "Correct the part before the @, or take the address off your list."),
    on(1, 2, Refused, Recipient, "The domain of this address does not exist or takes no mail.",
        "Correct the part after the @."),
    on(1, 3, Invalid, Recipient, "This recipient's address is not written as an address must be.",
        "Give it as a bare address, such as ann@example.com."),
    on(1, 4, Refused, Recipient, "This address fits more than one mailbox.",
        "Ask the recipient for an address that is unique."),
    on(1, 5, Refused, Recipient, "The address is valid.",
        "Look at the reply's own text for what was refused."),
    on(1, 6, Refused, Recipient, "The mailbox has moved and left no new address.",
        "Ask the recipient for the present address."),
    on(1, 7, Invalid, Transaction, "The sender's address is not written as an address must be.",
        "Give from as a bare address, such as ann@example.com."),
    on(1, 8, Configuration, Transaction, "The domain of the sender's address does not exist or takes no mail.",
        "Set from to an address whose domain exists and receives mail."),
    on(1, 9, Refused, Recipient, "The message was passed on to a system that cannot report on it.",
        "Ask the recipient whether it has arrived."),
    on(1, 10, Refused, Recipient, "The recipient's domain says that it takes no mail at all (null MX).",
        "Correct the part after the @."),
    // X.2: the mailbox.
    on(2, 0, Refused, Recipient, "Something about the recipient's mailbox is wrong.",
        "Ask the recipient by another way."),
    on(2, 1, Refused, Recipient, "The recipient's mailbox is disabled.",
        "Take the address off your list, or ask the person for another one."),
    on(2, 2, Refused, Recipient, "The recipient's mailbox is full.",
        "Ask the recipient by another way to free some space."),
    on(2, 3, Refused, Recipient, "The message is longer than the recipient's mailbox takes.",
        "Make the attachments smaller, or send a link to the file."),
    on(2, 4, Refused, Recipient, "The address is a mailing list that could not be expanded.",
        "Tell the owner of the list."),
    // X.3: the mail system.
    on(3, 0, Refused, Transaction, "The receiving mail system has a problem.",
        "Tell the server's administrator."),
    on(3, 1, Refused, Transaction, "The receiving mail system has no storage left.",
        "Tell the server's administrator."),
    on(3, 2, Refused, Connection, "The mail system takes no mail now, as when it is shut down for maintenance.",
        "Ask the server's administrator when it will."),
    on(3, 3, Refused, Transaction, "The mail system cannot do what the message asks for.",
        "Send the message without its special features, such as non-ASCII addresses."),
    on(3, 4, Refused, Transaction, "The message is larger than the server takes.",
        "Make the attachments smaller, spread them over several messages, or send a link to the file."),
    on(3, 5, Refused, Transaction, "The mail system is set up wrongly.",
        "Tell the server's administrator."),
    on(3, 6, Refused, Transaction, "The server took the message with another priority than was asked for.",
        "Ask for no priority."),
    // X.4: network and routing.
    on(4, 0, Refused, Transaction, "The server has a problem with its network or with the route.",
        "Tell the server's administrator."),
    on(4, 1, Refused, Recipient, "The recipient's server does not answer.",
        "Ask the recipient whether its server is down."),
    on(4, 2, Refused, Connection, "The connection was bad or timed out.",
        "Look for a slow network or a proxy between here and the server."),
    on(4, 3, Refused, Recipient, "A directory or DNS server that the route needs does not answer.",
        "Tell the server's administrator."),
    on(4, 4, Refused, Recipient, "The server knows no route to the recipient's domain.",
        "Correct the part after the @."),
    on(4, 5, Refused, Connection, "The mail system is congested.",
        "Send less at once."),
    on(4, 6, Refused, Recipient, "The message goes round in a circle between servers.",
        "Look for forwarding rules that point at each other."),
    on(4, 7, Refused, Recipient, "The message was too old when its turn came.",
        "Send it anew if it is still of use."),
    // X.5: the protocol.
    on(5, 0, Refused, Transaction, "The server and this client disagree on the protocol.",
        "Report it with a transcript."),
    on(5, 1, Refused, Transaction, "The server does not take this command, or not at this place.",
        "Check that the account signs in if the server asks for it, and report it with a transcript if it does."),
    on(5, 2, Refused, Transaction, "The server could not read a command.",
        "Check the addresses and the EHLO name for stray characters."),
    on(5, 3, Refused, Recipient, "The message has more recipients than the server takes in one transaction.",
        "Set the account's recipients_per_message lower."),
    on(5, 4, Refused, Transaction, "The server does not take an argument of a command.",
        "Check the addresses and the EHLO name, and report it with a transcript if they are right."),
    on(5, 5, Refused, Connection, "The server speaks another version of the protocol.",
        "Check that host and port are those of a mail submission server."),
    on(5, 6, Authentication, Account, "The credentials are longer than the server reads in one line.",
        "Use an app password, or a mechanism with shorter credentials."),
    // X.6: content.
    on(6, 0, Refused, Transaction, "Something about the content of the message is wrong.",
        "Check the message's parts and attachments."),
    on(6, 1, Refused, Transaction, "The server or the recipient does not take content of this type.",
        "Leave out the attachment, or convert it."),
    on(6, 2, Refused, Transaction, "The content would have to be converted, and that is not allowed.",
        "Send it in a plainer form."),
    on(6, 3, Refused, Transaction, "The content would have to be converted, and the server cannot do that.",
        "Send it in a plainer form."),
    on(6, 4, Refused, Transaction, "The content was converted with losses.",
        "Send it in a plainer form."),
    on(6, 5, Refused, Transaction, "The content could not be converted.",
        "Send it in a plainer form."),
    on(6, 6, Refused, Transaction, "The content that the message points at could not be had.",
        "Attach the content itself."),
    on(6, 7, Refused, Recipient, "The server does not take non-ASCII addresses.",
        "Use an address in plain ASCII for sender and recipients."),
    on(6, 8, Refused, Transaction, "The answer would need UTF-8, and that is not allowed here.",
        "Use an address in plain ASCII for sender and recipients."),
    on(6, 9, Refused, Recipient, "The message has UTF-8 in its headers, and a recipient's server does not take that.",
        "Use an address in plain ASCII for sender and recipients."),
    // X.7: security and policy.
    on(7, 0, Refused, Transaction, "A rule or a safety measure of the server forbids it.",
        "Read the reply's own text, and ask the server's administrator which rule it is."),
    on(7, 1, Refused, Transaction, "The server's rules do not allow this delivery.",
        "Check that the account signs in and that from is its own address, then ask the server's administrator for the rule."),
    on(7, 2, Refused, Recipient, "The sender may not send to this mailing list.",
        "Ask the owner of the list to let the sender in."),
    on(7, 3, Refused, Transaction, "The message would have to be converted for safety, and that is not possible.",
        "Send it without signature and encryption."),
    on(7, 4, Configuration, Transaction, "The server does not offer a safety feature that the message or the sign-in asks for.",
        "Set the account's auth to true, so that each mechanism on offer is tried; if it is true already, ask the server's operator how this account may sign in."),
    on(7, 5, Refused, Transaction, "The message could not be decrypted or checked on the way.",
        "Send it again, signed or encrypted with the right key."),
    on(7, 6, Refused, Transaction, "The server does not know the cryptographic algorithm of the message.",
        "Use a common algorithm."),
    on(7, 7, Refused, Transaction, "The message was altered on the way, so its signature fails.",
        "Look for a filter between here and the server that alters mail."),
    on(7, 8, Authentication, Account, "The server did not accept the credentials.",
        "Check username and password; many providers want the full address, and an app password in place of the usual one."),
    on(7, 9, Authentication, Account, "The sign-in mechanism is too weak for this account.",
        "Set the account's auth to a stronger mechanism, or use an app password or OAuth."),
    on(7, 10, Configuration, Account, "The server wants the connection to be encrypted.",
        "Set starttls_enable to true, or use port 465."),
    on(7, 11, Configuration, Account, "The server takes this sign-in mechanism over TLS only.",
        "Set starttls_enable to true, or use port 465."),
    on(7, 12, Authentication, Account, "The password must be renewed before the server takes this mechanism.",
        "Sign in once over TLS with the mechanism PLAIN, or set a new password."),
    on(7, 13, Authentication, Account, "The account that signs in is disabled.",
        "Ask the server's administrator to enable it."),
    on(7, 14, Configuration, Account, "The server wants a trust relationship that this client does not have.",
        "Ask the server's administrator which servers may send here."),
    on(7, 15, Refused, Transaction, "The message's priority is too low for what the server takes now.",
        "Send it again when the server is less busy."),
    on(7, 16, Refused, Transaction, "The message is too large for its priority.",
        "Make the attachments smaller, or send it when the server is less busy."),
    on(7, 17, Refused, Recipient, "The mailbox belongs to somebody else than it used to.",
        "Take the address off your list, and ask the person for the present one."),
    on(7, 18, Refused, Recipient, "The recipient's domain belongs to somebody else than it used to.",
        "Take the address off your list, and ask the person for the present one."),
    on(7, 19, Refused, Recipient, "The server cannot tell whether the mailbox still belongs to the same person.",
        "Send it without asking for that test."),
    on(7, 20, Refused, Transaction, "No DKIM signature of the message passes.",
        "Have the sender's provider sign with DKIM, and publish its key in the domain's DNS."),
    on(7, 21, Refused, Transaction, "A DKIM signature passes, but none that the server accepts.",
        "Have the message signed by the domain in From."),
    on(7, 22, Refused, Transaction, "No DKIM signature of the author's domain passes.",
        "Have the message signed by the domain in From."),
    on(7, 23, Refused, Transaction, "The sender's domain does not pass SPF.",
        "Add the sending server to the SPF record in the domain's DNS, or send through the domain's own provider."),
    on(7, 24, Refused, Transaction, "The SPF record of the sender's domain could not be evaluated.",
        "Correct the SPF record in the domain's DNS."),
    on(7, 25, Refused, Connection, "The name that the sending address leads to does not lead back to it.",
        "Send through your provider, or have the owner of the address set its PTR record."),
    on(7, 26, Refused, Transaction, "The message fails several authentication checks, such as SPF and DKIM.",
        "Send through the provider of the domain in From, or add that domain's SPF and DKIM records for your server."),
    on(7, 27, Configuration, Transaction, "The sender's domain says that it takes no mail at all (null MX).",
        "Set from to an address whose domain receives mail."),
    on(7, 28, Refused, Account, "The server takes this for a flood of mail.",
        "Send less at once, and only to people who ask for it."),
    on(7, 29, Refused, Transaction, "The message's chain of forwarding signatures (ARC) is broken.",
        "Send it directly, not through the forwarder that broke it."),
    on(7, 30, Refused, Transaction, "The message demands TLS on its whole way, and the next server does not offer that.",
        "Send it without that demand."),
];

/// The meaning of subject and detail; that of the subject alone where the detail is not registered.
pub(crate) fn detail_of(subject: u16, detail: u16) -> Option<&'static Detail> {
    let find = |wanted| {
        DETAILS
            .iter()
            .find(|entry| entry.subject == subject && entry.detail == wanted)
    };
    find(detail).or_else(|| find(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_has_nothing_twice() {
        let keys: Vec<_> = DETAILS.iter().map(|entry| (entry.subject, entry.detail)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
    }

    #[test]
    fn a_detail_of_tomorrow_means_its_subject() {
        assert_eq!(detail_of(7, 999).map(|entry| entry.detail), Some(0));
        assert!(detail_of(0, 0).is_none());
        assert!(detail_of(8, 1).is_none());
    }

    #[test]
    fn every_entry_is_a_sentence_and_its_cure_begins_with_a_verb() {
        for entry in DETAILS {
            assert!(
                entry.cause.ends_with('.') && entry.cure.ends_with('.'),
                "{}",
                entry.cause
            );
            assert!(
                entry.cure.starts_with(|c: char| c.is_ascii_uppercase()),
                "{}",
                entry.cure
            );
        }
    }
}
