//! The message that every client sends: text and HTML, 2 KB, a non-ASCII subject, and a number that differs each time.

use serde_json::{Value, json};

/// Who sends.
pub(crate) const FROM: &str = "billing@example.com";
/// Who gets it.
pub(crate) const TO: &str = "jose@example.org";

/// What a line of the invoice says, in both bodies.
const ROW: &str = "Serviço de integração, março";

/// The subject of one message.
pub(crate) fn subject(number: usize) -> String {
    format!("Sua fatura de março está pronta – nº {number}")
}

/// The plain body of one message.
pub(crate) fn text(number: usize) -> String {
    let rows = format!("{ROW}: R$ 10,00\n").repeat(16);
    format!("Olá, José,\n\nyour invoice {number} of March is ready.\n\n{rows}\nKind regards\n")
}

/// The HTML body of one message.
pub(crate) fn html(number: usize) -> String {
    let rows = format!("<tr><td>{ROW}</td><td>R$ 10,00</td></tr>\n").repeat(16);
    format!("<h1>Olá, José</h1>\n<p>your invoice {number} of March is ready.</p>\n<table>{rows}</table>\n")
}

/// The parts before and after the number, for clients in other languages.
pub(crate) fn pieces() -> Value {
    // A number that stands nowhere else in the message.
    const MARK: usize = 987_654_321;
    let split = |text: String| -> Vec<String> { text.split(&MARK.to_string()).map(str::to_owned).collect() };
    json!({
        "from": FROM, "to": TO,
        "subject": split(subject(MARK)), "text": split(text(MARK)), "html": split(html(MARK)),
    })
}

/// The same as a Pipepost document: the bodies come from the pipeline's message, as the numbers do.
pub(crate) fn pipeline(tls: bool, attachment: Option<&str>) -> Value {
    let mut params = json!({
        "from": FROM,
        "to": TO,
        "subject": "{{ item.subject }}",
        "text": "{{ item.text }}",
        "body": "{{ item.html }}",
        "contentType": "text/html",
        "isAuth": false,
        "isOverTLS": tls,
        "items": "{{ message.items }}",
        "failOnError": false,
    });
    if let Some(name) = attachment {
        params["attachments"] = json!([{ "attachment": name }]);
    }
    json!({
        "name": "benchmark", "versionMajor": 1, "versionMinor": 0,
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": "mail", "params": params,
        }] },
    })
}

/// Writes the pipeline's message, item by item: what the bench itself holds would count for the clients that it starts.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_input(out: &mut impl std::io::Write, messages: usize) -> std::io::Result<()> {
    out.write_all(b"{\"items\":[")?;
    for number in 0..messages {
        let comma = if number == 0 { "" } else { "," };
        let item = json!({ "subject": subject(number), "text": text(number), "html": html(number) });
        write!(out, "{comma}{item}")?;
    }
    out.write_all(b"]}")
}

/// The parameters of one call, as the host hands them to the connector.
pub(crate) fn parameters(number: usize) -> String {
    json!({
        "from": FROM, "to": TO, "subject": subject(number), "text": text(number), "body": html(number),
        "contentType": "text/html",
    })
    .to_string()
}
