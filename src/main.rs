#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser;
use loquent::cli;

fn main() -> ExitCode {
    cli::run(&cli::args::Cli::parse())
}
