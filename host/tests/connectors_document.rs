//! docs/connectors.md says what the code says: what may be imported, which keywords are read, how far an instance may go.

use std::fs;
use std::path::Path;

use pipepost::Limits;
use pipepost::engine::grantable;

#[test]
fn the_document_names_what_there_is() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = host.parent().expect("the host is a folder of the repository");
    let text = fs::read_to_string(repository.join("docs/connectors.md")).expect("the document");
    for import in grantable() {
        let name = import.split('@').next().unwrap_or(import);
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    let annotations = repository.join("crates/digibee/flowspec/src/parameters/annotations.rs");
    let source = fs::read_to_string(annotations).expect("the keywords' source");
    let keywords = source.split('"').filter(|word| word.starts_with("x-pipepost-"));
    let mut count = 0;
    for keyword in keywords {
        assert!(text.contains(&format!("| `{keyword}` |")), "{keyword}");
        count += 1;
    }
    assert!(count > 4, "the keywords have moved");
    let each = fs::read_to_string(repository.join("crates/sdk/src/each.rs")).expect("the trait's source");
    assert!(each.contains("fn call(call: &Call, parameters: Self::Parameters) -> Result<Self::Output, Failure>;"));
    let Limits {
        memory,
        cpu,
        cpu_per_call,
        json,
        log_lines,
        resources,
        new_files,
        ..
    } = Limits::default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for fact in [
        format!("{} MiB of memory", memory >> 20),
        format!(
            "{} s of CPU time and {} ms more",
            cpu.as_secs(),
            cpu_per_call.as_millis()
        ),
        format!("{log_lines} lines of log"),
        format!("{resources} open handles"),
        format!("{} GiB of new files", new_files >> 30),
        format!("{} MiB for each result", json >> 20),
    ] {
        assert!(text.contains(&fact), "{fact}");
    }
}
