//! The new-plugin command: a connector that builds, runs and is tested, to begin from.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use toml_edit::{DocumentMut, Item};

use crate::run::root;

const MANIFEST: &str = include_str!("new_plugin/Cargo.toml.template");
const SOURCE: &str = include_str!("new_plugin/lib.rs.template");

/// Makes `plugins/NAME` and enters it in the plugins' workspace.
pub(crate) fn create(arguments: &[String]) -> Result<()> {
    let [name] = arguments else {
        bail!("`cargo xtask new-plugin NAME` takes one name, such as `hello`");
    };
    create_in(&root(), name)?;
    println!("plugins/{name} is made: what it does is in plugins/{name}/src/lib.rs.");
    println!(
        "Test it with `cargo test --manifest-path plugins/{name}/Cargo.toml`, build it with `cargo xtask plugins`."
    );
    println!("docs/connectors.md goes on from here.");
    Ok(())
}

fn create_in(root: &Path, name: &str) -> Result<()> {
    check_form(name)?;
    check_free(root, name)?;
    let workspace = root.join("plugins/Cargo.toml");
    let entered = enter(&read(&workspace)?, name).with_context(|| format!("`{}`", workspace.display()))?;

    let folder = root.join("plugins").join(name);
    fs::create_dir_all(folder.join("src")).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    write(&folder.join("Cargo.toml"), &MANIFEST.replace("{{name}}", name))?;
    write(&folder.join("src/lib.rs"), &SOURCE.replace("{{name}}", name))?;
    // Last, so that a failure before it leaves a workspace that still builds.
    write(&workspace, &entered)
}

/// What serves as a folder, a package, a file and a step's name alike.
fn check_form(name: &str) -> Result<()> {
    let words: Vec<&str> = name.split('-').collect();
    let is_word = |word: &&str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if name.len() > 40 || !words.iter().all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        bail!(
            "`{}` cannot be a connector's name: take up to 40 lower-case letters and digits in words with `-` between \
             them, a letter first, such as `json-to-csv`",
            name.escape_debug()
        );
    }
    Ok(())
}

fn check_free(root: &Path, name: &str) -> Result<()> {
    if root.join("plugins").join(name).exists() {
        bail!("the name `{name}` is taken: plugins/{name} is there already");
    }
    // The plugins' packages and these share one family of names, and one lock file.
    if root.join("crates").join(name).exists() || matches!(name, "tests" | "target") {
        bail!("the name `{name}` is taken: the repository has a part of that name");
    }
    match holder_of_alias(&root.join("plugins"), name)? {
        Some(holder) => bail!("the name `{name}` is taken: plugins/{holder} goes by it too"),
        None => Ok(()),
    }
}

/// The plugin whose sources list this name among its aliases.
fn holder_of_alias(plugins: &Path, name: &str) -> Result<Option<String>> {
    let quoted = format!("\"{name}\"");
    for plugin in fs::read_dir(plugins).with_context(|| format!("`{}` cannot be read", plugins.display()))? {
        let plugin = plugin?;
        let Ok(sources) = fs::read_dir(plugin.path().join("src")) else {
            continue;
        };
        for source in sources {
            let text = fs::read_to_string(source?.path()).unwrap_or_default();
            let mut aliases = text.lines().filter(|line| line.to_lowercase().contains("aliases"));
            if aliases.any(|line| line.contains(&quoted)) {
                return Ok(Some(plugin.file_name().to_string_lossy().into_owned()));
            }
        }
    }
    Ok(None)
}

/// The workspace's manifest with the plugin among its members, and everything else as it was written.
fn enter(manifest: &str, name: &str) -> Result<String> {
    let mut document: DocumentMut = manifest.parse()?;
    let members = document
        .get_mut("workspace")
        .and_then(|workspace| workspace.get_mut("members"))
        .and_then(Item::as_array_mut)
        .ok_or_else(|| anyhow!("it lists no members"))?;
    // Connectors come first, in alphabetical order; what they are made with, outside the folder, comes after them.
    let place = members
        .iter()
        .position(|member| {
            member
                .as_str()
                .is_none_or(|other| other.starts_with("..") || other > name)
        })
        .unwrap_or(members.len());
    members.insert(place, name);
    members.fmt();
    Ok(document.to_string())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "# What becomes a component.\n[workspace]\nresolver = \"3\"\n\
        members = [\"email-v2\", \"../crates/sdk\"]\n\n[profile.release]\nlto = \"fat\" # smaller\n";

    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for folder in ["plugins/email-v2/src", "crates/smtp", "crates/sdk"] {
            fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        fs::write(root.path().join("plugins/Cargo.toml"), WORKSPACE).expect("a file");
        let source = "const ALIASES: &'static [&'static str] = &[\"mailer\"];";
        fs::write(root.path().join("plugins/email-v2/src/lib.rs"), source).expect("a file");
        root
    }

    #[test]
    fn a_plugin_is_a_package_and_a_member() {
        let root = repository();
        create_in(root.path(), "hello").expect("made");
        create_in(root.path(), "a1-b2").expect("made");
        let read = |path: &str| fs::read_to_string(root.path().join(path)).expect(path);
        let members = "members = [\"a1-b2\", \"email-v2\", \"hello\", \"../crates/sdk\"]";
        let expected = WORKSPACE.replace("members = [\"email-v2\", \"../crates/sdk\"]", members);
        assert_eq!(read("plugins/Cargo.toml"), expected);
        assert!(read("plugins/hello/Cargo.toml").contains("name = \"pipepost-hello\""));
        let source = read("plugins/hello/src/lib.rs");
        assert!(source.contains("const NAME: &'static str = \"hello\";") && !source.contains("{{name}}"));
    }

    #[test]
    fn bad_names_and_taken_ones_are_refused_and_change_nothing() {
        let root = repository();
        let long = "x".repeat(41);
        for (name, why) in [
            ("", "cannot be"),
            ("Hello", "cannot be"),
            ("1st", "cannot be"),
            ("-a", "cannot be"),
            ("a-", "cannot be"),
            ("a--b", "cannot be"),
            ("a_b", "cannot be"),
            ("../a", "cannot be"),
            ("olá", "cannot be"),
            (&long, "cannot be"),
            ("email-v2", "is there already"),
            ("smtp", "a part of that name"),
            ("sdk", "a part of that name"),
            ("target", "a part of that name"),
            ("mailer", "plugins/email-v2 goes by it too"),
        ] {
            let error = create_in(root.path(), name).expect_err(name).to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{name}: {error}");
        }
        let manifest = fs::read_to_string(root.path().join("plugins/Cargo.toml")).expect("there");
        assert_eq!(manifest, WORKSPACE);
        assert_eq!(fs::read_dir(root.path().join("plugins")).expect("there").count(), 2);
    }
}
