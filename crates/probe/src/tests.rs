//! Against the inbox, in process and without a socket.

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security as Face, Service, Session, Settings, Store};

use super::*;

struct Memory {
    session: Session,
    store: Store,
}

impl Memory {
    fn new(script: Script) -> Self {
        let service = Service::with_script(Settings::default(), script);
        Self {
            session: service.session(Face::Plain),
            store: Store::new(),
        }
    }
}

impl Connection for Memory {
    type Error = String;

    async fn read(&mut self) -> Result<Vec<u8>, String> {
        self.session.poll_transmit().ok_or_else(|| "closed".to_owned())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.session.handle_bytes(bytes);
        self.store.collect(&mut self.session).map_err(|error| error.to_string())
    }

    async fn start_tls(&mut self) -> Result<(), String> {
        Err("no TLS in memory".to_owned())
    }

    async fn sign_in(&mut self, _: &str) -> Result<(Vec<u8>, Option<String>), String> {
        Err("no sign-in in memory".to_owned())
    }
}

fn letter() -> Letter {
    let address = |text| Address::parse(text).expect("an address");
    Letter {
        sender: address("me@example.com"),
        recipient: address("me@example.com"),
        content: "Subject: Test\r\n\r\nHello\r\n".to_owned(),
    }
}

async fn ask(script: Script, letter: Option<Letter>) -> (Result<(), ProbeError<String>>, Vec<Event>, usize) {
    let mut wire = Memory::new(script);
    let mut events = Vec::new();
    let name = ClientName::parse("client.example").expect("a name");
    let config = Config::new(name, Security::None);
    let result = converse(&mut wire, config, letter, &mut |event| events.push(event)).await;
    (result, events, wire.store.messages().len())
}

#[tokio::test]
async fn each_thing_is_told_in_its_turn_and_nothing_is_sent_unasked() {
    let (result, events, messages) = ask(Script::new(), None).await;
    assert!(result.is_ok(), "{result:?}");
    assert!(
        matches!(&events[..], [Event::Greeting(_), Event::Capabilities { capabilities, .. }] if capabilities.pipelining)
    );
    assert_eq!(messages, 0);

    let (result, events, messages) = ask(Script::new(), Some(letter())).await;
    assert!(result.is_ok(), "{result:?}");
    assert!(
        matches!(&events[..], [_, _, Event::Taken(reply)] if reply.code() == 250),
        "{events:?}"
    );
    assert_eq!(messages, 1);
}

#[tokio::test]
async fn a_refusal_is_the_reply_and_its_place() {
    let refusal = "550 5.4.5 Daily user sending limit exceeded. - gsmtp";
    let (result, _, messages) = ask(Script::new().rule(Rule::at(At::Rcpt).reply(refusal)), Some(letter())).await;
    let Err(ProbeError::Refused { reply, stage }) = result else {
        panic!("{result:?}");
    };
    assert_eq!((stage, messages), (Stage::Recipient, 0));
    assert_eq!(
        pipepost_replies::explain_reply("smtp.gmail.com", &reply, stage).kind,
        pipepost_replies::FailureKind::Quota
    );
}

#[tokio::test]
async fn what_is_no_mail_server_is_told_so() {
    let page = Script::new().rule(Rule::at(At::Greeting).raw(*b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let (result, ..) = ask(page, None).await;
    let Err(ProbeError::Dialogue(ending)) = result else {
        panic!("{result:?}");
    };
    assert!(
        pipepost_replies::explain_close("smtp.gmail.com", &ending)
            .message
            .contains("no mail server")
    );
}
