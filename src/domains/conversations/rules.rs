//! What of a conversation and of a message is refused before anything is read.

use std::{collections::HashSet, sync::Arc};

use crate::{
    domains::catalog::{Catalog, Model},
    error::{AppError, Result},
};

const MAX_PARTS: usize = 20;
const MAX_PART_CHARS: usize = 100_000;
const MAX_TAGS: usize = 20;

/// A title of 1 to 200 characters without control characters, trimmed.
pub fn require_title(title: &str) -> Result<String> {
    let title = title.trim();
    if !(1..=200).contains(&title.chars().count()) || title.chars().any(char::is_control) {
        return Err(AppError::invalid("title", "A title has 1 to 200 characters on one line."));
    }
    Ok(title.to_owned())
}

/// Instructions of 1 to 100000 characters.
pub fn require_system_prompt(prompt: String) -> Result<String> {
    if !(1..=100_000).contains(&prompt.chars().count()) || prompt.contains('\0') {
        return Err(AppError::invalid(
            "systemPrompt",
            "A system prompt has 1 to 100000 characters, and none of them is NUL.",
        ));
    }
    Ok(prompt)
}

/// At most 20 labels of 1 to 40 characters on one line, trimmed, each once, in the order given.
pub fn require_tags(tags: Vec<String>) -> Result<Vec<String>> {
    if tags.len() > MAX_TAGS {
        return Err(AppError::invalid("tags", "A conversation has at most 20 labels."));
    }
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for (index, tag) in tags.iter().enumerate() {
        let tag = tag.trim();
        if !(1..=40).contains(&tag.chars().count()) || tag.chars().any(char::is_control) {
            let why = "A label has 1 to 40 characters on one line.";
            return Err(AppError::invalid(&format!("tags.{index}"), why));
        }
        if seen.insert(tag) {
            kept.push(tag.to_owned());
        }
    }
    Ok(kept)
}

/// The content of a message, at `path` in the input: 1 to 20 texts.
pub fn require_parts(path: &str, parts: &[String]) -> Result<()> {
    if !(1..=MAX_PARTS).contains(&parts.len()) {
        return Err(AppError::invalid(path, "A message has 1 to 20 parts."));
    }
    for (index, text) in parts.iter().enumerate() {
        if !(1..=MAX_PART_CHARS).contains(&text.chars().count()) || text.contains('\0') {
            return Err(AppError::invalid(
                &format!("{path}.{index}.text"),
                "A part has 1 to 100000 characters, and none of them is NUL.",
            ));
        }
    }
    if parts.iter().all(|text| text.trim().is_empty()) {
        return Err(AppError::invalid(path, "A message is more than white space."));
    }
    Ok(())
}

/// The model must be in the catalogue, with a price.
pub fn require_model(catalog: &Catalog, key: &str) -> Result<Arc<Model>> {
    catalog.find_model(key).ok_or_else(|| {
        let shown: String = key.chars().take(80).collect();
        let why = match catalog.unserved_provider(key) {
            Some(_) => format!("The model `{shown}` cannot be called at present."),
            None => format!("There is no model `{shown}`."),
        };
        AppError::invalid("model", why)
    })
}
