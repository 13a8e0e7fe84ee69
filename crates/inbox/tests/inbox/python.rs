//! The server, spoken to by a client that we did not write: Python's smtplib.

use std::io::Write as _;
use std::process::Stdio;

use pipepost_inbox::{Inbox, Running, Script, Security, Transfer};
use tokio::process::Command;

const PRELUDE: &str = r#"
import smtplib, ssl, sys
from email.message import EmailMessage
starttls, implicit, ca = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
message = EmailMessage()
message["From"] = "ann@example.com"
message["To"] = "bob@example.com, nobody@example.com"
message["Subject"] = "Grüße"
message["Message-ID"] = "<smtplib@example.com>"
message.set_content("Hello\n.\n..\nEnd\n")
def submission():
    client = smtplib.SMTP("localhost", starttls)
    client.starttls(context=context)
    return client
"#;

/// Whether there is a Python to test with. Without one these tests say so and pass, unless `PIPEPOST_REQUIRE_PEERS` is set.
async fn python_is_here() -> bool {
    let here = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success());
    assert!(
        here || std::env::var_os("PIPEPOST_REQUIRE_PEERS").is_none(),
        "python3 is required and missing"
    );
    if !here {
        // Not by a macro, whose output the test harness would swallow.
        let _ = std::io::stderr().write_all(b"skipped: there is no python3 to test with\n");
    }
    here
}

/// Runs the script against the inbox, with `starttls`, `implicit` and `context` at hand; gives what it printed.
async fn python(inbox: &Running, script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, inbox.ca_pem()).unwrap();
    let port = |security| inbox.address_of(security).unwrap().port().to_string();
    let output = Command::new("python3")
        .args([
            "-c",
            &format!("{PRELUDE}{script}"),
            &port(Security::StartTls),
            &port(Security::Implicit),
        ])
        .arg(&ca)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

async fn inbox() -> Running {
    Inbox::builder()
        .listen(Security::StartTls, "localhost:0")
        .listen(Security::Implicit, "localhost:0")
        .users([("ann@example.com", "abcdefghijklmnop")])
        .tokens([("ann@example.com", "ya29.token")])
        .script(Script::new().refuse_recipient("nobody@example.com", "550 5.1.1 No such user"))
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn mail_by_starttls_and_by_tls_from_the_first_byte() {
    if !python_is_here().await {
        return;
    }
    let inbox = inbox().await;
    let script = r#"
for client in submission(), smtplib.SMTP_SSL("localhost", implicit, context=context):
    client.login("ann@example.com", "abcdefghijklmnop")
    print(client.send_message(message))
    print(client.quit()[0])
"#;
    let printed = python(&inbox, script).await;
    assert_eq!(
        printed,
        "{'nobody@example.com': (550, b'5.1.1 No such user')}\n221\n".repeat(2)
    );
    let messages = inbox.wait_for(2).await;
    for message in &messages {
        assert_eq!(message.envelope.from, "ann@example.com");
        assert_eq!(message.envelope.to, ["bob@example.com"]);
        assert_eq!(message.user.as_deref(), Some("ann@example.com"));
        assert_eq!(message.message_id().as_deref(), Some("smtplib@example.com"));
        let content = String::from_utf8_lossy(&message.content);
        assert!(content.ends_with("\r\n\r\nHello\r\n.\r\n..\r\nEnd\r\n"), "{content:?}");
        assert_eq!(message.tls.as_ref().unwrap().version, "TLSv1.3");
    }
    assert_eq!(inbox.sign_ins(), 2);
}

#[tokio::test]
async fn sign_in_by_each_mechanism_and_its_refusal() {
    if !python_is_here().await {
        return;
    }
    let inbox = inbox().await;
    let script = r#"
client = submission()
client.ehlo()
client.user, client.password = "ann@example.com", "wrong"
for attempt in (client.auth_plain, "PLAIN"), (client.auth_login, "LOGIN"):
    try:
        client.auth(attempt[1], attempt[0])
    except smtplib.SMTPAuthenticationError as error:
        print(attempt[1], error.smtp_code, error.smtp_error.split()[0])
xoauth = lambda token: lambda challenge=None: f"user=ann@example.com\1auth=Bearer {token}\1\1" if challenge is None else ""
try:
    client.auth("XOAUTH2", xoauth("dead"))
except smtplib.SMTPAuthenticationError as error:
    print("XOAUTH2", error.smtp_code)
print(client.auth("XOAUTH2", xoauth("ya29.token")))
client.quit()
client = submission()
client.ehlo()
client.user, client.password = "ann@example.com", "abcdefghijklmnop"
print(client.auth("LOGIN", client.auth_login, initial_response_ok=False)[0])
"#;
    let printed = python(&inbox, script).await;
    assert_eq!(
        printed,
        "PLAIN 535 b'5.7.8'\nLOGIN 535 b'5.7.8'\nXOAUTH2 535\n(235, b'2.7.0 Accepted')\n235\n"
    );
}

#[tokio::test]
async fn chunks_over_tls_in_one_write() {
    if !python_is_here().await {
        return;
    }
    let inbox = inbox().await;
    let script = r#"
import base64, socket
stream = context.wrap_socket(socket.create_connection(("localhost", implicit)), server_hostname="localhost")
lines = stream.makefile("rb")
print(lines.readline()[:3])
secret = base64.b64encode(b"\0ann@example.com\0abcdefghijklmnop")
stream.sendall(b"EHLO client.example\r\nAUTH PLAIN " + secret + b"\r\n")
while not lines.readline().startswith(b"235"):
    pass
content = b"Subject: chunks\r\n\r\n.\r\n" + b"x" * 300000
stream.sendall(b"MAIL FROM:<ann@example.com> BODY=8BITMIME\r\nRCPT TO:<bob@example.com>\r\nBDAT 10\r\n" + content[:10]
    + b"BDAT %d LAST\r\n" % (len(content) - 10) + content[10:] + b"QUIT\r\n")
print([lines.readline()[:9] for _ in range(5)])
print(lines.readline())
"#;
    let printed = python(&inbox, script).await;
    assert_eq!(
        printed,
        "b'220'\n[b'250 2.1.0', b'250 2.1.5', b'250 2.0.0', b'250 2.0.0', b'221 2.0.0']\nb''\n"
    );
    let messages = inbox.messages();
    assert_eq!(messages[0].transfer, Transfer::Chunks(2));
    assert_eq!(messages[0].content.len(), 22 + 300_000);
}

#[tokio::test]
async fn an_untrusted_authority_is_refused() {
    if !python_is_here().await {
        return;
    }
    let (inbox, other) = (inbox().await, inbox().await);
    let script = r#"
try:
    smtplib.SMTP_SSL("localhost", implicit, context=ssl.create_default_context())
except ssl.SSLCertVerificationError as error:
    print("refused")
"#;
    assert_eq!(python(&inbox, script).await, "refused\n");
    drop(other);
}
