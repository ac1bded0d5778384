//! The verbs of the queue. Each has the arguments of its blocking twin, owned; what
//! the twin returns comes in the completion.

use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Load, Outcome, Queue, Room, SharedReader, SharedWalker, SharedWriter};
use crate::base::Base;
use crate::context::Context;
use crate::driver::{Driver, RedirectRequest, Writer};
use crate::error::{Code, Error, Result};
use crate::executor;
use crate::lease::Taken;
use crate::remote::{RemoteDriver, race};

fn answer<T>(result: Result<T>, outcome: impl FnOnce(T) -> Outcome) -> Answer {
    (0, result.map(outcome))
}

/// Submits one verb of a driver: `$blocking` on the pool, or `$remote` on the
/// executor where the driver has that side. Both see `ctx` as a reference.
macro_rules! verb {
    (
        $queue:ident, $tag:ident, $driver:ident, $ctx:ident, $outcome:expr,
        |$d:ident, $c:ident| $blocking:expr, $remote:expr
    ) => {{
        let $d = $driver.clone();
        if Driver::remote(&*$d).is_some() {
            let accepted = $queue.accept($tag, $ctx, executor::current)?;
            let context = accepted.ctx.clone();
            accepted.spawn(async move {
                let $d: &dyn RemoteDriver = &*$d;
                let $c = &context;
                answer($remote.await, $outcome)
            });
        } else {
            let accepted = $queue.accept($tag, $ctx, executor::pool)?;
            let context = accepted.ctx.clone();
            accepted.run(move || {
                let $d: &dyn Driver = &*$d;
                let $c = &context;
                answer($blocking, $outcome)
            });
        }
        Ok(())
    }};
}

/// Submits one call on an open handle, which it has to itself until the completion.
///
/// `$async` must end with its context, which ends with the queue. A call that takes one
/// obeys it by itself; cut off from out here it could not say where it stands. The others
/// obey the one their handle was opened with, so they race with the queue's.
macro_rules! on_handle {
    (
        $queue:ident, $tag:ident, $handle:ident, $ctx:expr, $finish:ident,
        |$object:ident, $c:ident| $blocking:expr, |$remote:ident, $rc:ident| $async:expr
    ) => {{
        let mut taken = $handle.take()?;
        // Nothing can fail once it is accepted: a completion will come.
        if taken.object()?.remote().is_some() {
            let accepted = $queue.accept($tag, $ctx, executor::current)?;
            let context = accepted.ctx.clone();
            accepted.spawn(async move {
                let $rc = &context;
                let answer = match remote_side(taken.object(), |object| object.remote()) {
                    Ok($remote) => $async,
                    Err(error) => (0, Err(error)),
                };
                $finish(taken, answer)
            });
        } else {
            let accepted = $queue.accept($tag, $ctx, executor::pool)?;
            let context = accepted.ctx.clone();
            accepted.run(move || {
                let $c = &context;
                let answer = match taken.object() {
                    Ok($object) => $blocking,
                    Err(error) => (0, Err(error)),
                };
                $finish(taken, answer)
            });
        }
        Ok(())
    }};
}

/// The remote side of an object that was seen to have one.
fn remote_side<'o, T: ?Sized, R: ?Sized>(
    object: Result<&'o mut Box<T>>,
    side: impl FnOnce(&'o mut T) -> Option<&'o mut R>,
) -> Result<&'o mut R> {
    let missing = || Error::new(Code::Internal, "the remote side is gone");
    side(&mut **object?).ok_or_else(missing)
}

/// Gives the object back before the completion can be taken, so that whoever takes
/// it can go on with the object at once.
fn finish<T>(taken: Taken<T>, answer: Answer) -> Answer {
    drop(taken);
    answer
}

/// The same, with the writer's size noted for who asks while it is in use.
fn finish_writer(mut taken: Taken<Box<dyn Writer>>, answer: Answer) -> Answer {
    if let Ok(size) = taken.object().map(|writer| writer.size()) {
        taken.lease().set_note(size);
    }
    finish(taken, answer)
}

impl Queue {
    pub fn get_content(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
    ) -> Result<()> {
        let path = path.to_string();
        verb!(
            self,
            tag,
            driver,
            ctx,
            Outcome::Content,
            |d, c| d.get_content(c, &path),
            d.get_content(c, &path)
        )
    }

    pub fn put_content(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
        data: &[u8],
    ) -> Result<()> {
        let (path, data) = (path.to_string(), Bytes::copy_from_slice(data));
        verb!(
            self,
            tag,
            driver,
            ctx,
            |()| Outcome::Done,
            |d, c| d.put_content(c, &path, &data),
            d.put_content(c, &path, data)
        )
    }

    pub fn stat(&self, tag: u64, driver: &Arc<Base>, ctx: &Context, path: &str) -> Result<()> {
        let path = path.to_string();
        verb!(self, tag, driver, ctx, Outcome::Info, |d, c| d.stat(c, &path), d.stat(c, &path))
    }

    pub fn list(&self, tag: u64, driver: &Arc<Base>, ctx: &Context, path: &str) -> Result<()> {
        let path = path.to_string();
        verb!(self, tag, driver, ctx, Outcome::Names, |d, c| d.list(c, &path), d.list(c, &path))
    }

    pub fn list_page(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<()> {
        let (path, after) = (path.to_string(), start_after.map(str::to_string));
        verb!(
            self,
            tag,
            driver,
            ctx,
            Outcome::Names,
            |d, c| d.list_page(c, &path, after.as_deref(), limit),
            d.list_page(c, &path, after.as_deref(), limit)
        )
    }

    pub fn r#move(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        source: &str,
        dest: &str,
    ) -> Result<()> {
        let (source, dest) = (source.to_string(), dest.to_string());
        verb!(
            self,
            tag,
            driver,
            ctx,
            |()| Outcome::Done,
            |d, c| d.r#move(c, &source, &dest),
            d.r#move(c, &source, &dest)
        )
    }

    pub fn delete(&self, tag: u64, driver: &Arc<Base>, ctx: &Context, path: &str) -> Result<()> {
        let path = path.to_string();
        verb!(
            self,
            tag,
            driver,
            ctx,
            |()| Outcome::Done,
            |d, c| d.delete(c, &path),
            d.delete(c, &path)
        )
    }

    pub fn redirect_url(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<()> {
        let (path, request) = (path.to_string(), request.clone());
        verb!(
            self,
            tag,
            driver,
            ctx,
            Outcome::Url,
            |d, c| d.redirect_url(c, &path, &request),
            d.redirect_url(c, &path, &request)
        )
    }

    /// The reader's own calls obey `ctx`, not the queue.
    pub fn reader_open(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
        offset: i64,
    ) -> Result<()> {
        let path = path.to_string();
        verb!(
            self,
            tag,
            driver,
            ctx,
            Outcome::Reader,
            |d, c| d.reader(c, &path, offset),
            d.reader(c, &path, offset)
        )
    }

    /// The writer's own writes obey `ctx`, not the queue.
    pub fn writer_open(
        &self,
        tag: u64,
        driver: &Arc<Base>,
        ctx: &Context,
        path: &str,
        append: bool,
    ) -> Result<()> {
        let path = path.to_string();
        verb!(
            self,
            tag,
            driver,
            ctx,
            Outcome::Writer,
            |d, c| d.writer(c, &path, append),
            d.writer(c, &path, append)
        )
    }

    /// `count` is how much of `room` was filled; 0 is the end.
    pub fn reader_read(&self, tag: u64, reader: &SharedReader, mut room: impl Room) -> Result<()> {
        on_handle!(
            self,
            tag,
            reader,
            &Context::none(),
            finish,
            |reader, _c| counted(reader.read(room.as_mut())),
            |reader, c| counted(race(c, reader.read(room.as_mut())).await)
        )
    }

    /// `count` is the length of `load`, or 0 on failure.
    pub fn writer_write(&self, tag: u64, writer: &SharedWriter, load: impl Load) -> Result<()> {
        let len = load.as_ref().len();
        on_handle!(
            self,
            tag,
            writer,
            &Context::none(),
            finish_writer,
            |writer, _c| counted(writer.write(load.as_ref()).map(|()| len)),
            |writer, c| counted(race(c, writer.write(load.as_ref())).await.map(|()| len))
        )
    }

    pub fn writer_commit(&self, tag: u64, writer: &SharedWriter, ctx: &Context) -> Result<()> {
        on_handle!(
            self,
            tag,
            writer,
            ctx,
            finish_writer,
            |writer, c| answer(writer.commit(c), |()| Outcome::Done),
            |writer, c| answer(writer.commit(c).await, |()| Outcome::Done)
        )
    }

    pub fn writer_cancel(&self, tag: u64, writer: &SharedWriter, ctx: &Context) -> Result<()> {
        on_handle!(
            self,
            tag,
            writer,
            ctx,
            finish_writer,
            |writer, c| answer(writer.cancel(c), |()| Outcome::Done),
            |writer, c| answer(writer.cancel(c).await, |()| Outcome::Done)
        )
    }

    pub fn writer_close(&self, tag: u64, writer: &SharedWriter, ctx: &Context) -> Result<()> {
        on_handle!(
            self,
            tag,
            writer,
            ctx,
            finish_writer,
            |writer, c| answer(writer.close(c), |()| Outcome::Done),
            |writer, c| answer(writer.close(c).await, |()| Outcome::Done)
        )
    }

    pub fn walker_next(&self, tag: u64, walker: &SharedWalker) -> Result<()> {
        on_handle!(
            self,
            tag,
            walker,
            &Context::none(),
            finish,
            |walker, _c| answer(walker.next(), Outcome::Entry),
            |walker, c| answer(race(c, walker.next()).await, Outcome::Entry)
        )
    }
}

fn counted(result: Result<usize>) -> Answer {
    match result {
        Ok(len) => (len as u64, Ok(Outcome::Done)),
        Err(error) => (0, Err(error)),
    }
}
