//! The documents about the service, followed word for word: their files written, their commands run in one shell, and what
//! they show compared with what comes.

#[path = "docs_serving/session.rs"]
mod session;

use pipepost_tests::Scratch;
use session::{Session, is_there};

/// What the documents' commands need beside the binary; what is missing is skipped in plain sight.
fn has_what_it_needs() -> bool {
    let missing = ["bash", "curl", "jq"].into_iter().find(|program| !is_there(program));
    if let Some(program) = missing {
        pipepost_tests::skip(program);
    }
    missing.is_none()
}

#[test]
fn a_stranger_gets_from_nothing_to_a_scheduled_digest_with_an_alert() {
    if !has_what_it_needs() {
        return;
    }
    let mut session = Session::of("docs/serving.md");
    if !is_there("prometheus") {
        session.leave_out("prometheus");
    }
    session.follow(&Scratch::new());
}

#[test]
fn the_api_answers_as_its_document_says() {
    if has_what_it_needs() {
        Session::of("docs/api.md").follow(&Scratch::new());
    }
}

#[test]
fn the_readmes_served_pipeline_sends() {
    if !has_what_it_needs() {
        return;
    }
    let scratch = Scratch::new();
    let mut session = Session::of("README.md#Pipelines that stay up");
    // The account of the reader, whom the README knows as `gmail`, is the inbox here.
    session.begin_with(&[
        "pipepost inbox --dir inbox > inbox.log 2>&1 &",
        "until grep -qs '^messages go to' inbox.log; do sleep 1; done",
        "jq '.label = \"gmail\" | .ca_file = \"inbox/ca.pem\"' inbox/account.json > accounts.json",
    ]);
    session.follow(&scratch);
}
