//! Compiling a connector before it is needed, for the binary that it is built into.

use pipepost_core::Limits;

use crate::connector::{ConnectorError, Description, describe};
use crate::{Engine, EngineOptions, LoadError, config};

/// What is embedded of a connector that was compiled before.
#[derive(Debug)]
pub struct Artifact {
    /// The machine code, in wasmtime's own form.
    pub code: Vec<u8>,
    /// What the connector says of itself.
    pub description: Description,
}

/// Compiles a component for machines of the kind `target` (a triple such as `x86_64-unknown-linux-gnu`), with the settings
/// of every [`Engine`], and asks it what it is. Each processor of that kind can run the code.
///
/// # Errors
/// Fails when the component does not load, or this build of wasmtime cannot compile for the target.
pub async fn precompile(bytes: &[u8], name: &str, target: &str) -> Result<Artifact, ConnectorError> {
    let failed = |source| ConnectorError::Load {
        name: name.to_owned(),
        source,
    };
    let options = EngineOptions {
        limits: Limits {
            instances: 2,
            ..Limits::default()
        },
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options);
    let component = engine.load(bytes, None).map_err(failed)?;
    let description = describe(&engine, &component, name).await?;
    let code = compile(bytes, target).map_err(|error| failed(LoadError::Unfit(format!("{error:#}"))))?;
    Ok(Artifact { code, description })
}

fn compile(bytes: &[u8], target: &str) -> wasmtime::Result<Vec<u8>> {
    let mut config = config::of_code();
    config.target(target)?;
    wasmtime::Engine::new(&config)?.precompile_component(bytes)
}
