//! What goes wrong ends in one sentence, the right exit code, and nothing sent.

mod bad_input {
    mod accounts;
    mod case;
    mod documents;
    mod messages;
    mod server;
}
