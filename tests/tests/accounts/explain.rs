//! `pipepost explain`.

use pipepost_tests::{Scratch, root};

#[test]
fn a_pasted_reply_is_explained_with_its_link() {
    let ending = Scratch::new()
        .pipepost(&[
            "explain",
            "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted. k9-2 - gsmtp')",
        ])
        .with_code(0);
    for words in [
        "535 5.7.8 (Gmail)",
        "app password",
        "https://myaccount.google.com/apppasswords",
    ] {
        assert!(ending.stdout.contains(words), "`{words}` is not told\n{ending}");
    }
}

#[test]
fn a_reply_of_many_lines_comes_over_standard_input_too() {
    let reply = "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n\
                 550 5.4.5 sending limits go to  https://support.google.com/a/answer/166852 a12 - gsmtp\n";
    let machine = Scratch::new()
        .pipepost_with_input(&["explain", "--json", "-"], reply)
        .with_code(0)
        .json();
    assert_eq!(machine["kind"], "quota", "{machine:#}");
    assert_eq!(machine["wait"], 86_400, "{machine:#}");
    assert_eq!(machine["enhanced"], "5.4.5", "{machine:#}");
}

#[test]
fn what_is_no_failure_or_no_reply_is_told_so() {
    let fine = Scratch::new()
        .pipepost(&["explain", "250 2.0.0 OK 1700000000 a12 - gsmtp"])
        .with_code(0);
    assert!(fine.stdout.contains("no failure"), "{fine}");
    let none = Scratch::new().pipepost(&["explain", "it does not work"]).with_code(65);
    none.is_a_sentence("a text without a code");
    Scratch::new().pipepost(&["explain"]).with_code(64);
}

/// The table's own replies, each with what is expected of it.
#[test]
fn each_reply_of_the_table_is_explained_on_the_command_line() {
    let table = std::fs::read_to_string(root().join("crates/replies/tests/replies.txt")).expect("the table's replies");
    let scratch = Scratch::new();
    let mut explained = 0;
    for block in table.split("\n\n") {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
        };
        let reply: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("> ")).collect();
        // Where only the host or the place tells what is meant, pasted text is not enough.
        if reply.is_empty() || !field("host:").is_empty() {
            continue;
        }
        let ending = scratch.pipepost(&["explain", "--json", &reply.join("\n")]).with_code(0);
        let told = ending.json();
        if told["row"] == field("row:") {
            assert_eq!(told["kind"], field("kind:"), "{block}\n{ending}");
            for words in field("advice:").split(", ") {
                let said = format!("{} {}", told["cause"], told["cure"]);
                let quoted = serde_json::json!(words).to_string();
                assert!(said.contains(quoted.trim_matches('"')), "`{words}`: {block}\n{ending}");
            }
            explained += 1;
        }
    }
    assert!(explained > 90, "only {explained} replies were known as they stand");
}

/// A reply as a person pastes it, without its place in the dialogue: what the account's owner has to do, whatever the
/// codes say.
#[test]
fn matters_of_the_account_are_told_from_those_of_recipients() {
    let scratch = Scratch::new();
    for (reply, kind, words) in [
        (
            "550 Domain example.com has exceeded the max emails per hour (150/150 (100%)) allowed.  Message discarded.",
            "quota",
            "in an hour",
        ),
        (
            "550-Requested action not taken: mailbox unavailable\r\n550 Sender address is not allowed.",
            "configuration",
            "Set from",
        ),
        (
            "550 5.7.1 Unconfigured Sending Domain <example.com>",
            "configuration",
            "Verify the sender's",
        ),
        (
            "421 Domain mg.example.com is not allowed to send: Please activate your account.",
            "configuration",
            "activate",
        ),
        ("525 5.7.1 Unauthorized IP address", "configuration", "public address"),
        (
            "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)",
            "configuration",
            "mail.smtp.localhost",
        ),
        (
            "451 Authentication failed: Could not authenticate",
            "authentication",
            "username and password",
        ),
        (
            "550 5.1.1 <bob@sender.example>: user does not exist",
            "refused",
            "no mailbox",
        ),
    ] {
        let told = scratch.pipepost(&["explain", "--json", reply]).with_code(0).json();
        assert_eq!(told["kind"], kind, "{reply}: {told:#}");
        let advice = format!("{} {}", told["cause"], told["cure"]);
        assert!(advice.contains(words), "{reply}: `{words}` is not told: {advice}");
    }
}

/// Advice that cannot be followed is none: each setting that it names is one that an account takes.
#[test]
fn every_setting_that_advice_names_exists() {
    let schema = Scratch::new().pipepost(&["schema", "account"]).with_code(0).stdout;
    let mut named = 0;
    for row in pipepost_replies::rows() {
        let words = row.cure.split([' ', ',', ';']);
        let settings = words
            .map(|word| word.trim_end_matches('.').trim_start_matches("limits."))
            .filter(|word| word.contains('_') || word.starts_with("mail."));
        for setting in settings {
            let name = setting.trim_start_matches("mail.smtp.");
            assert!(
                schema.contains(name),
                "{}: no account takes `{setting}`: {}",
                row.id,
                row.cure
            );
            named += 1;
        }
    }
    assert!(named > 20, "only {named} settings were looked at");
}
