//! What the sandbox itself costs: loading a component from the cache, making an instance, and crossing the boundary.
//!
//! It needs the built connectors (`cargo xtask plugins`), embedded as in the binary.

use std::sync::LazyLock;

use divan::Bencher;
use pipepost::engine::{Component, Engine, EngineOptions};

fn main() {
    divan::main();
}

struct Fixture {
    runtime: tokio::runtime::Runtime,
    engine: Engine,
    component: Component,
    bytes: &'static [u8],
    _cache: tempfile::TempDir,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let cache = tempfile::tempdir().expect("a folder for temporary files");
    let options = EngineOptions {
        cache: Some(cache.path().canonicalize().expect("a folder that is there")),
        ..EngineOptions::default()
    };
    let embedded = pipepost_embedded_connectors::embedded();
    let found = embedded.iter().find(|connector| connector.name == "email-v2");
    let bytes = found
        .expect("`cargo xtask plugins` builds the connectors, and PIPEPOST_CONNECTORS names them")
        .bytes;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = Engine::new(&options);
    let component = engine.load(bytes, None).expect("a connector of ours");
    Fixture {
        runtime,
        engine,
        component,
        bytes,
        _cache: cache,
    }
});

/// Compiled code comes from the cache on disk.
#[divan::bench]
fn load_a_connector_from_the_cache(bencher: Bencher) {
    let fixture = &*FIXTURE;
    bencher.bench(|| fixture.engine.load(fixture.bytes, None).expect("a connector of ours"));
}

/// A fresh instance, one call into it, and its answer of some kilobytes out of it.
#[divan::bench]
fn instantiate_and_describe(bencher: Bencher) {
    let fixture = &*FIXTURE;
    bencher.bench(|| {
        let described = fixture.runtime.block_on(fixture.engine.describe(&fixture.component));
        described.expect("it describes itself")
    });
}
