//! Catalogues that come with the product.

use super::{
    content::CatalogContent,
    file::{self, FileFaults},
};

/// A catalogue that is part of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// In force where nothing else was ever applied.
    Default,
    Tavern,
    Airi,
    Studiox,
    Metered,
    Framium,
}

impl Preset {
    pub const ALL: [Self; 6] =
        [Self::Default, Self::Tavern, Self::Airi, Self::Studiox, Self::Metered, Self::Framium];

    /// Name on the command line and after `extends`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Tavern => "tavern",
            Self::Airi => "airi",
            Self::Studiox => "studiox",
            Self::Metered => "metered",
            Self::Framium => "framium",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// As TOML.
    pub fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("presets/default.toml"),
            Self::Tavern => include_str!("presets/tavern.toml"),
            Self::Airi => include_str!("presets/airi.toml"),
            Self::Studiox => include_str!("presets/studiox.toml"),
            Self::Metered => include_str!("presets/metered.toml"),
            Self::Framium => include_str!("presets/framium.toml"),
        }
    }

    /// What it says; tests read every one of them.
    pub fn content(self) -> Result<CatalogContent, FileFaults> {
        file::read(&self.origin(), self.text())
    }

    /// Its name in messages.
    pub(super) fn origin(self) -> String {
        format!("preset {}", self.name())
    }
}
