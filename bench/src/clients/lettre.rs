//! lettre's own transport: asynchronous, pooled, native.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Message, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::Task;
use crate::letter;

/// The message of this number.
pub(crate) fn message(number: usize, attachment: Option<&Path>) -> Result<Message> {
    let builder = Message::builder()
        .from(letter::FROM.parse()?)
        .to(letter::TO.parse()?)
        .subject(letter::subject(number));
    let bodies = MultiPart::alternative()
        .singlepart(SinglePart::plain(letter::text(number)))
        .singlepart(SinglePart::html(letter::html(number)));
    let message = match attachment {
        None => builder.multipart(bodies),
        Some(path) => {
            let file = Attachment::new("big.bin".to_owned()).body(
                std::fs::read(path)?,
                ContentType::parse("application/octet-stream").context("a media type")?,
            );
            builder.multipart(MultiPart::mixed().multipart(bodies).singlepart(file))
        }
    };
    Ok(message?)
}

/// Does the task, and tells what sending took.
pub(crate) fn main(task: &Task) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let transport = Arc::new(transport(task)?);
        let next = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..task.connections)
            .map(|_| tokio::spawn(work(Arc::clone(&transport), Arc::clone(&next), task.clone())))
            .collect();
        for worker in workers {
            worker.await??;
        }
        let seconds = began.elapsed().as_secs_f64();
        transport.shutdown().await;
        println!("sending {seconds}");
        Ok(())
    })
}

fn transport(task: &Task) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
    let size = u32::try_from(task.connections)?;
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost")
        .port(task.port)
        .pool_config(PoolConfig::new().max_size(size));
    if let Some(authority) = &task.authority {
        let certificate = Certificate::from_pem(&std::fs::read(authority)?)?;
        let parameters = TlsParameters::builder("localhost".to_owned())
            .add_root_certificate(certificate)
            .build_rustls()?;
        builder = builder.tls(Tls::Wrapper(parameters));
    }
    Ok(builder.build())
}

async fn work(transport: Arc<AsyncSmtpTransport<Tokio1Executor>>, next: Arc<AtomicUsize>, task: Task) -> Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= task.messages {
            return Ok(());
        }
        transport.send(message(number, task.attachment.as_deref())?).await?;
    }
}
