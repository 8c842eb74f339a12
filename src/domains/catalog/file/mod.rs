//! The format of a catalogue file: TOML, strict, with a version of its own.
//!
//! `format = 1`. A file may say `extends = "<preset>"`: then it begins with that preset, and a plan, model or feature of
//! its own takes the place of one of the same key, a single value of `[ceilings]` and `[rates]` that of the single value.

mod checks;
mod limits;
mod models;
mod plans;
mod values;

use std::fmt;

use super::{
    content::{CatalogContent, FeatureContent},
    limits::{Ceilings, Rates},
    presets::Preset,
};
use crate::config::{
    Fault,
    document::{Document, Reader, Refusal, Section, whole_in},
};
use values::{credits, filled_up_to, is_key, or_unlimited};

const FORMAT: &str = "1";
const ADVICE: &str = "`loquent catalog show --preset default` is a catalogue with its comments";
/// Of each kind; far above any real catalogue.
const MOST: usize = 1_000;

/// Where a catalogue comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For people, such as the name of a file.
    pub name: String,
    /// As it was written.
    pub text: String,
}

impl Source {
    pub fn of_preset(preset: Preset) -> Self {
        Self { name: preset.origin(), text: preset.text().to_owned() }
    }
}

/// Every fault of a catalogue; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFaults(pub Vec<Fault>);

impl fmt::Display for FileFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "the catalogue has a fault, and nothing was changed:")?,
            count => writeln!(f, "the catalogue has {count} faults, and nothing was changed:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for FileFaults {}

/// Reads a catalogue; `name` is for messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(name: &str, text: &str) -> Result<CatalogContent, FileFaults> {
    let parse = |name: &str, text| Document::parse(name, text).map_err(|faults| FileFaults(faults.0));
    let own = parse(name, text)?;
    let document = match own.text("extends").and_then(Preset::find) {
        Some(preset) => own.over(parse(&preset.origin(), preset.text())?),
        None => own,
    };
    let names = Names {
        plans: document.names("plans"),
        models: document.names("models"),
        features: document.names("features"),
    };
    let mut reader = document.reader(ADVICE);
    let content = read_all(&mut reader, &names);
    checks::check(&mut reader, &names, &content);
    reader.finish().map_err(|faults| FileFaults(faults.0))?;
    Ok(content)
}

/// What the file names, in its order; also what is refused for another reason.
struct Names {
    plans: Vec<String>,
    models: Vec<String>,
    features: Vec<String>,
}

fn read_all(reader: &mut Reader, names: &Names) -> CatalogContent {
    let mut top = reader.section(&[]);
    let missing = Refusal::new("is missing", "begin the file with: format = 1");
    top.required("format", missing, |text| match text {
        FORMAT => Ok(()),
        _ => Err(Refusal::new("is not a format that this version reads", "set it to 1")),
    });
    top.parsed("extends", |text| {
        let presets = Preset::ALL.map(Preset::name).join(", ");
        let fix = || Refusal::new("names no preset", format!("set it to one of: {presets}"));
        Preset::find(text).ok_or_else(fix)
    });
    let missing = Refusal::new("is missing: somebody who joins needs a plan", "set it to the key of a plan");
    let default_plan = top.required("default_plan", missing, filled_up_to(64)).unwrap_or_default();
    let ceilings = read_ceilings(&mut reader.section(&["ceilings"]));
    let rates = read_rates(&mut reader.section(&["rates"]));
    let features = of_each(&mut reader.section(&["features"]), &names.features, |section, key| {
        Some((key.to_owned(), read_feature(section)?))
    });
    let models = of_each(&mut reader.section(&["models"]), &names.models, |section, key| {
        Some((key.to_owned(), models::read_model(section, key)?))
    });
    let plans = of_each(&mut reader.section(&["plans"]), &names.plans, |section, key| {
        Some((key.to_owned(), plans::read_plan(section, names)?))
    });
    CatalogContent {
        default_plan,
        plans,
        features: features.into_iter().collect(),
        models: models.into_iter().collect(),
        ceilings,
        rates,
    }
}

/// Reads the named sections in their order; one that is refused is left out.
fn of_each<T>(
    section: &mut Section<'_>,
    names: &[String],
    mut read: impl FnMut(&mut Section<'_>, &str) -> Option<T>,
) -> Vec<T> {
    // Makes an empty section known.
    section.children();
    if names.len() > MOST {
        section.refuse("", Refusal::new("are too many", format!("keep at most {MOST}")));
        return Vec::new();
    }
    let mut all = Vec::new();
    for name in names {
        if !is_key(name) {
            let fix = "use 1 to 100 of: a to z, 0 to 9, and - _ . : / @, beginning with a letter or digit";
            section.refuse(name, Refusal::new("is not a plain key", fix));
        }
        all.extend(read(&mut section.section(name), name));
    }
    all
}

fn read_feature(section: &mut Section<'_>) -> Option<FeatureContent> {
    let name = section.required("name", Refusal::new("is missing", "name it for people"), filled_up_to(100));
    let credits = section.parsed("credits", credits);
    Some(FeatureContent { name: name?, credits })
}

fn read_ceilings(section: &mut Section<'_>) -> Ceilings {
    let built_in = Ceilings::default();
    let tokens = || or_unlimited(whole_in(1..=100_000_000));
    let a_day = || or_unlimited(credits);
    Ceilings {
        input_tokens: section.parsed("input_tokens", tokens()).unwrap_or(built_in.input_tokens),
        output_tokens: section.parsed("output_tokens", tokens()).unwrap_or(built_in.output_tokens),
        parallel: section.parsed("parallel", or_unlimited(whole_in(1..=10_000))).unwrap_or(built_in.parallel),
        account_credits_a_day: section
            .parsed("account_credits_a_day", a_day())
            .unwrap_or(built_in.account_credits_a_day),
        deployment_credits_a_day: section
            .parsed("deployment_credits_a_day", a_day())
            .unwrap_or(built_in.deployment_credits_a_day),
        alarm_percent: section.whole("alarm_percent", built_in.alarm_percent, 1..=100),
    }
}

fn read_rates(section: &mut Section<'_>) -> Rates {
    let built_in = Rates::default();
    Rates {
        requests_per_minute_by_address: section.whole(
            "requests_per_minute_by_address",
            built_in.requests_per_minute_by_address,
            1..=10_000,
        ),
        points_per_minute: section.whole("points_per_minute", built_in.points_per_minute, values::POINTS),
        anonymous_points_per_minute: section.whole(
            "anonymous_points_per_minute",
            built_in.anonymous_points_per_minute,
            values::POINTS,
        ),
    }
}
