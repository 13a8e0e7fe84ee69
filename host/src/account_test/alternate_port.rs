//! When a server does not answer: checks whether the same host answers at the other port for sending mail.
//!
//! Only the beginning of TLS is sent there: no sign-in, and no command.

use std::sync::Arc;
use std::time::Duration;

use pipepost_accounts::{Account, Security};
use pipepost_core::EgressGate;
use pipepost_net::{Connection, ConnectionError, Connections, Route, RunId, TransportGrant};

/// How long the other port has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most of a greeting that is read.
const GREETING: u32 = 512;

/// The other port for sending mail, and how TLS begins there (RFC 8314, section 3.3); none for ports of one's own.
pub(super) fn other(port: u16) -> Option<(u16, Security)> {
    match port {
        465 => Some((587, Security::StartTls)),
        25 | 587 => Some((465, Security::Tls)),
        _ => None,
    }
}

/// Whether a mail server answers there, and if so which fields of the account to change, as a sentence.
pub(super) async fn look(
    account: &Arc<Account>,
    gate: &EgressGate,
    connections: &Arc<Connections>,
    (port, security): (u16, Security),
) -> Option<String> {
    let mut endpoint = account.endpoint().ok()?;
    endpoint.port = port;
    endpoint.security = security;
    let route = Route::of_account(gate, account, endpoint, false)
        .ok()?
        .connect_timeout(PATIENCE);
    let host = route.endpoint().host.clone();
    let transport = TransportGrant {
        route: Arc::new(route),
        connections: Arc::clone(connections),
        component: "account-test".into(),
        pipeline: "account-test".into(),
        run: RunId::next(),
    };
    let answers = tokio::time::timeout(PATIENCE, answers(&transport, security)).await;
    if !answers.unwrap_or(false) {
        return Some(format!("Port {port} of {host} does not answer either."));
    }
    let change = match security {
        Security::Tls => "\"properties\": {\"mail.smtp.ssl.enable\": true}",
        _ => "\"starttls_enable\": true, without mail.smtp.ssl.enable",
    };
    Some(format!(
        "Port {port} of {host} answers: write \"port\": {port} and {change} into the account."
    ))
}

async fn answers(transport: &TransportGrant, security: Security) -> bool {
    let mut unwatched = |_| ();
    match Connection::open_watched(transport, security, &mut unwatched).await {
        Ok(mut link) => match link.read(GREETING).await {
            Ok(greeting) => greeting.starts_with(b"220"),
            Err(_) => false,
        },
        // A certificate that is not trusted is TLS all the same.
        Err(ConnectionError::Tls(error)) => error.is_about_the_certificate(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipepost_accounts::oauth::Tokens;
    use pipepost_accounts::{Accounts, Environment};
    use pipepost_inbox::Inbox;
    use pipepost_net::HttpClient;
    use serde_json::json;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn account() -> Arc<Account> {
        let json = json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": 587,
            "username": "tester@example.test",
            "password": "a password",
            "starttls_enable": true,
        });
        let accounts = Accounts::from_json(&json.to_string(), Path::new("."), &Environment::process());
        Arc::clone(accounts.expect("an account").get("mail").expect("it is there"))
    }

    async fn look_at(port: u16, security: Security) -> String {
        let tokens = Tokens::new(Arc::new(HttpClient::default()));
        let connections = Arc::new(Connections::new(tokens, None));
        let told = look(&account(), &EgressGate::default(), &connections, (port, security)).await;
        told.expect("the policy allows it")
    }

    #[tokio::test]
    async fn the_port_that_answers_is_named_with_what_to_write() {
        let inbox = Inbox::builder()
            .listen(pipepost_inbox::Security::StartTls, "127.0.0.1:0")
            .listen(pipepost_inbox::Security::Implicit, "127.0.0.1:0")
            .record_dialogue()
            .start()
            .await
            .expect("an inbox");
        for (face, security, field) in [
            (
                pipepost_inbox::Security::StartTls,
                Security::StartTls,
                "starttls_enable",
            ),
            (
                pipepost_inbox::Security::Implicit,
                Security::Tls,
                "mail.smtp.ssl.enable",
            ),
        ] {
            let port = inbox.address_of(face).expect("it listens").port();
            let told = look_at(port, security).await;
            assert!(
                told.contains(&format!("write \"port\": {port}")) && told.contains(field),
                "{told}"
            );
        }
        let said = inbox.transcript().into_iter();
        let commands: Vec<_> = said
            .filter(|(_, direction, _)| *direction == pipepost_inbox::Direction::Received)
            .collect();
        assert_eq!(commands, [], "nothing is said there");
    }

    #[tokio::test]
    async fn what_is_no_mail_server_or_nobody_is_no_other_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let page = async {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            stream
                .write_all(b"HTTP/1.1 302 Found\r\n\r\n")
                .await
                .expect("it listens");
            stream
        };
        let (told, _stream) = tokio::join!(look_at(port, Security::StartTls), page);
        assert!(told.contains("does not answer either"), "{told}");
        drop(listener);
        let told = look_at(port, Security::Tls).await;
        assert!(told.contains("does not answer either"), "{told}");
    }

    #[test]
    fn the_two_ports_are_each_others_other() {
        assert_eq!(other(587), Some((465, Security::Tls)));
        assert_eq!(other(465), Some((587, Security::StartTls)));
        assert_eq!(other(2525), None);
    }
}
