//! What is measured: each row is one piece of work, done by several clients in turn.

use crate::clients::Client;

/// Where a row's messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `smtp-sink`, in clear.
    Sink,
    /// `smtp-sink` behind stunnel.
    Tls,
    /// The bench's own sink with CHUNKING.
    Chunking,
    /// `smtp-sink` behind 40 ms.
    FarSink,
    /// Postfix's smtpd behind 40 ms.
    FarPostfix,
}

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Messages a second.
    Rate,
    /// Seconds.
    Time,
    /// The same for the process's whole life, whatever it tells of itself.
    Life,
    /// Processor seconds of the process.
    Cpu,
    /// Bytes.
    Peak,
}

/// What ours is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// A client of the same row.
    Peer(Client),
    /// Pipepost in another row.
    OurRow(&'static str),
    /// This many bytes.
    Bytes(f64),
    /// This many seconds.
    Seconds(f64),
}

/// Ours divided by the other is to be at least, or at most, so much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// Which of ours.
    pub(crate) of: Client,
    pub(crate) figure: Figure,
    pub(crate) against: Against,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One piece of work.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) place: Place,
    pub(crate) connections: usize,
    pub(crate) figure: Figure,
    pub(crate) attachment: bool,
    /// Who takes part, and how many messages each sends: enough to run for about a second.
    pub(crate) clients: Vec<(Client, usize)>,
    pub(crate) goals: Vec<Goal>,
}

const fn at_least(figure: Figure, against: Against, factor: f64) -> Goal {
    Goal {
        of: Client::Pipepost,
        figure,
        against,
        bound: Bound::AtLeast(factor),
    }
}

const fn at_most(figure: Figure, against: Against, factor: f64) -> Goal {
    Goal {
        of: Client::Pipepost,
        figure,
        against,
        bound: Bound::AtMost(factor),
    }
}

/// With the ledger on, at least so much of the rate without.
const fn with_ledger() -> Goal {
    Goal {
        of: Client::Ledger,
        ..at_least(Figure::Rate, Against::Peer(Client::Pipepost), 0.8)
    }
}

/// One of ours takes at most so many seconds.
const fn within(of: Client, figure: Figure, seconds: f64) -> Goal {
    Goal {
        of,
        ..at_most(figure, Against::Seconds(seconds), 1.0)
    }
}

/// All rows.
pub(crate) fn all() -> Vec<Row> {
    use Against::{Bytes, OurRow, Peer};
    use Client::{
        Check, Defaults, Explain, Ledger, Lettre, Msmtp, Native, Nodemailer, Pipepost, Sandboxed, SmtpSource,
        SmtpSourceKept, Smtplib, Version, Window64, Window256,
    };
    use Figure::{Cpu, Life, Peak, Rate, Time};
    let plain = Row {
        name: "data-1",
        title: "1 connection, loopback, no TLS, DATA",
        place: Place::Sink,
        connections: 1,
        figure: Rate,
        attachment: false,
        clients: vec![
            (Pipepost, 20_000),
            (Ledger, 20_000),
            (SmtpSource, 10_000),
            (SmtpSourceKept, 20_000),
            (Nodemailer, 1500),
            (Smtplib, 1500),
            (Lettre, 50),
        ],
        goals: vec![
            at_least(Rate, Peer(SmtpSource), 2.5),
            at_least(Rate, Peer(SmtpSourceKept), 1.3),
            at_least(Rate, Peer(Nodemailer), 20.0),
            with_ledger(),
        ],
    };
    vec![
        plain.clone(),
        Row {
            name: "data-8",
            title: "8 connections, loopback, no TLS, DATA",
            connections: 8,
            clients: vec![
                (Pipepost, 20_000),
                (Ledger, 20_000),
                (SmtpSource, 20_000),
                (SmtpSourceKept, 20_000),
                (Nodemailer, 2000),
                (Lettre, 400),
            ],
            goals: vec![
                at_least(Rate, Peer(SmtpSource), 1.2),
                at_least(Rate, Peer(SmtpSourceKept), 1.0),
                with_ledger(),
            ],
            ..plain.clone()
        },
        Row {
            name: "chunking-1",
            title: "1 connection, loopback, no TLS, CHUNKING",
            place: Place::Chunking,
            clients: vec![(Pipepost, 20_000), (Ledger, 20_000), (SmtpSourceKept, 20_000)],
            goals: vec![at_least(Rate, OurRow("data-1"), 1.3), with_ledger()],
            ..plain.clone()
        },
        Row {
            name: "tls-1",
            title: "1 connection, loopback, TLS, DATA",
            place: Place::Tls,
            clients: vec![(Pipepost, 20_000), (Nodemailer, 1500), (Smtplib, 1000), (Lettre, 50)],
            goals: vec![at_least(Rate, Peer(Nodemailer), 20.0)],
            ..plain.clone()
        },
        Row {
            name: "sandbox",
            title: "whole sends over TLS in batches of 32, the connector in the sandbox and the same code native",
            place: Place::Tls,
            clients: vec![(Sandboxed, 20_000), (Native, 20_000)],
            goals: vec![
                Goal {
                    of: Sandboxed,
                    ..at_most(Time, Peer(Native), 1.15)
                },
                Goal {
                    of: Sandboxed,
                    ..at_most(Cpu, Peer(Native), 1.5)
                },
            ],
            ..plain.clone()
        },
        Row {
            name: "far-chunking",
            title: "1 connection, 40 ms round trip, 500 messages, CHUNKING",
            place: Place::FarPostfix,
            clients: vec![
                (Pipepost, 500),
                (Window64, 500),
                (Window256, 500),
                (Defaults, 500),
                (Nodemailer, 50),
                (Lettre, 50),
                (Smtplib, 50),
            ],
            goals: vec![
                at_least(Rate, Peer(Nodemailer), 40.0),
                at_least(Rate, Peer(Lettre), 50.0),
            ],
            ..plain.clone()
        },
        Row {
            name: "far-data",
            title: "1 connection, 40 ms round trip, 500 messages, DATA",
            place: Place::FarSink,
            clients: vec![
                (Pipepost, 500),
                (Defaults, 500),
                (Nodemailer, 50),
                (Lettre, 50),
                (Smtplib, 50),
            ],
            goals: vec![
                at_least(Rate, Peer(Nodemailer), 3.8),
                at_least(Rate, Peer(Lettre), 4.8),
                within(Defaults, Life, 4.0),
            ],
            ..plain.clone()
        },
        Row {
            name: "cold",
            title: "one message, cold process, TLS, loopback",
            place: Place::Tls,
            figure: Life,
            clients: vec![(Pipepost, 1), (Nodemailer, 1), (Smtplib, 1), (Msmtp, 1), (Lettre, 1)],
            goals: vec![at_most(Life, Peer(Nodemailer), 0.3), at_most(Life, Peer(Smtplib), 1.0)],
            ..plain.clone()
        },
        Row {
            name: "cold-plain",
            title: "one message, cold process, no TLS, loopback, and commands that send none",
            figure: Life,
            clients: vec![
                (Pipepost, 1),
                (Explain, 1),
                (Check, 1),
                (Version, 1),
                (Nodemailer, 1),
                (Smtplib, 1),
                (Msmtp, 1),
            ],
            goals: vec![
                within(Pipepost, Life, 0.012),
                within(Explain, Life, 0.008),
                within(Check, Life, 0.008),
            ],
            ..plain.clone()
        },
        Row {
            name: "large",
            title: "one message with an attachment of 25 MB, loopback, no TLS",
            figure: Time,
            attachment: true,
            clients: vec![(Pipepost, 1), (Nodemailer, 1), (Lettre, 1), (Smtplib, 1)],
            goals: vec![
                at_most(Life, Peer(Nodemailer), 1.0),
                at_most(Peak, Bytes(96.0 * 1024.0 * 1024.0), 1.0),
            ],
            ..plain
        },
    ]
}
