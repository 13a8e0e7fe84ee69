//! Pipelines through the library, against the local inbox: what each step type does, as it is documented.

// A host, an inbox and the account between them: what every file here begins with.
mod fixture;
// Email bodies: templates, files beside the document, escaping.
mod bodies;
// The validator.
mod checking;
// What the command line builds on: dry runs, traces, pinned steps, expressions, schemas.
mod command_line;
// The account's limit for connections, over runs at the same time.
mod connections;
// Loops, blocks, parallel executions, and the time limit of a run.
mod control;
// The example documents, in both forms of the platform.
mod documents;
// The file writer, and the files of a run.
mod files;
// Named executions: a second run repeats nothing.
mod ledger;
// The loop that ends by its own word.
mod looping;
// The bounds of a run that never waits.
mod limits;
// The object store.
mod objects;
// Mail merge: one message for each element.
mod merge;
// Mail merge over the rows of a file, and its results in files.
mod merge_files;
// Mail merge: what is not held in memory.
mod merge_memory;
// Another attempt within a step: by kind of failure, and only what is left.
mod resending;
// The retry step.
mod retrying;
// The cost of a message in WebAssembly instructions.
mod speed;
// Steps that change the message and nothing else.
mod transformers;
// Observers, step records, masked fields.
mod values;
mod watching;
