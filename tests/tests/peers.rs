//! Sending through servers that somebody else wrote, and what arrived as somebody else's parser reads it.

use pipepost_tests::{
    AccountFile, Aiosmtpd, Exim, EximOptions, Message, Options, Postfix, PostfixOptions, REFUSED, Scratch, Tls, USER,
    document, email,
};
use serde_json::{Value, json};

mod peers {
    // What TLS shows of the client, and what the server shows.
    mod certificates;
    // Mechanisms with a challenge, and what a server does that does not like one.
    mod mechanisms;
}

const SUBJECT: &str =
    "Grüße aus Köln, 你好 und Добрий день: ein Betreff, der länger ist als eine Zeile von 78 Zeichen 🎉";
const TEXT: &str = "Schöne Grüße\n\n.\n..punkt am Anfang\nFrom here it goes on: naïve café, 東京";
const HTML: &str = "<html><body>\n<h1>Schöne Grüße</h1>\n.\n<p>naïve café, 東京 &amp; mehr</p></body></html>";

/// Two recipients with names, one in copy, one hidden, and one that every peer refuses.
///
/// The names are such that none is folded: Python before 3.13 keeps the blank between the encoded words of one name, which
/// RFC 2047, section 6.2, says is none.
fn message() -> Value {
    json!({
        "from": r#""Jürgen \"Jü\" Müller" <tester@example.test>"#,
        "to": format!("\"Li, 李雷\" <lilei@example.test>, {REFUSED}, Zoë <zoe@example.test>"),
        "cc": "Ævar Þór <aevar@example.test>",
        "bcc": "hidden@example.test",
        "subject": SUBJECT,
    })
}

fn with(mut params: Value, more: Value) -> Value {
    let more = more.as_object().cloned().unwrap_or_default();
    params.as_object_mut().expect("parameters are an object").extend(more);
    params
}

fn run(account: &AccountFile, params: Value) -> Value {
    let ending = Scratch::with(&document(&[email(params)]), account)
        .run(&[])
        .with_code(0);
    let output = ending.json();
    assert_eq!(output["success"], json!(true), "{ending}");
    output
}

/// The output names who accepted and who refused, and how.
fn reports_each_recipient(output: &Value) {
    assert_eq!(output["outcome"], "sent", "{output:#}");
    assert_eq!(
        output["accepted"],
        json!([
            "lilei@example.test",
            "zoe@example.test",
            "aevar@example.test",
            "hidden@example.test"
        ]),
        "{output:#}"
    );
    let rejected = output["rejected"].as_array().expect("a list");
    assert_eq!(rejected.len(), 1, "{output:#}");
    assert_eq!(rejected[0]["recipient"], REFUSED);
    assert_eq!(
        (&rejected[0]["code"], &rejected[0]["enhanced"]),
        (&json!(550), &json!("5.1.1"))
    );
    assert_eq!(rejected[0]["kind"], "refused");
    assert!(
        rejected[0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("No such user here")),
        "{output:#}"
    );
    assert_eq!(output["uncertain"], json!([]));
}

/// Everything that an envelope and a header can say, as Python understands it.
fn arrived_whole(message: &Message, output: &Value) -> Value {
    assert_eq!(message.sender, USER);
    let mut recipients = message.recipients.clone();
    recipients.sort();
    assert_eq!(
        recipients,
        [
            "aevar@example.test",
            "hidden@example.test",
            "lilei@example.test",
            "zoe@example.test"
        ]
    );
    assert_eq!(message.user.as_deref(), Some(USER), "who signed in");

    let parsed = message.parsed();
    assert_eq!(parsed["defects"], json!([]), "{parsed:#}");
    assert_eq!(
        parsed["from"],
        json!([{ "name": "Jürgen \"Jü\" Müller", "address": USER }])
    );
    assert_eq!(
        parsed["to"],
        json!([
            { "name": "Li, 李雷", "address": "lilei@example.test" },
            { "name": "", "address": REFUSED },
            { "name": "Zoë", "address": "zoe@example.test" },
        ])
    );
    assert_eq!(
        parsed["cc"],
        json!([{ "name": "Ævar Þór", "address": "aevar@example.test" }])
    );
    assert_eq!(parsed["bcc"], json!([]));
    assert!(!message.text().contains("hidden@"), "{}", message.text());
    assert_eq!(parsed["subject"], SUBJECT);
    // The first of January 2024: an instance without a clock would be far before.
    assert!(
        parsed["date"].as_f64().is_some_and(|date| date > 1_704_067_200.0),
        "{parsed:#}"
    );
    assert!(
        parsed["message_id"]
            .as_str()
            .is_some_and(|id| id.starts_with('<') && id.contains('@')),
        "{parsed:#}"
    );
    assert_eq!(parsed["message_id"], output["messageId"]);
    let once = |name: &str| {
        let headers = parsed["headers"].as_array().into_iter().flatten();
        headers
            .filter(|header| header[0].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name)))
            .count()
            == 1
    };
    for name in [
        "Date",
        "Message-ID",
        "From",
        "To",
        "Cc",
        "Subject",
        "MIME-Version",
        "Content-Type",
    ] {
        assert!(once(name), "{name} stands there other than once: {parsed:#}");
    }
    // RFC 5322, section 2.1.1.
    assert!(
        parsed["longest_line"].as_u64().is_some_and(|longest| longest <= 998),
        "{parsed:#}"
    );
    parsed
}

/// Text alone, then HTML with a text beside it.
fn text_and_html(account: &AccountFile, next: impl Fn() -> Message) {
    let output = run(account, with(message(), json!({ "body": TEXT })));
    reports_each_recipient(&output);
    assert_eq!(
        (&output["subject"], &output["content"]),
        (&json!(SUBJECT), &json!(TEXT))
    );
    let parsed = arrived_whole(&next(), &output);
    assert_eq!(
        (&parsed["type"], &parsed["text"], &parsed["html"]),
        (&json!("text/plain"), &json!(TEXT), &Value::Null)
    );

    let output = run(account, with(message(), json!({ "body": HTML, "text": TEXT })));
    reports_each_recipient(&output);
    let parsed = arrived_whole(&next(), &output);
    assert_eq!(
        (&parsed["text"], &parsed["html"]),
        (&json!(TEXT), &json!(HTML)),
        "{parsed:#}"
    );
    assert_eq!(parsed["type"], "multipart/alternative");
}

#[test]
fn through_postfix_with_starttls() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    text_and_html(&AccountFile::starttls(postfix.starttls(), postfix.authority()), || {
        postfix.next()
    });
    // Both conversations end in order.
    for _ in 0..2 {
        let end = postfix.logs("disconnect from");
        assert!(end.contains(" quit=1 "), "{end}");
    }
}

#[test]
fn through_postfix_with_tls_from_the_first_byte() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    text_and_html(&AccountFile::tls(postfix.tls(), postfix.authority()), || postfix.next());
}

/// What Postfix notifies the sender of.
fn notification(account: &AccountFile, postfix: &Postfix, params: Value) -> String {
    run(
        account,
        with(json!({"to": "zoe@example.test", "subject": "Order 7"}), params),
    );
    let (one, other) = (postfix.next(), postfix.next());
    let is_report = |message: &Message| message.sender == "MAILER-DAEMON" || message.sender.is_empty();
    let report = if is_report(&one) { one } else { other };
    assert!(is_report(&report), "{report:?}");
    assert_eq!(report.recipients, [USER]);
    String::from_utf8_lossy(&report.eml).into_owned()
}

#[test]
fn postfix_notifies_of_what_the_step_and_the_account_ask_for() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    let account = AccountFile::starttls(postfix.starttls(), postfix.authority());
    let dsn = json!({"notify": ["success", "failure"], "ret": "hdrs", "envid": "order 7 + 1"});
    let report = notification(&account, &postfix, json!({ "dsn": dsn }));
    for words in [
        "multipart/report",
        "Original-Envelope-Id: order 7 + 1",
        "Original-Recipient: rfc822;zoe@example.test",
        "Status: 2.",
    ] {
        assert!(report.contains(words), "without `{words}`:\n{report}");
    }
    let properties = json!({"mail.smtp.dsn.notify": "SUCCESS", "mail.smtp.dsn.ret": "FULL"});
    let report = notification(&account.with("properties", properties), &postfix, json!({}));
    assert!(
        report.contains("Original-Recipient: rfc822;zoe@example.test"),
        "{report}"
    );
}

#[test]
fn postfix_takes_a_message_in_chunks_and_texts_in_8_bits() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    let properties = json!({"mail.smtp.chunksize": 1024, "mail.smtp.allow8bitmime": true});
    let account = AccountFile::starttls(postfix.starttls(), postfix.authority()).with("properties", properties);
    let line = "Schöne Grüße aus Köln, naïve café\n";
    run(
        &account,
        json!({"to": "zoe@example.test", "subject": "Lang", "contentType": "text/plain", "body": line.repeat(200)}),
    );
    let message = postfix.next();
    let text = String::from_utf8_lossy(&message.eml);
    assert!(text.contains("Content-Transfer-Encoding: 8bit"), "{text}");
    assert_eq!(text.matches(line.trim_end()).count(), 200);
    let end = postfix.logs("disconnect from");
    // 200 lines of 40 octets with the headers.
    assert!(end.contains(" bdat=8 ") || end.contains(" bdat=9 "), "{end}");
}

#[test]
fn through_exim_with_starttls() {
    let Some(exim) = Exim::start(&EximOptions::default()) else {
        return;
    };
    text_and_html(&AccountFile::starttls(exim.starttls(), exim.authority()), || {
        exim.next()
    });
}

#[test]
fn through_aiosmtpd_with_starttls() {
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    text_and_html(&AccountFile::starttls(server.at(), server.authority()), || {
        server.next()
    });
    let commands = server.finish().commands;
    let position = |verb: &str| commands.iter().position(|line| line.starts_with(verb));
    assert!(position("STARTTLS") < position("AUTH"), "{commands:?}");
}

#[test]
fn through_aiosmtpd_with_tls_from_the_first_byte() {
    let Some(server) = Aiosmtpd::start(&Options {
        tls: Tls::Implicit,
        ..Options::default()
    }) else {
        return;
    };
    text_and_html(&AccountFile::tls(server.at(), server.authority()), || server.next());
}

#[test]
fn signs_in_with_the_mechanism_that_both_sides_have() {
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let options = Options {
            mechanisms: vec![mechanism],
            ..Options::default()
        };
        let Some(server) = Aiosmtpd::start(&options) else {
            return;
        };
        run(&AccountFile::starttls(server.at(), server.authority()), json!({}));
        assert_eq!(server.next().user.as_deref(), Some(USER), "{mechanism}");

        let Some(postfix) = Postfix::start(&PostfixOptions {
            mechanisms: mechanism,
            ..PostfixOptions::default()
        }) else {
            return;
        };
        run(
            &AccountFile::starttls(postfix.starttls(), postfix.authority()),
            json!({}),
        );
        assert_eq!(postfix.next().user.as_deref(), Some(USER), "{mechanism}");
    }
}

#[test]
fn values_of_the_message_reach_the_mail_as_values() {
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());
    let step = email(json!({
        "to": "{{ message.customer.name }} <{{ message.customer.address }}>",
        "subject": "{{ message.subject }} ({{ global.shop }}, {{ account.mail.username }})",
        "body": "<p>{{ message.note }}</p>",
    }));
    let scratch = Scratch::with(&document(&[step]), &account);
    let input = json!({
        "customer": { "name": "Zoë", "address": "zoe@example.test" },
        "subject": "Order {{ message.note }} ${x}",
        "note": "{{ account.mail.password }}",
    });
    scratch.write("input.json", input.to_string());
    scratch
        .run(&["--input", "input.json", "--global", "shop=Köln"])
        .with_code(0);

    let parsed = server.next().parsed();
    assert_eq!(parsed["to"], json!([{ "name": "Zoë", "address": "zoe@example.test" }]));
    assert_eq!(
        parsed["subject"],
        format!("Order {{{{ message.note }}}} ${{x}} (Köln, {USER})")
    );
    assert_eq!(parsed["html"], "<p>{{ account.mail.password }}</p>");
}

#[test]
fn attachments_arrive_byte_by_byte() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    let account = AccountFile::starttls(postfix.starttls(), postfix.authority());
    let step = email(json!({
        "body": "<p>The invoice: <img src=\"cid:logo.png\"></p>",
        "attachments": json!([
            { "attachment": "Rechnung März.pdf", "type": "ATTACHMENT" },
            { "attachment": "logo.png", "type": "INLINE" },
        ]).to_string(),
    }));
    let scratch = Scratch::with(&document(&[step]), &account);
    // Every byte there is, line ends and dots at the beginnings of lines among them.
    let bytes: Vec<u8> = (0..=255_u8).chain(*b"\r\n.\r\n..\n\r.").cycle().take(100_000).collect();
    scratch.write("files/Rechnung März.pdf", &bytes);
    scratch.write("files/logo.png", b"\x89PNG\r\n\x1a\n");
    scratch.run(&["--files", "files"]).with_code(0);

    let parsed = postfix.next().parsed();
    // Outlook and older readers know `name` alone, as an encoded word in quotes; RFC 2231's `filename*` is next to it. Python
    // reads both, and notes that the first is not in the grammar (RFC 2047, section 5).
    let defects: Vec<&Value> = parsed["defects"].as_array().into_iter().flatten().collect();
    let is_of_the_name = |defect: &&Value| {
        defect.as_str().is_some_and(|defect| {
            defect.starts_with("Content-Type: ")
                && (defect.contains("encoded word inside") || defect.contains("after encoded-word"))
        })
    };
    assert!(defects.iter().all(is_of_the_name), "{parsed:#}");
    let attachments = parsed["attachments"].as_array().expect("a list");
    assert_eq!(attachments.len(), 2, "{parsed:#}");
    let called = |name: &str| {
        attachments
            .iter()
            .find(|one| one["name"] == name)
            .unwrap_or_else(|| panic!("{parsed:#}"))
    };
    let invoice = called("Rechnung März.pdf");
    assert_eq!(
        (&invoice["type"], &invoice["disposition"]),
        (&json!("application/pdf"), &json!("attachment"))
    );
    assert_eq!(
        (&invoice["size"], &invoice["sha256"]),
        (&json!(100_000), &json!(sha256(&bytes)))
    );
    let logo = called("logo.png");
    assert_eq!(
        (&logo["type"], &logo["disposition"]),
        (&json!("image/png"), &json!("inline"))
    );
    // Unlike every other message's (RFC 2392), and the one that the body names.
    let id = logo["content_id"].as_str().unwrap_or_default().trim_matches(['<', '>']);
    assert!(id.contains('@'), "{id}");
    let html = parsed["html"].as_str().unwrap_or_default();
    assert!(html.contains(&format!("cid:{id}")), "{id} is not in {html}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The example documents, both forms, as they stand: only the account is this server's.
#[test]
fn the_example_documents_run_unchanged_through_aiosmtpd() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let read = |name: &str| std::fs::read_to_string(examples.join(name)).expect("an example");
    for (document, input, mails) in [
        ("order-confirmations.json", "order-confirmations.input.json", 2),
        ("failed-payments.clipboard.json", "failed-payments.input.json", 1),
    ] {
        let Some(server) = Aiosmtpd::start(&Options::default()) else {
            return;
        };
        let scratch = Scratch::new();
        let account = AccountFile::starttls(server.at(), server.authority()).with("label", "gmail");
        scratch.write("accounts.json", account.json().to_string());
        scratch.write("pipeline.json", read(document));
        scratch.write("input.json", read(input));
        let desk = "desk=desk@example.test";
        let ending = scratch.run(&["--input", "input.json", "--global", desk]).with_code(0);
        assert!(ending.json().is_object(), "{ending}");
        let messages = server.finish().messages;
        assert_eq!(messages.len(), mails, "{document}: {ending}");
        for message in messages {
            let mail = message.parsed();
            assert!(
                mail["subject"].as_str().is_some_and(|subject| !subject.is_empty()),
                "{mail:#}"
            );
        }
    }
}
