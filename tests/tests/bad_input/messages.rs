//! Messages that nobody could send.

use pipepost_tests::{Scratch, email};
use serde_json::json;

use super::case::{Case, RUN, Untouched, fails, parameters, pipeline};

#[test]
fn messages() {
    fails(&[
        Case {
            name: "no recipient",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "", "cc": [], "bcc": null })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "recipient"],
        },
        Case {
            name: "no recipient in the message",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "{{ message.customer }}" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "recipient"],
        },
        Case {
            name: "an address without a domain",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "ann" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "`to`", "ann"],
        },
        Case {
            name: "half an address",
            spoil: |scratch, _| parameters(scratch, json!({ "cc": "Ann <ann@example.test" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "`cc`"],
        },
        Case {
            name: "an attachment that is not there",
            spoil: |scratch, _| {
                parameters(
                    scratch,
                    json!({ "attachments": [{ "attachment": "invoice.pdf", "type": "ATTACHMENT" }] }),
                );
            },
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "invoice.pdf"],
        },
    ]);
}

/// Through the document, and through a message that a stranger may have written.
#[test]
fn line_breaks_and_nul_where_headers_and_envelopes_are_made() {
    let server = Untouched::new();
    for break_out in ["\r\n", "\n", "\r", "\0"] {
        for (parameter, text) in [
            ("to", format!("ann@example.test{break_out}Bcc: eve@example.test")),
            ("to", format!("Ann{break_out}Bcc: eve@example.test <ann@example.test>")),
            ("cc", format!("ann{break_out}x@example.test")),
            ("bcc", format!("ann@example.test>{break_out}RCPT TO:<eve@example.test")),
            (
                "from",
                format!("Tester{break_out}Bcc: eve@example.test <tester@example.test>"),
            ),
            (
                "replyTo",
                format!("tester@example.test{break_out}Bcc: eve@example.test"),
            ),
            ("envelopeFrom", format!("tester@example.test{break_out}DATA")),
            ("subject", format!("Hello{break_out}Bcc: eve@example.test")),
        ] {
            let scratch = Scratch::new();
            scratch.write("accounts.json", server.account(scratch.folder()).json().to_string());
            scratch.write("order.json", json!({ "text": text }).to_string());
            let native = email(json!({ parameter: text }));
            let expression = email(json!({ parameter: "{{ message.text }}" }));
            for (way, send) in [("written", native), ("in a message", expression)] {
                pipeline(&scratch, &[send]);
                let ending = scratch.run(&["--input", "order.json"]);
                let name = format!("{parameter} with {break_out:?}, {way}");
                assert_eq!(
                    ending.code,
                    Some(65),
                    "{name}: another exit code was expected\n{ending}"
                );
                assert!(
                    ending.stderr.contains(parameter),
                    "{name}: the parameter is not named\n{ending}"
                );
                assert!(
                    !ending.stderr.contains("\0") && !ending.stderr.contains('\r'),
                    "{name}: it is shown raw\n{ending}"
                );
                ending.is_a_sentence(&name);
            }
        }
        for headers in [
            json!({ "X-Order": format!("1{break_out}Bcc: eve@example.test") }),
            json!({ format!("X{break_out}Bcc"): "1" }),
        ] {
            let scratch = Scratch::new();
            scratch.write("accounts.json", server.account(scratch.folder()).json().to_string());
            parameters(&scratch, json!({ "headers": headers }));
            let ending = scratch.run(&[]);
            assert_eq!(
                ending.code,
                Some(65),
                "{headers}: another exit code was expected\n{ending}"
            );
            ending.is_a_sentence("headers");
        }
    }
    assert!(!server.was_called());
}
