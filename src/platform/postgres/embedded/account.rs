//! The operating system user that runs PostgreSQL. The server refuses to run as root, so root hands over to
//! `postgres`, or else to `nobody`; everybody else runs it as themselves.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use tokio::process::Command;

use super::error::StartError;

/// The user that root hands over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` when we are not root and PostgreSQL runs as we do.
    pub(super) fn to_run_as() -> Result<Option<Self>, StartError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(StartError::io("read /etc/passwd"))?;
        Self::choose(&passwd).map(Some).ok_or(StartError::NoUnprivilegedUser)
    }

    fn choose(passwd: &str) -> Option<Self> {
        ["postgres", "nobody"].into_iter().find_map(|name| {
            passwd.lines().find_map(|line| {
                let mut fields = line.split(':');
                let is_wanted = fields.next() == Some(name);
                let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
                (is_wanted && uid != 0).then(|| Self { name: name.to_owned(), uid, gid })
            })
        })
    }

    /// Fails with the first directory on the way to `path` that this user may not enter. `path` must exist.
    pub(super) fn require_reachable(&self, path: &Path) -> Result<(), StartError> {
        let mut ancestors: Vec<_> = path.ancestors().collect();
        ancestors.reverse();
        for dir in ancestors {
            let status = fs::metadata(dir).map_err(StartError::io(format!("look at {}", dir.display())))?;
            if !self.may_enter(status.mode(), status.uid(), status.gid()) {
                return Err(StartError::Unreachable {
                    user: self.name.clone(),
                    blocked: dir.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The kernel looks at one class of bits only: the owner's, else the group's, else everybody's.
    fn may_enter(&self, mode: u32, uid: u32, gid: u32) -> bool {
        let bit = match (uid == self.uid, gid == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        mode & bit != 0
    }
}

/// Makes `command` run as `account`, without our groups, and without our environment: keys of providers have no
/// business in the server's processes.
pub(super) fn confine(command: &mut Command, account: Option<&Account>) {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// Creates `dir` and what is missing above it so that the user of the server can pass through.
pub(super) fn create_passage(dir: &Path) -> Result<(), StartError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_passage(parent)?;
    }
    let action = || format!("create {}", dir.display());
    match fs::DirBuilder::new().mode(0o755).create(dir) {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(StartError::io(action()))?,
    }
    // Whatever the umask says.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(StartError::io(action()))
}

/// Makes sure that `dir` is a directory of the server's user that nobody else can enter.
pub(super) fn create_private(dir: &Path, account: Option<&Account>) -> Result<(), StartError> {
    let failed = || StartError::io(format!("create {}", dir.display()));
    let is_new = match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed()(error)),
    };
    if is_new && let Some(account) = account {
        std::os::unix::fs::chown(dir, Some(account.uid), Some(account.gid)).map_err(failed())?;
    }
    // The place may be one where others can write: what is there already must be ours, and no link.
    let status = fs::symlink_metadata(dir).map_err(failed())?;
    let uid = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    if !status.is_dir() || status.uid() != uid {
        return Err(StartError::NotOurs { dir: dir.to_owned() });
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
                          postgres:x:101:104::/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn root_prefers_postgres_to_nobody() {
        let account = Account::choose(PASSWD).expect("postgres is there");
        assert_eq!((account.name.as_str(), account.uid, account.gid), ("postgres", 101, 104));
    }

    #[test]
    fn without_a_postgres_user_it_is_nobody() {
        let passwd: String = PASSWD.lines().take(2).map(|line| format!("{line}\n")).collect();
        assert_eq!(Account::choose(&passwd).expect("nobody is there").uid, 65534);
        assert_eq!(Account::choose("postgres:x:0:0::/:/bin/sh\nbroken line"), None);
    }

    #[test]
    fn only_the_class_that_applies_decides_who_may_enter() {
        let account = Account { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert!(account.may_enter(0o711, 0, 0));
        assert!(!account.may_enter(0o700, 0, 0));
        assert!(account.may_enter(0o710, 0, 104));
        assert!(!account.may_enter(0o701, 0, 104), "the group's bits count, not everybody's");
        assert!(account.may_enter(0o700, 101, 0));
    }

    #[test]
    fn the_blocking_ancestor_is_named() {
        let home = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("scratch");
        let closed = home.path().join("closed");
        let inside = closed.join("inside");
        fs::create_dir_all(&inside).expect("scratch");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("scratch");
        let stranger = Account { name: "stranger".to_owned(), uid: 60_001, gid: 60_001 };
        match stranger.require_reachable(&inside) {
            Err(StartError::Unreachable { blocked, .. }) => assert_eq!(blocked, closed),
            other => panic!("expected the closed directory, got {other:?}"),
        }
    }
}
