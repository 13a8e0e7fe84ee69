//! The encrypted store: what it keeps, what it shows, what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipepost_accounts::store::{Change, Store, StoreKey};
use pipepost_accounts::{Account, Accounts, Environment, ErrorKind, Keyring, Remedy, Secret, SignIn};
use pipepost_core::policy::AllowedReferences;
use serde_json::{Value, json};
use tempfile::TempDir;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A store under a new key, in a folder that does not exist yet.
fn store(folder: &TempDir) -> Store {
    let path = folder.path().join("key.txt");
    let key = if path.exists() {
        StoreKey::from_key_file(&path)
    } else {
        StoreKey::create_key_file(&path)
    };
    Store::new(store_path(folder), key.expect("a key"))
}

fn store_path(folder: &TempDir) -> PathBuf {
    folder.path().join("pipepost/accounts.age")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn gmail() -> [Change; 4] {
    [
        Change::set("type", secret("smtp-auth-and-properties")),
        Change::set("preset", secret("gmail")),
        Change::set("username", secret("me@gmail.com")),
        Change::set("password", secret("PLANTED-password")),
    ]
}

fn labels(store: &Store) -> Vec<String> {
    store
        .list()
        .expect("readable")
        .into_iter()
        .map(|account| account.label)
        .collect()
}

/// What an operator allows accounts with these labels.
fn allow(labels: &[&str], folder: &Path, variables: &[&str]) -> BTreeMap<String, AllowedReferences> {
    let mut allowed = AllowedReferences::default();
    allowed.folders.push(folder.to_path_buf());
    allowed.variables = variables.iter().map(|name| (*name).to_owned()).collect();
    labels
        .iter()
        .map(|label| ((*label).to_owned(), allowed.clone()))
        .collect()
}

/// What an account signs in with.
fn password(account: &Account) -> Result<String, pipepost_accounts::Error> {
    let SignIn::Password(source) = account.sign_in() else {
        panic!("it has no password")
    };
    Ok(source.resolve(&Environment::process())?.expose().to_owned())
}

fn write(path: &Path, document: &Value) {
    std::fs::write(path, document.to_string()).expect("written");
}

#[test]
fn an_account_is_kept_listed_shown_and_loaded() {
    let folder = folder();
    let store = store(&folder);
    assert_eq!(labels(&store), [""; 0], "a store that is not there yet is empty");
    store.add("gmail", &gmail()).expect("added");
    let listed = store.list().expect("readable");
    assert_eq!(
        (listed[0].label.as_str(), listed[0].kind.as_str()),
        ("gmail", "smtp-auth-and-properties")
    );
    let expected = json!({
        "label": "gmail", "type": "smtp-auth-and-properties", "preset": "gmail", "username": "me@gmail.com",
        "password": "***",
    });
    assert_eq!(store.show("gmail").expect("there"), expected);

    let accounts = Accounts::load_with_store(Vec::<PathBuf>::new(), &store, &Environment::process()).expect("good");
    let account = accounts.get("gmail").expect("there");
    assert!(account.credentials("smtp.gmail.com").expect("readable").is_some());
    assert_eq!(account.origin(), Some(store_path(&folder).as_path()));
    assert!(!format!("{store:?} {listed:?} {accounts:?}").contains("PLANTED"));
}

#[test]
fn no_secret_stands_in_any_file() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    store
        .edit("gmail", &[Change::set("password", secret("PLANTED-other"))])
        .expect("changed");
    let mut files = vec![folder.path().join("key.txt")];
    files.extend(
        std::fs::read_dir(folder.path().join("pipepost"))
            .expect("a folder")
            .map(|entry| entry.expect("one").path()),
    );
    assert_eq!(files.len(), 3, "the key, the store and its lock: {files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("readable");
        assert!(
            !bytes.windows(7).any(|window| window == b"PLANTED"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn fields_are_changed_by_name_nested_ones_too() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let changes = [
        Change::set("LIMITS.messages-per-day", secret("400")),
        Change::set("properties.mail.smtp.timeout", secret("1000")),
        Change::set("environments.test.from", secret("test@gmail.com")),
        Change::set("from-name", secret("Me")),
        Change::set("Username", secret("you@gmail.com")),
    ];
    store.edit("gmail", &changes).expect("changed");
    let shown = store.show("gmail").expect("there");
    assert_eq!(shown["username"], "you@gmail.com");
    assert_eq!(shown["from-name"], "Me");
    assert_eq!(shown["LIMITS"], json!({"messages-per-day": "400"}));
    assert_eq!(shown["properties"], json!({"mail.smtp.timeout": "1000"}));
    assert_eq!(store.list().expect("readable")[0].environments, ["test"]);

    store
        .edit(
            "gmail",
            &[Change::remove("from_name"), Change::remove("limits.messages_per_day")],
        )
        .expect("changed");
    let shown = store.show("gmail").expect("there");
    assert!(shown.get("from-name").is_none() && shown["LIMITS"] == json!({}));
}

#[test]
fn objects_written_as_text_are_changed_inside() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    store
        .edit("gmail", &[Change::set("limits", secret(r#"{"max_connections": 2}"#))])
        .expect("changed");
    store
        .edit("gmail", &[Change::set("limits.messages_per_day", secret("5"))])
        .expect("changed");
    assert_eq!(
        store.show("gmail").expect("there")["limits"],
        json!({"max_connections": 2, "messages_per_day": "5"})
    );
}

#[test]
fn accounts_are_copied_renamed_and_removed() {
    let folder = folder();
    let store = store(&folder);
    store.add("a", &gmail()).expect("added");
    store.copy("a", "b").expect("copied");
    store.rename("a", "c").expect("renamed");
    assert_eq!(labels(&store), ["c", "b"]);
    store.remove("c").expect("removed");
    assert_eq!(labels(&store), ["b"]);
    for error in [
        store.copy("x", "y"),
        store.rename("x", "y"),
        store.remove("x"),
        store.edit("x", &[]),
    ] {
        assert_eq!(error.expect_err("no such account")[0].kind(), ErrorKind::NoSuchAccount);
    }
    store.copy("b", "d").expect("copied");
    for error in [store.copy("b", "d"), store.rename("b", "d"), store.add("d", &gmail())] {
        assert_eq!(error.expect_err("taken")[0].kind(), ErrorKind::DuplicateLabel);
    }
}

#[test]
fn what_loading_would_refuse_is_not_kept() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let before = std::fs::read(store_path(&folder)).expect("readable");
    for (change, expected) in [
        (Change::set("usrname", secret("x")), "did you mean \"username\"?"),
        (Change::set("port", secret("PLANTED")), "whole number"),
        (Change::set("label", secret("x")), "renaming"),
        (Change::remove("password"), "needed to sign in"),
        (Change::remove("colour"), "no such field"),
        (Change::set("limits..x", secret("1")), "no such field"),
        (Change::set("environments..x", secret("1")), "is empty"),
        (
            Change::set("environments.test.prot", secret("1")),
            "did you mean \"port\"?",
        ),
    ] {
        let error = store.edit("gmail", &[change]).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(store.add("bad", &[Change::set("type", secret("ftp"))]).is_err());
    assert!(store.add("", &gmail()).is_err());
    assert_eq!(std::fs::read(store_path(&folder)).expect("readable"), before);
}

#[test]
fn a_file_is_taken_in_whole_with_its_paths() {
    let folder = folder();
    let allowed = allow(&["one", "two"], folder.path(), &["NOT_SET_ANYWHERE"]);
    let store = store(&folder).with_references(&allowed);
    let source = folder.path().join("accounts.json");
    std::fs::write(folder.path().join("pw"), "PLANTED\n").expect("written");
    let one = json!({
        "label": "one", "type": "basic", "username": "me@gmail.com", "password": "x$${y${file:pw}",
        "environments": {"test": {"password": "${env:NOT_SET_ANYWHERE}"}, "prod": {}},
    });
    let two = json!({"label": "two", "type": "basic", "username": "me@gmail.com", "password": "${file:pw}"});
    write(&source, &json!([one, two]));
    assert_eq!(store.add_file(&source, None).expect("added"), ["one", "two"]);
    let environment = Environment::process().named("prod");
    let accounts = Accounts::load_with_store(Vec::<PathBuf>::new(), &store, &environment).expect("good");
    for label in ["one", "two"] {
        let account = accounts.get(label).expect("there");
        assert!(
            account
                .credentials("smtp.gmail.com")
                .expect("the file is found from elsewhere")
                .is_some()
        );
    }
    let reference = format!("${{file:{}}}", folder.path().join("pw").display());
    assert_eq!(store.show("two").expect("there")["password"], reference);
    assert_eq!(store.show("one").expect("there")["password"], format!("***{reference}"));

    write(
        &source,
        &json!([{"label": "three", "type": "basic", "username": "me@gmail.com", "password": "x"}, one]),
    );
    assert_eq!(
        store.add_file(&source, None).expect_err("taken")[0].kind(),
        ErrorKind::DuplicateLabel
    );
    assert_eq!(labels(&store), ["one", "two"], "all of a file or nothing of it");
}

#[test]
fn an_account_of_the_store_holds_no_reference_that_the_operator_does_not_allow() {
    let folder = folder();
    std::fs::write(folder.path().join("pw"), "PLANTED").expect("written");
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let before = std::fs::read(store_path(&folder)).expect("a file");
    let file = format!("${{file:{}}}", folder.path().join("pw").display());
    // In each kind of reference, and in each kind of field: a secret one, a visible one, a nested one, one of an environment.
    for reference in ["${env:HOME}", file.as_str(), "${keyring:mail}", "x${env:HOME}y"] {
        for field in [
            "password",
            "username",
            "host",
            "from_name",
            "limits.messages_per_day",
            "properties.mail.smtp.from",
            "environments.test.password",
        ] {
            let change = || Change::set(field, secret(reference));
            for errors in [
                store.edit("gmail", &[change()]).expect_err("not allowed"),
                store
                    .add("other", &gmail().into_iter().chain([change()]).collect::<Vec<_>>())
                    .expect_err("not allowed"),
            ] {
                let error = errors
                    .iter()
                    .find(|error| error.kind() == ErrorKind::NotAllowed)
                    .unwrap_or_else(|| panic!("{field} {reference}: {errors}"));
                assert_eq!(error.remedy(), Some(Remedy::NamePolicy), "{field} {reference}");
                assert!(error.message().contains("stored_accounts"), "{error}");
                assert!(!errors.to_string().contains("PLANTED"), "{errors}");
            }
        }
    }
    assert_eq!(
        std::fs::read(store_path(&folder)).expect("a file"),
        before,
        "nothing was changed"
    );

    // Allowed under one label, it is allowed under no other, also when the account takes the other's label.
    let allowing = self::store(&folder).with_references(&allow(&["gmail"], folder.path(), &["HOME"]));
    allowing
        .edit("gmail", &[Change::set("password", secret(&file))])
        .expect("allowed");
    let errors = allowing.copy("gmail", "other").expect_err("another label");
    assert_eq!(errors[0].kind(), ErrorKind::NotAllowed);
    let errors = allowing.rename("gmail", "other").expect_err("another label");
    assert_eq!(errors[0].kind(), ErrorKind::NotAllowed);
    let load = |store: &Store| Accounts::load_with_store(Vec::<PathBuf>::new(), store, &Environment::process());
    let accounts = load(&allowing).expect("good");
    assert_eq!(
        password(accounts.get("gmail").expect("there")).as_deref(),
        Ok("PLANTED")
    );
    // What was added under one policy is not used under another.
    let errors = load(&store).expect_err("not allowed any more");
    assert!(
        errors.iter().all(|error| error.kind() == ErrorKind::NotAllowed),
        "{errors}"
    );
    // A file of the operator's is free.
    let source = folder.path().join("accounts.json");
    write(
        &source,
        &json!({"label": "own", "type": "basic", "username": "me@gmail.com", "password": file}),
    );
    Accounts::load([&source], &Environment::process()).expect("the operator's");
}

#[cfg(unix)]
#[test]
fn no_name_and_no_link_leads_out_of_the_folder_that_is_allowed() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let inside = folder.path().join("secrets");
    std::fs::create_dir_all(inside.join("..data")).expect("a folder");
    std::fs::write(folder.path().join("outside"), "PLANTED").expect("written");
    std::fs::write(inside.join("..data/pw"), "good").expect("written");
    symlink("..data/pw", inside.join("pw")).expect("a link that stays");
    symlink("../outside", inside.join("out")).expect("a link that leads out");
    symlink(folder.path().join("outside"), inside.join("absolute")).expect("another");
    symlink(folder.path(), inside.join("up")).expect("another");
    let made = std::process::Command::new("mkfifo").arg(inside.join("pipe")).status();
    assert!(made.expect("mkfifo is there").success());
    let store = store(&folder).with_references(&allow(&["gmail"], &inside, &[]));
    store.add("gmail", &gmail()).expect("added");
    let read = |name: &str| {
        let reference = format!("${{file:{}}}", inside.join(name).display());
        store.edit("gmail", &[Change::set("password", secret(&reference))])?;
        let accounts = Accounts::load_with_store(Vec::<PathBuf>::new(), &store, &Environment::process())?;
        Ok::<String, pipepost_accounts::Errors>(password(accounts.get("gmail")?)?)
    };
    assert_eq!(read("pw").as_deref(), Ok("good"));
    for name in [
        "out",
        "absolute",
        "up/outside",
        "../outside",
        "pw/../../outside",
        "pipe",
        ".",
    ] {
        let errors = read(name).expect_err(name).to_string();
        assert!(!errors.contains("PLANTED"), "{errors}");
    }
}

#[cfg(unix)]
#[test]
fn a_ca_file_of_the_store_is_no_pipe_and_no_device() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        let change = Change::set("ca_file", secret(&path.display().to_string()));
        let errors = store.edit("gmail", &[change]).expect_err("no file");
        assert!(errors.to_string().contains("is not a file"), "{errors}");
    }
}

#[test]
fn one_account_of_a_file_is_taken_alone() {
    let folder = folder();
    let store = store(&folder);
    let source = folder.path().join("accounts.json");
    let account = |label: &str| json!({"label": label, "type": "basic", "username": "me@gmail.com", "password": "x"});
    write(&source, &json!([account("one"), account("two")]));
    assert_eq!(store.add_file(&source, Some("two")).expect("added"), ["two"]);
    let errors = store.add_file(&source, Some("three")).expect_err("not there");
    assert_eq!(errors[0].kind(), ErrorKind::NoSuchAccount);
    assert_eq!(labels(&store), ["two"]);
}

#[test]
fn a_label_is_unique_over_files_and_store() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let file = folder.path().join("accounts.json");
    write(
        &file,
        &json!({"label": "gmail", "type": "basic", "username": "me@gmail.com", "password": "x"}),
    );
    let errors = Accounts::load_with_store([&file], &store, &Environment::process()).expect_err("twice");
    let text = errors.to_string();
    assert!(
        text.contains("accounts.age") && text.contains("accounts.json"),
        "{text}"
    );
}

#[test]
fn an_export_is_an_accounts_file() {
    let folder = folder();
    let store = store(&folder);
    store.add("a", &gmail()).expect("added");
    store.add("b", &gmail()).expect("added");
    let exported = store.export(&["b"]).expect("there");
    let expected = json!([{
        "label": "b", "type": "smtp-auth-and-properties", "preset": "gmail", "username": "me@gmail.com",
        "password": "PLANTED-password",
    }]);
    assert_eq!(
        serde_json::from_str::<Value>(exported.expose()).expect("JSON"),
        expected
    );
    assert_eq!(
        serde_json::from_str::<Vec<Value>>(store.export(&[]).expect("all").expose())
            .expect("JSON")
            .len(),
        2
    );
    assert!(store.export(&["c"]).is_err());
}

#[test]
fn odd_characters_survive() {
    let folder = folder();
    let store = store(&folder);
    let odd = "q\"b\\s/\u{1}\u{7f}\n\r\t\u{2028}ü𝄞$${x";
    let mut changes = gmail();
    changes[3] = Change::set("password", secret(odd));
    store.add("gmail", &changes).expect("added");
    let exported: Value = serde_json::from_str(store.export(&[]).expect("all").expose()).expect("JSON");
    assert_eq!(exported[0]["password"], odd);
}

#[test]
fn every_secret_is_hidden_when_shown() {
    let folder = folder();
    let store = store(&folder);
    let file = folder.path().join("accounts.json");
    let oauth = json!({
        "label": "o", "type": "oauth-2", "provider": "google", "username": "me@gmail.com", "client_id": "id",
        "CLIENT-SECRET": "PLANTED-1", "refresh_token": "PLANTED-2",
        "environments": {"test": {"refresh_token": "PLANTED-3"}, "prod": "{\"Refresh-Token\": \"PLANTED-4\"}"},
    });
    let key =
        json!({"label": "k", "type": "google-key", "subject": "me@gmail.com", "key": {"private_key": "PLANTED-5"}});
    let postmark = json!({
        "label": "p", "type": "smtp-auth-and-properties", "preset": "postmark", "username": "PLANTED-6",
        "password": "PLANTED-6",
    });
    let token = json!({
        "label": "t", "type": "smtp-auth-and-properties", "host": "smtp.example.com", "username": "PLANTED-7",
        "password": "PLANTED-7",
    });
    let certificate = json!({
        "label": "c", "type": "smtp-auth-and-properties", "host": "smtp.example.com",
        "client_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "client-key": "-----BEGIN PRIVATE KEY-----\nPLANTED-8\n-----END PRIVATE KEY-----",
    });
    write(&file, &json!([oauth, key, postmark, token, certificate]));
    store.add_file(&file, None).expect("added");
    for label in labels(&store) {
        let shown = store.show(&label).expect("there").to_string();
        assert!(!shown.contains("PLANTED") && shown.contains("***"), "{shown}");
    }
}

#[test]
fn certificates_are_taken_in_with_their_paths() {
    let folder = folder();
    let allowed = allow(&["relay"], folder.path(), &[]);
    let store = store(&folder).with_references(&allowed);
    let file = folder.path().join("accounts.json");
    let key = "-----BEGIN PRIVATE KEY-----\nPLANTED\n-----END PRIVATE KEY-----";
    write(
        &file,
        &json!({
            "label": "relay", "type": "smtp-auth-and-properties", "host": "smtp.example.com",
            "client_certificate": "client.pem", "client_key": key,
            "environments": {"test": {"client_key": "test.key"}, "prod": {}},
        }),
    );
    store.add_file(&file, None).expect("added");
    let shown = store.show("relay").expect("there");
    let rooted = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(shown["client_certificate"], rooted("client.pem"));
    assert_eq!(shown["client_key"], "***");
    assert_eq!(shown["environments"]["test"]["client_key"], "***");
    let kept = exported(&store, "relay");
    assert_eq!(kept["environments"]["test"]["client_key"], rooted("test.key"));
    for (value, is_secret) in [(key, true), ("client.key", false), ("${file:client.key}", false)] {
        let change = Change::set("client_key", secret(value));
        assert_eq!(change.is_secret_in_clear(), is_secret, "{value}");
    }
}

#[test]
fn a_wrong_key_changes_nothing() {
    let (folder, other) = (folder(), folder());
    store(&folder).add("gmail", &gmail()).expect("added");
    let before = std::fs::read(store_path(&folder)).expect("readable");
    let key = StoreKey::create_key_file(&other.path().join("key.txt")).expect("a key");
    let wrong = Store::new(store_path(&folder), key);
    let error = wrong.add("other", &gmail()).expect_err("closed");
    assert_eq!(error[0].kind(), ErrorKind::Store);
    assert!(
        error.to_string().contains("this key does not open the store"),
        "{error}"
    );

    let typed = Store::new(store_path(&folder), StoreKey::passphrase(&secret("x")));
    let error = typed.list().expect_err("closed").to_string();
    assert!(
        error.contains("closed with a key, and a passphrase was given"),
        "{error}"
    );
    assert_eq!(std::fs::read(store_path(&folder)).expect("readable"), before);
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let folder = folder();
    let path = folder.path().join("passphrase");
    std::fs::write(&path, "correct horse\n").expect("written");
    make_private(&path);
    let key = || StoreKey::from_passphrase_file(&path).expect("a passphrase");
    Store::new(store_path(&folder), key())
        .add("gmail", &gmail())
        .expect("added");
    assert_eq!(
        labels(&Store::new(
            store_path(&folder),
            StoreKey::passphrase(&secret("correct horse"))
        )),
        ["gmail"]
    );

    let wrong = Store::new(store_path(&folder), StoreKey::passphrase(&secret("correct house")));
    let error = wrong.remove("gmail").expect_err("closed").to_string();
    assert!(error.contains("the passphrase is wrong"), "{error}");
    let error = store(&folder).list().expect_err("closed").to_string();
    assert!(
        error.contains("closed with a passphrase, and a key was given"),
        "{error}"
    );
    assert_eq!(labels(&Store::new(store_path(&folder), key())), ["gmail"]);
}

#[test]
fn a_damaged_file_says_so_and_stays() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let whole = std::fs::read(store_path(&folder)).expect("readable");
    let cuts = (0..whole.len()).step_by(7).map(|length| whole[..length].to_vec());
    let flips = (0..whole.len()).step_by(5).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    for bytes in cuts.chain(flips).chain([b"not a store".to_vec()]) {
        std::fs::write(store_path(&folder), &bytes).expect("written");
        let error = store.add("other", &gmail()).expect_err("damaged");
        assert_eq!(error[0].kind(), ErrorKind::Store, "{error}");
        assert_eq!(std::fs::read(store_path(&folder)).expect("readable"), bytes, "{error}");
    }
    std::fs::write(store_path(&folder), &whole).expect("written");
    assert_eq!(labels(&store), ["gmail"]);
}

#[test]
fn a_newer_store_is_refused() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let identity: age::x25519::Identity = std::fs::read_to_string(folder.path().join("key.txt"))
        .expect("readable")
        .trim()
        .parse()
        .expect("an identity");
    for (document, expected) in [
        (json!({"version": 2, "accounts": []}), "use a newer pipepost"),
        (json!({"accounts": []}), "damaged"),
        (json!({"version": 1, "accounts": [1]}), "damaged"),
        (json!([]), "damaged"),
    ] {
        let sealed = age::encrypt(&identity.to_public(), document.to_string().as_bytes()).expect("sealed");
        std::fs::write(store_path(&folder), sealed).expect("written");
        let error = store.list().expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

struct Ring(&'static str);

impl Keyring for Ring {
    fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        match self.0 {
            "locked" => Err("it is locked; unlock it.".to_owned()),
            entry => Ok((name == "store").then(|| secret(entry))),
        }
    }
}

#[test]
fn the_keyring_holds_a_passphrase_or_a_key() {
    const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let from = |ring: &Ring, name| StoreKey::from_keyring(ring, name).map(|key| format!("{key:?}"));
    assert_eq!(
        from(&Ring("correct horse"), "store").as_deref(),
        Ok("StoreKey(passphrase)")
    );
    assert_eq!(from(&Ring(IDENTITY), "store").as_deref(), Ok("StoreKey(identity)"));
    for (ring, name, expected) in [
        (Ring("x"), "other", "no entry other"),
        (Ring("locked"), "store", "unlock it"),
    ] {
        let error = from(&ring, name).expect_err("no key").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_key_file_is_never_overwritten() {
    let folder = folder();
    let path = folder.path().join("key.txt");
    StoreKey::create_key_file(&path).expect("made");
    let before = std::fs::read(&path).expect("readable");
    assert!(StoreKey::create_key_file(&path).is_err());
    assert_eq!(std::fs::read(&path).expect("readable"), before);
}

#[test]
fn a_key_file_without_a_key_is_named() {
    let folder = folder();
    let path = folder.path().join("key.txt");
    for text in ["", "# a comment\n", "PLANTED\n"] {
        std::fs::write(&path, text).expect("written");
        make_private(&path);
        let error = StoreKey::from_key_file(&path).expect_err("no key").to_string();
        assert!(
            error.contains("holds no age key") && !error.contains("PLANTED"),
            "{error}"
        );
    }
    std::fs::write(&path, "").expect("written");
    assert!(
        StoreKey::from_passphrase_file(&path)
            .expect_err("empty")
            .to_string()
            .contains("is empty")
    );
    assert!(StoreKey::from_key_file(&folder.path().join("none")).is_err());
}

#[cfg(unix)]
fn make_private(path: &Path) {
    set_mode(path, 0o600);
}

#[cfg(not(unix))]
fn make_private(_path: &Path) {}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

#[cfg(unix)]
#[test]
fn files_that_others_can_read_are_refused() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let key = folder.path().join("key.txt");
    for mode in [0o640, 0o604, 0o620] {
        set_mode(&key, mode);
        let error = StoreKey::from_key_file(&key).expect_err("open").to_string();
        assert!(
            error.contains("chmod 600") && error.contains(&format!("{mode:04o}")),
            "{error}"
        );
        assert!(StoreKey::from_passphrase_file(&key).is_err());
    }
    set_mode(&key, 0o400);
    assert!(StoreKey::from_key_file(&key).is_ok());
    set_mode(&store_path(&folder), 0o644);
    assert!(store.list().expect_err("open").to_string().contains("chmod 600"));
}

#[cfg(unix)]
#[test]
fn what_is_written_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    store(&folder).add("gmail", &gmail()).expect("added");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&store_path(&folder)), 0o600);
    assert_eq!(mode(&folder.path().join("key.txt")), 0o600);
    assert_eq!(mode(&folder.path().join("pipepost")), 0o700);
}

/// What is stored of an account, in clear.
fn exported(store: &Store, label: &str) -> Value {
    let text = store.export(&[label]).expect("exported");
    let all: Value = serde_json::from_str(text.expose()).expect("JSON");
    all[0].clone()
}

#[test]
fn an_account_that_was_shown_is_changed_and_put_back_with_its_secret() {
    let folder = folder();
    let store = store(&folder);
    store.add("gmail", &gmail()).expect("added");
    let mut shown = store.show("gmail").expect("shown");
    assert_eq!(shown["password"], "***");
    shown["from_name"] = "Shop".into();
    assert!(!store.put("gmail", &shown.to_string()).expect("put"));
    let kept = exported(&store, "gmail");
    assert_eq!(
        (&kept["password"], &kept["from_name"]),
        (&json!("PLANTED-password"), &json!("Shop"))
    );
    shown["password"] = "a${new}one".into();
    assert!(!store.put("gmail", &shown.to_string()).expect("put"));
    let accounts = Accounts::load_with_store([""; 0], &store, &Environment::process()).expect("loaded");
    let account = accounts.get("gmail").expect("there");
    let credentials = account.credentials("smtp.gmail.com").expect("resolved").expect("some");
    assert!(!format!("{credentials:?}").contains("a${new}one"));
    assert_eq!(exported(&store, "gmail")["password"], "a$${new}one");
}

#[test]
fn a_new_account_is_put_and_a_field_that_is_left_out_is_gone() {
    let folder = folder();
    let store = store(&folder);
    let account = json!({
        "type": "smtp-auth-and-properties", "host": "mail.example.com", "port": 587, "starttls_enable": true,
        "username": "me", "password": "PLANTED-password", "limits": {"messages_per_day": 10},
    });
    assert!(store.put("shop", &account.to_string()).expect("put"));
    assert_eq!(exported(&store, "shop")["limits"]["messages_per_day"], 10);
    let less = json!({
        "label": "shop", "type": "smtp-auth-and-properties", "host": "mail.example.com", "port": 587,
        "starttls_enable": true, "username": "me", "password": "***",
    });
    assert!(!store.put("shop", &less.to_string()).expect("put"));
    assert_eq!(exported(&store, "shop").get("limits"), None);
}

#[test]
fn who_puts_an_account_reads_no_file_and_no_variable() {
    let folder = folder();
    let store = store(&folder).with_references(&allow(&["gmail"], folder.path(), &["PIPEPOST_TEST_NOWHERE"]));
    for (field, value, told) in [
        ("password", "${file:/etc/passwd}", "reference"),
        ("password", "x${env:HOME}", "reference"),
        ("username", "${keyring:x}", "reference"),
        ("ca_file", "/etc/ssl/cert.pem", "file of this machine"),
        ("client_key", "/etc/ssl/private/key.pem", "file of this machine"),
        ("client_certificate", "cert.pem", "file of this machine"),
        (
            "environments",
            r#"{"prod": "{\"client_key\": \"/etc/ssl/private/key.pem\"}"}"#,
            "file of this machine",
        ),
        (
            "environments",
            r#"{"prod": {"ca_file": "/etc/ssl/cert.pem"}}"#,
            "file of this machine",
        ),
        ("password", "***", "none is stored"),
        ("label", "other", "another account"),
        (
            "environments",
            r#"{"prod": {"password": "${file:/etc/passwd}"}}"#,
            "reference",
        ),
    ] {
        let mut account = json!({
            "type": "smtp-auth-and-properties", "host": "mail.example.com", "port": 587, "starttls_enable": true,
            "username": "me", "password": "x",
        });
        account[field] = value.into();
        let errors = store.put("shop", &account.to_string()).expect_err(value);
        assert!(errors.to_string().contains(told), "{field}: {errors}");
    }
    assert!(store.put("shop", "[]").is_err());
    assert_eq!(labels(&store), [""; 0]);
    // What the operator wrote stays.
    let store = self::store(&folder).with_references(&allow(&["gmail"], folder.path(), &["PIPEPOST_TEST_NOWHERE"]));
    store
        .add(
            "gmail",
            &[
                Change::set("type", secret("smtp-auth-and-properties")),
                Change::set("preset", secret("gmail")),
                Change::set("username", secret("me@gmail.com")),
                Change::set("password", secret("${env:PIPEPOST_TEST_NOWHERE}")),
            ],
        )
        .expect("added");
    let shown = store.show("gmail").expect("shown");
    assert!(!store.put("gmail", &shown.to_string()).expect("put"));
    assert_eq!(exported(&store, "gmail")["password"], "${env:PIPEPOST_TEST_NOWHERE}");
}
