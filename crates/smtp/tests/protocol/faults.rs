//! Every fault at every point.
//!
//! The space is finite: each dialogue is cut before every byte in each direction, and each reply is replaced by each kind
//! of wrong one. At every point the invariants must hold against what the server really took.

use std::io::Write as _;

use pipepost_smtp::{Client, Config, Pipelining, Security};

use crate::driver::{Cut, Message, Reset, Ride, check, check_answers, check_certainty, config, message, ride};
use crate::server::{Codes, FAULTS, Fault, LEAVINGS, Leaving, Manners, Server};

/// One dialogue of which every fault is tried.
struct Scene {
    name: String,
    config: Config,
    manners: Manners,
    messages: Vec<Message>,
    warm: bool,
}

impl Scene {
    fn play(&self, fault: Option<(usize, Fault)>, options: Ride) -> (crate::driver::Log, Server) {
        let (client, mut server) = if self.warm {
            let memo = self.memo();
            (
                Client::resume(self.config.clone(), &memo, true),
                Server::warm(self.manners.clone(), fault),
            )
        } else {
            let tls = self.config.security == Security::Tls;
            (
                Client::new(self.config.clone()),
                Server::new(self.manners.clone(), tls, fault),
            )
        };
        let log = ride(client, &mut server, &self.messages, options);
        (log, server)
    }

    /// What an earlier client left.
    fn memo(&self) -> Vec<u8> {
        let mut server = Server::new(self.manners.clone(), self.config.security == Security::Tls, None);
        ride(Client::new(self.config.clone()), &mut server, &[], Ride::default())
            .memo
            .unwrap()
    }

    fn judge(&self, fault: Option<(usize, Fault)>, options: Ride) -> Result<(), String> {
        let (log, server) = self.play(fault, options);
        let answers = || match (fault, options.cut) {
            (None, Cut::Never) => check_answers(&log, &server),
            _ => Ok(()),
        };
        let certainty = || match (fault, options) {
            (
                None,
                Ride {
                    cut: Cut::Never,
                    fail: None,
                    withhold: None,
                    ..
                },
            ) if self.manners.limit.is_none() => check_certainty(&log),
            _ => Ok(()),
        };
        check(&log, &server, &self.messages)
            .and_then(|()| answers())
            .and_then(|()| certainty())
            .map_err(|error| format!("{}, {fault:?}, {options:?}: {error}\n{:#?}", self.name, log.writes))
    }
}

fn single() -> Vec<Message> {
    vec![message(1, "a@x.test", "b@y.test nobody@y.test", ".hello\r\n..\r\n.")]
}

fn batch() -> Vec<Message> {
    vec![
        message(1, "a@x.test", "b@y.test", "one"),
        message(2, "", "nobody@y.test c@y.test later@y.test d@y.test", ".two\r\n."),
        message(3, "a@x.test", "nobody@y.test", "three"),
        message(4, "bad@x.test", "e@y.test", "four"),
        message(5, "a@x.test", "f@y.test", "five"),
        message(6, "a@x.test", "g@y.test", "spam"),
        message(7, "a@x.test", "h@y.test i@y.test", "seven \u{e4}"),
    ]
}

fn good_batch() -> Vec<Message> {
    (1..=5)
        .map(|id| message(id, "a@x.test", "b@y.test c@y.test", "text"))
        .collect()
}

fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for security in [Security::None, Security::StartTls, Security::Tls] {
        for (carrier, chunking) in [("BDAT", true), ("DATA", false)] {
            for pipelining in [Pipelining::Full, Pipelining::Transaction, Pipelining::Off] {
                for send_partial in [true, false] {
                    for warm in [false, true] {
                        for (kind, messages) in [("single", single()), ("batch", batch()), ("good batch", good_batch())]
                        {
                            // Off is DATA anyway, and one rest in the pool is like the other.
                            if pipelining == Pipelining::Off && chunking || warm && security != Security::Tls {
                                continue;
                            }
                            // A server without enhanced codes is spoken to with DATA, whatever it offers.
                            let enhanced = chunking || security != Security::None;
                            let sign_in = security != Security::None;
                            let mut config = config(security);
                            (config.pipelining, config.send_partial) = (pipelining, send_partial);
                            config.window.messages = 4;
                            if sign_in {
                                config.mechanisms = vec!["XOAUTH2".into(), "PLAIN".into()];
                            }
                            scenes.push(Scene {
                                name: format!(
                                    "{security:?} {carrier} {pipelining:?} {kind}, partial: {send_partial}, warm: {warm}"
                                ),
                                config,
                                manners: Manners {
                                    chunking: chunking || !enhanced,
                                    enhanced,
                                    starttls: security == Security::StartTls,
                                    auth: if sign_in { "PLAIN LOGIN" } else { "" },
                                    needs_sign_in: sign_in,
                                    ..Manners::default()
                                },
                                messages,
                                warm,
                            });
                        }
                    }
                }
            }
        }
    }
    for codes in [Codes::OfTheSender, Codes::OfTheRecipient] {
        for send_partial in [true, false] {
            for (kind, messages) in [("single", single()), ("batch", batch()), ("good batch", good_batch())] {
                let mut config = config(Security::None);
                config.send_partial = send_partial;
                config.window.messages = 4;
                scenes.push(Scene {
                    name: format!("codes {codes:?}, {kind}, partial: {send_partial}"),
                    config,
                    manners: Manners {
                        codes,
                        ..Manners::default()
                    },
                    messages,
                    warm: false,
                });
            }
        }
    }
    for (pipelining, send_partial) in [
        (Pipelining::Full, true),
        (Pipelining::Full, false),
        (Pipelining::Transaction, true),
    ] {
        for (kind, messages) in [("single", single()), ("batch", batch()), ("good batch", good_batch())] {
            // A doubled reply to a chunk before a refusal is told from the last one's by what follows it, and here nothing does.
            if pipelining == Pipelining::Transaction && kind == "batch" {
                continue;
            }
            let mut config = config(Security::None);
            (config.pipelining, config.send_partial) = (pipelining, send_partial);
            (config.window.messages, config.chunk_octets) = (4, Some(16));
            scenes.push(Scene {
                name: format!("BDAT in pieces, {pipelining:?}, {kind}, partial: {send_partial}"),
                config,
                manners: Manners::default(),
                messages,
                warm: false,
            });
        }
    }
    scenes
}

/// Collects what went wrong, so that one run shows all of it.
#[derive(Default)]
struct Verdicts {
    points: usize,
    failures: Vec<String>,
}

impl Verdicts {
    fn add(&mut self, result: Result<(), String>) {
        self.points += 1;
        self.failures.extend(result.err());
    }

    fn end(self, what: &str) {
        // Past the capture of the test harness: how much is covered is worth reading when nothing fails, too.
        let _ = writeln!(std::io::stderr(), "{what}: {} dialogues", self.points);
        let shown: Vec<_> = self.failures.iter().take(8).collect();
        assert!(
            shown.is_empty(),
            "{} of {} points: {:#?}",
            self.failures.len(),
            self.points,
            shown
        );
        assert!(self.points > 0);
    }
}

#[test]
fn without_a_fault_everything_goes_through() {
    let mut verdicts = Verdicts::default();
    for scene in scenes() {
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            for late in [false, true] {
                verdicts.add(scene.judge(
                    None,
                    Ride {
                        piece,
                        late,
                        ..Ride::default()
                    },
                ));
            }
        }
        for seed in 0..8 {
            let random = Ride {
                piece: 50,
                seed: Some(seed),
                ..Ride::default()
            };
            verdicts.add(scene.judge(None, random));
        }
        let (_, server) = scene.play(None, Ride::default());
        assert!(
            !server.stored.is_empty() || !scene.config.send_partial,
            "{}",
            scene.name
        );
    }
    verdicts.end("no fault");
}

#[test]
fn cut_before_every_byte_in_each_direction() {
    let mut verdicts = Verdicts::default();
    for scene in scenes() {
        let (log, _) = scene.play(None, Ride::default());
        for at in 0..log.to_server {
            for cut in [Cut::ToServer(at), Cut::ToServerUnnoticed(at)] {
                verdicts.add(scene.judge(None, Ride { cut, ..Ride::default() }));
            }
        }
        for at in 0..log.to_client {
            verdicts.add(scene.judge(
                None,
                Ride {
                    cut: Cut::ToClient(at),
                    ..Ride::default()
                },
            ));
        }
    }
    verdicts.end("cuts");
}

#[test]
fn each_reply_replaced_by_each_wrong_one() {
    let mut verdicts = Verdicts::default();
    for scene in scenes() {
        let (_, server) = scene.play(None, Ride::default());
        for at in 0..server.replies {
            for fault in FAULTS {
                for piece in [1, 5, usize::MAX] {
                    // A refusal that comes after its acceptance was acted upon is the reply to what was done then: no
                    // client can tell. So both come in one piece here.
                    if fault == Fault::ThenRefusal && piece != usize::MAX {
                        continue;
                    }
                    verdicts.add(scene.judge(
                        Some((at, fault)),
                        Ride {
                            piece,
                            ..Ride::default()
                        },
                    ));
                }
                if fault != Fault::ThenRefusal {
                    let random = Ride {
                        piece: 60,
                        seed: Some(at as u64),
                        ..Ride::default()
                    };
                    verdicts.add(scene.judge(Some((at, fault)), random));
                }
            }
        }
    }
    verdicts.end("wrong replies");
}

#[test]
fn each_content_breaking_off_at_each_octet() {
    let mut verdicts = Verdicts::default();
    for scene in scenes() {
        for message in &scene.messages {
            for at in 0..message.content.len() {
                let fail = Some((message.transaction.id, at));
                verdicts.add(scene.judge(
                    None,
                    Ride {
                        piece: 1,
                        fail,
                        ..Ride::default()
                    },
                ));
            }
        }
    }
    verdicts.end("contents that break off");
}

#[test]
fn large_messages_cut_in_every_block() {
    let mut verdicts = Verdicts::default();
    for chunking in [true, false] {
        let large = |id| message(id, "a@x.test", "b@y.test", &"A line of some length\r\n".repeat(8000));
        let scene = Scene {
            name: format!("large, BDAT: {chunking}"),
            config: config(Security::None),
            manners: Manners {
                chunking,
                ..Manners::default()
            },
            messages: vec![message(1, "a@x.test", "b@y.test", "small"), large(2), large(3)],
            warm: false,
        };
        let (log, _) = scene.play(
            None,
            Ride {
                piece: 10_000,
                ..Ride::default()
            },
        );
        for at in (0..log.to_server)
            .step_by(3001)
            .chain(log.to_server - 60..log.to_server)
        {
            for cut in [Cut::ToServer(at), Cut::ToServerUnnoticed(at)] {
                verdicts.add(scene.judge(
                    None,
                    Ride {
                        cut,
                        piece: 10_000,
                        ..Ride::default()
                    },
                ));
            }
        }
        for at in (0..200_000).step_by(7001) {
            let fail = Some((pipepost_smtp::Id(2), at));
            verdicts.add(scene.judge(
                None,
                Ride {
                    fail,
                    piece: 10_000,
                    ..Ride::default()
                },
            ));
        }
    }
    verdicts.end("large messages");
}

/// Servers that take so many messages on a connection: what they answered is final, and after a 421 nothing is uncertain.
#[test]
fn servers_that_close_after_some_messages() {
    let mut verdicts = Verdicts::default();
    for mut scene in scenes() {
        for (limit, leaving) in (1..=scene.messages.len()).flat_map(|limit| LEAVINGS.map(|leaving| (limit, leaving))) {
            scene.manners.limit = Some((limit, leaving));
            for reset in [Reset::No, Reset::Write, Reset::Words] {
                for piece in [1, 5, usize::MAX] {
                    for late in [false, true] {
                        let options = Ride {
                            piece,
                            late,
                            reset,
                            ..Ride::default()
                        };
                        verdicts.add(scene.judge(None, options));
                        if leaving == Leaving::Says421 && reset != Reset::Words {
                            let (log, _) = scene.play(None, options);
                            let is_uncertain = |settled: &pipepost_smtp::Settled| {
                                matches!(settled.outcome, pipepost_smtp::Outcome::Uncertain(_))
                            };
                            verdicts.add(match log.settled.iter().find(|settled| is_uncertain(settled)) {
                                Some(settled) => Err(format!("{}, {options:?}: {settled:?}", scene.name)),
                                None => Ok(()),
                            });
                        }
                    }
                }
            }
        }
    }
    verdicts.end("servers that close after some messages");
}

#[test]
fn each_announcement_refused() {
    let mut verdicts = Verdicts::default();
    for scene in scenes() {
        let (log, _) = scene.play(None, Ride::default());
        for at in 0..log.announcements {
            for piece in [4, usize::MAX] {
                verdicts.add(scene.judge(
                    None,
                    Ride {
                        withhold: Some(at),
                        piece,
                        ..Ride::default()
                    },
                ));
            }
        }
    }
    verdicts.end("refused announcements");
}
