//! Where the time of one message goes: parameters, building, the pieces of building, and the output.
//!
//! The message is the one of the comparison with other clients: text and HTML, 2 KB, a non-ASCII subject.

use divan::{Bencher, black_box};
use pipepost_email_v2::account::Account;
use pipepost_email_v2::files::{File, FileError, Files};
use pipepost_email_v2::message::{MessageSeed, prepare};
use pipepost_email_v2::output::{Outcome, Report};
use pipepost_email_v2::parameters::Parameters;

fn main() {
    divan::main();
}

struct Zeros(u64);

impl File for Zeros {
    fn size(&self) -> u64 {
        self.0
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        Ok(vec![0; (self.0 - offset).min(u64::from(max)) as usize])
    }
}

impl Files for Zeros {
    fn open(&mut self, _: &str) -> Result<Box<dyn File>, FileError> {
        Ok(Box::new(Self(self.0)))
    }
}

fn json(with_text: bool) -> String {
    let rows = "<tr><td>Serviço de integração</td><td>R$ 10,00</td></tr>\n".repeat(12);
    let body = format!(
        "<html><body><h1>Olá, José</h1>\n<p>Your invoice of March is ready.</p>\n<table>{rows}</table></body></html>\n"
    );
    let text = format!(
        "Olá, José\n\nYour invoice of March is ready.\n\n{}",
        "Serviço de integração R$ 10,00\n".repeat(12)
    );
    let mut value = serde_json::json!({
        "smtpHost": "smtp.example.com", "smtpPort": "587", "isAuth": true, "isOverTLS": true,
        "from": "Faturamento <billing@example.com>", "to": "José da Silva <jose@example.org>", "cc": "", "bcc": "",
        "subject": "Sua fatura de março está pronta", "body": body, "charset": "UTF-8", "attachments": "[]",
    });
    if with_text {
        value["text"] = text.into();
    }
    value.to_string()
}

fn parameters(json: &str) -> Parameters {
    Parameters::parse(json, None::<&Account>).expect("the parameters are right")
}

const ORIGIN: MessageSeed<'_> = MessageSeed {
    key: "run-7/start/2/item-15",
    now: 1_790_000_000,
    seed: 42,
};

#[divan::bench]
fn parse_parameters(bencher: Bencher) {
    let json = json(true);
    bencher.bench(|| parameters(black_box(&json)));
}

#[divan::bench]
fn prepare_text_and_html(bencher: Bencher) {
    let parameters = parameters(&json(true));
    bencher.bench(|| prepare(black_box(&parameters), &ORIGIN, &mut Zeros(0)));
}

#[divan::bench]
fn prepare_html_with_derived_text(bencher: Bencher) {
    let parameters = parameters(&json(false));
    bencher.bench(|| prepare(black_box(&parameters), &ORIGIN, &mut Zeros(0)));
}

#[divan::bench]
fn parse_prepare_and_render(bencher: Bencher) {
    let json = json(true);
    bencher.bench(|| {
        let prepared = prepare(&parameters(black_box(&json)), &ORIGIN, &mut Zeros(0)).expect("the message is right");
        let recipients = prepared.envelope.recipients.iter();
        let accepted: Vec<String> = recipients.map(|recipient| recipient.as_str().to_owned()).collect();
        let report = Report {
            accepted: &accepted,
            response: Some("2.0.0 OK"),
            ..Report::new(Outcome::Sent)
        };
        prepared.output.render(&report)
    });
}

#[divan::bench(sample_count = 10)]
fn stream_25_mib(bencher: Bencher) {
    let json = r#"{"from":"a@example.com","to":"b@example.org","attachments":[{"attachment":"big.bin"}]}"#;
    let mut prepared = prepare(&parameters(json), &ORIGIN, &mut Zeros(25 << 20)).expect("the message is right");
    let mut buffer = Vec::with_capacity(256 << 10);
    bencher.bench_local(|| {
        prepared.content.rewind();
        let mut total = 0;
        loop {
            buffer.clear();
            match prepared.content.read_next(&mut buffer, 128 << 10) {
                Ok(0) => break total,
                Ok(count) => total += count,
                Err(error) => panic!("{error}"),
            }
        }
    });
}
