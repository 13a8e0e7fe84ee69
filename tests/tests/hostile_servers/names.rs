//! Names that lead elsewhere when they are asked for again, and names with addresses that do not answer: with a resolver of the
//! test's own, in a network of its own (`unshare`), where addresses of the internet are this machine's. Where the process may
//! not make one, that is said and the tests are skipped.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use pipepost_inbox::Security;
use pipepost_tests::{Catcher, Ending, Scratch, document, step};
use serde_json::{Value, json};

/// Set in the process that has a network of its own.
const INSIDE: &str = "PIPEPOST_TEST_NETWORK";

/// An address that nobody may be kept from dialling, and two more of which nothing good is known.
const ALIVE: [&str; 2] = ["11.22.33.44", "2a00:1450::44"];
const OTHER: [&str; 2] = ["11.22.33.45", "2a00:1450::45"];

/// Runs this test again where its network is its own. Returns whether this is there.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let resolver = folder.path().join("resolv.conf");
    std::fs::write(&resolver, "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n").expect("a writable folder");
    let addresses: String = ALIVE
        .iter()
        .chain(&OTHER)
        .map(|address| match address.contains(':') {
            true => format!("ip -6 addr add {address}/128 dev lo nodad && "),
            false => format!("ip addr add {address}/32 dev lo && "),
        })
        .collect();
    let prepare = format!(
        "ip link set lo up && {addresses} mount --make-rprivate / && mount --bind {} /etc/resolv.conf",
        resolver.display()
    );
    let within = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", script]);
        command
    };
    let possible = within(&prepare).output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        let why = "this process may make no network of its own";
        // Past the capture of the test harness. It is no peer that could be installed, so it is never required.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}: {possible:?}");
        return false;
    }
    let itself = std::env::current_exe().expect("a running test has a file");
    let output = within(&format!("{prepare} && exec \"$0\" --exact \"$1\" --nocapture"))
        .arg(itself)
        .arg(format!("hostile_servers::names::{test}"))
        .env(INSIDE, "1")
        .output()
        .expect("it could be started before");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// What a name leads to, each time that it is asked for; the last again and again.
type Answers = Vec<Vec<IpAddr>>;

/// A resolver for names of the tests' own.
struct Resolver {
    /// How often each name was asked for.
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Resolver {
    fn start<'a>(names: impl IntoIterator<Item = (&'a str, Vec<Vec<&'a str>>)>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("a network of its own");
        let address = |text: &&str| text.parse().expect("an address");
        let names: HashMap<String, Answers> = names
            .into_iter()
            .map(|(name, answers)| {
                let answers = answers.iter().map(|set| set.iter().map(address).collect());
                (name.to_owned(), answers.collect())
            })
            .collect();
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut families: HashMap<(String, u16), usize> = HashMap::new();
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                let Some((name, kind, end)) = question(&query[..length]) else {
                    continue;
                };
                // Each family has a query of its own.
                let times = families.entry((name.clone(), kind)).or_default();
                let answers = names.get(&name).map(Vec::as_slice).unwrap_or_default();
                let answer = answers.get(*times).or(answers.last()).map(Vec::as_slice);
                *times += 1;
                if kind == 1 {
                    *count
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .entry(name)
                        .or_default() += 1;
                }
                let _ = socket.send_to(&reply(&query[..end], kind, answer), client);
            }
        });
        Self { asked }
    }

    fn asked_for(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(name).copied().unwrap_or_default()
    }
}

/// The name and kind of a query's question, and where it ends (RFC 1035, section 4.1.2).
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4))
}

/// The reply with the addresses of one kind; without a name of ours there is none (NXDOMAIN).
fn reply(query: &[u8], kind: u16, answer: Option<&[IpAddr]>) -> Vec<u8> {
    let octets: Vec<Vec<u8>> = answer
        .unwrap_or_default()
        .iter()
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(address), 1) => Some(address.octets().to_vec()),
            (IpAddr::V6(address), 28) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = if answer.is_none() { 3 } else { 0 };
    let mut reply = query.to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    reply[6..8].copy_from_slice(&(octets.len() as u16).to_be_bytes());
    reply[8..12].fill(0);
    for octets in octets {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 0]);
        reply.extend((octets.len() as u16).to_be_bytes());
        reply.extend(octets);
    }
    reply
}

/// Where TLS and a sign-in are not asked for: what is dialled is the question here.
fn server(address: &str) -> Catcher {
    let address = SocketAddr::new(address.parse().expect("an address"), 0);
    Catcher::with(|builder| builder.listen(Security::Plain, address.to_string()).require_auth(false))
}

fn port(server: &Catcher, address: &str) -> u16 {
    let address: IpAddr = address.parse().expect("an address");
    let faces = server.inbox().addresses();
    let face = faces.iter().find(|(_, face)| face.ip() == address);
    face.expect("it listens there").1.port()
}

/// Sends to these names, one after another, and no network is opened.
fn send_to(names: &[&str], port: u16) -> Ending {
    let scratch = Scratch::new();
    let steps: Vec<Value> = names
        .iter()
        .map(|name| {
            let params = json!({
                "from": "tester@example.test", "to": "ann@example.test", "subject": "A test", "body": "Hello",
                "smtpHost": name, "smtpPort": port,
                "isAuth": false, "isOverTLS": false, "isOverSSL": false, "failOnError": true, "retry": false,
            });
            step("email-connector-v2", params)
        })
        .collect();
    scratch.write("policy.json", json!({ "hosts": names }).to_string());
    scratch.write("pipeline.json", document(&steps).to_string());
    scratch.pipepost(&["run", "pipeline.json", "--policy", "policy.json"])
}

/// Whether nobody has come.
fn is_untouched(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("a listener of our own");
    listener.accept().is_err()
}

#[test]
fn a_name_that_leads_inside_when_it_is_asked_for_again_is_not_followed() {
    if !is_inside("a_name_that_leads_inside_when_it_is_asked_for_again_is_not_followed") {
        return;
    }
    let inner: [(&str, &[&str]); 5] = [
        ("loopback.test", &["127.0.0.1"]),
        ("six.test", &["::1"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
        ("private.test", &["10.0.0.1", "fd00::1"]),
    ];
    let server = server(ALIVE[0]);
    let port = port(&server, ALIVE[0]);
    let within = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let resolver = Resolver::start(inner.map(|(name, then)| (name, vec![vec![ALIVE[0]], then.to_vec()])));
    for (number, (name, _)) in inner.iter().enumerate() {
        let first = send_to(&[name], port).with_code(0);
        assert_eq!(first.json()["outcome"], "sent", "{first}");
        let second = send_to(&[name], port).with_code(78);
        second.is_a_sentence(name);
        assert_eq!(resolver.asked_for(name), 2, "once for each connection\n{second}");
        assert_eq!(server.messages().len(), number + 1, "{name}");
    }
    assert!(is_untouched(&within));
}

#[test]
fn an_address_inside_is_not_dialled_beside_one_outside() {
    if !is_inside("an_address_inside_is_not_dialled_beside_one_outside") {
        return;
    }
    let server = server(ALIVE[0]);
    let port = port(&server, ALIVE[0]);
    let within = [
        TcpListener::bind(("127.0.0.1", port)).expect("a free port"),
        TcpListener::bind(("::1", port)).expect("a free port"),
    ];
    let names = [
        ("before.test", vec!["127.0.0.1", ALIVE[0]]),
        ("behind.test", vec![ALIVE[0], "127.0.0.1", "::1"]),
        ("only.test", vec!["127.0.0.1", "::1"]),
    ];
    let _resolver = Resolver::start(names.iter().map(|(name, set)| (*name, vec![set.clone()])));
    for (name, _) in &names {
        let ending = send_to(&[name], port);
        assert!(matches!(ending.code, Some(0 | 78)), "{ending}");
        assert!(within.iter().all(is_untouched), "{name}\n{ending}");
    }
}

/// Listens at an address and takes nobody: connections are neither accepted nor refused, once its queue is full.
fn silent(runtime: &tokio::runtime::Runtime, address: &str, port: u16) -> Vec<Box<dyn std::any::Any>> {
    let address = SocketAddr::new(address.parse().expect("an address"), port);
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()
    } else {
        tokio::net::TcpSocket::new_v6()
    };
    let socket = socket.expect("a socket");
    socket.bind(address).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let mut kept: Vec<Box<dyn std::any::Any>> = vec![Box::new(listener)];
    // What does not come in at once is what is wanted.
    let patience = std::time::Duration::from_millis(100);
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        kept.push(Box::new(stream));
    }
    kept
}

#[test]
fn an_address_that_does_not_answer_keeps_nobody_from_the_next() {
    if !is_inside("an_address_that_does_not_answer_keeps_nobody_from_the_next") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [four, six] = ALIVE;
    let [other_four, other_six] = OTHER;
    let rounds = [(four, "dead"), (four, "silent"), (six, "dead"), (six, "silent")];
    let mut names = Vec::new();
    for (round, (alive, _)) in rounds.iter().enumerate() {
        for (number, others) in [vec![other_four], vec![other_six], vec![other_four, other_six]]
            .into_iter()
            .enumerate()
        {
            names.push((format!("n{round}{number}.test"), [others, vec![*alive]].concat()));
        }
    }
    let _resolver = Resolver::start(names.iter().map(|(name, set)| (name.as_str(), vec![set.clone()])));
    for (round, (alive, other)) in rounds.into_iter().enumerate() {
        let server = server(alive);
        let port = port(&server, alive);
        let _kept = (other == "silent").then(|| [other_four, other_six].map(|address| silent(&runtime, address, port)));
        for (name, addresses) in &names[3 * round..3 * round + 3] {
            let ending = send_to(&[name], port).with_code(0);
            assert_eq!(ending.json()["outcome"], "sent", "{other}: {addresses:?}\n{ending}");
        }
        assert_eq!(server.messages().len(), 3);
    }
}
