#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser;
use loquent::cli;
use mimalloc::MiMalloc;

// Sockets that have closed leave their memory to the next ones, and small allocations are cheaper: docs/decisions.md 51.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(&cli::args::Cli::parse())
}
