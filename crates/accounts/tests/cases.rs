//! Cases are folders under `tests/cases`: the JSON files in one are loaded together. A file `expected-error` says that
//! loading must fail with exactly these lines; otherwise `expected-view.json` holds what connectors see of each account,
//! and `expected-warnings`, if it is there, the warnings. `variables.json` stands for the process's environment, and a
//! file `environment` chooses one. `BLESS=1` writes what came out; look at it before you keep it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pipepost_accounts::{Accounts, Environment};

struct Outcome {
    error: Option<String>,
    view: Option<String>,
    warnings: Option<String>,
}

#[test]
fn every_case_ends_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = entries(&root).into_iter().filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() > 50, "the cases are not there: {}", root.display());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(case: &Path) -> Result<(), String> {
    let outcome = run(case);
    let files = [
        ("expected-error", &outcome.error),
        ("expected-view.json", &outcome.view),
        ("expected-warnings", &outcome.warnings),
    ];
    for (name, got) in files {
        let path = case.join(name);
        if std::env::var_os("BLESS").is_some() {
            match got {
                Some(text) => std::fs::write(&path, text).expect("written"),
                None => drop(std::fs::remove_file(&path)),
            }
        }
        let expected = std::fs::read_to_string(&path).ok();
        if expected.as_ref() != got.as_ref() {
            return Err(format!(
                "{}, {name}:\n  expected {expected:?}\n  but got  {got:?}",
                case.display()
            ));
        }
    }
    for text in [&outcome.error, &outcome.view, &outcome.warnings].into_iter().flatten() {
        if text.contains("PLANTED") {
            return Err(format!("{}: a secret is shown: {text}", case.display()));
        }
    }
    Ok(())
}

fn run(case: &Path) -> Outcome {
    let mut environment = Environment::process().with_variables(variables(case));
    if let Ok(name) = std::fs::read_to_string(case.join("environment")) {
        environment = environment.named(name.trim());
    }
    let mut files: Vec<PathBuf> = entries(case)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !path.ends_with("expected-view.json") && !path.ends_with("variables.json"))
        .collect();
    files.sort();
    let relative = |text: String| text.replace(&format!("{}/", case.display()), "");
    match Accounts::load(&files, &environment) {
        Err(errors) => Outcome {
            error: Some(relative(format!("{errors}\n"))),
            view: None,
            warnings: None,
        },
        Ok(accounts) => {
            let debug = format!("{accounts:?}");
            assert!(
                !debug.contains("PLANTED"),
                "{}: Debug shows a secret: {debug}",
                case.display()
            );
            let views: Vec<_> = accounts.iter().map(|account| account.public_view()).collect();
            let view = serde_json::to_string_pretty(&views).expect("JSON");
            // A checkout's modes are not the case's to say.
            let warnings: String = accounts
                .warnings()
                .iter()
                .filter(|warning| warning.kind() != pipepost_accounts::WarningKind::FileMode)
                .map(|warning| format!("{warning}\n"))
                .collect();
            Outcome {
                error: None,
                view: Some(format!("{view}\n")),
                warnings: Some(relative(warnings)).filter(|text| !text.is_empty()),
            }
        }
    }
}

fn variables(case: &Path) -> HashMap<String, String> {
    let Ok(text) = std::fs::read_to_string(case.join("variables.json")) else {
        return HashMap::new();
    };
    serde_json::from_str(&text).expect("variables.json is an object of texts")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
