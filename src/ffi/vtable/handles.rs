//! Readers and writers of a driver written in C.

use std::ffi::c_void;
use std::sync::Arc;

use super::super::context::sd_context;
use super::super::error::{sd_error, sd_status};
use super::super::handle::Lent;
use super::answer::{self, wrong};
use super::{LONGEST, Store, bytes, slot};
use crate::context::Context;
use crate::driver::{Reader, Writer};
use crate::error::{Error, Result};

pub struct CustomReader {
    store: Arc<Store>,
    reader: *mut c_void,
    /// What `reader_open` was given.
    _ctx: Lent<sd_context>,
}

// SAFETY: the header says that any thread may call the slots of a reader, one
// after another.
unsafe impl Send for CustomReader {}

impl CustomReader {
    pub fn new(store: Arc<Store>, reader: *mut c_void, ctx: Lent<sd_context>) -> CustomReader {
        CustomReader { store, reader, _ctx: ctx }
    }
}

impl Reader for CustomReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        const SLOT: &str = "reader_read";
        self.store.birth.same_process()?;
        let run = slot(self.store.vtable.reader_read, SLOT)?;
        // Not a length: a driver that forgets to set it must not end the file.
        let mut len = usize::MAX;
        answer::call(SLOT, |err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(self.reader, buf.as_mut_ptr().cast(), buf.len(), &mut len, err) }
        })?;
        if len > buf.len() {
            let what = format_args!("says {len} bytes for a buffer of {}", buf.len());
            return Err(wrong(SLOT, what));
        }
        Ok(len)
    }
}

impl Drop for CustomReader {
    fn drop(&mut self) {
        let here = self.store.birth.same_process().is_ok();
        if let Some(free) = self.store.vtable.reader_free.filter(|_| here) {
            // SAFETY: `reader_open` gave it, and this is its only end.
            unsafe { free(self.reader) };
        }
    }
}

pub struct CustomWriter {
    store: Arc<Store>,
    writer: *mut c_void,
    /// What `writer_open` was given.
    _ctx: Lent<sd_context>,
    size: u64,
    /// The most that can be stored: above `size` after a write that failed.
    most: u64,
    broken: bool,
    /// A commit, cancel or close succeeded, or the driver lied about the close.
    ended: bool,
}

// SAFETY: the header says that any thread may call the slots of a writer, one
// after another.
unsafe impl Send for CustomWriter {}

type Finish = unsafe extern "C" fn(*mut c_void, *const sd_context, *mut *mut sd_error) -> sd_status;

impl CustomWriter {
    pub fn open(
        store: Arc<Store>,
        writer: *mut c_void,
        ctx: Lent<sd_context>,
        append: bool,
    ) -> Result<CustomWriter> {
        let (size, most, broken, ended) = (0, 0, false, false);
        let mut writer = CustomWriter { store, writer, _ctx: ctx, size, most, broken, ended };
        let size = writer.asked_size()?;
        if size > LONGEST || (size > 0 && !append) {
            let what = format_args!("is {size} for an upload that was just opened");
            return Err(wrong("writer_size", what));
        }
        writer.size = size;
        writer.most = size;
        Ok(writer)
    }

    fn asked_size(&self) -> Result<u64> {
        let run = slot(self.store.vtable.writer_size, "writer_size")?;
        // SAFETY: `writer_open` gave it, and no other slot of it is running.
        Ok(unsafe { run(self.writer) })
    }

    fn usable(&self) -> Result<()> {
        if self.ended {
            return Err(Error::invalid_state("the driver has ended this upload"));
        }
        self.store.birth.same_process()
    }

    fn finish(&mut self, name: &str, run: Option<Finish>, ctx: &Context) -> Result<()> {
        self.usable()?;
        let run = slot(run, name)?;
        let ctx = Lent::<sd_context>::new(ctx.clone());
        answer::call(name, |err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(self.writer, ctx.as_ptr(), err) }
        })?;
        self.ended = true;
        Ok(())
    }
}

impl Writer for CustomWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        const SLOT: &str = "writer_write";
        self.usable()?;
        let run = slot(self.store.vtable.writer_write, SLOT)?;
        if data.is_empty() {
            return Ok(());
        }
        let before = self.size;
        self.most = before.saturating_add(data.len() as u64);
        let outcome = answer::call(SLOT, |err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(self.writer, bytes(data), data.len(), err) }
        });
        self.broken = true;
        let now = self.asked_size()?;
        if (before..=self.most).contains(&now) {
            self.size = now;
        }
        outcome?;
        if now != self.most {
            let len = data.len();
            let what = format_args!("is {now} after {len} bytes were taken at {before}");
            return Err(wrong("writer_size", what));
        }
        self.broken = false;
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        self.finish("writer_commit", self.store.vtable.writer_commit, ctx)
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        self.finish("writer_cancel", self.store.vtable.writer_cancel, ctx)
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        self.finish("writer_close", self.store.vtable.writer_close, ctx)?;
        let now = self.asked_size()?;
        if now > self.most || (now != self.most && !self.broken) {
            let what = format_args!("is {now} after a close at {}", self.size);
            return Err(wrong("writer_size", what));
        }
        self.size = now;
        Ok(())
    }
}

impl Drop for CustomWriter {
    fn drop(&mut self) {
        let here = self.store.birth.same_process().is_ok();
        if let Some(free) = self.store.vtable.writer_free.filter(|_| here) {
            // SAFETY: `writer_open` gave it, and this is its only end.
            unsafe { free(self.writer) };
        }
    }
}
