//! The words of `loquent catalog`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::domains::catalog::Preset;

/// What to do with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Catalog {
    /// Take a catalogue over and show what changes; who has a plan keeps its version until renewal
    Apply {
        #[command(flatten)]
        offer: Offer,
        /// Show what would change, and write nothing
        #[arg(long = "dry-run")]
        is_dry_run: bool,
    },
    /// Write the catalogue in force to standard output, as it was applied
    Show {
        /// That of a preset instead
        #[arg(long, value_name = "NAME", value_parser = preset)]
        preset: Option<Preset>,
    },
    /// List the versions of the catalogue, newest first
    History {
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

/// Where a catalogue comes from.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct Offer {
    /// TOML file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A catalogue that comes with the program
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub preset: Option<Preset>,
}

fn preset(text: &str) -> Result<Preset, String> {
    let presets = Preset::ALL.map(Preset::name).join(", ");
    Preset::find(text).ok_or_else(|| format!("the presets are {presets}"))
}
