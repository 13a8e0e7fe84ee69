//! The peers themselves, before anything is tested against them: Python's own client sends to each.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::{
    Aiosmtpd, Exim, EximOptions, Options, PASSWORD, PgBouncer, Postfix, PostfixOptions, Postgres, PostgresOptions,
    REFUSED, Replication, Sink, Tls, USER, python,
};

/// Signs in, sends to two recipients of which one is refused, and prints who was.
const CLIENT: &str = r#"
import smtplib, ssl, sys
host, port, authority, tls, user, password, refused = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if tls == "implicit":
    client = smtplib.SMTP_SSL(host, int(port), context=context)
else:
    client = smtplib.SMTP(host, int(port))
    client.starttls(context=context)
client.login(user, password)
print(" ".join(client.sendmail(user, ["ann@example.test", refused], "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n.\r\n")))
client.quit()
"#;

fn send((host, port): (&str, u16), authority: &Path, tls: Tls) {
    let python = python::with("smtplib").expect("a Python");
    let tls = if tls == Tls::Implicit { "implicit" } else { "starttls" };
    let output = Command::new(python)
        .args(["-c", CLIENT, host, &port.to_string()])
        .arg(authority)
        .args([tls, USER, PASSWORD, REFUSED])
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), REFUSED);
}

fn is_what_was_sent(message: &crate::Message) {
    assert_eq!(
        (message.sender.as_str(), message.recipients.as_slice()),
        (USER, &["ann@example.test".to_owned()][..])
    );
    assert_eq!(message.user.as_deref(), Some(USER));
    let parsed = message.parsed();
    assert_eq!(
        (&parsed["subject"], &parsed["text"]),
        (&json!("Grüße"), &json!("Hello\n.")),
        "{parsed:#}"
    );
}

#[test]
fn exim_takes_what_python_sends() {
    let Some(exim) = Exim::start(&EximOptions::default()) else {
        return;
    };
    send(exim.starttls(), exim.authority(), Tls::StartTls);
    is_what_was_sent(&exim.next());
    let recipients: Vec<_> = exim.taken().into_iter().map(|(_, recipients)| recipients).collect();
    assert_eq!(recipients, [["ann@example.test"]]);
}

#[test]
fn postfix_takes_what_python_sends_on_both_ports() {
    let Some(postfix) = Postfix::start(&PostfixOptions::default()) else {
        return;
    };
    send(postfix.starttls(), postfix.authority(), Tls::StartTls);
    is_what_was_sent(&postfix.next());
    send(postfix.tls(), postfix.authority(), Tls::Implicit);
    is_what_was_sent(&postfix.next());
    let log = postfix.finish();
    assert_eq!(log.matches("status=sent").count(), 2, "{log}");
}

#[test]
fn aiosmtpd_takes_what_python_sends_however_tls_begins() {
    for tls in [Tls::StartTls, Tls::Implicit] {
        let Some(server) = Aiosmtpd::start(&Options {
            tls,
            ..Options::default()
        }) else {
            return;
        };
        send(server.at(), server.authority(), tls);
        is_what_was_sent(&server.next());
        let seen = server.finish();
        assert!(
            seen.messages.is_empty() && seen.commands.iter().any(|line| line == "QUIT"),
            "{seen:?}"
        );
        assert!(!format!("{seen:?}").contains(PASSWORD));
    }
}

#[test]
fn a_cluster_follows_is_promoted_and_recovers() {
    let Some(mut primary) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    primary.superuser("CREATE TABLE t (n int)");
    let standby = primary.standby(Replication::Synchronous, None);
    primary.superuser("INSERT INTO t VALUES (1)");
    // A synchronous standby has what was answered.
    primary.kill();
    assert!(primary.try_ask("pipepost", "SELECT 1").is_err());
    standby.promote();
    assert_eq!(standby.count("SELECT n FROM t"), 1);
    primary.run();
    assert_eq!(primary.count("SELECT n FROM t"), 1, "it recovers");
    let Some(pool) = PgBouncer::before(&standby) else {
        return;
    };
    assert!(pool.url().starts_with("postgres://"));
    let folders = [primary.folder().to_owned(), standby.folder().to_owned()];
    drop((primary, pool, standby));
    assert!(folders.iter().all(|folder| !folder.exists()), "nothing is left behind");
}

#[test]
fn a_sink_keeps_what_it_took() {
    let Some(sink) = Sink::start() else { return };
    let python = python::with("smtplib").expect("a Python");
    let script = "import smtplib, sys
client = smtplib.SMTP('127.0.0.1', int(sys.argv[1]))
for n in [1, 2, 2]:
    client.sendmail('a@example.test', ['b@example.test'], f'Subject: number {n}\\r\\n\\r\\nHello\\r\\n')
# One that is not whole, and does not count.
client.mail('a@example.test'); client.rcpt('b@example.test'); client.docmd('DATA'); client.send('Subject: number 3\\r\\n\\r\\n')
client.close()
";
    let output = Command::new(python)
        .args(["-c", script, &sink.address().port().to_string()])
        .output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    while sink.count() != 3 {
        std::thread::yield_now();
    }
    let arrived: Vec<(String, usize)> = sink.finish().into_iter().collect();
    assert_eq!(arrived, [("number 1".to_owned(), 1), ("number 2".to_owned(), 2)]);
}
