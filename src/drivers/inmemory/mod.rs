//! A store that lives as long as its driver. Uploads are hidden until their
//! commit; readers keep the content they were opened on; a move costs the same
//! whatever it moves.

mod content;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::context::Context;
use crate::driver::{Capabilities, Driver, FileInfo, Reader, Writer};
use crate::error::{Error, Result};
use crate::names::Names;
use crate::params::Params;
use crate::path;
use content::{Content, Growing};
use tree::{Directory, Node};

/// There are no parameters.
pub fn create(_ctx: &Context, params: &Params) -> Result<Arc<dyn Driver>> {
    params.reader().finish()?;
    Ok(Arc::new(InMemory::default()))
}

#[derive(Default)]
struct InMemory(Arc<Store>);

#[derive(Default)]
struct Store {
    tree: RwLock<Directory>,
    /// Closed uploads that wait for an append, by path. Locked after the tree
    /// where both are.
    uploads: Mutex<BTreeMap<String, Arc<Content>>>,
}

impl Store {
    // Nothing panics while it holds one of these locks.
    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Content>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, path: &str, content: Content) -> Result<()> {
        let node = Node::file(Arc::new(content));
        let mut tree = self.write();
        tree.check_place(path)?;
        let replaced = tree.insert(path, node);
        drop(tree);
        drop(replaced);
        Ok(())
    }

    /// Forgets the uploads at and below `path`; whether there were any.
    fn drop_uploads(&self, path: &str) -> bool {
        let mut uploads = self.uploads();
        let before = uploads.len();
        let below = path::join(path, "");
        let doomed: Vec<String> = uploads
            .range(below.clone()..)
            .map(|(upload, _)| upload)
            .take_while(|upload| upload.starts_with(&below))
            .cloned()
            .collect();
        uploads.remove(path);
        doomed.iter().for_each(|upload| drop(uploads.remove(upload)));
        uploads.len() < before
    }
}

impl Driver for InMemory {
    fn name(&self) -> &str {
        "inmemory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            real_directories: true,
            visible_uploads: false,
            exact_append: true,
            shrinkable: false,
            mtime_of_directories: true,
            redirect: false,
        }
    }

    fn get_content(&self, _ctx: &Context, path: &str) -> Result<Vec<u8>> {
        let content = self.0.read().file(path)?.content.clone();
        Ok(content.to_vec())
    }

    fn put_content(&self, _ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        self.0.put(path, Content::from_slice(data))
    }

    fn stat(&self, _ctx: &Context, path: &str) -> Result<FileInfo> {
        self.0.read().info(path)
    }

    fn list(&self, _ctx: &Context, path: &str) -> Result<Names> {
        let tree = self.0.read();
        let mut names = Names::new();
        let prefix = if path == "/" { "" } else { path };
        let children = tree.directory(path)?.children_after(None);
        children.for_each(|(name, _)| names.push_child(prefix, name));
        Ok(names)
    }

    fn list_page(
        &self,
        _ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let tree = self.0.read();
        let directory = tree.directory(path)?;
        let mut names = Names::new();
        let prefix = if path == "/" { "" } else { path };
        // What is no child sorts before or after all of them as a full path.
        let after = match start_after {
            None => None,
            Some(start) => match path::below(start, path) {
                Some(rest) => rest.split('/').next(),
                None if start > path => return Ok(names),
                None => None,
            },
        };
        let children = directory.children_after(after).take(limit);
        children.for_each(|(name, _)| names.push_child(prefix, name));
        Ok(names)
    }

    fn entries(&self, _ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        let tree = self.0.read();
        let children = tree.directory(path)?.children_after(after);
        Ok(children.map(|(name, node)| node.info(path::join(path, name))).collect())
    }

    fn r#move(&self, _ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let mut tree = self.0.write();
        tree.file(source)?;
        if source == dest {
            return Ok(());
        }
        tree.check_place(dest)?;
        let Some(node) = tree.remove(source) else {
            return Err(Error::path_not_found(source));
        };
        let replaced = tree.insert(dest, node);
        drop(tree);
        drop(replaced);
        Ok(())
    }

    fn delete(&self, _ctx: &Context, path: &str) -> Result<()> {
        let removed = self.0.write().remove(path);
        let had_uploads = self.0.drop_uploads(path);
        if removed.is_none() && !had_uploads {
            return Err(Error::path_not_found(path));
        }
        Ok(())
    }

    fn reader(&self, _ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let content = self.0.read().file(path)?.content.clone();
        Ok(Box::new(MemoryReader { content, offset: offset.unsigned_abs() }))
    }

    fn writer(&self, _ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let tree = self.0.read();
        let found = if append {
            let upload = self.0.uploads().get(path).cloned();
            match upload {
                Some(upload) => upload,
                None => tree.file(path)?.content.clone(),
            }
        } else {
            tree.check_place(path)?;
            self.0.uploads().remove(path);
            Arc::default()
        };
        drop(tree);
        let growing = Growing::after(&found);
        Ok(Box::new(MemoryWriter { store: self.0.clone(), path: path.to_string(), growing }))
    }
}

struct MemoryReader {
    content: Arc<Content>,
    offset: u64,
}

impl Reader for MemoryReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let len = self.content.read_at(self.offset, buf);
        self.offset += len as u64;
        Ok(len)
    }
}

struct MemoryWriter {
    store: Arc<Store>,
    path: String,
    growing: Growing,
}

impl Writer for MemoryWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.growing.extend(data);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.growing.len()
    }

    fn commit(&mut self, _ctx: &Context) -> Result<()> {
        self.store.put(&self.path, self.growing.snapshot())?;
        self.store.uploads().remove(&self.path);
        Ok(())
    }

    fn cancel(&mut self, _ctx: &Context) -> Result<()> {
        self.store.uploads().remove(&self.path);
        Ok(())
    }

    fn close(&mut self, _ctx: &Context) -> Result<()> {
        let content = Arc::new(self.growing.snapshot());
        self.store.uploads().insert(self.path.clone(), content);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wrapper of every driver looks at the context before a call; here it has
    /// ended right after.
    #[test]
    fn a_call_that_is_cancelled_while_it_runs_runs_to_its_end() {
        let ctx = Context::new(&Context::none());
        ctx.cancel();
        let driver = InMemory::default();
        driver.put_content(&ctx, "/a", b"content").unwrap();
        driver.r#move(&ctx, "/a", "/d/a").unwrap();
        let mut writer = driver.writer(&ctx, "/d/a", true).unwrap();
        writer.write(b", and more").unwrap();
        writer.close(&ctx).unwrap();
        let mut writer = driver.writer(&ctx, "/d/a", true).unwrap();
        writer.commit(&ctx).unwrap();
        assert_eq!(driver.get_content(&ctx, "/d/a").unwrap(), b"content, and more");
        let mut writer = driver.writer(&ctx, "/d/b", false).unwrap();
        writer.cancel(&ctx).unwrap();
        driver.delete(&ctx, "/d").unwrap();
        assert!(driver.list(&ctx, "/").unwrap().is_empty());
    }
}
