//! Cases are folders under `tests/cases`: the JSON files in one are loaded together. A snapshot `error.snap` says that
//! loading must fail with exactly these lines; otherwise `view.snap` holds what connectors see of each account, and
//! `warnings.snap`, if it is there, the warnings. `variables.json` stands for the process's environment, and a file
//! `environment` chooses one. `INSTA_UPDATE=always` writes what came out; look at it before you keep it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        ("error", &outcome.error),
        ("view", &outcome.view),
        ("warnings", &outcome.warnings),
    ];
    for (name, got) in files {
        match got {
            Some(text) => snapshot(case, name, text)?,
            None if case.join(format!("{name}.snap")).exists() => {
                return Err(format!("{}: there is no {name}, and a snapshot of it", case.display()));
            }
            None => {}
        }
    }
    for text in [&outcome.error, &outcome.view, &outcome.warnings].into_iter().flatten() {
        if text.contains("PLANTED") {
            return Err(format!("{}: a secret is shown: {text}", case.display()));
        }
    }
    Ok(())
}

/// Compares a text with the snapshot in a case's own folder. The difference is printed; all cases are to be tried.
fn snapshot(case: &Path, name: &str, text: &str) -> Result<(), String> {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let compare = AssertUnwindSafe(|| settings.bind(|| insta::assert_snapshot!(name, text)));
    let compared = catch_unwind(compare);
    compared.map_err(|_| format!("{}: another {name} than its snapshot", case.display()))
}

fn run(case: &Path) -> Outcome {
    let mut environment = Environment::process().with_variables(variables(case));
    if let Ok(name) = std::fs::read_to_string(case.join("environment")) {
        environment = environment.named(name.trim());
    }
    let mut files: Vec<PathBuf> = entries(case)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !path.ends_with("variables.json"))
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
