//! What goes wrong ends in one sentence, the right exit code, and nothing sent.

mod bad_input {
    // Accounts, and steps that do not fit theirs.
    mod accounts;
    // One case: a good run, made bad in one place, against a server that must not be called.
    mod case;
    // Documents, files, flags and connectors.
    mod documents;
    // Messages that nobody could send.
    mod messages;
    // What only the server can tell.
    mod server;
}
