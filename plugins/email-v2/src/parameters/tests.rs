use serde_json::{Value, json};

use super::*;

fn parse(value: Value) -> Result<Parameters, Failure> {
    Parameters::from_value(value, None)
}

/// The smallest message, with these parameters on top.
fn with(value: Value) -> Result<Parameters, Failure> {
    let mut object = json!({"from": "a@x.example", "to": "b@y.example"});
    for (key, value) in value.as_object().expect("an object of parameters") {
        object[key] = value.clone();
    }
    parse(object)
}

fn refusal(value: Value) -> Failure {
    let shown = value.to_string();
    with(value).err().unwrap_or_else(|| panic!("{shown} was taken"))
}

#[test]
fn text_and_native_forms_are_the_same() {
    let native = with(json!({
        "smtpHost": "smtp.x.example", "smtpPort": 587, "socketPort": 465, "isAuth": false, "isOverTLS": false,
        "isOverSSL": true, "forceTLS1_2": true, "failOnError": true, "subject": 12, "priority": 1,
        "attachments": [{"attachment": "f.csv", "type": "ATTACHMENT"}], "headers": {"X-A": "1"},
    }));
    let text = with(json!({
        "smtpHost": "smtp.x.example", "smtpPort": " 587", "socketPort": "465", "isAuth": "false", "isOverTLS": "False",
        "isOverSSL": "true", "forceTLS1_2": "true", "failOnError": "true", "subject": "12", "priority": "1",
        "attachments": "[{\"attachment\":\"f.csv\",\"type\":\"ATTACHMENT\"}]", "headers": "{\"X-A\": 1}",
    }));
    let (native, text) = (native.expect("the native form"), text.expect("the text form"));
    assert_eq!(format!("{native:?}"), format!("{text:?}"));
    assert_eq!(
        (native.server.over_tls, native.server.over_ssl),
        (Some(false), Some(true))
    );
    assert_eq!((native.server.port, native.server.socket_port), (Some(587), Some(465)));
}

#[test]
fn defaults_are_the_measured_ones() {
    let parameters =
        with(json!({"cc": "", "bcc": "", "attachments": "[]", "smtpHost": "", "smtpPort": ""})).expect("nothing");
    assert_eq!(parameters.server, Server::default());
    assert!(parameters.authenticated);
    assert!(!parameters.fail_on_error);
    assert_eq!(parameters.charset.name, "UTF-8");
    assert_eq!(parameters.body_type, BodyType::Plain);
    assert!(parameters.attachments.is_empty() && parameters.warnings.is_empty());
}

#[test]
fn aliases_stand_for_the_measured_keys() {
    let parameters =
        with(json!({"authenticated": false, "isOverTls": false, "isOverSsl": true, "forceTlsv12": "true"}));
    let parameters = parameters.expect("aliases");
    assert!(!parameters.authenticated && parameters.server.force_tls_1_2);
    assert_eq!(
        (parameters.server.over_tls, parameters.server.over_ssl),
        (Some(false), Some(true))
    );
    let both = with(json!({"isOverTLS": true, "isOverTls": false})).expect("the measured key counts");
    assert_eq!(both.server.over_tls, Some(true));
}

#[test]
fn addresses_come_as_text_objects_and_arrays() {
    let forms = [
        json!("\"B, B\" <b@y.example>, c@y.example"),
        json!(["\"B, B\" <b@y.example>", "c@y.example"]),
        json!([{"name": "B, B", "address": "b@y.example"}, "c@y.example"]),
        json!([{"name": "B, B", "address": "b@y.example"}, {"address": "c@y.example", "name": null}]),
        json!("[{\"name\": \"B, B\", \"address\": \"b@y.example\"}, \"c@y.example\"]"),
    ];
    let lists: Vec<AddressList> = forms
        .map(|to| with(json!({"to": to})).expect("one of the forms").to)
        .into();
    assert!(
        lists
            .iter()
            .all(|list| *list == lists[0] && list.mailboxes().count() == 2),
        "{lists:?}"
    );
    let one = with(json!({"to": {"name": "B", "address": "b@y.example"}})).expect("one object");
    assert_eq!(one.written.to, "B <b@y.example>");
}

#[test]
fn a_message_needs_a_recipient_and_one_sender() {
    for to in [json!(""), json!(null), json!([]), json!(" , "), json!("Nobody:;")] {
        let failure = refusal(json!({"to": to}));
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains("no recipient"), "{failure}");
    }
    assert!(with(json!({"to": "", "bcc": "c@y.example"})).is_ok());
    let failure = refusal(json!({"from": "a@x.example, b@x.example"}));
    assert!(
        failure.message.contains("`from`") && failure.message.contains("`sender`"),
        "{failure}"
    );
    let failure = parse(json!({"to": "b@y.example"})).expect_err("no sender");
    assert_eq!(failure.kind, FailureKind::Configuration);
}

#[test]
fn the_account_supplies_the_sender() {
    let account = |from: Option<&str>, username: &str| Account {
        username: Some(username.into()),
        from: from.map(str::to_owned),
        from_name: Some("Ops, Inc.".into()),
        envelope_from: Some("bounces@x.example".into()),
        ..Account::default()
    };
    let sent = |account: &Account| Parameters::from_value(json!({"to": "b@y.example"}), Some(account));
    let parameters = sent(&account(Some("from@x.example"), "user@x.example")).expect("the account's sender");
    assert_eq!(parameters.written.from, "\"Ops, Inc.\" <from@x.example>");
    assert_eq!(
        parameters.envelope_from.flatten().map(|a| a.to_string()),
        Some("bounces@x.example".into())
    );
    assert_eq!(
        sent(&account(None, "user@x.example"))
            .expect("the user")
            .from
            .address
            .as_str(),
        "user@x.example"
    );
    assert_eq!(
        sent(&account(None, "user")).expect_err("no address").kind,
        FailureKind::Configuration
    );
    assert_eq!(
        sent(&account(Some("not one"), "user@x.example"))
            .expect_err("no address")
            .kind,
        FailureKind::Configuration
    );
    let own = json!({"from": "own@x.example", "to": "b@y.example", "envelopeFrom": "<>"});
    let own = Parameters::from_value(own, Some(&account(None, "user"))).expect("the step's own sender");
    assert_eq!(
        (own.written.from.as_str(), own.envelope_from),
        ("own@x.example", Some(None))
    );
}

#[test]
fn the_body_is_html_when_a_tag_or_a_word_says_so() {
    let body_type = |value| with(value).expect("a body").body_type;
    assert_eq!(body_type(json!({"body": "Hi <ana@x.example>"})), BodyType::Plain);
    assert_eq!(body_type(json!({"body": "Hi<br>Ana"})), BodyType::Html);
    assert_eq!(
        body_type(json!({"body": "Hi<br>Ana", "contentType": "text/plain"})),
        BodyType::Plain
    );
    assert_eq!(
        body_type(json!({"body": "Hi", "contentType": "text/html; charset=utf-8"})),
        BodyType::Html
    );
    assert_eq!(body_type(json!({"body": "Hi", "text": "Hi"})), BodyType::Html);
    assert_eq!(body_type(json!({"text": "Hi"})), BodyType::Plain);
    assert!(
        refusal(json!({"contentType": "image/png"}))
            .message
            .contains("`contentType`")
    );
}

#[test]
fn each_refusal_names_its_parameter() {
    let cases = [
        ("from", json!("a\r\nBcc: c@y.example")),
        ("to", json!("nobody")),
        ("to", json!([5])),
        ("to", json!([{"mail": "b@y.example"}])),
        ("cc", json!("b@y.example\nc@y.example")),
        ("bcc", json!("b@y.example\0")),
        ("replyTo", json!("Ana <a@b")),
        ("envelopeFrom", json!("a@x.example, b@x.example")),
        ("subject", json!("a\r\nBcc: c@y.example")),
        ("subject", json!("a\0b")),
        ("smtpPort", json!("smtp")),
        ("smtpPort", json!(0)),
        ("smtpPort", json!(65536)),
        ("socketPort", json!(-1)),
        ("smtpHost", json!("a\r\nb")),
        ("isAuth", json!("yes")),
        ("isOverTLS", json!(1)),
        ("charset", json!("klingon")),
        ("charset", json!("UTF-16")),
        ("attachments", json!("f.csv,g.csv")),
        ("attachments[1]", json!([{"attachment": "a"}, {"type": "INLINE"}])),
        ("attachments[0]", json!([{"attachment": "a", "type": "EMBEDDED"}])),
        ("attachments[0]", json!([{"attachment": "a\r\nX: y"}])),
        ("attachments[0]", json!([{"attachment": "a/.."}])),
        (
            "attachments[0]",
            json!([{"attachment": "a", "content": "???", "encoding": "base64"}]),
        ),
        (
            "attachments[0]",
            json!([{"attachment": "a", "content": "x", "encoding": "hex"}]),
        ),
        ("attachments[0]", json!([{"attachment": "a", "encoding": "base64"}])),
        (
            "attachments[0]",
            json!([{"attachment": "a", "mediaType": "text/plain\r\nX: y"}]),
        ),
        (
            "attachments[0]",
            json!([{"attachment": "a", "mediaType": "text/plain; charset=\"x\r\nX: y\""}]),
        ),
        ("attachments[0]", json!([{"attachment": "a", "path": "/etc/passwd"}])),
        ("attachments", json!("[{\"attachment\": ")),
        ("headers", json!({"X A": "b"})),
        ("headers", json!({"X-A:": "b"})),
        ("headers", json!({"X-A\r\nB": "b"})),
        ("headers", json!({"X-A": "b\r\nC: d"})),
        ("headers", json!({"X-A": {"b": "c"}})),
        ("headers", json!([{"name": "X-A"}])),
        ("headers", json!({"bcc": "c@y.example"})),
        ("headers", json!({"Content-Type": "text/html"})),
        ("headers", json!({"DKIM-Signature": "x"})),
        ("headers", json!({"X-A": "x".repeat(70_000)})),
        ("priority", json!("very")),
        ("inReplyTo", json!("no id")),
        ("references", json!(["<a@b>", "<c\r\n@d>"])),
        ("messageId", json!("<a@b> <c@d>")),
        ("messageId", json!("<a>b@c>")),
        ("listUnsubscribe", json!("ftp://x.example")),
        ("listUnsubscribe", json!("https://x.example/\r\nX: y")),
        ("listUnsubscribe", json!({"mailto": "a@x.example", "oneClick": true})),
        ("icalEvent", json!("not a calendar")),
        ("icalEvent", json!({"content": "BEGIN:VCALENDAR", "method": "RE QUEST"})),
        (
            "icalEvent",
            json!({"content": "BEGIN:VCALENDAR", "filename": "../x.ics"}),
        ),
        (
            "icalEvent",
            json!({"content": "BEGIN:VCALENDAR\nMETHOD:REQUEST", "method": "CANCEL"}),
        ),
        ("sender", json!("c@x.example, d@x.example")),
        ("headers", json!({"Disposition-Notification-To": "nobody"})),
        ("headers", json!({"Errors-To": "Ana\r\nX: <a@x.example>"})),
        ("attachments[0]", json!([{"attachment": "a", "content": null}])),
        ("attachments[0]", json!([{"attachment": "a", "contentId": "a b"}])),
        (
            "attachments[1]",
            json!([{"attachment": "a", "contentId": "x"}, {"attachment": "b", "cid": "<x>"}]),
        ),
        (
            "attachments[0]",
            json!([{"attachment": "a.ics", "content": "BEGIN:VCALENDAR\nMETHOD:ADD", "mediaType": "text/calendar; method=REQUEST"}]),
        ),
        ("body", json!({"file": "body.html"})),
    ];
    for (parameter, value) in cases {
        let key = parameter.split('[').next().expect("a name");
        let failure = refusal(json!({key: value}));
        assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
        assert!(
            failure.message.starts_with(&format!("parameter `{parameter}`: ")),
            "{parameter}: {failure}"
        );
        assert!(!failure.to_string().contains(['\r', '\n', '\0']), "{failure:?}");
    }
}

#[test]
fn a_reserved_header_says_what_to_use_instead() {
    let failure = refusal(json!({"headers": {"Reply-To": "a@x.example"}}));
    assert_eq!(failure.advice.as_deref(), Some("use the parameter `replyTo`"));
}

#[test]
fn ids_get_their_brackets_and_lists_their_schemes() {
    let parameters = with(json!({
        "messageId": "a@b", "inReplyTo": "<c@d>", "references": "<e@f> g@h,<i@j>",
        "listUnsubscribe": "<mailto:u@x.example?subject=u>, HTTPS://x.example/u",
    }));
    let parameters = parameters.expect("ids");
    assert_eq!(parameters.message_id.as_deref(), Some("<a@b>"));
    assert_eq!(parameters.in_reply_to, ["<c@d>"]);
    assert_eq!(parameters.references, ["<e@f>", "<g@h>", "<i@j>"]);
    let unsubscribe = parameters.list_unsubscribe.expect("targets");
    assert_eq!(
        unsubscribe.targets,
        ["mailto:u@x.example?subject=u", "https://x.example/u"]
    );
    assert!(unsubscribe.one_click);
    let declined =
        with(json!({"listUnsubscribe": {"url": "https://x.example/u", "mailto": "u@x.example", "oneClick": "false"}}));
    let declined = declined.expect("an object").list_unsubscribe.expect("targets");
    assert_eq!((declined.targets.len(), declined.one_click), (2, false));
}

#[test]
fn attachments_are_read_in_all_their_forms() {
    let parameters = with(json!({"attachments": [
        "plain.txt",
        {"attachment": "dir/f.png", "type": "inline"},
        {"attachment": "a.pdf", "content": "JVBE\nRi0", "encoding": "BASE64", "mediaType": "Application/PDF; x=y"},
        {"attachment": "note.txt", "content": "olá"},
        {"attachment": "a.csv", "mediaType": "text/csv; header=present; Charset=\"Windows-1252\""},
    ]}));
    let attachments = parameters.expect("attachments").attachments;
    assert_eq!(attachments[0].source, Source::File);
    assert_eq!(
        (attachments[1].shown_name.as_str(), attachments[1].disposition),
        ("f.png", Disposition::Inline)
    );
    assert_eq!(attachments[2].source, Source::Bytes(b"%PDF-".to_vec()));
    assert_eq!(attachments[2].media_type.as_deref(), Some("application/pdf"));
    assert_eq!(attachments[2].charset, None);
    assert_eq!(attachments[3].source, Source::Text("olá".into()));
    assert_eq!(attachments[4].media_type.as_deref(), Some("text/csv"));
    assert_eq!(attachments[4].charset.as_deref(), Some("Windows-1252"));
}

#[test]
fn an_invitation_says_its_method() {
    let event = |value| match with(json!({"icalEvent": value})).expect("an event").invitation {
        Some(Invitation::Event(event)) => event,
        other => panic!("{other:?}"),
    };
    let content = "\u{feff}\nBEGIN:VCALENDAR\r\nMETHOD:request\r\nEND:VCALENDAR\r\n";
    assert_eq!(event(json!(content)).method, "REQUEST");
    assert_eq!(
        event(json!({"content": content, "method": "request"})).method,
        "REQUEST"
    );
    assert_eq!(event(json!({"content": "BEGIN:VCALENDAR"})).file_name, "invite.ics");
}

#[test]
fn what_is_unknown_is_warned_of_and_what_is_the_hosts_is_not() {
    let parameters = with(json!({"bbc": "c@y.example", "retry": 3, "items": [], "escape": "html", "scoped": false}));
    let warnings = parameters.expect("an unknown parameter").warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("`bbc`"), "{warnings:?}");
}

#[test]
fn what_is_no_object_is_refused() {
    for json in ["", "[]", "5", "{", "\"to\""] {
        assert_eq!(
            Parameters::parse(json, None).expect_err(json).kind,
            FailureKind::Invalid
        );
    }
}
