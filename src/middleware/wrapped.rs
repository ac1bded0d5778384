//! A driver under a middleware: each verb is the driver's own, of both its sides, but
//! for the URLs. Its open handles are the driver's, so that they stay remote too.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Urls;
use crate::context::Context;
use crate::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::remote::RemoteDriver;

pub struct Wrapped {
    driver: Arc<dyn Driver>,
    urls: Box<dyn Urls>,
}

impl Wrapped {
    pub fn new(driver: Arc<dyn Driver>, urls: Box<dyn Urls>) -> Wrapped {
        Wrapped { driver, urls }
    }

    /// There is one, or nobody would have been given ours.
    fn remote(&self) -> Result<&dyn RemoteDriver> {
        let missing = || Error::new(Code::Internal, "the driver has no remote side");
        self.driver.remote().ok_or_else(missing)
    }
}

impl Driver for Wrapped {
    fn name(&self) -> &str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        let own = self.driver.capabilities();
        Capabilities { redirect: own.redirect || !self.urls.asks_driver(), ..own }
    }

    fn max_concurrency(&self) -> Option<usize> {
        self.driver.max_concurrency()
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        self.driver.get_content(ctx, path)
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        self.driver.put_content(ctx, path, data)
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        self.driver.stat(ctx, path)
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        self.driver.list(ctx, path)
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        self.driver.list_page(ctx, path, start_after, limit)
    }

    fn entries(&self, ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        self.driver.entries(ctx, path, after)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        self.driver.r#move(ctx, source, dest)
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        self.driver.delete(ctx, path)
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let own = match self.urls.asks_driver() {
            true => self.driver.redirect_url(ctx, path, request)?,
            false => None,
        };
        self.urls.url(path, own)
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        self.driver.reader(ctx, path, offset)
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.driver.writer(ctx, path, append)
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        self.driver.walker(ctx, path, options)
    }

    fn remote(&self) -> Option<&dyn RemoteDriver> {
        self.driver.remote().map(|_| self as &dyn RemoteDriver)
    }
}

#[async_trait]
impl RemoteDriver for Wrapped {
    fn name(&self) -> &str {
        Driver::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Driver::capabilities(self)
    }

    fn max_concurrency(&self) -> Option<usize> {
        Driver::max_concurrency(self)
    }

    async fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        self.remote()?.get_content(ctx, path).await
    }

    async fn put_content(&self, ctx: &Context, path: &str, data: Bytes) -> Result<()> {
        self.remote()?.put_content(ctx, path, data).await
    }

    async fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        self.remote()?.stat(ctx, path).await
    }

    async fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        self.remote()?.list(ctx, path).await
    }

    async fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        self.remote()?.list_page(ctx, path, start_after, limit).await
    }

    async fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        self.remote()?.r#move(ctx, source, dest).await
    }

    async fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        self.remote()?.delete(ctx, path).await
    }

    async fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let own = match self.urls.asks_driver() {
            true => self.remote()?.redirect_url(ctx, path, request).await?,
            false => None,
        };
        self.urls.url(path, own)
    }

    async fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        self.remote()?.reader(ctx, path, offset).await
    }

    async fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.remote()?.writer(ctx, path, append).await
    }

    async fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Box<dyn Walker>> {
        self.remote()?.walker(ctx, path, options).await
    }
}
