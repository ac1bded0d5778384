//! The tree of directories and files. Directories stay when they are emptied,
//! and no file lies over or under another.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::content::Content;
use crate::driver::FileInfo;
use crate::error::{Error, Result};
use crate::path;

pub enum Node {
    Directory(Directory),
    File(File),
}

pub struct Directory {
    children: BTreeMap<String, Node>,
    mtime_ns: i64,
}

pub struct File {
    pub content: Arc<Content>,
    mtime_ns: i64,
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

impl Node {
    pub fn file(content: Arc<Content>) -> Node {
        Node::File(File { content, mtime_ns: now_ns() })
    }

    pub fn info(&self, path: String) -> FileInfo {
        match self {
            Node::Directory(d) => FileInfo { path, size: 0, mtime_ns: d.mtime_ns, is_dir: true },
            Node::File(f) => {
                FileInfo { path, size: f.content.len(), mtime_ns: f.mtime_ns, is_dir: false }
            }
        }
    }
}

impl Default for Directory {
    fn default() -> Directory {
        Directory { children: BTreeMap::new(), mtime_ns: now_ns() }
    }
}

impl Drop for Directory {
    /// Without recursion: a path may be deeper than a stack.
    fn drop(&mut self) {
        let mut doomed = vec![std::mem::take(&mut self.children)];
        while let Some(children) = doomed.pop() {
            for node in children.into_values() {
                if let Node::Directory(mut directory) = node {
                    doomed.push(std::mem::take(&mut directory.children));
                }
            }
        }
    }
}

impl Directory {
    /// Children whose names are greater than `after`.
    pub fn children_after(&self, after: Option<&str>) -> impl Iterator<Item = (&str, &Node)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.children.range::<str, _>((from, Bound::Unbounded)).map(|(n, c)| (n.as_str(), c))
    }

    fn descend(&self, path: &str) -> Option<&Directory> {
        let mut directory = self;
        for name in path::components(path) {
            match directory.children.get(name)? {
                Node::Directory(child) => directory = child,
                Node::File(_) => return None,
            }
        }
        Some(directory)
    }

    /// What is at `path`, which is not "/".
    pub fn find(&self, path: &str) -> Option<&Node> {
        self.descend(path::parent(path))?.children.get(path::name(path))
    }

    pub fn file(&self, path: &str) -> Result<&File> {
        match self.find(path) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(Error::is_directory(path)),
            None => Err(Error::path_not_found(path)),
        }
    }

    pub fn directory(&self, path: &str) -> Result<&Directory> {
        if path == "/" {
            return Ok(self);
        }
        match self.find(path) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Error::not_directory(path)),
            None => Err(Error::path_not_found(path)),
        }
    }

    pub fn info(&self, path: &str) -> Result<FileInfo> {
        if path == "/" {
            let (path, mtime_ns) = (path.to_string(), self.mtime_ns);
            return Ok(FileInfo { path, size: 0, mtime_ns, is_dir: true });
        }
        let node = self.find(path).ok_or_else(|| Error::path_not_found(path))?;
        Ok(node.info(path.to_string()))
    }

    /// Whether a file can be put at `path`: no directory is there and no file
    /// above it.
    pub fn check_place(&self, path: &str) -> Result<()> {
        let mut directory = self;
        for name in path::components(path::parent(path)) {
            match directory.children.get(name) {
                Some(Node::Directory(child)) => directory = child,
                Some(Node::File(_)) => return Err(Error::not_directory(path)),
                None => return Ok(()),
            }
        }
        match directory.children.get(path::name(path)) {
            Some(Node::Directory(_)) => Err(Error::is_directory(path)),
            _ => Ok(()),
        }
    }

    /// Puts a file at a place that was checked. Gives back what was there, to be
    /// dropped when the lock is not held any more.
    pub fn insert(&mut self, path: &str, node: Node) -> Option<Node> {
        let mut directory = self;
        for name in path::components(path::parent(path)) {
            if !directory.children.contains_key(name) {
                let child = Node::Directory(Directory::default());
                directory.children.insert(name.to_string(), child);
                directory.mtime_ns = now_ns();
            }
            match directory.children.get_mut(name) {
                Some(Node::Directory(child)) => directory = child,
                // A checked place has directories above it only.
                Some(Node::File(_)) | None => return Some(node),
            }
        }
        directory.mtime_ns = now_ns();
        directory.children.insert(path::name(path).to_string(), node)
    }

    /// Takes out what is at `path`, with everything below.
    pub fn remove(&mut self, path: &str) -> Option<Node> {
        let mut directory = self;
        for name in path::components(path::parent(path)) {
            match directory.children.get_mut(name)? {
                Node::Directory(child) => directory = child,
                Node::File(_) => return None,
            }
        }
        let removed = directory.children.remove(path::name(path))?;
        directory.mtime_ns = now_ns();
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_the_stack_can_be_dropped() {
        let path = "/a".repeat(500_000);
        let mut tree = Directory::default();
        tree.insert(&path, Node::file(Arc::default()));
        assert!(tree.file(&path).is_ok());
        drop(tree);
    }
}
