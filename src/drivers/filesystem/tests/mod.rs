//! What the driver promises, on a real file system, with paths resolved by the
//! kernel and by hand. Promises that need another process are in
//! tests/filesystem.rs.

mod cancelled;
mod confinement;
mod content;
mod trees;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::config::Config;
use super::confine::Resolution;
use super::{Filesystem, Tree};
use crate::context::Context;
use crate::driver::{Driver, Writer};
use crate::error::{Code, Result};

/// A driver on a directory of its own. The root is `root` in it; what lies
/// beside the root must stay as it is.
struct Fixture {
    outer: TempDir,
    driver: Filesystem,
}

/// Runs `test` with every way of resolving paths that keeps them confined.
fn confined(test: impl Fn(&Fixture)) {
    for resolution in [Resolution::confined(), Resolution::ByHand] {
        eprintln!("resolution: {resolution:?}");
        test(&Fixture::new(resolution, false));
    }
}

/// As `confined`, and once more with links that may lead anywhere.
fn each(test: impl Fn(&Fixture)) {
    confined(&test);
    eprintln!("resolution: free");
    test(&Fixture::new(Resolution::confined(), true));
}

impl Fixture {
    fn new(resolution: Resolution, follow_symlinks: bool) -> Fixture {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        let config = Config { root, max_threads: 100, fsync: true, follow_symlinks };
        Fixture { driver: Filesystem::new(&config, resolution), outer }
    }

    /// The same directory, as a process started later sees it.
    fn restarted(&self) -> Filesystem {
        let config =
            Config { root: self.root(), max_threads: 100, fsync: true, follow_symlinks: false };
        Filesystem::new(&config, Resolution::confined())
    }

    /// A later process that takes every temporary for stale.
    fn impatient(&self) -> Filesystem {
        let config =
            Config { root: self.root(), max_threads: 100, fsync: true, follow_symlinks: false };
        let mut tree = Tree::new(&config, Resolution::confined());
        tree.stale_after = std::time::Duration::ZERO;
        Filesystem { tree: Arc::new(tree), max_threads: 100 }
    }

    fn root(&self) -> PathBuf {
        self.outer.path().join("root")
    }

    /// A place in the real file system, `path` starting with "/".
    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, data: impl AsRef<[u8]>) {
        self.driver.put_content(&Context::none(), path, data.as_ref()).unwrap();
    }

    fn get(&self, path: &str) -> Result<Vec<u8>> {
        self.driver.get_content(&Context::none(), path)
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).unwrap()).unwrap()
    }

    fn list(&self, path: &str) -> Vec<String> {
        let names = self.driver.list(&Context::none(), path).unwrap();
        names.iter().map(str::to_string).collect()
    }

    fn writer(&self, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.driver.writer(&Context::none(), path, append)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.driver.delete(&Context::none(), path)
    }

    fn rename(&self, source: &str, dest: &str) -> Result<()> {
        self.driver.r#move(&Context::none(), source, dest)
    }

    /// Every name in a directory, hidden ones too, sorted.
    fn names_in(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.at(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn code<T>(outcome: Result<T>) -> Option<Code> {
    outcome.err().map(|error| error.code())
}

fn commit(writer: &mut Box<dyn Writer>) {
    writer.commit(&Context::none()).unwrap();
}
