//! A folder for rows that memory does not hold, which goes with the process.
//!
//! A process that is killed removes nothing. The next one finds its folder and, since nobody
//! holds the lock beside it any more, removes it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

const PREFIX: &str = "sessionize-spill-";
const LOCK: &str = "lock";

/// A folder of this process; dropped, it is removed.
#[derive(Debug)]
pub(super) struct SpillFolder {
    path: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl SpillFolder {
    /// A new folder in `within`, after those of processes that are gone were removed.
    pub(super) fn new_in(within: &Path) -> io::Result<Self> {
        remove_abandoned(within);
        let path = within.join(format!("{PREFIX}{}", Uuid::new_v4()));
        let lock = path.with_extension(LOCK);
        // before there is a folder, so that nobody finds one without
        let locked = File::create_new(&lock)?;
        locked.lock()?;
        fs::create_dir(&path)?;
        Ok(Self {
            path,
            lock,
            _locked: locked,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder with all in it.
    pub(super) fn remove(&self) {
        drop(fs::remove_dir_all(&self.path));
        drop(fs::remove_file(&self.lock));
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the folders whose lock nobody holds; what cannot be removed stays.
fn remove_abandoned(within: &Path) {
    let Ok(entries) = fs::read_dir(within) else {
        return;
    };
    for lock in entries.flatten().map(|entry| entry.path()) {
        let name = lock.file_name().unwrap_or_default().to_string_lossy();
        let ours =
            name.starts_with(PREFIX) && lock.extension().is_some_and(|e| e == LOCK);
        let file = if ours { File::open(&lock).ok() } else { None };
        if file.is_some_and(|file| file.try_lock().is_ok()) {
            drop(fs::remove_dir_all(lock.with_extension("")));
            drop(fs::remove_file(&lock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_processes_that_are_gone_are_removed() {
        let within = tempfile::tempdir().unwrap();
        let gone = within.path().join("sessionize-spill-1");
        fs::create_dir(&gone).unwrap();
        fs::write(gone.join("rows"), "1").unwrap();
        fs::write(gone.with_extension("lock"), "").unwrap();
        fs::create_dir(within.path().join("sessionize-spill-mine")).unwrap();
        let first = SpillFolder::new_in(within.path()).unwrap();
        fs::write(first.path().join("rows"), "2").unwrap();
        let second = SpillFolder::new_in(within.path()).unwrap();
        assert!(!gone.exists() && !gone.with_extension("lock").exists());
        assert!(first.path().join("rows").exists() && second.path().exists());
        drop(first);
        drop(second);
        let left = fs::read_dir(within.path()).unwrap().count();
        assert_eq!(left, 1, "a folder without a lock is nobody's");
    }
}
