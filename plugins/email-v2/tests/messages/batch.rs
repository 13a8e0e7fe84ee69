//! A batch over connections that break: what may have been sent does not travel again.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use pipepost_email_v2::batch::send;
use pipepost_email_v2::files::Files;
use pipepost_email_v2::world::{Connection, Facts, HostApi, Part, Security, Stop, TransportError};
use pipepost_sdk::outcomes::InDoubt;
use pipepost_sdk::{Call, Failure, FailureKind as ContractKind};
use serde_json::{Value, json};

use crate::common::{Memory, account, call, fresh};

/// A server that takes what it is sent, and a network that breaks before it can say so.
#[derive(Default)]
struct Server {
    connections: usize,
    input: Vec<u8>,
    in_data: bool,
    content: String,
    replies: VecDeque<&'static str>,
    /// Its reply to EHLO.
    offers: Option<&'static str>,
    /// MAIL and RCPT as they came.
    envelope: Vec<String>,
    /// The messages that it took.
    taken: Vec<String>,
    /// After so many messages the next reply is lost, once.
    breaks_after: Option<usize>,
    is_broken: bool,
}

impl Server {
    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.input.drain(..end + 2).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            if self.in_data && line != "." {
                self.content += &line;
                self.content.push('\n');
                continue;
            }
            match line.split([' ', ':']).next() {
                Some(".") if self.in_data => {
                    self.in_data = false;
                    self.taken.push(std::mem::take(&mut self.content));
                    if self.breaks_after == Some(self.taken.len()) {
                        self.is_broken = true;
                        return;
                    }
                    self.replies.push_back("250 2.0.0 taken\r\n");
                }
                Some("DATA") => {
                    self.in_data = true;
                    self.replies.push_back("354 go\r\n");
                }
                Some("EHLO") => self.replies.push_back(self.offers.unwrap_or("250 ok\r\n")),
                Some("MAIL FROM" | "MAIL" | "RCPT") => {
                    self.envelope.push(line);
                    self.replies.push_back("250 ok\r\n");
                }
                _ => self.replies.push_back("250 ok\r\n"),
            }
        }
    }
}

#[derive(Clone)]
struct Line(Rc<RefCell<Server>>);

impl Connection for Line {
    fn facts(&self) -> Facts {
        fresh()
    }

    fn resume_state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn set_deadline(&self, _: u32) {}

    fn read(&self, _: u32) -> Result<Vec<u8>, TransportError> {
        let mut server = self.0.borrow_mut();
        match server.replies.pop_front() {
            Some(reply) if !server.is_broken => Ok(reply.as_bytes().to_vec()),
            _ => Err(TransportError::Closed),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), TransportError> {
        self.0.borrow_mut().receive(bytes);
        Ok(())
    }

    fn start_tls(&self) -> Result<(), TransportError> {
        Err(TransportError::Tls("none here".to_owned()))
    }

    fn sign_in(&self, _: &str) -> Result<Vec<u8>, TransportError> {
        Err(TransportError::Credentials("none here".to_owned()))
    }

    fn release(self, _: &[u8], _: &[u8]) {}
}

#[derive(Default)]
struct Net {
    server: Rc<RefCell<Server>>,
    announced: Vec<Part>,
    in_doubt: Vec<(u32, Value)>,
    confirmed: HashMap<u32, String>,
    settled: Vec<(u32, Result<String, Failure>)>,
    warnings: Vec<String>,
}

impl HostApi for Net {
    type Connection = Line;

    fn open(&mut self, _: &str, _: u16, _: Security) -> Result<Line, TransportError> {
        let mut server = self.server.borrow_mut();
        assert!(server.connections < 10, "it goes on and on");
        server.connections += 1;
        if server.is_broken {
            (server.is_broken, server.breaks_after) = (false, None);
        }
        (server.in_data, server.input, server.replies) = (false, Vec::new(), VecDeque::from(["220 hi\r\n"]));
        Ok(Line(Rc::clone(&self.server)))
    }

    fn committing(&mut self, parts: &[Part], in_doubt: &[InDoubt]) -> Result<(), Stop> {
        self.announced.extend(parts);
        let read = |told: &InDoubt| (told.call, serde_json::from_str(&told.output).expect("JSON"));
        self.in_doubt.extend(in_doubt.iter().map(read));
        Ok(())
    }

    fn confirmed(&mut self, part: Part, output: Option<&str>) {
        self.confirmed
            .extend(output.map(|output| (part.call, output.to_owned())));
    }

    fn refused(&mut self, _: Part, _: &str) {}

    /// As the host does: an output that is not said again is the one that was confirmed.
    fn settled(&mut self, call: u32, outcome: Result<Option<&str>, &Failure>) {
        let outcome = match outcome {
            Ok(output) => Ok(output.map_or_else(|| self.confirmed[&call].clone(), str::to_owned)),
            Err(failure) => Err(failure.clone()),
        };
        self.settled.push((call, outcome));
    }

    fn files(&self, _: u32) -> Box<dyn Files> {
        Box::new(Memory::default())
    }

    fn warn(&mut self, _: u32, message: &str) {
        self.warnings.push(message.to_owned());
    }

    fn now(&self) -> u64 {
        1_790_000_000
    }

    fn random(&mut self) -> u64 {
        42
    }
}

fn calls(count: u32) -> Vec<Call> {
    let parameters = |id| format!(r#"{{"from": "a@x.example", "to": "b@y.example", "subject": "number {id}"}}"#);
    (1..=count)
        .map(|id| call(id, &format!("run/{id}"), &parameters(id)))
        .collect()
}

#[test]
fn what_may_have_been_sent_is_uncertain_and_does_not_travel_again() {
    for breaks_after in 1..=3 {
        let mut net = Net::default();
        net.server.borrow_mut().breaks_after = Some(breaks_after);
        send(&mut net, Some(&account()), calls(3));

        let server = net.server.borrow();
        for id in 1..=3 {
            let subject = format!("Subject: number {id}\n");
            let taken = server.taken.iter().filter(|message| message.contains(&subject)).count();
            assert!(taken <= 1, "message {id} was taken {taken} times");
            let outcomes: Vec<_> = net.settled.iter().filter(|(call, _)| *call == id).collect();
            let [(_, outcome)] = outcomes.as_slice() else {
                panic!("message {id} has {} outcomes", outcomes.len());
            };
            match outcome {
                Ok(_) => assert_eq!(taken, 1),
                Err(failure) if failure.kind == ContractKind::Uncertain => assert_eq!(taken, 1),
                Err(_) => assert_eq!(taken, 0, "message {id}: {outcome:?}"),
            }
        }
        let lost = u32::try_from(breaks_after).expect("few");
        let is_uncertain = |outcome: &Result<String, Failure>| matches!(outcome, Err(failure) if failure.kind == ContractKind::Uncertain);
        let uncertain: Vec<_> = net
            .settled
            .iter()
            .filter(|(_, outcome)| is_uncertain(outcome))
            .collect();
        assert_eq!(uncertain.iter().map(|(call, _)| *call).collect::<Vec<_>>(), [lost]);
        assert_eq!(net.announced.iter().filter(|part| part.call == lost).count(), 1);
    }
}

#[test]
fn each_message_is_told_of_once_before_it_may_be_in_doubt() {
    let mut net = Net::default();
    let list =
        r#"{"from": "a@x.example", "to": "B <b@y.example>, c@y.example", "bcc": "b@y.example", "subject": "hi"}"#;
    let left = r#"{"recipients": ["c@y.example"], "accepted": ["b@y.example"], "rejected": [], "part": 1}"#;
    let call = |id, remainder| Call {
        remainder,
        ..call(id, "run/1", list)
    };
    send(
        &mut net,
        Some(&account()),
        vec![call(1, None), call(2, Some(left.to_owned()))],
    );
    let [(1, first), (2, second)] = net.in_doubt.as_slice() else {
        panic!("{:?}", net.in_doubt);
    };
    let sent: Value = match net.settled.as_slice() {
        [(1, Ok(output)), ..] => serde_json::from_str(output).expect("JSON"),
        other => panic!("{other:?}"),
    };
    for name in ["to", "bcc", "subject", "messageId"] {
        assert_eq!(first[name], sent[name], "{name}");
    }
    assert_eq!(first["outcome"], "uncertain");
    assert_eq!(first["uncertain"], json!(["b@y.example", "c@y.example"]));
    assert_eq!(first["accepted"], json!([]));
    assert_eq!(second["accepted"], json!(["b@y.example"]));
    assert_eq!(second["uncertain"], json!(["c@y.example"]));
}

#[test]
fn who_needs_smtputf8_and_is_in_no_header_is_refused_alone() {
    let outcome = |parameters: Value| {
        let mut net = Net::default();
        send(
            &mut net,
            Some(&account()),
            vec![call(1, "run/1", &parameters.to_string())],
        );
        let taken = net.server.borrow().taken.len();
        (taken, net.settled.remove(0).1)
    };
    let (taken, alone) =
        outcome(json!({"from": "a@x.example", "to": "b@y.example", "bcc": "josé@y.example, c@y.example"}));
    let output: Value = serde_json::from_str(&alone.expect("the others have it")).expect("JSON");
    assert_eq!(output["accepted"], json!(["b@y.example", "c@y.example"]));
    assert_eq!(output["rejected"][0]["recipient"], "josé@y.example", "{output}");
    assert_eq!((taken, output["outcome"].as_str()), (1, Some("sent")));
    // In a header it makes the whole message one that such a server cannot take.
    let (taken, whole) = outcome(json!({"from": "a@x.example", "to": "b@y.example, josé@y.example"}));
    assert_eq!((taken, whole.is_err()), (0, true));
}

#[test]
fn who_needs_what_the_account_turns_off_and_is_in_no_header_is_refused_alone() {
    let mut account = account();
    account.mail.allow_utf8 = false;
    let outcome = |parameters: Value| {
        let mut net = Net::default();
        net.server.borrow_mut().offers = Some("250-ok\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n");
        send(
            &mut net,
            Some(&account),
            vec![call(1, "run/1", &parameters.to_string())],
        );
        let taken = net.server.borrow().taken.len();
        (taken, net.settled.remove(0).1)
    };
    let (taken, alone) =
        outcome(json!({"from": "a@x.example", "to": "b@y.example", "bcc": "josé@y.example, c@y.example"}));
    let output: Value = serde_json::from_str(&alone.expect("the others have it")).expect("JSON");
    assert_eq!(output["accepted"], json!(["b@y.example", "c@y.example"]));
    assert_eq!(output["rejected"][0]["recipient"], "josé@y.example", "{output}");
    assert!(
        output["rejected"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("allowutf8")),
        "{output}"
    );
    assert_eq!((taken, output["outcome"].as_str()), (1, Some("sent")));
    // Where nobody else is left, or a header or the sender needs it, nothing is sent.
    for parameters in [
        json!({"from": "a@x.example", "bcc": "josé@y.example"}),
        json!({"from": "a@x.example", "to": "b@y.example", "cc": "josé@y.example"}),
        json!({"from": "a@x.example", "to": "b@y.example", "envelopeFrom": "josé@y.example"}),
    ] {
        let (taken, whole) = outcome(parameters);
        assert_eq!((taken, whole.is_err()), (0, true));
    }
}

/// Sends through a server that offers this: MAIL and RCPT, the messages it took, and what was warned of.
fn sent(
    offers: &'static str,
    account: &pipepost_sdk::AccountView,
    parameters: &[Value],
) -> (Vec<String>, Vec<String>, Net) {
    let mut net = Net::default();
    net.server.borrow_mut().offers = Some(offers);
    let calls = (1..)
        .zip(parameters)
        .map(|(id, parameters)| call(id, &format!("run/{id}"), &parameters.to_string()));
    send(&mut net, Some(account), calls.collect());
    assert!(
        net.settled.iter().all(|(_, outcome)| outcome.is_ok()),
        "{:?}",
        net.settled
    );
    let server = net.server.take();
    (server.envelope, server.taken, net)
}

#[test]
fn the_step_and_the_account_ask_for_notifications_where_dsn_is_offered() {
    let mut account = account();
    account.mail.dsn_notify = Some("FAILURE".to_owned());
    account.mail.dsn_ret = Some("HDRS".to_owned());
    let plain = json!({"from": "a@x.example", "to": "b@y.example"});
    let mut own = plain.clone();
    own["dsn"] = json!({"notify": ["success", "delay"], "envid": "order 7"});
    let mut as_text = plain.clone();
    as_text["dsn"] = json!(r#"{"notify": "never", "ret": "full"}"#);
    let all = [plain, own, as_text];
    let (envelope, _, net) = sent("250-mx\r\n250 DSN\r\n", &account, &all);
    assert_eq!(
        envelope,
        [
            "MAIL FROM:<a@x.example> RET=HDRS",
            "RCPT TO:<b@y.example> NOTIFY=FAILURE ORCPT=rfc822;b@y.example",
            "MAIL FROM:<a@x.example> RET=HDRS ENVID=order+207",
            "RCPT TO:<b@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@y.example",
            "MAIL FROM:<a@x.example> RET=FULL",
            "RCPT TO:<b@y.example> NOTIFY=NEVER ORCPT=rfc822;b@y.example",
        ]
    );
    assert_eq!(net.warnings, Vec::<String>::new());

    let (envelope, taken, net) = sent("250 mx\r\n", &account, &all);
    assert_eq!(envelope[..2], ["MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>"]);
    assert_eq!(taken.len(), 3);
    let [warning] = net.warnings.as_slice() else {
        panic!("{:?}", net.warnings);
    };
    assert!(
        warning.contains("`mx.test` does not offer DSN") && warning.contains("NOTIFY=FAILURE RET=HDRS"),
        "{warning}"
    );
}

#[test]
fn what_is_no_request_for_notifications_is_refused_by_name() {
    for (dsn, name) in [
        (json!({"notify": "always"}), "`dsn.notify`"),
        (json!({"notify": ["never", "failure"]}), "`dsn.notify`"),
        (json!({"ret": "headers"}), "`dsn.ret`"),
        (json!({"envid": "a\r\nRCPT TO:<x@y.example>"}), "`dsn.envid`"),
        (json!({"envid": "x".repeat(101)}), "`dsn.envid`"),
        (json!({"id": "7"}), "no `id`"),
        (json!("success"), "`dsn`"),
    ] {
        let mut net = Net::default();
        let parameters = json!({"from": "a@x.example", "to": "b@y.example", "dsn": dsn});
        send(
            &mut net,
            Some(&account()),
            vec![call(1, "run/1", &parameters.to_string())],
        );
        let Err(failure) = &net.settled[0].1 else {
            panic!("{dsn} was sent")
        };
        assert_eq!(failure.kind, ContractKind::Invalid, "{failure:?}");
        assert!(failure.message.contains(name), "{dsn}: {}", failure.message);
        assert_eq!(net.server.borrow().connections, 0);
    }
}

#[test]
fn texts_go_in_8_bits_where_account_and_server_allow_it_and_in_7_elsewhere() {
    let both = json!({"from": "a@x.example", "to": "b@y.example", "body": "<p>Olá, está aí?</p>"});
    let all = [both.clone(), both];
    let mut allows = account();
    allows.mail.allow_eight_bit = true;
    for (account, offers, is_eight_bit) in [
        (&allows, "250-mx\r\n250 8BITMIME\r\n", true),
        (&allows, "250 mx\r\n", false),
        (&account(), "250-mx\r\n250 8BITMIME\r\n", false),
    ] {
        let (envelope, taken, _) = sent(offers, account, &all);
        assert_eq!(taken.len(), 2);
        for (mail, content) in envelope.iter().step_by(2).zip(&taken) {
            assert_eq!(mail.contains(" BODY=8BITMIME"), is_eight_bit, "{mail}");
            assert_eq!(content.contains("Olá, está aí?"), is_eight_bit, "{content}");
            // The parts, and the multipart that holds them.
            let marks = content.matches("Content-Transfer-Encoding: 8bit").count();
            assert_eq!(marks, if is_eight_bit { 3 } else { 0 }, "{content}");
        }
    }
}
