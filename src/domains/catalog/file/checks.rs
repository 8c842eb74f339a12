//! What names what: plans the features and models they include, the catalogue its default plan.

use std::collections::{BTreeMap, BTreeSet};

use super::{Names, values::list};
use crate::{
    config::document::{Reader, Refusal},
    domains::catalog::{
        content::{CatalogContent, ModelContent},
        limits::Meter,
        plan::is_match,
        prices::{PriceList, PriceUnit},
    },
    providers::echo::Echo,
};

/// Names that stand for nothing are refused. What is there and refused for another reason is not refused twice.
pub(super) fn check(reader: &mut Reader, names: &Names, content: &CatalogContent) {
    let default_plan = &content.default_plan;
    if !default_plan.is_empty() && !names.plans.contains(default_plan) {
        let refusal = Refusal::new("names no plan", known(&names.plans));
        reader.section(&[]).refuse("default_plan", refusal);
    }
    if names.models.iter().any(|model| model == Echo::KEY) {
        let refusal = Refusal::new("is built in", "give this model another key");
        reader.section(&["models"]).refuse(Echo::KEY, refusal);
    }
    refuse_shared_names(reader, names, content);
    refuse_unknown_costs(reader, content);
}

/// Where the cost is counted, it must be known of every model that the plan includes: what is not known counts nothing.
fn refuse_unknown_costs(reader: &mut Reader, content: &CatalogContent) {
    let is_known = |model: &ModelContent| {
        let costs = [PriceUnit::InputToken, PriceUnit::OutputToken];
        let has = |list: &PriceList, unit| list.units.get(unit).is_some_and(|price| price.cost.is_some());
        model.prices.iter().all(|list| costs.iter().all(|unit| has(list, unit)))
    };
    for (key, plan) in &content.plans {
        if !plan.limits.iter().any(|limit| limit.meter == Meter::Cost) {
            continue;
        }
        let includes = |model: &str| plan.models.iter().any(|pattern| is_match(pattern, model));
        for (model, _) in content.models.iter().filter(|(name, model)| includes(name) && !is_known(model)) {
            let why = format!("counts the cost, and that of the model {model:?} is not known");
            let fix = format!("set cost_input_usd and cost_output_usd of {model:?}");
            reader.section(&["plans", key]).refuse("limits", Refusal::new(why, fix));
        }
    }
}

/// Keys of models and their beginnings, each of which means a model.
pub(super) fn models_of(names: &Names) -> impl FnOnce(&str) -> Result<BTreeSet<String>, Refusal> {
    move |text| {
        let all = || names.models.iter().map(String::as_str).chain([Echo::KEY]);
        let known = all().map(str::to_owned).collect::<Vec<_>>();
        all_known(text, "model", &known, |pattern| all().any(|model| is_match(pattern, model)))
    }
}

/// Keys of features, each of which is one.
pub(super) fn features_of(names: &Names) -> impl FnOnce(&str) -> Result<BTreeSet<String>, Refusal> {
    move |text| {
        all_known(text, "feature", &names.features, |name| names.features.iter().any(|one| one == name))
    }
}

fn all_known(
    text: &str,
    what: &str,
    names: &[String],
    is_known: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, Refusal> {
    let listed: BTreeSet<String> = list(text)?;
    let strange: Vec<String> =
        listed.iter().filter(|name| !is_known(name)).map(|name| format!("{name:?}")).collect();
    match strange.as_slice() {
        [] => Ok(listed),
        [one] => Err(Refusal::new(format!("names {one}, which is no {what}"), known(names))),
        many => Err(Refusal::new(format!("names {}, which are no {what}s", many.join(", ")), known(names))),
    }
}

/// A client names a model by its key or an alias, so each leads to one model.
fn refuse_shared_names(reader: &mut Reader, names: &Names, content: &CatalogContent) {
    let keys: BTreeSet<&str> = names.models.iter().map(String::as_str).chain([Echo::KEY]).collect();
    let mut owners: BTreeMap<&str, &str> = keys.iter().map(|key| (*key, *key)).collect();
    for (key, model) in &content.models {
        for alias in &model.aliases {
            let owner = *owners.entry(alias).or_insert(key);
            if owner != key || alias == key {
                let why = format!("has {alias:?}, which is a name of the model {owner:?}");
                let refusal = Refusal::new(why, "give every model names of its own");
                reader.section(&["models", key]).refuse("aliases", refusal);
            }
        }
    }
}

fn known(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    match shown.as_slice() {
        [] => "there are none; add one, or remove this".to_owned(),
        shown => format!("there are: {}", shown.join(", ")),
    }
}
