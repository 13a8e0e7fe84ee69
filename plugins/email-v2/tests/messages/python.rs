//! Messages as Python's `email` package reads them: a parser that we did not write.
//!
//! Without `python3` these tests say that they were skipped; with `PIPEPOST_REQUIRE_PEERS=1` they then fail.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Memory, assert_travels, message, octets};

const READER: &str = r#"
import email, email.policy, hashlib, json, sys

# No standard has encoded words in a quoted name, and all readers that do not know RFC 2231 look for them there.
OLD_NAMES = ("encoded word inside quoted string", "missing trailing whitespace after encoded-word")

def defects(node):
    yield from node.defects
    for name, header in node.items():
        is_old_name = name.lower() == "content-type" and "name" in header.params
        yield from (d for d in getattr(header, "defects", ()) if not (is_old_name and str(d) in OLD_NAMES))

def part(node):
    out = {
        "type": node.get_content_type(), "params": dict(node["content-type"].params),
        "disposition": node.get_content_disposition(), "filename": node.get_filename(), "cid": node["content-id"],
        "defects": [repr(d) for d in defects(node)],
    }
    if node.is_multipart():
        out["parts"] = [part(child) for child in node.iter_parts()]
    else:
        raw = node.get_payload(decode=True)
        out["size"], out["sha256"] = len(raw), hashlib.sha256(raw).hexdigest()
        if node.get_content_maintype() == "text" and len(raw) < 100000:
            out["text"] = node.get_content()
    return out

m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
out = part(m)
out["headers"] = [[name, str(value)] for name, value in m.items()]
for name in ("from", "to", "cc", "reply-to"):
    if m[name] is not None:
        out[name] = [[a.display_name, a.addr_spec] for a in m[name].addresses]
        out[name + "-groups"] = [[g.display_name, len(g.addresses)] for g in m[name].groups]
json.dump(out, sys.stdout)
"#;

/// What Python makes of the message; none when there is no Python.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn read(octets: &[u8]) -> Option<Value> {
    let child = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let is_required = std::env::var("PIPEPOST_REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!is_required, "python3 is required and does not start: {error}");
            eprintln!("SKIPPED: python3 does not start ({error}), so nothing was compared");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(octets).expect("Python reads the message");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "Python could not read the message");
    Some(serde_json::from_slice(&output.stdout).expect("the reader writes JSON"))
}

/// Makes the message, checks what holds for all, and asks Python. There must be no defect anywhere.
fn parsed(parameters: Value, files: &mut Memory) -> Option<Value> {
    let octets = octets(&mut message(parameters, files), 1 << 16);
    assert_travels(&octets);
    let parsed = read(&octets)?;
    assert_no_defects(&parsed);
    Some(parsed)
}

fn assert_no_defects(part: &Value) {
    assert_eq!(part["defects"], json!([]), "{part}");
    for child in part["parts"].as_array().into_iter().flatten() {
        assert_no_defects(child);
    }
}

fn header<'a>(parsed: &'a Value, name: &str) -> &'a str {
    let headers = parsed["headers"].as_array().expect("headers");
    headers
        .iter()
        .find(|header| header[0] == name)
        .and_then(|header| header[1].as_str())
        .unwrap_or_default()
}

/// The tree in one line: `multipart/mixed(text/plain, image/png)`.
fn tree(part: &Value) -> String {
    let name = part["type"].as_str().unwrap_or_default();
    match part["parts"].as_array() {
        None => name.to_owned(),
        Some(parts) => format!("{name}({})", parts.iter().map(tree).collect::<Vec<_>>().join(", ")),
    }
}

#[test]
fn long_subjects_beyond_ascii() {
    let subjects = [
        "Atenção: a integração «Pedidos → Faturamento» terminou com 12 avisos e 3 exceções não tratadas às 23:59"
            .to_owned(),
        "請求書の発行が完了しました。".repeat(12),
        "🚀✨👩‍👩‍👧‍👦 ".repeat(20).trim_end().to_owned(),
        "two  blanks,   three, and = ? _ =?utf-8?q?=41?= at the end ç "
            .trim_end()
            .to_owned(),
        "plain words that go on and on ".repeat(8).trim_end().to_owned(),
        "Я".repeat(500),
    ];
    for subject in subjects {
        let Some(parsed) = parsed(json!({"subject": subject}), &mut Memory::default()) else {
            return;
        };
        assert_eq!(header(&parsed, "Subject"), subject);
    }
}

#[test]
fn names_with_emoji_quotes_and_commas() {
    let names = [
        "🚀 Lançamento 👩‍🚀",
        "Doe, John",
        "O'Neil \"Pat\" \\ Sons",
        "Acme (Brasil) S.A.",
        "山田太郎",
        "a.b",
        "x@y.example",
        "José",
        "=?utf-8?q?x?=",
        "Émile Zola, écrivain et journaliste français du XIXe siècle, né à Paris le 2 avril 1840",
        "  spaced  ",
    ];
    for name in names {
        let address = json!({"name": name, "address": "b@y.example"});
        let parameters = json!({"from": address, "to": [address], "replyTo": address});
        let Some(parsed) = parsed(parameters, &mut Memory::default()) else {
            return;
        };
        for header in ["from", "to", "reply-to"] {
            // Python keeps the blank between two encoded words of one name (RFC 2047, section 6.2, says to drop it).
            let found = parsed[header][0][0].as_str().unwrap_or_default().replace("  ", " ");
            assert_eq!(
                (found.as_str(), &parsed[header][0][1]),
                (name.trim(), &json!("b@y.example"))
            );
        }
    }
}

#[test]
fn forty_recipients_arrive_in_their_order() {
    let to: Vec<Value> = (0..40)
        .map(|i| json!({"name": format!("Destinatário número {i}"), "address": format!("recipient.{i}@department-{i}.y.example")}))
        .collect();
    let expected: Vec<Value> = to.iter().map(|to| json!([to["name"], to["address"]])).collect();
    let Some(parsed) = parsed(json!({"to": to}), &mut Memory::default()) else {
        return;
    };
    assert_eq!(parsed["to"], Value::from(expected));
}

#[test]
fn lists_with_quoted_commas_and_groups() {
    let to = r#""Doe, John" <john@y.example>, Team A: ann@y.example, "Roe, Jane" <jane@y.example>;, plain@y.example, Empty:;"#;
    let Some(parsed) = parsed(json!({"to": to}), &mut Memory::default()) else {
        return;
    };
    assert_eq!(
        parsed["to"],
        json!([
            ["Doe, John", "john@y.example"],
            ["", "ann@y.example"],
            ["Roe, Jane", "jane@y.example"],
            ["", "plain@y.example"]
        ])
    );
    assert_eq!(
        parsed["to-groups"],
        json!([[null, 1], ["Team A", 2], [null, 1], ["Empty", 0]])
    );
}

#[test]
fn attachments_with_names_in_japanese() {
    let names = [
        "請求書_2026年9月.pdf",
        "とても長い名前の添付ファイルで複数の行に分かれるはずのもの.xlsx",
        "relatório final (v2).csv",
        "a\"b\\c;d=e.txt",
    ];
    let mut files = names
        .iter()
        .fold(Memory::default(), |files, name| files.with(name, name.as_bytes()));
    // A backslash ends a directory on some systems, so only what follows it is shown.
    let shown = ["請求書_2026年9月.pdf", names[1], names[2], "c;d=e.txt"];
    let attachments: Vec<Value> = names.iter().map(|name| json!({"attachment": name})).collect();
    let Some(parsed) = parsed(json!({"body": "Hi", "attachments": attachments}), &mut files) else {
        return;
    };
    for (i, name) in shown.iter().enumerate() {
        let part = &parsed["parts"][i + 1];
        assert_eq!(
            (part["filename"].as_str(), part["disposition"].as_str()),
            (Some(*name), Some("attachment"))
        );
        assert_eq!(part["size"], json!(names[i].len()));
    }
    assert_eq!(parsed["parts"][1]["type"], "application/pdf");
}

#[test]
fn a_csv_file_is_read_as_it_was_written() {
    let rows = "nome;preço\r\nJosé;12,50 €\r\n";
    let mut files = Memory::default().with("relatorio.csv", rows);
    let attachments = json!([{"attachment": "relatorio.csv"}, {"attachment": "b.csv", "content": rows}]);
    let Some(parsed) = parsed(json!({"body": "Hi", "attachments": attachments}), &mut files) else {
        return;
    };
    for part in [&parsed["parts"][1], &parsed["parts"][2]] {
        assert_eq!(part["text"], json!(rows), "{part}");
    }
}

#[test]
fn nested_inline_images() {
    let mut files = Memory::default()
        .with("img/logo.png", "\u{89}PNG 1")
        .with("my photo.jpg", "2")
        .with("r.pdf", "%PDF-");
    let body = r#"<p>Olá</p><img src="cid:logo.png"><img src='cid:my%20photo.jpg'><div style="background:url(cid:logo.png)"></div>"#;
    let attachments = json!([
        {"attachment": "r.pdf", "type": "ATTACHMENT"},
        {"attachment": "img/logo.png", "type": "INLINE"},
        {"attachment": "my photo.jpg", "type": "INLINE"},
    ]);
    let Some(parsed) = parsed(json!({"body": body, "attachments": attachments}), &mut files) else {
        return;
    };
    assert_eq!(
        tree(&parsed),
        "multipart/mixed(multipart/related(multipart/alternative(text/plain, text/html), image/png, image/jpeg), application/pdf)"
    );
    let related = &parsed["parts"][0];
    assert_eq!(related["params"]["type"], "multipart/alternative");
    let html = related["parts"][0]["parts"][1]["text"].as_str().expect("HTML");
    for image in [&related["parts"][1], &related["parts"][2]] {
        assert_eq!(image["disposition"], "inline");
        let cid = image["cid"].as_str().expect("a Content-ID").trim_matches(['<', '>']);
        assert!(html.contains(&format!("cid:{cid}")), "{cid} is not in {html}");
    }
    assert_eq!(related["parts"][1]["filename"], "logo.png");
}

#[test]
fn an_invitation() {
    let event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x.example\r\n\
                 DTSTAMP:20260921T120000Z\r\nDTSTART:20260922T120000Z\r\nSUMMARY:Reunião\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let Some(parsed) = parsed(
        json!({"body": "<p>Come</p>", "icalEvent": event}),
        &mut Memory::default(),
    ) else {
        return;
    };
    assert_eq!(
        tree(&parsed),
        "multipart/mixed(multipart/alternative(text/plain, text/html, text/calendar), application/ics)"
    );
    let calendar = &parsed["parts"][0]["parts"][2];
    assert_eq!(calendar["params"], json!({"charset": "utf-8", "method": "REQUEST"}));
    assert_eq!(calendar["text"], event);
    assert_eq!(
        (&parsed["parts"][1]["filename"], &parsed["parts"][1]["size"]),
        (&json!("invite.ics"), &json!(event.len()))
    );
}

#[test]
fn bodies_with_dots_long_lines_and_every_line_end() {
    let bodies = [
        ".\n..\n.hidden\nend.\n".to_owned(),
        format!("{}\nshort\n{}", "a".repeat(998), "b".repeat(999)),
        format!("{}\n", "ç".repeat(5000)),
        "cr\rlf\ncrlf\r\nboth\n\rend".to_owned(),
        "trailing blank \ntrailing tab\t\n = equals =3D\n".to_owned(),
        "日本語の本文\n".repeat(100),
        "From here\n>From there\n--=_boundary\n".to_owned(),
        "nul \0 and bell \u{7} and delete \u{7f}\n".to_owned(),
        "\n\n".to_owned(),
    ];
    for body in bodies {
        let expected = body.replace("\r\n", "\n").replace('\r', "\n");
        let plain = json!({"body": body, "contentType": "text/plain"});
        let Some(whole) = parsed(plain, &mut Memory::default()) else {
            return;
        };
        // A message ends with a line end, whether its text does or not.
        let with_end = if expected.ends_with('\n') {
            expected.clone()
        } else {
            format!("{expected}\n")
        };
        let is_base64 = header(&whole, "Content-Transfer-Encoding") == "base64";
        let text = whole["text"].as_str().expect("a text").replace("\r\n", "\n");
        assert_eq!(text, if is_base64 { expected.clone() } else { with_end });

        if body.trim().is_empty() {
            continue;
        }
        let both = json!({"body": body, "contentType": "text/html", "text": body});
        let Some(both) = parsed(both, &mut Memory::default()) else {
            return;
        };
        for part in [&both["parts"][0], &both["parts"][1]] {
            let text = part["text"]
                .as_str()
                .unwrap_or_else(|| panic!("no text: {part}"))
                .replace("\r\n", "\n");
            assert_eq!(text.trim_end_matches('\n'), expected.trim_end_matches('\n'));
        }
    }
}

#[test]
fn character_sets() {
    for (charset, body) in [
        ("ISO-8859-1", "Olá, José: 10 £\n"),
        ("windows-1252", "Preço: 10 € – «já»\n"),
        ("iso-2022-jp", "請求書\n"),
        ("Shift_JIS", "請求書\n"),
        ("koi8-r", "Счёт за март\n"),
        ("UTF-8", "Olá 🚀\n"),
    ] {
        let parameters = json!({"body": body, "contentType": "text/plain", "charset": charset});
        let Some(parsed) = parsed(parameters, &mut Memory::default()) else {
            return;
        };
        assert_eq!(
            parsed["text"].as_str().map(|text| text.replace("\r\n", "\n")),
            Some(body.to_owned()),
            "{charset}"
        );
        assert_eq!(
            parsed["params"]["charset"].as_str(),
            Some(charset.to_ascii_lowercase().as_str())
        );
    }
}

#[test]
fn a_large_attachment_streams() {
    let content: Vec<u8> = (0..20_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut files = Memory::default().with("big.bin", content.clone());
    let attachments = json!([{"attachment": "big.bin"}]);
    let Some(parsed) = parsed(json!({"body": "Hi", "attachments": attachments}), &mut files) else {
        return;
    };
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(&content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        (
            parsed["parts"][1]["size"].as_u64(),
            parsed["parts"][1]["sha256"].as_str()
        ),
        (Some(20 << 20), Some(&*digest))
    );
}

#[test]
fn custom_headers_and_ids() {
    let long = format!("<https://x.example/{}>", "p".repeat(300));
    let parameters = json!({
        "headers": {"X-Nota": "ação de cobrança nº 7", "List-Archive": long}, "inReplyTo": "a@b",
        "references": (0..30).map(|i| format!("<reference.{i}@x.example>")).collect::<Vec<_>>(),
        "subject": "",
    });
    let Some(parsed) = parsed(parameters, &mut Memory::default()) else {
        return;
    };
    assert_eq!(header(&parsed, "X-Nota"), "ação de cobrança nº 7");
    assert_eq!(header(&parsed, "List-Archive"), long);
    assert_eq!(header(&parsed, "References").split(' ').count(), 30);
    assert_eq!(header(&parsed, "Subject"), "");
}

#[test]
fn what_a_charset_holds_comes_back_from_it_and_the_rest_goes_in_utf8() {
    for (charset, text) in [
        ("iso-2022-jp", "日本語とかな ¥100 ‾"),
        ("iso-2022-jp", "①㈱髙 ﾊﾝｶｸ"),
        ("shift_jis", "日本 ﾊﾝｶｸ"),
        ("shift_jis", "①㈱髙 ¥ ‾ −"),
        ("euc-jp", "日本 ﾊﾝｶｸ"),
        ("euc-jp", "№ ①"),
        ("euc-kr", "한국어 똠"),
        ("gbk", "中文"),
        ("gbk", "€ 中文"),
        ("big5", "中文"),
        ("big5", "€ 碁"),
    ] {
        let parameters = json!({"body": text, "charset": charset});
        let Some(parsed) = parsed(parameters, &mut Memory::default()) else {
            return;
        };
        let found = parsed["text"].as_str().unwrap_or_default();
        assert_eq!(found.trim_end(), text, "{charset}: {parsed}");
    }
}
