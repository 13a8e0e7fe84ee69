//! The Helm chart, by Helm itself, by the schemas of Kubernetes, and by the binary that its arguments are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipepost_tests::{Scratch, python, root, skip};
use serde_json::{Value, json};

use super::{account, inbox};

/// The versions of Kubernetes whose schemas the chart is held to: the oldest that it names, and a newer one.
const VERSIONS: [&str; 2] = ["1.25", "1.37"];

/// Helm's program, which the Python packages of the tests bring along.
fn helm() -> Option<PathBuf> {
    let helm = root().join("target/peers/bin/helm");
    if !helm.exists() {
        skip("Helm is not here (`.ci/run` installs it into target/peers)");
        return None;
    }
    Some(helm)
}

fn chart() -> PathBuf {
    root().join("examples/operating/helm/pipepost")
}

/// Runs Helm over the chart with all values set, and returns whether it succeeded and what it said.
fn run(helm: &Path, command: &[&str], more: &[&str]) -> (bool, String) {
    // Nothing of the user's own, and nothing kept.
    let home = Scratch::new();
    let output = Command::new(helm)
        .args(command)
        .arg(chart())
        .args(more)
        .env("HELM_CONFIG_HOME", home.folder())
        .env("HELM_CACHE_HOME", home.folder())
        .env("HELM_DATA_HOME", home.folder())
        .output()
        .expect("Helm starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), said)
}

fn values() -> String {
    chart().join("ci/all-values.yaml").display().to_string()
}

fn rendered(helm: &Path) -> String {
    let (is_well, rendered) = run(helm, &["template", "mail"], &["--values", &values()]);
    assert!(is_well, "{rendered}");
    rendered
}

/// The rendered objects, read by Python.
fn objects(rendered: &str) -> Vec<Value> {
    let scratch = Scratch::new();
    let file = scratch.write("rendered.yaml", rendered);
    let python = python::with("yaml").expect("Helm's packages bring it");
    let read = "import json, sys, yaml; print(json.dumps([o for o in yaml.safe_load_all(open(sys.argv[1])) if o]))";
    let output = Command::new(python).args(["-c", read]).arg(file).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn of_kind<'o>(objects: &'o [Value], kind: &'o str) -> impl Iterator<Item = &'o Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

#[test]
fn helm_and_the_schemas_of_kubernetes_accept_the_chart() {
    let Some(helm) = helm() else { return };
    let (is_well, said) = run(&helm, &["lint", "--strict"], &["--values", &values()]);
    assert!(is_well, "{said}");

    let scratch = Scratch::new();
    let file = scratch.write("rendered.yaml", rendered(&helm));
    for version in VERSIONS {
        let validate = Command::new(helm.with_file_name("python3"))
            .arg(helm.with_file_name("kubernetes-validate"))
            .args(["--strict", "--kubernetes-version", version])
            .arg(&file)
            .output()
            .expect("the validator starts");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&validate.stdout),
            String::from_utf8_lossy(&validate.stderr)
        );
        assert!(validate.status.success(), "{said}");
        // All but the monitor, whose kind is not one of Kubernetes' own.
        assert_eq!(said.matches(" passed for resource ").count(), 5, "{said}");
    }
}

#[test]
fn a_chart_without_what_it_needs_says_what_to_set() {
    let Some(helm) = helm() else { return };
    let values = values();
    for (unset, says) in [
        ("image.repository=", "Set `image.repository`"),
        ("accountsSecret=", "Set `accountsSecret`"),
        ("tokensSecret=", "Set `tokensSecret`"),
        ("postgres.secret=", "Set `postgres.secret`"),
        ("postgres.hosts=", "Set `postgres.hosts`"),
        (
            "existingPipelines=mine",
            "Set `pipelines` or `existingPipelines`, not both",
        ),
        ("serviceMonitor.tokenSecret=", "Set `serviceMonitor.tokenSecret`"),
        ("replica=3", "replica"),
    ] {
        let (is_well, said) = run(&helm, &["template", "mail"], &["--values", &values, "--set", unset]);
        assert!(!is_well && said.contains(says), "{unset}: {said}");
    }
}

#[test]
fn the_binary_serves_with_the_arguments_of_the_chart() {
    let Some(helm) = helm() else { return };
    let scratch = Scratch::new();
    let inbox = inbox(&scratch);
    let objects = objects(&rendered(&helm));
    let deployment = of_kind(&objects, "Deployment").next().expect("a Deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];

    // The mounted folders, as the objects and Secrets fill them.
    for map in of_kind(&objects, "ConfigMap") {
        let folder = if map["data"]["policy.json"].is_string() {
            "policy"
        } else {
            "pipelines"
        };
        for (name, text) in map["data"].as_object().expect("files") {
            scratch.write(&format!("{folder}/{name}"), text.as_str().expect("a text"));
        }
    }
    let mut account = account(&scratch);
    account["label"] = json!("mail");
    account["ca_file"] = json!(scratch.folder().join("caught/ca.pem"));
    scratch.write("accounts/accounts.json", account.to_string());
    scratch.write("tokens/tokens.json", "[]");
    fs::create_dir(scratch.folder().join("state")).expect("a folder");

    let mounted: Vec<&str> = container["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| mount["mountPath"].as_str().expect("a path"))
        .collect();
    let arguments: Vec<String> = container["args"]
        .as_array()
        .expect("arguments")
        .iter()
        .map(|argument| {
            let argument = argument.as_str().expect("a text");
            if argument.starts_with("postgres://") {
                return "state".to_owned();
            }
            if argument.starts_with("0.0.0.0:") {
                return "127.0.0.1:0".to_owned();
            }
            match mounted.iter().find(|path| argument.starts_with(**path)) {
                Some(_) => argument.trim_start_matches('/').to_owned(),
                None => argument.to_owned(),
            }
        })
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let served = scratch.start(&arguments);
    served.says("ready     1 pipelines of pipelines");
    served.interrupt().with_code(0);
    inbox.interrupt().with_code(0);
}
