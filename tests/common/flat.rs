//! A store in memory of another nature than the local drivers: flat, without exact
//! appends, with URLs; its uploads are hidden, or visible and cannot shrink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use storagedriver::context::Context;
use storagedriver::driver::{Capabilities, Driver, FileInfo, Reader, RedirectRequest, Writer};
use storagedriver::error::{Error, Result};
use storagedriver::names::Names;
use storagedriver::path;

pub struct Flat {
    store: Arc<Mutex<Store>>,
    visible_uploads: bool,
}

#[derive(Default)]
struct Store {
    files: BTreeMap<String, File>,
    uploads: BTreeMap<String, File>,
    visible_uploads: bool,
}

#[derive(Clone)]
struct File {
    data: Arc<Vec<u8>>,
    mtime_ns: i64,
}

impl File {
    fn new(data: Vec<u8>) -> File {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        File { data: Arc::new(data), mtime_ns: now.as_nanos() as i64 }
    }
}

impl Flat {
    pub fn new(visible_uploads: bool) -> Flat {
        let store = Store { visible_uploads, ..Store::default() };
        Flat { store: Arc::new(Mutex::new(store)), visible_uploads }
    }
}

impl Store {
    fn find(&self, path: &str) -> Option<&File> {
        let upload = self.uploads.get(path).filter(|_| self.visible_uploads);
        self.files.get(path).or(upload)
    }

    fn file(&self, path: &str) -> Result<File> {
        self.find(path).cloned().ok_or_else(|| Error::path_not_found(path))
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        let uploads = self.uploads.keys().filter(|_| self.visible_uploads);
        self.files.keys().chain(uploads)
    }

    fn is_directory(&self, path: &str) -> bool {
        path == "/" || self.keys().any(|key| path::below(key, path).is_some())
    }
}

impl Driver for Flat {
    fn name(&self) -> &str {
        "flat"
    }

    fn capabilities(&self) -> Capabilities {
        let visible_uploads = self.visible_uploads;
        Capabilities { visible_uploads, redirect: true, ..Capabilities::default() }
    }

    fn get_content(&self, _ctx: &Context, path: &str) -> Result<Vec<u8>> {
        Ok(self.store.lock().unwrap().file(path)?.data.to_vec())
    }

    fn put_content(&self, _ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let file = File::new(data.to_vec());
        self.store.lock().unwrap().files.insert(path.to_string(), file);
        Ok(())
    }

    fn stat(&self, _ctx: &Context, path: &str) -> Result<FileInfo> {
        let store = self.store.lock().unwrap();
        let (path, size) = (path.to_string(), 0);
        match store.find(&path) {
            Some(File { data, mtime_ns }) => {
                let size = data.len() as u64;
                Ok(FileInfo { path, size, mtime_ns: *mtime_ns, is_dir: false })
            }
            None if store.is_directory(&path) => {
                Ok(FileInfo { path, size, mtime_ns: 0, is_dir: true })
            }
            None => Err(Error::path_not_found(&path)),
        }
    }

    fn list(&self, _ctx: &Context, path: &str) -> Result<Names> {
        let store = self.store.lock().unwrap();
        if !store.is_directory(path) {
            let missing = store.find(path).is_none();
            let error = if missing { Error::path_not_found } else { Error::not_directory };
            return Err(error(path));
        }
        let mut names = Names::new();
        for rest in store.keys().filter_map(|key| path::below(key, path)) {
            names.push(&path::join(path, rest.split('/').next().unwrap()));
        }
        Ok(names)
    }

    fn r#move(&self, _ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let mut store = self.store.lock().unwrap();
        match store.files.remove(source) {
            Some(file) => {
                store.files.insert(dest.to_string(), file);
                Ok(())
            }
            None if store.is_directory(source) => Err(Error::is_directory(source)),
            None => Err(Error::path_not_found(source)),
        }
    }

    fn delete(&self, _ctx: &Context, path: &str) -> Result<()> {
        let mut store = self.store.lock().unwrap();
        let known = store.find(path).is_some() || store.is_directory(path);
        let stays = |key: &String| key != path && path::below(key, path).is_none();
        store.files.retain(|key, _| stays(key));
        store.uploads.retain(|key, _| stays(key));
        if known { Ok(()) } else { Err(Error::path_not_found(path)) }
    }

    fn redirect_url(
        &self,
        _ctx: &Context,
        path: &str,
        _request: &RedirectRequest,
    ) -> Result<Option<String>> {
        Ok(Some(format!("http://127.0.0.1{path}?signed")))
    }

    fn reader(&self, _ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let data = self.store.lock().unwrap().file(path)?.data;
        let at = usize::try_from(offset).unwrap().min(data.len());
        Ok(Box::new(FlatReader { data, at }))
    }

    fn writer(&self, _ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let mut store = self.store.lock().unwrap();
        let data = match (append, store.uploads.get(path), store.files.get(path)) {
            (false, ..) => {
                store.uploads.remove(path);
                Vec::new()
            }
            (true, Some(upload), _) => upload.data.to_vec(),
            (true, None, Some(file)) if file.data.is_empty() => Vec::new(),
            (true, None, Some(_)) => return Err(Error::unsupported("it is committed")),
            (true, None, None) => return Err(Error::path_not_found(path)),
        };
        let (store, path) = (self.store.clone(), path.to_string());
        Ok(Box::new(FlatWriter { store, path, data }))
    }
}

struct FlatReader {
    data: Arc<Vec<u8>>,
    at: usize,
}

impl Reader for FlatReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let rest = &self.data[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

struct FlatWriter {
    store: Arc<Mutex<Store>>,
    path: String,
    data: Vec<u8>,
}

impl Writer for FlatWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.data.len() as u64
    }

    fn commit(&mut self, _ctx: &Context) -> Result<()> {
        let mut store = self.store.lock().unwrap();
        store.uploads.remove(&self.path);
        store.files.insert(self.path.clone(), File::new(self.data.clone()));
        Ok(())
    }

    fn cancel(&mut self, _ctx: &Context) -> Result<()> {
        self.store.lock().unwrap().uploads.remove(&self.path);
        Ok(())
    }

    fn close(&mut self, _ctx: &Context) -> Result<()> {
        let upload = File::new(self.data.clone());
        self.store.lock().unwrap().uploads.insert(self.path.clone(), upload);
        Ok(())
    }
}
