//! What names what: plans the features and models they include, the catalogue its default plan.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;
use crate::{
    config::document::{Reader, Refusal},
    domains::catalog::{content::CatalogContent, plan::is_match},
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
    for (key, plan) in &content.plans {
        let mut section = reader.section(&["plans", key]);
        for feature in plan.features.iter().filter(|feature| !names.features.contains(feature)) {
            let why = format!("names {feature:?}, which is no feature");
            section.refuse("features", Refusal::new(why, known(&names.features)));
        }
        let is_of_any = |pattern: &str| {
            names.models.iter().map(String::as_str).chain([Echo::KEY]).any(|model| is_match(pattern, model))
        };
        for pattern in plan.models.iter().filter(|pattern| !is_of_any(pattern)) {
            let why = format!("names {pattern:?}, which is no model");
            section.refuse("models", Refusal::new(why, known(&names.models)));
        }
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
