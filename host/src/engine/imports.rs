//! What the host does when a connector calls it.
//!
//! Every function here answers for the one instance whose state it is given. A breach of the contract (a handle that is
//! no handle, a call of another batch, a flood of log lines) ends the instance; anything that a connector could meet in
//! good faith is an answer.

use std::time::Instant;

use pipepost_accounts::Security;
use pipepost_core::{Endpoint, Failure, FailureKind};
use pipepost_net::{Connection, ConnectionError, DialError};
use serde_json::Value;
use wasmtime::component::Resource;

use super::instance::{Breach, Guest, Work};
use super::watch::CallFailure;
use crate::bindings::transport::{Facts, TransportError};
use crate::bindings::types::FileError;
use crate::bindings::{files, log, new_files, outcomes, random, transport, types, wall_clock};
use crate::files::{NewFile, OpenFile};

/// The most bytes of randomness that one call gives.
const RANDOM: u64 = 64 * 1024;

/// The most bytes that one read of a file gives.
const FILE_READ: u32 = 1 << 20;

impl Guest {
    /// The batch's grants; an instance that only describes itself has none.
    fn work(&mut self) -> wasmtime::Result<&mut Work> {
        self.work
            .as_mut()
            .ok_or_else(|| breach("it called its host while it described itself, which gives it nothing"))
    }
}

fn breach(what: impl Into<String>) -> wasmtime::Error {
    Breach(what.into()).into()
}

fn bad_handle(error: wasmtime::component::ResourceTableError) -> wasmtime::Error {
    match error {
        wasmtime::component::ResourceTableError::Full => breach("it holds more connections and files than it may"),
        error => breach(format!("it used a handle that is not its own ({error})")),
    }
}

impl types::Host for Guest {}

impl wall_clock::Host for Guest {
    async fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.work()?;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(wall_clock::Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    async fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.work()?;
        Ok(wall_clock::Datetime {
            seconds: 0,
            nanoseconds: 1_000,
        })
    }
}

impl random::Host for Guest {
    async fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.work()?;
        if len > RANDOM {
            return Err(breach(format!("it wanted {len} bytes of randomness at once")));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        getrandom::fill(&mut bytes).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        Ok(bytes)
    }

    async fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.work()?;
        getrandom::u64().map_err(|error| wasmtime::Error::msg(error.to_string()))
    }
}

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, call: Option<u32>, message: String) -> wasmtime::Result<()> {
        let (lines, longest) = (self.limits.log_lines, self.limits.log_line);
        let work = self.work()?;
        work.log_lines += 1;
        if work.log_lines > lines {
            return Err(breach(format!("it wrote more than {lines} lines of log")));
        }
        let message = printable(&message, longest);
        let connector = &*work.connector;
        match level {
            log::Level::Debug => tracing::debug!(connector, call, "{message}"),
            log::Level::Info => tracing::info!(connector, call, "{message}"),
            log::Level::Warn => tracing::warn!(connector, call, "{message}"),
            log::Level::Error => tracing::error!(connector, call, "{message}"),
        }
        Ok(())
    }
}

/// A connector's words for a log or a terminal: cut to `longest` bytes, and nothing in them that a terminal would obey.
fn printable(message: &str, longest: usize) -> String {
    let cut = message.floor_char_boundary(longest);
    let mut text: String = message[..cut]
        .chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if cut < message.len() {
        text.push('…');
    }
    text
}

impl outcomes::Host for Guest {
    async fn committing(
        &mut self,
        parts: Vec<types::Part>,
        in_doubt: Vec<outcomes::InDoubt>,
    ) -> wasmtime::Result<Result<(), outcomes::Stop>> {
        let longest = self.limits.json;
        let work = self.work()?;
        if work.ending.is_requested() {
            return Ok(Err(outcomes::Stop::Ending));
        }
        let parts: Vec<(u32, u32)> = parts.into_iter().map(|part| (part.call, part.number)).collect();
        if let Err(stop) = work.watch.check(&parts).map_err(breach)? {
            return Ok(Err(stop));
        }
        for outcomes::InDoubt { call, output } in in_doubt {
            check_length(&output, longest)?;
            work.watch.in_doubt(call, output).map_err(breach)?;
        }
        // A durable ledger waits for its disk, an account for its turn, and that time is not the connector's.
        let began = Instant::now();
        let answer = work.committing(&parts).await.map_err(breach);
        self.host_worked(began);
        answer
    }

    async fn confirmed(&mut self, part: types::Part, output: String) -> wasmtime::Result<()> {
        let output = if output == "null" {
            None
        } else {
            let value = json(&output, self.limits.json)?;
            Some((output, value))
        };
        let work = self.work()?;
        work.ended((part.call, part.number));
        work.watch.confirmed(part.call, part.number, output).map_err(breach)
    }

    async fn refused(&mut self, part: types::Part, evidence: String) -> wasmtime::Result<()> {
        let work = self.work()?;
        work.ended((part.call, part.number));
        work.watch.refused(part.call, part.number, &evidence).map_err(breach)
    }

    async fn settled(&mut self, call: u32, outcome: Result<String, types::Failure>) -> wasmtime::Result<()> {
        let longest = self.limits.json;
        let work = self.work()?;
        let outcome = match outcome {
            Ok(output) => Ok(match work.watch.completed(call, &output) {
                Some(value) => value,
                None => json(&output, longest)?,
            }),
            Err(failure) => {
                let mut failed = call_failure(failure, longest)?;
                let announced = work.watch.is_announced(call);
                if let Some(permit) = &work.permit {
                    permit.explain(call, announced, &mut failed.failure).await;
                }
                Err(failed)
            }
        };
        work.watch.settle(call, outcome).map_err(breach)?;
        if let Some(tell) = &mut work.on_settled {
            tell(call);
        }
        Ok(())
    }
}

/// JSON of a bearable size and shape; anything else from a connector is a breach.
fn json(text: &str, longest: usize) -> wasmtime::Result<Value> {
    check_length(text, longest)?;
    // Read at once: what nests too deeply or holds a number beyond all bounds is found out while the connector can still
    // be stopped, and not when the message is gone.
    serde_json::from_str(text).map_err(|_| breach("it returned a result that is not JSON"))
}

fn check_length(text: &str, longest: usize) -> wasmtime::Result<()> {
    if text.len() <= longest {
        return Ok(());
    }
    Err(breach(format!(
        "it returned {} bytes, more than the {longest} that a result may have",
        text.len()
    )))
}

/// People read it: it ends as a sentence does.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    let ends = text.ends_with(['.', '!', '?', '…']) || text.is_empty();
    if ends { text.to_owned() } else { format!("{text}.") }
}

fn call_failure(failure: types::Failure, longest: usize) -> wasmtime::Result<CallFailure> {
    /// Words for people are short.
    const WORDS: usize = 2000;
    let types::Failure {
        kind,
        message,
        advice,
        link,
        wait,
        remainder,
        output,
    } = failure;
    Ok(CallFailure {
        failure: Failure {
            kind: failure_kind(kind),
            message: sentence(&printable(&message, WORDS)),
            advice: advice.map(|advice| sentence(&printable(&advice, WORDS))),
            link: link
                .map(|link| printable(&link, WORDS))
                .filter(|link| link.starts_with("https://")),
            wait,
        },
        output: output.map(|output| json(&output, longest)).transpose()?,
        remainder: remainder
            .map(|remainder| json(&remainder, longest).map(|_| remainder))
            .transpose()?,
    })
}

fn failure_kind(kind: types::FailureKind) -> FailureKind {
    match kind {
        types::FailureKind::Invalid => FailureKind::Invalid,
        types::FailureKind::Configuration => FailureKind::Configuration,
        types::FailureKind::Authentication => FailureKind::Authentication,
        types::FailureKind::Refused => FailureKind::Refused,
        types::FailureKind::Quota => FailureKind::Quota,
        types::FailureKind::Transient => FailureKind::Transient,
        types::FailureKind::Uncertain => FailureKind::Uncertain,
        types::FailureKind::Limit => FailureKind::Limit,
    }
}

impl files::Host for Guest {
    async fn open(&mut self, call: u32, name: String) -> wasmtime::Result<Result<Resource<OpenFile>, FileError>> {
        let work = self.work()?;
        if !work.watch.knows(call) {
            return Err(breach(format!("it named call {call}, which is not of this batch")));
        }
        let began = Instant::now();
        let opened = work.files.open(&name);
        self.host_worked(began);
        opened
            .map(|file| self.table.push(file).map_err(bad_handle))
            .map_or_else(|error| Ok(Err(error)), |file| file.map(Ok))
    }
}

impl files::HostFile for Guest {
    async fn size(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&file).map_err(bad_handle)?.size())
    }

    async fn media_type(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<Option<String>> {
        Ok(self
            .table
            .get(&file)
            .map_err(bad_handle)?
            .media_type()
            .map(str::to_owned))
    }

    async fn read(
        &mut self,
        file: Resource<OpenFile>,
        offset: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, FileError>> {
        let file = self.table.get_mut(&file).map_err(bad_handle)?;
        let began = Instant::now();
        let bytes = file.read(offset, max.min(FILE_READ));
        self.host_worked(began);
        Ok(bytes)
    }

    async fn drop(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<()> {
        self.table.delete(file).map(drop).map_err(bad_handle)
    }
}

impl new_files::Host for Guest {
    async fn create(&mut self, call: u32, name: String) -> wasmtime::Result<Result<Resource<NewFile>, FileError>> {
        let work = self.work()?;
        if !work.watch.knows(call) {
            return Err(breach(format!("it named call {call}, which is not of this batch")));
        }
        match work.files.create(&name) {
            Ok(file) => Ok(Ok(self.table.push(file).map_err(bad_handle)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl new_files::HostNewFile for Guest {
    async fn append(&mut self, file: Resource<NewFile>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), FileError>> {
        let most = self.limits.new_files;
        let work = self.work()?;
        work.new_file_bytes += bytes.len() as u64;
        if work.new_file_bytes > most {
            return Ok(Err(FileError::TooLarge));
        }
        let file = self.table.get_mut(&file).map_err(bad_handle)?;
        let began = Instant::now();
        let result = file.append(&bytes);
        self.host_worked(began);
        Ok(result)
    }

    async fn finish(&mut self, file: Resource<NewFile>) -> wasmtime::Result<Result<(), FileError>> {
        Ok(self.table.delete(file).map_err(bad_handle)?.finish())
    }

    async fn drop(&mut self, file: Resource<NewFile>) -> wasmtime::Result<()> {
        self.table.delete(file).map(drop).map_err(bad_handle)
    }
}

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
        ConnectionError::Tls(_) => TransportError::Tls(sentence),
        ConnectionError::Credentials(_) => TransportError::Credentials(sentence),
        ConnectionError::Closed | ConnectionError::Io(_) | ConnectionError::TokenUnavailable(_) => {
            TransportError::Io(sentence)
        }
    }
}

impl transport::Host for Guest {
    async fn available(&mut self) -> wasmtime::Result<bool> {
        Ok(self.work()?.is_seated())
    }
}

impl Guest {
    /// Waits for something on a connection, within its deadline and the run's end. Once the end was called, only what was
    /// announced and is unconfirmed is still waited for.
    async fn wait_on_link<T>(
        &mut self,
        link: &Resource<Connection>,
        act: impl AsyncFnOnce(&mut Connection) -> Result<T, ConnectionError>,
    ) -> wasmtime::Result<Result<T, TransportError>> {
        let work = self
            .work
            .as_ref()
            .ok_or_else(|| breach("it called its host while it described itself"))?;
        let open_parts = work.watch.has_open_parts();
        let ending = work.ending.clone();
        let link = self.table.get_mut(link).map_err(bad_handle)?;
        let deadline = link.deadline;
        let past_deadline = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let no_longer_wanted = async {
            if open_parts {
                std::future::pending().await
            } else {
                ending.requested().await
            }
        };
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            result = act(link) => result.map_err(transport_error),
            () = past_deadline => Err(TransportError::TimedOut),
            () = no_longer_wanted => Err(TransportError::Ending),
        };
        self.host_worked(began);
        Ok(result)
    }
}

impl transport::HostConnection for Guest {
    async fn open(
        &mut self,
        endpoint: transport::Endpoint,
        security: transport::Security,
    ) -> wasmtime::Result<Result<Resource<Connection>, TransportError>> {
        let work = self.work()?;
        let Some(grant) = work.transport.clone() else {
            return Ok(Err(TransportError::Denied(
                "This step was granted no connection.".to_owned(),
            )));
        };
        if work.has_connection {
            return Ok(Err(TransportError::Denied(
                "One connection at a time: close the other one first.".to_owned(),
            )));
        }
        // An account that sends nothing now need not sign in for it.
        let is_held = work.permit.as_ref().is_some_and(|permit| permit.is_held);
        if is_held || work.ending.is_requested() {
            return Ok(Err(TransportError::Ending));
        }
        let Some(left) = work.connections_left.checked_sub(1) else {
            return Ok(Err(TransportError::Denied(
                "This step has opened as many connections as it may.".to_owned(),
            )));
        };
        work.connections_left = left;
        let ending = work.ending.clone();
        if !work.is_seated() {
            let began = Instant::now();
            let seat = tokio::select! {
                biased;
                seat = grant.acquire() => seat,
                () = ending.requested() => None,
            };
            self.host_worked(began);
            match seat {
                Some(seat) => self.work()?.take(seat),
                None => return Ok(Err(TransportError::Ending)),
            }
        }
        let wanted = Endpoint {
            host: endpoint.host,
            port: endpoint.port,
        };
        let security = match security {
            transport::Security::Tls => Security::Tls,
            transport::Security::StartTls => Security::StartTls,
            transport::Security::None => Security::None,
        };
        let began = Instant::now();
        let opened = tokio::select! {
            biased;
            opened = Connection::open(&grant, &wanted, security) => opened.map_err(transport_error),
            () = ending.requested() => Err(TransportError::Ending),
        };
        self.host_worked(began);
        let link = match opened {
            Ok(link) => link,
            Err(error) => return Ok(Err(error)),
        };
        let work = self.work()?;
        work.watch.traffic().follow(link.written_counter());
        work.has_connection = true;
        Ok(Ok(self.table.push(link).map_err(bad_handle)?))
    }

    async fn facts(&mut self, link: Resource<Connection>) -> wasmtime::Result<Facts> {
        let facts = self.table.get(&link).map_err(bad_handle)?.facts();
        Ok(Facts {
            tls: facts.tls.map(str::to_owned),
            signed_in: facts.signed_in,
            client_name: facts.client_name,
            warm: facts.warm,
            idle: u64::try_from(facts.idle.as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn memo(&mut self, link: Resource<Connection>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&link).map_err(bad_handle)?.memo())
    }

    async fn arm(&mut self, link: Resource<Connection>, milliseconds: u32) -> wasmtime::Result<()> {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(milliseconds.into());
        self.table.get_mut(&link).map_err(bad_handle)?.deadline = Some(deadline);
        Ok(())
    }

    async fn read(
        &mut self,
        link: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, TransportError>> {
        let result = self.wait_on_link(&link, async |link| link.read(max).await).await?;
        if let Ok(bytes) = &result {
            self.work()?.watch.traffic().received(bytes);
        }
        Ok(result)
    }

    async fn write(
        &mut self,
        link: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), TransportError>> {
        self.wait_on_link(&link, async |link| link.write(&bytes).await).await
    }

    async fn start_tls(&mut self, link: Resource<Connection>) -> wasmtime::Result<Result<(), TransportError>> {
        let result = self.wait_on_link(&link, async |link| link.start_tls().await).await?;
        let counter = self.table.get(&link).map_err(bad_handle)?.written_counter();
        self.work()?.watch.traffic().follow(counter);
        Ok(result)
    }

    async fn sign_in(
        &mut self,
        link: Resource<Connection>,
        mechanism: String,
    ) -> wasmtime::Result<Result<Vec<u8>, TransportError>> {
        let result = self
            .wait_on_link(&link, async |link| link.sign_in(&mechanism).await)
            .await?;
        if let Ok(reply) = &result
            && !reply.is_accepted
        {
            self.work()?.refused_sign_in = Some(reply.text.clone());
        }
        Ok(result.map(|reply| reply.text))
    }

    async fn release(&mut self, link: Resource<Connection>, memo: Vec<u8>, farewell: Vec<u8>) -> wasmtime::Result<()> {
        let link = self.table.delete(link).map_err(bad_handle)?;
        let work = self.work()?;
        work.has_connection = false;
        let settled = !work.watch.has_open_parts();
        let began = Instant::now();
        link.release(memo, farewell, settled).await;
        self.host_worked(began);
        Ok(())
    }

    async fn drop(&mut self, link: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(link).map_err(bad_handle)?;
        self.work()?.has_connection = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_connectors_words_are_cut_and_disarmed() {
        assert_eq!(printable("plain — text", 100), "plain — text");
        assert_eq!(printable("a\u{1b}[2Jb\r\nc", 100), "a\\u{1b}[2Jb\\r\\nc");
        assert_eq!(printable("äöü", 3), "ä…");
    }
}
