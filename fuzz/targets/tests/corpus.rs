//! Every target over its kept corpus, on any toolchain: each input as it is, cut short, and altered a little.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use pipepost_fuzz_targets::TARGETS;

/// How many altered forms of each input are tried.
const ALTERED: u64 = 200;
/// Past this an input is not altered, so that the test stays quick.
const LARGE: usize = 16 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_target_holds_over_its_corpus() {
    let mut broken = Vec::new();
    for (name, run) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        assert!(paths.len() >= 5, "{name} has a corpus of {}", paths.len());
        let mut altered = 0;
        for path in &paths {
            let input = fs::read(path).unwrap();
            if catch_unwind(|| run(&input)).is_err() {
                broken.push((path.clone(), String::from_utf8_lossy(&input).into_owned()));
            }
            for seed in 0..if input.len() > LARGE { 0 } else { ALTERED } {
                let bytes = alter(&input, seed);
                if catch_unwind(|| run(&bytes)).is_err() {
                    broken.push((path.clone(), String::from_utf8_lossy(&bytes).into_owned()));
                }
                altered += 1;
            }
        }
        // Past the capture of the test harness: how much was covered is to be seen.
        let line = format!("fuzz target {name}: {} inputs, {altered} altered\n", paths.len());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    assert!(
        broken.is_empty(),
        "{} inputs break their target: {broken:#?}",
        broken.len()
    );
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        fs::read_dir(fuzz().join(folder))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
            "{target}"
        );
    }
}

/// Small changes, the same for the same seed: bytes replaced, removed, doubled, and the end cut off.
fn alter(input: &[u8], seed: u64) -> Vec<u8> {
    const BYTES: &[u8] = b"\r\n\0 ~\"'\\<>(){}[]@.:;,-=09aZ\xff\xc3";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let mut bytes = input.to_vec();
    for _ in 0..=random(3) {
        let at = random(bytes.len());
        let byte = BYTES[random(BYTES.len())];
        match random(4) {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 => bytes.insert(at.min(bytes.len()), byte),
            2 => bytes.truncate(at),
            _ if !bytes.is_empty() => {
                let end = (at + random(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {}
        }
    }
    bytes
}
