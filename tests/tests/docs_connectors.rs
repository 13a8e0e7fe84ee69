//! The second connector, and the documents by which anybody writes the third: every command of theirs is run here.
#![cfg(unix)]

mod docs_connectors {
    // The document's example of a CSV attachment, received and taken apart.
    mod digest;
    // Runs the commands of a document, and compares their output.
    mod document;
    // README.md and the guide to writing a connector, followed word for word.
    mod guide;
}
