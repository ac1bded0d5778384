//! A sound driver with one defect put before it.

use std::sync::Arc;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use storagedriver::error::{Code, Error, Result};
use storagedriver::names::Names;
use storagedriver::path;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Defect {
    None,
    LosesTheLastByte,
    KeepsTheLongerTail,
    SwapsBlocks,
    RepeatsABlock,
    FindsDirectoriesByPrefix,
    ListsUnsorted,
    ListsAllBelow,
    LosesAPage,
    DestroysAtOpening,
    CancelsWhatIsCommitted,
    RefusesASecondClose,
    CountsFlushedBytesOnly,
    ShowsUploads,
    CreatesByAppend,
    ForgetsUploads,
    LeavesHandlesUnnamed,
    DeletesByPrefix,
    DeletesWhatIsMissing,
    MovesByDeleting,
    NamesTheDestination,
    WalksByKey,
    StartsAtNotAfter,
    IgnoresSkip,
    TakesNegativeOffsets,
    ReadsTheNewContent,
    ResolvesDots,
    IgnoresContexts,
    PutsInTwoSteps,
    StopsHalfWay,
    RedirectsToNowhere,
    KeepsTopDirectories,
    TouchesOthers,
    Panics,
}

const BLOCK: usize = 4096;

pub struct Broken {
    inner: Arc<Base>,
    defect: Defect,
}

impl Broken {
    pub fn new(inner: Arc<Base>, defect: Defect) -> Broken {
        Broken { inner, defect }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn ctx(&self, ctx: &Context) -> Context {
        if self.has(Defect::IgnoresContexts) { Context::none() } else { ctx.clone() }
    }

    fn siblings_by_prefix(&self, ctx: &Context, path: &str) -> Vec<String> {
        let children = self.inner.list(ctx, path::parent(path)).unwrap_or_default();
        children.iter().filter(|c| c.starts_with(path) && *c != path).map(String::from).collect()
    }

    fn all_below(&self, ctx: &Context, directory: &str) -> Result<Vec<FileInfo>> {
        let mut walker = self.inner.walker(ctx, directory, &WalkOptions::default())?.unwrap();
        let mut all = Vec::new();
        while let Some(info) = walker.next()? {
            all.push(info);
        }
        Ok(all)
    }
}

/// Long enough to be cancelled meanwhile.
fn half_way(ctx: &Context) -> Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(10));
    ctx.status().map_err(|error| error.with_driver("inmemory"))
}

impl Driver for Broken {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        let redirect = self.has(Defect::RedirectsToNowhere);
        Capabilities { redirect, ..self.inner.capabilities() }
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        if self.has(Defect::ResolvesDots) {
            return self.inner.get_content(ctx, &path.replace("/d/../", "/"));
        }
        self.inner.get_content(&self.ctx(ctx), path)
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let ctx = &self.ctx(ctx);
        match self.defect {
            Defect::LosesTheLastByte if data.len() > 2 && !path.ends_with("untouched") => {
                self.inner.put_content(ctx, path, &data[..data.len() - 1])
            }
            Defect::KeepsTheLongerTail => {
                let mut all = data.to_vec();
                let old = self.inner.get_content(ctx, path).unwrap_or_default();
                all.extend(old.iter().skip(data.len()));
                self.inner.put_content(ctx, path, &all)
            }
            Defect::PutsInTwoSteps => {
                self.inner.put_content(ctx, path, &data[..data.len() / 2])?;
                std::thread::yield_now();
                self.inner.put_content(ctx, path, data)
            }
            Defect::StopsHalfWay => {
                self.inner.put_content(ctx, path, &data[..data.len() / 2])?;
                half_way(ctx)?;
                self.inner.put_content(ctx, path, data)
            }
            Defect::ResolvesDots => self.inner.put_content(ctx, &path.replace("/d/../", "/"), data),
            _ => self.inner.put_content(ctx, path, data),
        }
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        let ctx = &self.ctx(ctx);
        let found = self.inner.stat(ctx, path);
        if self.has(Defect::Panics) && found.as_ref().is_ok_and(|info| info.size == 4096) {
            panic!("4096 was not foreseen");
        }
        let by_prefix = self.has(Defect::FindsDirectoriesByPrefix)
            && found.is_err()
            && !self.siblings_by_prefix(ctx, path).is_empty();
        if by_prefix {
            return Ok(FileInfo { path: path.into(), size: 0, mtime_ns: 0, is_dir: true });
        }
        found
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        let names = self.inner.list(&self.ctx(ctx), path)?;
        match self.defect {
            Defect::ListsUnsorted => {
                Ok(names.iter().collect::<Vec<_>>().into_iter().rev().collect())
            }
            Defect::ListsAllBelow => {
                Ok(self.all_below(ctx, path)?.iter().map(|info| info.path.as_str()).collect())
            }
            _ => Ok(names),
        }
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let page = self.inner.list_page(&self.ctx(ctx), path, start_after, limit)?;
        if self.has(Defect::LosesAPage) && start_after.is_some() {
            return Ok(page.iter().skip(1).collect());
        }
        Ok(page)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let ctx = &self.ctx(ctx);
        match self.defect {
            Defect::MovesByDeleting => {
                let data = self.inner.get_content(ctx, source)?;
                self.inner.put_content(ctx, dest, &data)?;
                self.inner.delete(ctx, source)
            }
            Defect::StopsHalfWay => {
                let data = self.inner.get_content(ctx, source)?;
                self.inner.delete(ctx, source)?;
                half_way(ctx)?;
                self.inner.put_content(ctx, dest, &data)
            }
            Defect::NamesTheDestination => {
                self.inner.r#move(ctx, source, dest).map_err(|error| error.with_path(dest))
            }
            _ => self.inner.r#move(ctx, source, dest),
        }
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        let ctx = &self.ctx(ctx);
        match self.defect {
            Defect::DeletesByPrefix => {
                for sibling in self.siblings_by_prefix(ctx, path) {
                    self.inner.delete(ctx, &sibling)?;
                }
                self.inner.delete(ctx, path)
            }
            Defect::DeletesWhatIsMissing if !self.siblings_by_prefix(ctx, path).is_empty() => {
                self.inner.delete(ctx, path).or(Ok(()))
            }
            Defect::KeepsTopDirectories if path::parent(path) == "/" => {
                let children = self.inner.list(ctx, path)?;
                children.iter().try_for_each(|child| self.inner.delete(ctx, child))
            }
            Defect::TouchesOthers if path::parent(path) == "/" => {
                let tops = self.inner.list(ctx, "/")?;
                tops.iter().try_for_each(|top| self.inner.delete(ctx, top))
            }
            _ => self.inner.delete(ctx, path),
        }
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        if self.has(Defect::RedirectsToNowhere) {
            return Ok(Some(format!("https://{path}")));
        }
        self.inner.redirect_url(&self.ctx(ctx), path, request)
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let ctx = self.ctx(ctx);
        let offset = if self.has(Defect::TakesNegativeOffsets) { offset.max(0) } else { offset };
        let inner = self.inner.reader(&ctx, path, offset)?;
        let driver = self.inner.clone();
        let at = u64::try_from(offset).unwrap_or_default();
        let path = path.to_string();
        Ok(Box::new(BrokenReader { inner, driver, ctx, path, at, defect: self.defect }))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let ctx = &self.ctx(ctx);
        if self.has(Defect::DestroysAtOpening) && !append {
            self.inner.put_content(ctx, path, b"")?;
        }
        let inner = match (self.defect, self.inner.writer(ctx, path, append)) {
            (Defect::CreatesByAppend, Err(error)) if error.code() == Code::PathNotFound => {
                self.inner.writer(ctx, path, false)?
            }
            (Defect::ForgetsUploads, Ok(_)) => self.inner.writer(ctx, path, false)?,
            (_, outcome) => outcome?,
        };
        let (driver, path) = (self.inner.clone(), path.to_string());
        Ok(Box::new(BrokenWriter {
            inner,
            driver,
            path,
            defect: self.defect,
            calls: 0,
            flushed: 0,
        }))
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        let ctx = &self.ctx(ctx);
        let mut inner = self.inner.walker(ctx, path, options)?.unwrap();
        match self.defect {
            Defect::WalksByKey => {
                let mut all = self.all_below(ctx, path)?;
                all.sort_by(|a, b| b.path.cmp(&a.path));
                Ok(Some(Box::new(Recorded(all))))
            }
            Defect::StartsAtNotAfter => {
                let mut rest = Vec::new();
                let start = options.start_after.as_deref();
                if let Some(start) = start.filter(|start| path::below(start, path).is_some()) {
                    rest.extend(self.inner.stat(ctx, start));
                }
                while let Some(info) = inner.next()? {
                    rest.push(info);
                }
                rest.reverse();
                Ok(Some(Box::new(Recorded(rest))))
            }
            Defect::IgnoresSkip => {
                let mut all = self.all_below(ctx, path)?;
                all.reverse();
                Ok(Some(Box::new(Recorded(all))))
            }
            _ => Ok(Some(inner)),
        }
    }
}

/// Entries, the next one last.
struct Recorded(Vec<FileInfo>);

impl Walker for Recorded {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        Ok(self.0.pop())
    }

    fn skip_dir(&mut self) {}
}

struct BrokenReader {
    inner: Box<dyn Reader>,
    driver: Arc<Base>,
    ctx: Context,
    path: String,
    at: u64,
    defect: Defect,
}

impl Reader for BrokenReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let len = match self.defect {
            Defect::ReadsTheNewContent => {
                let now = self.driver.get_content(&self.ctx, &self.path)?;
                let rest = now.get(self.at as usize..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                len
            }
            _ => self.inner.read(buf)?,
        };
        if self.defect == Defect::RepeatsABlock && len >= 2 * BLOCK {
            buf.copy_within(..BLOCK, BLOCK);
        }
        self.at += len as u64;
        Ok(len)
    }
}

struct BrokenWriter {
    inner: Box<dyn Writer>,
    driver: Arc<Base>,
    path: String,
    defect: Defect,
    /// Of close.
    calls: usize,
    flushed: u64,
}

impl BrokenWriter {
    fn unnamed(&self, outcome: Result<()>) -> Result<()> {
        match self.defect {
            Defect::LeavesHandlesUnnamed => outcome.map_err(|error| error.with_driver("")),
            _ => outcome,
        }
    }
}

impl Writer for BrokenWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        if self.defect == Defect::SwapsBlocks && data.len() >= 2 * BLOCK {
            let mut data = data.to_vec();
            let (first, second) = data.split_at_mut(BLOCK);
            first.swap_with_slice(&mut second[..BLOCK]);
            return self.inner.write(&data);
        }
        let outcome = self.inner.write(data);
        if self.inner.size() >= self.flushed + 1000 {
            self.flushed = self.inner.size();
        }
        self.unnamed(outcome)
    }

    fn size(&self) -> u64 {
        if self.defect == Defect::CountsFlushedBytesOnly && self.calls == 0 {
            return self.flushed;
        }
        self.inner.size()
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        let outcome = self.inner.commit(ctx);
        self.unnamed(outcome)
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        if self.defect == Defect::CancelsWhatIsCommitted {
            let _ = self.inner.cancel(ctx);
            let _ = self.driver.delete(ctx, &self.path);
            return Ok(());
        }
        let outcome = self.inner.cancel(ctx);
        self.unnamed(outcome)
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        self.calls += 1;
        if self.defect == Defect::RefusesASecondClose && self.calls > 1 {
            return Err(Error::invalid_state("already closed").with_driver(self.driver.name()));
        }
        if self.defect == Defect::ShowsUploads {
            self.driver.put_content(ctx, &self.path, b"an upload")?;
        }
        self.inner.close(ctx)
    }
}
