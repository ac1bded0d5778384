//! The filesystem driver: Distribution's tree of plain files and directories,
//! which a Distribution registry can serve and continue, and the other way round.
//!
//! * `root`, `confine`: every path is opened below the root's descriptor.
//! * `tree`, `durable`: directories are made, and their entries synced once.
//! * `put`, `session`, `writer`, `moves`, `delete`: what changes the tree.
//! * `reader`, `list`: what only looks.
//!
//! Nothing is cached that a change by others would make wrong: every call
//! resolves its path anew.

mod config;
mod confine;
mod delete;
mod durable;
mod errno;
mod list;
mod moves;
mod put;
mod reader;
mod root;
mod session;
mod temp;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::sync::Arc;

use self::config::Config;
use self::confine::Resolution;
use self::tree::{Shared, Tree};
use crate::context::Context;
use crate::driver::{Capabilities, Driver, FileInfo, Reader, Writer};
use crate::error::Result;
use crate::names::Names;
use crate::params::Params;

/// Makes a driver. Touches nothing on disk: the root is opened at first use and
/// made by the first write.
pub fn create(_ctx: &Context, params: &Params) -> Result<Arc<dyn Driver>> {
    let config = Config::read(params)?;
    Ok(Arc::new(Filesystem::new(&config, Resolution::confined())))
}

struct Filesystem {
    tree: Shared,
    max_threads: usize,
}

impl Filesystem {
    fn new(config: &Config, confined: Resolution) -> Filesystem {
        let tree = Arc::new(Tree::new(config, confined));
        Filesystem { tree, max_threads: config.max_threads }
    }
}

impl Driver for Filesystem {
    fn name(&self) -> &str {
        "filesystem"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            real_directories: true,
            visible_uploads: true,
            exact_append: true,
            shrinkable: true,
            mtime_of_directories: true,
            redirect: false,
        }
    }

    fn max_concurrency(&self) -> Option<usize> {
        Some(self.max_threads)
    }

    fn get_content(&self, _ctx: &Context, path: &str) -> Result<Vec<u8>> {
        reader::get(&self.tree, path)
    }

    fn put_content(&self, _ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        put::put(&self.tree, path, data)
    }

    fn stat(&self, _ctx: &Context, path: &str) -> Result<FileInfo> {
        reader::stat(&self.tree, path)
    }

    fn list(&self, _ctx: &Context, path: &str) -> Result<Names> {
        list::list(&self.tree, path)
    }

    fn entries(&self, ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        list::entries(&self.tree, ctx, path, after)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        moves::rename(&self.tree, ctx, source, dest)
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        delete::delete(&self.tree, ctx, path)
    }

    fn reader(&self, _ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        Ok(Box::new(reader::FileReader::open(&self.tree, path, offset)?))
    }

    fn writer(&self, _ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        Ok(Box::new(writer::FileWriter::open(&self.tree, path, append)?))
    }
}
