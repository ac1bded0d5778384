//! A remote driver as a `Driver`: each call is a task on the executor, and its
//! caller is parked until the task has ended or its context has.

use std::sync::Arc;

use bytes::Bytes;

use super::{RemoteDriver, race};
use crate::context::Context;
use crate::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use crate::error::Result;
use crate::executor;
use crate::names::Names;
use crate::runtime::Birth;

pub struct Bridge {
    driver: Arc<dyn RemoteDriver>,
    birth: Birth,
}

impl Bridge {
    pub fn new(driver: Arc<dyn RemoteDriver>) -> Bridge {
        Bridge { driver, birth: Birth::now() }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if self.birth.same_process().is_err() {
            // As in `Kept`: one owner more than there are.
            std::mem::forget(self.driver.clone());
        }
    }
}

/// Runs one asynchronous verb with what it needs, all of it owned by the task.
macro_rules! call {
    ($self:ident, $ctx:ident, |$driver:ident, $c:ident| $verb:expr) => {{
        let ($driver, $c) = ($self.driver.clone(), $ctx.clone());
        executor::block(async move {
            let ctx = &$c;
            let verb = async { $verb.await };
            race(ctx, verb).await
        })?
    }};
}

impl Driver for Bridge {
    fn name(&self) -> &str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn max_concurrency(&self) -> Option<usize> {
        self.driver.max_concurrency()
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.get_content(&c, &path))
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let (path, data) = (path.to_string(), Bytes::copy_from_slice(data));
        call!(self, ctx, |driver, c| driver.put_content(&c, &path, data))
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.stat(&c, &path))
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.list(&c, &path))
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let (path, after) = (path.to_string(), start_after.map(str::to_string));
        call!(self, ctx, |driver, c| driver.list_page(&c, &path, after.as_deref(), limit))
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let (source, dest) = (source.to_string(), dest.to_string());
        call!(self, ctx, |driver, c| driver.r#move(&c, &source, &dest))
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.delete(&c, &path))
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let (path, request) = (path.to_string(), request.clone());
        call!(self, ctx, |driver, c| driver.redirect_url(&c, &path, &request))
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.reader(&c, &path, offset))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let path = path.to_string();
        call!(self, ctx, |driver, c| driver.writer(&c, &path, append))
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        let (path, options) = (path.to_string(), options.clone());
        let walker: Result<Box<dyn Walker>> =
            call!(self, ctx, |driver, c| driver.walker(&c, &path, &options));
        walker.map(Some)
    }

    fn remote(&self) -> Option<&dyn RemoteDriver> {
        Some(&*self.driver)
    }
}
