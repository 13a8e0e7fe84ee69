//! `pipepost:mail/transport`.

use std::time::Instant;

use pipepost_accounts::Security;
use pipepost_core::Endpoint;
use pipepost_net::{Connection, ConnectionError, DialError, is_silence};
use wasmtime::component::Resource;

use super::{StoreData, bad_handle, violation};
use crate::contract::latest::transport::{self, Facts, TransportError};
use crate::contract::latest::types::{Endpoint as AskedEndpoint, Security as AskedSecurity};

/// What the contract says of an error of the connection.
fn transport_error(error: ConnectionError) -> TransportError {
    let sentence = error.to_string();
    match error {
        error if error.is_closed() => TransportError::Closed,
        ConnectionError::Denied(_) | ConnectionError::Dial(DialError::Forbidden { .. }) => {
            TransportError::Denied(sentence)
        }
        ConnectionError::Dial(DialError::Unresolved { .. }) => TransportError::Unresolved(sentence),
        ConnectionError::Dial(DialError::Refused { .. } | DialError::TimedOut { .. }) => {
            TransportError::Refused(sentence)
        }
        ConnectionError::Tls(error) if error.is_transient() => TransportError::Io(sentence),
        ConnectionError::Tls(_) | ConnectionError::TlsPort(_) => TransportError::Tls(sentence),
        ConnectionError::Ending => TransportError::Ending,
        ConnectionError::Credentials(_) => TransportError::Credentials(sentence),
        ConnectionError::Closed
        | ConnectionError::Io(_)
        | ConnectionError::TokenUnavailable(_)
        | ConnectionError::Silent { .. } => TransportError::Io(sentence),
    }
}

impl transport::Host for StoreData {
    async fn connection_available(&mut self) -> wasmtime::Result<bool> {
        Ok(self.batch()?.is_seated())
    }
}

impl StoreData {
    /// Waits for something on a connection, within its deadline and the run's end. Once the end was called, only what was
    /// announced and is unconfirmed is still waited for.
    async fn wait_on<T>(
        &mut self,
        link: &Resource<Connection>,
        act: impl AsyncFnOnce(&mut Connection) -> Result<T, ConnectionError>,
    ) -> wasmtime::Result<Result<T, TransportError>> {
        let batch = self
            .batch
            .as_ref()
            .ok_or_else(|| violation("it called its host while it described itself"))?;
        let open_parts = batch.tracker.has_open_parts();
        let ending = batch.ending.clone();
        let link = self.table.get_mut(link).map_err(bad_handle)?;
        let past_deadline = link.past_deadline();
        let no_longer_wanted = async {
            if open_parts {
                std::future::pending().await
            } else {
                ending.requested().await
            }
        };
        let (began, waiting_since) = (Instant::now(), tokio::time::Instant::now());
        let result = tokio::select! {
            biased;
            result = act(link) => result.map_err(transport_error),
            () = past_deadline => Err(TransportError::TimedOut),
            // The time is over in the middle of a long wait: what did not come is the reason, and not the end.
            () = no_longer_wanted => match link.why_held_up().filter(|_| ending.is_out_of_time()) {
                Some(why) => Err(TransportError::Refused(why)),
                None if is_silence(&ending, waiting_since) => Err(TransportError::TimedOut),
                None => Err(TransportError::Ending),
            },
        };
        if matches!(result, Err(TransportError::TimedOut)) {
            link.note_silence();
        }
        self.host_worked(began);
        Ok(result)
    }
}

impl transport::HostConnection for StoreData {
    async fn open(
        &mut self,
        endpoint: AskedEndpoint,
        security: AskedSecurity,
    ) -> wasmtime::Result<Result<Resource<Connection>, TransportError>> {
        let batch = self.batch()?;
        let Some(grant) = batch.transport.clone() else {
            return Ok(Err(TransportError::Denied(
                "This step was granted no connection.".to_owned(),
            )));
        };
        if batch.has_connection {
            return Ok(Err(TransportError::Denied(
                "One connection at a time: close the other one first.".to_owned(),
            )));
        }
        // An account that sends nothing now need not sign in for it.
        let is_held = batch.permit.as_ref().is_some_and(|permit| permit.is_held);
        if is_held || batch.ending.is_requested() {
            return Ok(Err(TransportError::Ending));
        }
        let Some(left) = batch.connections_left.checked_sub(1) else {
            return Ok(Err(TransportError::Denied(
                "This step has opened as many connections as it may.".to_owned(),
            )));
        };
        batch.connections_left = left;
        let ending = batch.ending.clone();
        if !batch.is_seated() {
            let began = Instant::now();
            let seat = tokio::select! {
                biased;
                seat = grant.acquire() => seat,
                () = ending.requested() => None,
            };
            self.host_worked(began);
            match seat {
                Some(seat) => self.batch()?.take(seat),
                None if ending.is_out_of_time() => {
                    return Ok(Err(TransportError::Refused(
                        "Every connection that the account may have was in use until the time was over: let it have more \
                         (`max_connections`), or the run more time."
                            .to_owned(),
                    )));
                }
                None => return Ok(Err(TransportError::Ending)),
            }
        }
        let wanted = Endpoint {
            host: endpoint.host,
            port: endpoint.port,
        };
        let security = match security {
            AskedSecurity::Tls => Security::Tls,
            AskedSecurity::StartTls => Security::StartTls,
            AskedSecurity::None => Security::None,
        };
        let began = Instant::now();
        let opened = Connection::open(&grant, &wanted, security, &ending).await;
        let opened = opened.map_err(transport_error);
        self.host_worked(began);
        let link = match opened {
            Ok(link) => link,
            Err(error) => return Ok(Err(error)),
        };
        let batch = self.batch()?;
        batch.tracker.wire_log().follow(&link);
        batch.has_connection = true;
        batch.carried = Some(link.carried_counter());
        Ok(Ok(self.table.push(link).map_err(bad_handle)?))
    }

    async fn facts(&mut self, link: Resource<Connection>) -> wasmtime::Result<Facts> {
        let facts = self.table.get(&link).map_err(bad_handle)?.facts();
        Ok(Facts {
            tls: facts.tls.map(str::to_owned),
            signed_in: facts.signed_in,
            client_name: facts.client_name,
            warm: facts.warm,
            idle_ms: u64::try_from(facts.idle.as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn resume_state(&mut self, link: Resource<Connection>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&link).map_err(bad_handle)?.memo())
    }

    async fn set_deadline(&mut self, link: Resource<Connection>, deadline_ms: u32) -> wasmtime::Result<()> {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(deadline_ms.into());
        self.table.get_mut(&link).map_err(bad_handle)?.set_deadline(deadline);
        Ok(())
    }

    async fn read(
        &mut self,
        link: Resource<Connection>,
        max_bytes: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, TransportError>> {
        let result = self.wait_on(&link, async |link| link.read(max_bytes).await).await?;
        if let Ok(bytes) = &result {
            let answers = self.table.get_mut(&link).map_err(bad_handle)?.take_answers();
            self.batch()?.tracker.wire_log().received(bytes, &answers);
        }
        Ok(result)
    }

    async fn write(
        &mut self,
        link: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), TransportError>> {
        let messages_max = self.batch()?.tracker.messages_max();
        self.wait_on(&link, async |link| link.write(&bytes, messages_max).await)
            .await
    }

    async fn start_tls(&mut self, link: Resource<Connection>) -> wasmtime::Result<Result<(), TransportError>> {
        let result = self.wait_on(&link, async |link| link.start_tls().await).await?;
        let batch = self
            .batch
            .as_mut()
            .ok_or_else(|| violation("it called its host while it described itself"))?;
        batch
            .tracker
            .wire_log()
            .follow(self.table.get(&link).map_err(bad_handle)?);
        Ok(result)
    }

    async fn sign_in(
        &mut self,
        link: Resource<Connection>,
        mechanism: String,
    ) -> wasmtime::Result<Result<Vec<u8>, TransportError>> {
        let result = self.wait_on(&link, async |link| link.sign_in(&mechanism).await).await?;
        if let Ok(reply) = &result
            && !reply.is_accepted()
        {
            self.batch()?.refused_sign_in = Some(reply.text.clone());
        }
        Ok(result.map(|reply| reply.text))
    }

    async fn release(
        &mut self,
        link: Resource<Connection>,
        resume_state: Vec<u8>,
        close_bytes: Vec<u8>,
    ) -> wasmtime::Result<()> {
        let link = self.table.delete(link).map_err(bad_handle)?;
        let batch = self.batch()?;
        batch.has_connection = false;
        let settled = !batch.tracker.has_open_parts();
        batch.tracker.wire_log().leave();
        let began = Instant::now();
        link.release(resume_state, close_bytes, settled).await;
        self.host_worked(began);
        Ok(())
    }

    async fn drop(&mut self, link: Resource<Connection>) -> wasmtime::Result<()> {
        let connection = self.table.delete(link).map_err(bad_handle)?;
        let was_turned_away = connection.was_turned_away();
        connection.note_end();
        // Whoever waits for its sign-in goes on.
        drop(connection);
        let batch = self.batch()?;
        batch.has_connection = false;
        if was_turned_away {
            batch.turned_away();
        }
        Ok(())
    }
}
