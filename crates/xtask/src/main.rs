//! Everything that has to be done with this repository: `cargo xtask help` lists it.
#![forbid(unsafe_code)]

mod bench;
mod bill;
mod dist;
mod fuzz;
mod mutations;
mod new_plugin;
mod plugins;
mod remap;
mod run;
mod supply;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS...]           build everything, and watch a pipeline send a message through the sandbox
  test [--filter TEXT]     formatting, lints, documentation, and every test; PIPEPOST_REQUIRE_PEERS=1 makes a missing
                           peer (Postfix, aiosmtpd) a failure
  bench [ARGS...]          measures against other clients, into docs/benchmarks.md; --help lists more, --pieces: small pieces alone
  soak [--minutes N]       the tests that take minutes: ten thousand messages and a hundred kills, a server killed fifty times,
                           a server at work; --minutes: that one alone, for so long
  chaos [--control]        twenty thousand messages, three workers on one PostgreSQL, and a hundred faults: many minutes;
                           the control claims without a fence, and must send messages twice
  build [--release]        the connectors, and the binary with the connectors in it
  plugins                  the connectors alone, into target/connectors
  new-plugin NAME          a connector to begin from, in plugins/NAME: docs/connectors.md goes on from there
  hostile                  the connectors that mean harm, for the tests of the sandbox, into target/hostile
  fuzz [SECONDS] [TARGET]  the fuzzers, a minute each unless said otherwise (nightly and cargo-fuzz)
  mutations [NAME...]      breaks a copy in each of the ways in tests/mutations, and expects a test to fail
  dist                     the release in target/dist: binary, checksums, licences, bill of materials
  sbom                     the bill of materials alone, into target/sbom (cargo-cyclonedx)
  deny                     licences, duplicates, sources and advisories of every workspace (cargo-deny)
  run ARGS...              the binary with ARGS, built first
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let (command, rest) = arguments
        .split_first()
        .map_or(("help", &[][..]), |(first, rest)| (first.as_str(), rest));
    match command {
        "demo" => {
            plugins::build()?;
            run::binary(false)?;
            run::execute("demo", rest)
        }
        "bench" => bench::bench(rest),
        "test" => test::all(rest),
        "soak" => test::soak(rest),
        "chaos" => test::chaos(rest),
        "build" => {
            let release = rest.iter().any(|argument| argument == "--release");
            plugins::build()?;
            let binary = run::binary(release)?;
            println!("{}", binary.display());
            Ok(())
        }
        "plugins" => plugins::build(),
        "new-plugin" => new_plugin::create(rest),
        "fuzz" => fuzz::run(rest),
        "mutations" => mutations::run(rest),
        "dist" => dist::build(rest),
        "sbom" => bill::alone(rest),
        "deny" if rest.is_empty() => supply::deny(),
        "hostile" => plugins::build_hostile(),
        "run" => {
            plugins::build()?;
            run::binary(false)?;
            let (first, rest) = rest
                .split_first()
                .map_or(("help", rest), |(first, rest)| (first.as_str(), rest));
            run::execute(first, rest)
        }
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command `{other}`; `cargo xtask help` lists them"),
    }
}
