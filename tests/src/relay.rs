//! Somebody between a client and a server, who hears everything and can break the connection at any point of it.
//!
//! A point is counted in units: the records of TLS (RFC 8446, section 5.1) from the first one on, and before that the
//! lines. Where records begin shows by itself: the first is a handshake's, of type 22, and no line of SMTP begins so.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::scratch::forms;

/// The type of a handshake's record, with which each side's records begin.
const HANDSHAKE: u8 = 22;

/// The length of a record's header, whose last two bytes are the length of what follows.
const HEADER: usize = 5;

/// Who sent a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that it is connected to.
    Server,
}

/// A place of the first connection: before unit `unit`, from 0, of those that `side` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Who sends it.
    pub side: Side,
    /// How many units of that side go through before.
    pub unit: usize,
}

/// What happens at a point.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is lost, for both sides.
    Cut,
    /// This bell rings, and from here on nothing goes through from that side.
    Ring(Sender<()>),
}

/// A listener that passes each connection on. The first one breaks where it was told; the others are whole.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    /// None: the bytes pass as they come, and units are not told apart.
    counting: bool,
    fault: Option<(Point, Fault)>,
    happened: AtomicBool,
    is_over: AtomicBool,
    connections: AtomicUsize,
    units: [AtomicUsize; 2],
    overheard: Mutex<Vec<u8>>,
}

impl Relay {
    /// Changes nothing, and only listens.
    pub fn to(server: SocketAddr) -> Self {
        Self::start(server, false, None)
    }

    /// Changes nothing, and counts the units of the first connection.
    pub fn counting(server: SocketAddr) -> Self {
        Self::start(server, true, None)
    }

    /// Breaks the first connection at the point.
    pub fn breaking(server: SocketAddr, point: Point, fault: Fault) -> Self {
        Self::start(server, true, Some((point, fault)))
    }

    fn start(server: SocketAddr, counting: bool, fault: Option<(Point, Fault)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            server,
            counting,
            fault,
            happened: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            units: [AtomicUsize::new(0), AtomicUsize::new(0)],
            overheard: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let number = accepting.connections.fetch_add(1, Ordering::SeqCst);
                Shared::connect(&accepting, client, number == 0);
            }
        });
        Self { address, shared }
    }

    /// Where a client finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the point was come to.
    pub fn has_happened(&self) -> bool {
        self.shared.happened.load(Ordering::SeqCst)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many units a side has sent on the first connection.
    pub fn units(&self, side: Side) -> usize {
        self.shared.units[side as usize].load(Ordering::SeqCst)
    }

    /// The forms of a secret that clients have sent so that anybody between could read them.
    pub fn overheard(&self, secret: &str) -> Vec<String> {
        let heard = self.shared.overheard.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&heard);
        forms(secret).into_iter().filter(|form| text.contains(form)).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connect(shared: &Arc<Self>, client: TcpStream, is_first: bool) {
        let Ok(server) = TcpStream::connect(shared.server) else {
            return;
        };
        // What is passed on is passed on at once, as it came.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let there = Arc::clone(shared);
        std::thread::spawn(move || there.pass(Side::Client, is_first, from_client, server));
        let back = Arc::clone(shared);
        std::thread::spawn(move || back.pass(Side::Server, is_first, from_server, client));
    }

    /// Passes on what one side sends, to its end.
    fn pass(&self, side: Side, is_first: bool, mut from: TcpStream, mut to: TcpStream) {
        let mut units = Units::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut silent = false;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            if side == Side::Client {
                let mut overheard = self.overheard.lock().unwrap_or_else(PoisonError::into_inner);
                overheard.extend_from_slice(bytes);
            }
            if silent {
                continue;
            }
            if !(self.counting && is_first) {
                if to.write_all(bytes).is_err() {
                    break;
                }
                continue;
            }
            units.pending.extend_from_slice(bytes);
            let mut whole = Vec::new();
            while let Some(unit) = units.next() {
                let number = self.units[side as usize].fetch_add(1, Ordering::SeqCst);
                match &self.fault {
                    Some((point, fault)) if *point == (Point { side, unit: number }) => {
                        // What came before goes through; a side that is gone already does not get it.
                        let _ = to.write_all(&whole);
                        whole.clear();
                        self.happened.store(true, Ordering::SeqCst);
                        match fault {
                            Fault::Cut => {
                                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                                return;
                            }
                            Fault::Ring(bell) => {
                                silent = true;
                                let _ = bell.send(());
                                break;
                            }
                        }
                    }
                    _ => whole.extend_from_slice(&unit),
                }
            }
            if to.write_all(&whole).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Takes bytes apart into units.
#[derive(Debug, Default)]
struct Units {
    pending: Vec<u8>,
    in_tls: bool,
}

impl Units {
    /// The next one that is whole.
    fn next(&mut self) -> Option<Vec<u8>> {
        self.in_tls |= self.pending.first() == Some(&HANDSHAKE);
        let length = if self.in_tls {
            let header = self.pending.get(..HEADER)?;
            HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]))
        } else {
            self.pending.iter().position(|byte| *byte == b'\n')? + 1
        };
        (self.pending.len() >= length).then(|| self.pending.drain(..length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_then_records_however_they_arrive() {
        let bytes = b"220 one\r\n250-two\r\n\x16\x03\x03\x00\x02ab\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01\n\x17\x03";
        for step in 1..bytes.len() {
            let mut units = Units::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(step) {
                units.pending.extend_from_slice(piece);
                found.extend(std::iter::from_fn(|| units.next()));
            }
            let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
            assert_eq!(lengths, [9, 9, 7, 5, 6], "in pieces of {step}");
            assert_eq!(units.pending, b"\x17\x03");
        }
    }
}
