//! The providers of this process by their keys. Built once at start; a call looks its provider up here.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use super::{
    error::SettingsError,
    observed::{Observed, Standing},
    types::ChatProvider,
};

/// Providers by key; cheap to clone, because clones share them.
#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<String, Arc<dyn ChatProvider>>,
    standings: BTreeMap<String, Standing>,
}

impl Registry {
    /// Adds a provider under its own key; its calls are counted from here on.
    ///
    /// # Errors
    /// [`SettingsError::Duplicate`] when another has this key.
    pub fn insert(&mut self, provider: Arc<dyn ChatProvider>) -> Result<(), SettingsError> {
        match self.providers.entry(provider.key().to_owned()) {
            Entry::Vacant(place) => {
                let standing = self.standings.entry(place.key().clone()).or_default();
                place.insert(Arc::new(Observed::new(provider, standing.clone())));
                Ok(())
            }
            Entry::Occupied(place) => Err(SettingsError::Duplicate { key: place.key().clone() }),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<dyn ChatProvider>> {
        self.providers.get(key)
    }

    /// How the last calls of each provider ended, in alphabetical order of their keys.
    pub fn standings(&self) -> impl Iterator<Item = (&str, &Standing)> {
        self.standings.iter().map(|(key, standing)| (key.as_str(), standing))
    }

    /// All keys in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::echo::{Echo, EchoSettings};

    #[test]
    fn a_key_belongs_to_one_provider() {
        let mut registry = Registry::default();
        registry.insert(Arc::new(Echo::new(EchoSettings::default()))).unwrap();
        let error = registry.insert(Arc::new(Echo::new(EchoSettings::default()))).unwrap_err();
        assert_eq!(error.to_string(), "provider echo is configured twice");
        assert_eq!(registry.get("echo").unwrap().key(), "echo");
        assert!(registry.get("other").is_none());
        assert_eq!(format!("{registry:?}"), r#"{"echo"}"#);
    }
}
