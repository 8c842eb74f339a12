//! Makes a cluster. Until it is whole and on the disk it has another name, so that an interrupted `initdb` never looks
//! finished. The caller holds the lock of the cluster.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Profile,
    account::{Account, create_private},
    child::{Guarded, Launch, Watch},
    cluster::USER,
    error::StartError,
    find::Programs,
    layout::Layout,
};

const INITDB_LIMIT: Duration = Duration::from_secs(120);
const LEFTOVER_LIMIT: Duration = Duration::from_secs(15);
const LEFTOVER_POLL: Duration = Duration::from_millis(50);

/// Runs `initdb` beside the final place and renames its result, so that an interrupted one never looks finished.
pub(super) async fn run(
    layout: &Layout,
    programs: &Programs,
    account: Option<&Account>,
    profile: Profile,
) -> Result<(), StartError> {
    let unfinished = layout.unfinished();
    remove_leftovers(&unfinished).await?;
    let mut fresh = unfinished.into_os_string();
    fresh.push(std::process::id().to_string());
    let fresh = PathBuf::from(fresh);
    create_private(&fresh, account)?;
    execute(&fresh, layout, programs, account, profile).await?;
    let failed = || StartError::io(format!("rename {} to {}", fresh.display(), layout.data.display()));
    fs::rename(&fresh, &layout.data).map_err(failed())?;
    // The name must be as durable as the data.
    fs::File::open(&layout.home).and_then(|dir| dir.sync_all()).map_err(failed())
}

/// Removes what interrupted starts have left. We hold the lock, so no owner works there.
async fn remove_leftovers(unfinished: &Path) -> Result<(), StartError> {
    let (Some(home), Some(prefix)) = (unfinished.parent(), unfinished.file_name()) else { return Ok(()) };
    let entries = fs::read_dir(home).map_err(StartError::io(format!("list {}", home.display())))?;
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            remove_tree(&entry.path()).await?;
        }
    }
    Ok(())
}

/// The `initdb` of an owner that was just killed may still be at it, until its watchdog has ended it: it adds files while
/// they are removed here, and removes them itself.
async fn remove_tree(dir: &Path) -> Result<(), StartError> {
    let deadline = Instant::now() + LEFTOVER_LIMIT;
    while let Err(error) = fs::remove_dir_all(dir) {
        if !dir.exists() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(StartError::io(format!("remove {}", dir.display()))(error));
        }
        tokio::time::sleep(LEFTOVER_POLL).await;
    }
    Ok(())
}

async fn execute(
    fresh: &Path,
    layout: &Layout,
    programs: &Programs,
    account: Option<&Account>,
    profile: Profile,
) -> Result<(), StartError> {
    // One sort order everywhere, whatever the machine's language is.
    let options = ["-U", USER, "-E", "UTF8", "--no-locale", "-A", "trust", "--no-instructions", "-D"];
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.push(fresh.into());
    if profile == Profile::Disposable {
        arguments.push("--no-sync".into());
    }
    let (log, log_start) = layout.open_log()?;
    let errors = log.try_clone().map_err(StartError::io("share the log"))?;
    let launch = Launch {
        program: &programs.path("initdb"),
        arguments,
        dir: &layout.home,
        account,
        stdout: log.into(),
        stderr: errors.into(),
    };
    let mut initdb = Guarded::spawn(launch, Watch::Initdb).await?;
    // A timeout drops the guard, and the watchdog ends it.
    let status = tokio::time::timeout(INITDB_LIMIT, initdb.child.wait()).await;
    let output = layout.log_tail(log_start);
    match status {
        Ok(Ok(status)) if status.success() => {
            initdb.dismiss().await;
            Ok(())
        }
        Ok(_) if output.contains("could not look up effective user ID") => {
            initdb.dismiss().await;
            Err(StartError::NamelessUser { uid: rustix::process::geteuid().as_raw() })
        }
        Ok(_) => {
            initdb.dismiss().await;
            Err(StartError::Initdb { dir: layout.data.clone(), output })
        }
        Err(_) => {
            let output = format!("{output}\nit does not end, after {} s", INITDB_LIMIT.as_secs());
            Err(StartError::Initdb { dir: layout.data.clone(), output })
        }
    }
}
