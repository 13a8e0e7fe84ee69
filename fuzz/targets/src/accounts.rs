//! Account files.

use std::collections::HashMap;
use std::path::Path;

use pipepost_accounts::{Accounts, Environment};

/// An account file is refused in sentences or read; where a secret is involved no step can name another server; and the
/// secret is in nothing that others see.
///
/// Input: an account file. `${env:SECRET}` is a secret, `${env:USER}` a name.
pub fn accounts(data: &[u8]) {
    const SECRET: &str = "PLANTED-a8b1c7";
    let text = String::from_utf8_lossy(data);
    // A fuzzer reads no files: a reference to one would make a run depend on the machine.
    if text.contains("${file:") || text.contains("_file") {
        return;
    }
    let variables = HashMap::from([
        ("SECRET".to_owned(), SECRET.to_owned()),
        ("USER".to_owned(), "ana@x.example".to_owned()),
    ]);
    let environment = Environment::process().with_variables(variables).named("test");
    let is_secret_alone = text.matches("SECRET").count() == text.matches(r#""password": "${env:SECRET}""#).count();
    let check = |shown: &str| {
        assert!(
            !is_secret_alone || !shown.contains(SECRET),
            "a secret is shown: {shown}"
        )
    };
    let accounts = match Accounts::from_json(&text, Path::new("/nonexistent"), &environment) {
        Ok(accounts) => accounts,
        Err(errors) => return check(&format!("{errors} {errors:?}")),
    };
    check(&format!("{accounts:?}"));
    for warning in accounts.warnings() {
        check(&format!("{warning} {warning:?}"));
    }
    for account in accounts.iter() {
        check(&account.public_view().to_string());
        if let Ok(view) = account.expression_view() {
            check(&view.to_string());
        }
        let own = account.endpoint_for(None, None);
        let foreign = account.endpoint_for(Some("evil.example"), None);
        if let (true, Ok(foreign)) = (account.has_secret() && !text.contains("evil"), &foreign) {
            panic!(
                "a step takes the secret of {:?} (at {own:?}) to {foreign:?}",
                account.label()
            );
        }
    }
}
