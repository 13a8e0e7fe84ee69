//! Tells the other workers that a run waits, and hears it from them. A look now and then finds the same without it: through
//! a pool that gives each transaction another server process, nothing is heard.
//!
//! What is told is not part of the transaction that wrote the run down: the server lets only one transaction that tells
//! something commit at a time. It is told a few times a second at most.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::watch;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Error};

use crate::book::Desk;
use crate::database::Dial;

/// How long to wait before listening again after the connection broke.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two notices of this worker.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

const LISTEN: &str = "LISTEN pipepost_runs";
const TELL: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_notify('pipepost_runs', $1::text)";

/// Tells the other workers of what waits, until its task is aborted.
pub(crate) async fn tell(desk: Rc<Desk>) {
    loop {
        desk.queued_here.notified().await;
        let tell = async |client: &mut Object| {
            let worker = desk.worker.id();
            client.query_typed(TELL, &[(&worker, Type::TEXT)]).await?;
            Ok(())
        };
        // Whoever is not told looks for itself.
        drop(desk.database.soon(tell).await);
        tokio::time::sleep(TELL_INTERVAL).await;
    }
}

/// Listens until its task is aborted, once somebody wants to know.
pub(crate) async fn listen(desk: Rc<Desk>, dial: Dial, queued: watch::Sender<u64>) {
    loop {
        if queued.receiver_count() > 0
            && desk.worker.is_known()
            && let Err(error) = hear(&desk, &dial, &queued).await
        {
            tracing::debug!(%error, "nothing is heard of the other workers' queues; they are looked at");
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn hear(desk: &Desk, dial: &Dial, queued: &watch::Sender<u64>) -> Result<(), Error> {
    let (client, mut connection) = dial.dial_to_hear(&desk.database.address.config).await?;
    let mut listening = std::pin::pin!(listen_on(&client));
    let mut is_listening = false;
    loop {
        let message = poll_fn(|context| {
            if !is_listening && let std::task::Poll::Ready(answer) = listening.as_mut().poll(context) {
                is_listening = true;
                if let Err(error) = answer {
                    return std::task::Poll::Ready(Some(Err(error)));
                }
            }
            connection.poll_message(context)
        });
        match message.await {
            Some(Ok(AsyncMessage::Notification(notice))) if notice.payload() != desk.worker.id() => {
                queued.send_modify(|count| *count += 1);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}

async fn listen_on(client: &Client) -> Result<(), Error> {
    client.batch_execute(LISTEN).await
}
