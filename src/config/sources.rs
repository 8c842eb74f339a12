//! What the settings are read from. Only this file touches the process: its variables, its working directory and
//! the configuration file. Everything behind it takes them as values.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::faults::{ConfigFaults, Fault};

/// Names the configuration file when neither `--config` nor `./loquent.toml` does.
pub(super) const CONFIG_VARIABLE: &str = "LOQUENT_CONFIG";
const FILE_NAME: &str = "loquent.toml";
/// Far above any real file; a device or a log given by mistake is refused instead of read into memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What the command is about to do, which decides what must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Answers clients: outside `--dev` it needs signing keys.
    #[default]
    Serve,
    /// Does background work for those that serve: it needs the address of their database.
    Run,
    /// Works on the database only.
    Maintain,
}

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    pub purpose: Purpose,
    pub is_dev: bool,
    pub host: Option<IpAddr>,
    pub port: Option<u16>,
    /// Configuration file that must exist.
    pub file: Option<PathBuf>,
    pub is_remote_dev_allowed: bool,
}

/// A configuration file that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Path as shown in messages.
    pub path: String,
    /// TOML.
    pub text: String,
}

/// Where this platform keeps an application's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// What must survive: the bundled database, the development key.
    pub data: PathBuf,
    /// What can be fetched again: downloaded server programs.
    pub cache: PathBuf,
}

impl Directories {
    /// Those of the user that runs the process, `None` if it has no home. Root gets the system's, because
    /// PostgreSQL refuses to run as root and another user cannot enter root's home.
    fn of_process() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self { data: "/var/lib/loquent".into(), cache: "/var/cache/loquent".into() });
        }
        let home = etcetera::base_strategy::choose_native_strategy().ok()?;
        Some(Self { data: home.data_dir().join("loquent"), cache: home.cache_dir().join("loquent") })
    }
}

/// Everything the settings are made from. No `Debug`: file and variables hold secrets.
#[derive(Clone, Default)]
pub struct Sources {
    pub file: Option<ConfigFile>,
    pub env: BTreeMap<String, String>,
    pub flags: Flags,
    /// Defaults for the directories; without them they must be set.
    pub directories: Option<Directories>,
}

impl Sources {
    /// Collects the variables of the process and the file they, the flags or the working directory name.
    ///
    /// # Errors
    /// If the named file cannot be read.
    pub fn of_process(flags: Flags) -> Result<Self, ConfigFaults> {
        let env = std::env::vars_os()
            .map(|(name, text)| (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned()));
        let sources = Self::collect(flags, env, Path::new(""))?;
        Ok(Self { directories: Directories::of_process(), ..sources })
    }

    /// Takes the variables as given and finds the file: the flag, else `loquent.toml` in `working_dir`, else the
    /// variable `LOQUENT_CONFIG`.
    ///
    /// # Errors
    /// If the named file cannot be read.
    pub fn collect(
        flags: Flags,
        env: impl IntoIterator<Item = (String, String)>,
        working_dir: &Path,
    ) -> Result<Self, ConfigFaults> {
        let env: BTreeMap<_, _> = env.into_iter().collect();
        let beside = working_dir.join(FILE_NAME);
        let named = env.get(CONFIG_VARIABLE).filter(|path| !path.trim().is_empty());
        let (path, origin) = match (&flags.file, named) {
            (Some(path), _) => (path.clone(), "flag --config"),
            (None, _) if beside.is_file() => (beside, "working directory"),
            (None, Some(path)) => (PathBuf::from(path), "variable LOQUENT_CONFIG"),
            (None, None) => return Ok(Self { env, flags, ..Self::default() }),
        };
        let shown = path.display().to_string();
        let text = read_bounded(&path).map_err(|error| {
            ConfigFaults(vec![Fault {
                key: shown.clone(),
                origin: Some(origin.to_owned()),
                why: format!("cannot be read: {error}"),
                fix: "name a readable TOML file, or leave it out to use the defaults".to_owned(),
            }])
        })?;
        Ok(Self { file: Some(ConfigFile { path: shown, text }), env, flags, directories: None })
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}
