//! A way between a client and a server that a test can cut: a partition of the network, without the network.
//!
//! While it is cut, nothing goes through in either direction, and nobody is told: connections stay as they are, and what
//! was sent arrives when it is whole again, as TCP's retransmissions do (RFC 9293, section 3.8). [`Partition::sever`] ends the
//! connections instead, as a router does that restarts.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A listener that passes each connection on, unless it is cut. Dropped, it ends them.
#[derive(Debug)]
pub struct Partition {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    /// Nothing goes through from the server.
    is_muted: bool,
    is_over: bool,
    streams: Vec<TcpStream>,
    /// The bytes that went through.
    passed: u64,
}

impl Partition {
    /// One before this server, whole.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            server,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !accepting.wait_until_whole(false) {
                    break;
                }
                Shared::connect(&accepting, client);
            }
        });
        Self { address, shared }
    }

    /// Where a client finds the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`Partition::address`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on nothing goes through.
    pub fn cut(&self) {
        self.shared.lock().is_cut = true;
    }

    /// From now on no answer of the server comes through. It hears everything.
    pub fn mute(&self) {
        self.shared.lock().is_muted = true;
    }

    /// What waited goes through, and whatever comes.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        (state.is_cut, state.is_muted) = (false, false);
        self.shared.changed.notify_all();
    }

    /// Ends every connection, for both sides. New ones are passed on.
    pub fn sever(&self) {
        for stream in self.shared.lock().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many bytes have gone through, in both directions.
    pub fn passed(&self) -> u64 {
        self.shared.lock().passed
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        self.sever();
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it is cut, for those who pass on answers also while it is muted. Answers whether it goes on at all.
    fn wait_until_whole(&self, is_answer: bool) -> bool {
        let state = self.lock();
        let state = self
            .changed
            .wait_while(state, |state| {
                (state.is_cut || state.is_muted && is_answer) && !state.is_over
            })
            .unwrap_or_else(PoisonError::into_inner);
        !state.is_over
    }

    fn connect(shared: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(shared.server) else {
            return;
        };
        // What is passed on is passed on at once, as it came.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ways = [(&client, &server, false), (&server, &client, true)];
        for (from, to, is_answer) in ways {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                return;
            };
            let way = Arc::clone(shared);
            std::thread::spawn(move || way.pass(from, to, is_answer));
        }
        let mut state = shared.lock();
        // Those that are over are known by having no peer any more.
        state.streams.retain(|stream| stream.peer_addr().is_ok());
        state.streams.extend([client, server]);
    }

    /// Passes on what one side sends, to its end.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = from.read(&mut buffer).unwrap_or_default();
            // The end of a connection is a message too.
            if !self.wait_until_whole(is_answer) {
                break;
            }
            if count == 0 {
                break;
            }
            // Before it arrives, so that whoever has it finds it counted.
            self.lock().passed += count as u64;
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_sent_through_a_cut_arrives_when_it_is_whole() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let partition = Partition::before(listener.local_addr().expect("an address"));
        let mut client = TcpStream::connect(partition.address()).expect("a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 3];
        client.write_all(b"one").expect("a connection");
        server.read_exact(&mut buffer).expect("it goes through");
        assert_eq!(partition.passed(), 3);
        partition.cut();
        client.write_all(b"two").expect("a connection");
        server.write_all(b"ans").expect("a connection");
        let patience = Some(Duration::from_millis(50));
        server.set_read_timeout(patience).expect("a socket");
        assert!(server.read(&mut buffer).is_err(), "nothing goes through");
        assert_eq!(partition.passed(), 3);
        server.set_read_timeout(None).expect("a socket");
        partition.heal();
        server.read_exact(&mut buffer).expect("it arrives");
        assert_eq!(&buffer, b"two");
        client.read_exact(&mut buffer).expect("the answer too");
        assert_eq!(&buffer, b"ans");
        partition.sever();
        assert_eq!(client.read(&mut buffer).unwrap_or_default(), 0, "it is over");
        TcpStream::connect(partition.address()).expect("a new one");
        listener.accept().expect("it is passed on");
    }
}
