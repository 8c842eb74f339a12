//! Looking at the bundled server without starting or changing anything.

use std::path::{Path, PathBuf};

use super::{
    Options,
    cluster::address,
    download, find,
    layout::{Layout, newest_data},
    stale::answers,
};

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bundled {
    /// A server accepts connections at this directory.
    Running { major: u32, sockets: PathBuf },
    /// There is data, and nothing runs on it.
    Stopped { major: u32 },
    /// There is no data yet; the version of the programs that would make it.
    Empty { programs: Option<String> },
}

impl Bundled {
    /// Address of a database of the running server.
    pub fn running_url(&self, database: &str) -> Option<String> {
        match self {
            Self::Running { sockets, .. } => Some(address(sockets, database)),
            Self::Stopped { .. } | Self::Empty { .. } => None,
        }
    }
}

/// Looks at the newest data of `options.data_dir`.
pub async fn look(options: &Options) -> Bundled {
    let home = std::path::absolute(&options.data_dir).unwrap_or_else(|_| options.data_dir.clone());
    match newest_data(&home) {
        Some(major) => {
            let layout = Layout::new(&home, major);
            match layout.pid_record() {
                Some(record) if record.is_ready && answers(&layout.sockets) => {
                    Bundled::Running { major, sockets: layout.sockets }
                }
                _ => Bundled::Stopped { major },
            }
        }
        None => Bundled::Empty { programs: programs(options).await },
    }
}

async fn programs(options: &Options) -> Option<String> {
    if let Some(dir) = &options.bin_dir {
        return find::inspect(Path::new(dir), find::Origin::Given).await.ok().map(|found| found.version.text);
    }
    let found = find::installed(find::PLACES, options.search_path.as_deref()).await;
    let cached = download::cached(&options.cache_dir).await;
    found.usable.into_iter().chain(cached).next().map(|programs| programs.version.text)
}
