//! A proxy that delays: what enters leaves after a fixed time, in order, in both directions, and nothing is lost.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::HOST;

/// Pieces under way in one direction: at 64 KiB each, far more than any client here has unanswered.
const UNDER_WAY: usize = 1024;

pub(crate) struct Delay {
    pub(crate) port: u16,
}

impl Delay {
    /// Starts one before a port, on a thread of its own, which lasts as long as the process.
    pub(crate) fn start(before: u16, one_way: Duration) -> Result<Self> {
        let listener = std::net::TcpListener::bind((HOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else {
                    return;
                };
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let Ok(server) = TcpStream::connect((HOST, before)).await else {
                            return;
                        };
                        let _ = (client.set_nodelay(true), server.set_nodelay(true));
                        let (from_client, to_client) = client.into_split();
                        let (from_server, to_server) = server.into_split();
                        tokio::spawn(carry(from_client, to_server, one_way));
                        tokio::spawn(carry(from_server, to_client, one_way));
                    });
                }
            });
        });
        Ok(Self { port })
    }
}

/// One direction.
async fn carry(mut from: impl AsyncRead + Unpin + Send + 'static, mut to: impl AsyncWrite + Unpin, one_way: Duration) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let piece = (Instant::now() + one_way, buffer[..count].to_vec());
            if under_way.send(piece).await.is_err() {
                return;
            }
        }
    });
    while let Some((due, piece)) = arriving.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
