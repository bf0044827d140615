//! Real chitchat nodes, of several published versions side by side, for tests
//! that hold our own reading of the protocol against theirs.
//!
//! `oracle` says what a node makes of a message, `node` runs nodes, `bench`
//! measures the crate's decoder. The README shows each.

mod bench;
mod crash;
mod node;
mod oracle;
mod version;

use std::process::ExitCode;

use anyhow::bail;
use lexopt::Arg;

const USAGE: &str = "\
usage: chitchat-peer oracle --version V [--reencode]
       chitchat-peer node --version V --node-id ID --listen IP:PORT --cluster-id C [OPTION...]
       chitchat-peer node --json-config FILE [--exit-on-panic]
       chitchat-peer bench FILE [--runs N]

options of node: --protocol 0|1  --generation N  --advertise IP:PORT  --seed IP:PORT (repeated)
       --key K=V (repeated)  --interval MS  --grace MS  --dead-grace MS  --workload OPS_PER_SEC
       --phi-threshold PHI  --initial-interval MS  --max-interval MS  --sampling-window N
       --exit-on-panic
V is 0.5, 0.7, 0.9, 0.10, 0.11, 0.12 or 0.13.";

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: lexopt::Parser) -> anyhow::Result<()> {
    match arguments.next()? {
        Some(Arg::Value(program)) if program == "oracle" => oracle::main(arguments),
        Some(Arg::Value(program)) if program == "node" => node::main(arguments),
        Some(Arg::Value(program)) if program == "bench" => bench::main(arguments),
        Some(Arg::Short('h') | Arg::Long("help")) => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}
