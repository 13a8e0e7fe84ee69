//! The demo's last part: a pipeline that is served, started by a request, and listed as a run.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use pipepost::FailureKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::error::CliError;
use super::say;

/// The example of a served pipeline.
const PIPELINE: &str = include_str!("../../../../examples/operating/pipelines/welcome.json");

/// What the request says.
const BODY: &str = r#"{"to": "zoe@example.com"}"#;

/// `pipepost serve` as a process of its own, as a person starts it. It ends with this.
struct Served {
    process: Child,
    triggers: String,
    admin: String,
    token: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // What it accepted is in its state; a kill loses nothing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves the example of `folder` with the demo's account, starts it by a request, and shows the run.
pub(super) async fn show(folder: &Path) -> Result<(), CliError> {
    let pipelines = folder.join("pipelines");
    let unwritable = |error: std::io::Error| CliError::io("the demo's directory", &error);
    std::fs::create_dir_all(&pipelines).map_err(unwritable)?;
    // The example's account is the inbox's own.
    let document = PIPELINE.replace("\"accountLabel\": \"inbox\"", "\"accountLabel\": \"gmail\"");
    std::fs::write(pipelines.join("welcome.json"), document).map_err(unwritable)?;
    let served = begin(folder)?;

    say("6. `pipepost serve` keeps pipelines up. A request starts one, and is answered when the message was sent:")?;
    let url = format!("{}/pipeline/welcome", served.triggers);
    say(&format!(
        "     $ curl -H \"Authorization: Bearer $TOKEN\" --json '{BODY}' {url}"
    ))?;
    let (status, output) = request(&served, &served.triggers, "POST", "/pipeline/welcome", BODY).await?;
    say(&format!(
        "     {status}, {}, {}",
        output["outcome"].as_str().unwrap_or_default(),
        output["response"].as_str().unwrap_or_default()
    ))?;

    say("7. The run was on the disk before it began, and is listed:")?;
    say(&format!(
        "     $ curl -H \"Authorization: Bearer $TOKEN\" {}/api/v1/runs",
        served.admin
    ))?;
    let (_, list) = request(&served, &served.admin, "GET", "/api/v1/runs", "").await?;
    for run in list["runs"].as_array().into_iter().flatten() {
        say(&format!(
            "     {}  {}  {}, {} sent",
            run["id"].as_str().unwrap_or_default(),
            run["pipeline"].as_str().unwrap_or_default(),
            run["state"].as_str().unwrap_or_default(),
            run["messages"]["sent"]
        ))?;
    }
    Ok(())
}

fn begin(folder: &Path) -> Result<Served, CliError> {
    let failed = |error: std::io::Error| CliError::io("`pipepost serve`", &error);
    let mut process = Command::new(std::env::current_exe().map_err(failed)?)
        .arg("serve")
        .arg(folder.join("pipelines"))
        .arg("--accounts")
        .arg(folder.join("accounts.json"))
        .arg("--policy")
        .arg(folder.join("policy.json"))
        .arg("--state")
        .arg(folder.join("state"))
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    let lines = process.stdout.take();
    let mut served = Served {
        process,
        triggers: String::new(),
        admin: String::new(),
        token: String::new(),
    };
    match lines.is_some_and(|lines| served.read(lines)) {
        true => Ok(served),
        false => Err(CliError::new(
            FailureKind::Limit,
            "`pipepost serve` ended before it was ready; its own words are above.",
        )),
    }
}

impl Served {
    /// Reads where it listens and its token. Returns whether it is ready.
    fn read(&mut self, lines: ChildStdout) -> bool {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            let (name, value) = (words.next(), words.next().unwrap_or_default().to_owned());
            match name {
                Some("triggers") => self.triggers = value,
                Some("admin") => self.admin = value,
                Some("token") => self.token = value,
                Some("ready") => return true,
                _ => {}
            }
        }
        false
    }
}

/// Asks the service. Returns the answer's status and body.
async fn request(
    served: &Served,
    base: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(String, Value), CliError> {
    let failed = |error: std::io::Error| CliError::io("the service", &error);
    let host = base.trim_start_matches("http://");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\nConnection: close\r\n\r\n{body}",
        served.token,
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok((status, serde_json::from_str(body).unwrap_or_else(|_| json!(body))))
}
