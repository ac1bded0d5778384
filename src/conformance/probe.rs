//! What a case works with: the driver, its own directory and contents, and
//! checks that say what was expected.

use super::content::{Choices, Content};
use crate::context::Context;
use crate::driver::{Capabilities, Driver, FileInfo, Reader, WalkOptions, Walker, Writer};
use crate::error::{Code, Error, Result};

/// Why a case did not pass.
#[derive(Debug)]
pub enum Stop {
    Failed(String),
    Skipped(String),
}

/// What a case, or a step of it, comes to.
pub type Step<T> = std::result::Result<T, Stop>;
pub type CaseResult = Step<()>;

/// Fails the case with a text, as `format!` makes it, unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::conformance::probe::Stop::Failed(format!($($text)+)));
        }
    };
}
pub(super) use ensure;

/// Says during what a call of the driver failed.
pub trait During<T> {
    fn during(self, what: &str) -> Step<T>;
}

impl<T> During<T> for Result<T> {
    fn during(self, what: &str) -> Step<T> {
        self.map_err(|error| Stop::Failed(format!("{what}: {} ({error})", error.code().name())))
    }
}

/// Pieces in which long contents are written and read.
pub const PIECE: usize = 256 * 1024;
pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;

pub struct Probe<'a> {
    pub driver: &'a dyn Driver,
    pub ctx: Context,
    pub capabilities: Capabilities,
    /// The directory of this case.
    pub directory: String,
    /// The directory of the run, and the file that was put beside it.
    pub run_directory: &'a str,
    pub beside: &'a Beside,
    /// Another one for each case.
    pub seed: u64,
    pub max_object_size: u64,
    pub no_redirect: bool,
}

/// A file of the suite outside the directory of the run.
pub struct Beside {
    pub directory: String,
    pub path: String,
    pub content: Content,
    /// Why it could not be put there.
    pub failure: Option<String>,
}

/// Its length.
pub const BESIDE_LEN: usize = 100;

pub fn failed<T>(detail: impl Into<String>) -> Step<T> {
    Err(Stop::Failed(detail.into()))
}

pub fn skip<T>(reason: impl Into<String>) -> Step<T> {
    Err(Stop::Skipped(reason.into()))
}

impl Probe<'_> {
    /// A path in the directory of this case: "a/b", not "/a/b".
    pub fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.directory)
    }

    /// The content number `stream` of this case.
    pub fn content(&self, stream: u64) -> Content {
        Content::new(self.seed, stream)
    }

    pub fn choices(&self) -> Choices {
        Choices::new(self.seed)
    }

    /// A context under that of the run, to be cancelled or limited.
    pub fn context(&self) -> Context {
        Context::new(&self.ctx)
    }

    /// `wanted`, or the most that this run allows.
    pub fn at_most(&self, wanted: usize) -> u64 {
        self.max_object_size.min(wanted as u64)
    }

    /// Skips the case if the run does not allow `len` bytes.
    pub fn needs_size(&self, len: u64) -> CaseResult {
        let most = self.max_object_size;
        if len <= most {
            return Ok(());
        }
        skip(format!("needs {len} bytes, and the largest object allowed is {most}"))
    }

    /// Skips the case unless `has`, which is the capability `name`.
    pub fn needs(&self, name: &str, has: bool) -> CaseResult {
        if has { Ok(()) } else { skip(format!("the driver has not the capability {name}")) }
    }

    /// Skips the case if the driver has the capability `name`.
    pub fn needs_not(&self, name: &str, has: bool) -> CaseResult {
        if has { skip(format!("the driver has the capability {name}")) } else { Ok(()) }
    }

    pub fn put(&self, path: &str, data: &[u8]) -> CaseResult {
        let what = format!("put_content {path} of {} bytes", data.len());
        self.driver.put_content(&self.ctx, path, data).during(&what)
    }

    pub fn get(&self, path: &str) -> Step<Vec<u8>> {
        self.driver.get_content(&self.ctx, path).during(&format!("get_content {path}"))
    }

    pub fn stat(&self, path: &str) -> Step<FileInfo> {
        self.driver.stat(&self.ctx, path).during(&format!("stat {path}"))
    }

    pub fn list(&self, path: &str) -> Step<Vec<String>> {
        let names = self.driver.list(&self.ctx, path).during(&format!("list {path}"))?;
        Ok(names.iter().map(str::to_string).collect())
    }

    /// Children by their names alone.
    pub fn list_names(&self, path: &str) -> Step<Vec<String>> {
        let strip = |child: String| match crate::path::below(&child, path) {
            Some(name) => name.to_string(),
            None => child,
        };
        Ok(self.list(path)?.into_iter().map(strip).collect())
    }

    pub fn rename(&self, source: &str, dest: &str) -> CaseResult {
        let what = format!("move {source} to {dest}");
        self.driver.r#move(&self.ctx, source, dest).during(&what)
    }

    pub fn delete(&self, path: &str) -> CaseResult {
        self.driver.delete(&self.ctx, path).during(&format!("delete {path}"))
    }

    pub fn reader(&self, path: &str, offset: i64) -> Step<Box<dyn Reader>> {
        let what = format!("reader {path} at {offset}");
        self.driver.reader(&self.ctx, path, offset).during(&what)
    }

    /// A writer that starts over.
    pub fn fresh(&self, path: &str) -> Step<Box<dyn Writer>> {
        self.driver.writer(&self.ctx, path, false).during(&format!("writer {path}"))
    }

    pub fn append(&self, path: &str) -> Step<Box<dyn Writer>> {
        self.driver.writer(&self.ctx, path, true).during(&format!("writer {path} with append"))
    }

    pub fn commit(&self, writer: &mut dyn Writer) -> CaseResult {
        writer.commit(&self.ctx).during("commit")
    }

    pub fn close(&self, writer: &mut dyn Writer) -> CaseResult {
        writer.close(&self.ctx).during("close")
    }

    pub fn cancel(&self, writer: &mut dyn Writer) -> CaseResult {
        writer.cancel(&self.ctx).during("cancel")
    }

    /// Commits `data` through a writer.
    pub fn write_file(&self, path: &str, data: &[u8]) -> CaseResult {
        let mut writer = self.fresh(path)?;
        writer.write(data).during("write")?;
        self.commit(&mut *writer)?;
        self.close(&mut *writer)
    }

    /// Puts a file of a few bytes at each path, several at a time.
    pub fn put_all(&self, paths: &[String]) -> CaseResult {
        let share = paths.len().div_ceil(8).max(1);
        let put = |paths: &[String]| paths.iter().try_for_each(|path| self.put(path, b"x"));
        in_threads(paths.chunks(share).map(|paths| move || put(paths)))
    }

    /// Closes an upload of `data` without committing it.
    pub fn suspend(&self, path: &str, data: &[u8]) -> CaseResult {
        let mut writer = self.fresh(path)?;
        writer.write(data).during("write")?;
        self.close(&mut *writer)
    }

    /// Writes the bytes `from..to` of `content` in pieces.
    pub fn write_pieces(
        &self,
        writer: &mut dyn Writer,
        content: Content,
        from: u64,
        to: u64,
    ) -> CaseResult {
        let mut buffer = vec![0; PIECE];
        let mut at = from;
        while at < to {
            let len = (to - at).min(PIECE as u64) as usize;
            let Some(piece) = buffer.get_mut(..len) else { return failed("a piece too long") };
            content.fill(at, piece);
            writer.write(piece).during(&format!("write at {at}"))?;
            at += len as u64;
            ensure!(writer.size() == at, "size is {} after {at} bytes", writer.size());
        }
        Ok(())
    }

    /// Commits the first `len` bytes of `content`, written in pieces.
    pub fn write_stream(&self, path: &str, content: Content, len: u64) -> CaseResult {
        let mut writer = self.fresh(path)?;
        self.write_pieces(&mut *writer, content, 0, len)?;
        self.commit(&mut *writer)?;
        self.close(&mut *writer)
    }

    /// Reads from `offset` to the end, which must be `content` up to `len`.
    pub fn expect_stream(&self, path: &str, offset: u64, content: Content, len: u64) -> CaseResult {
        let start = i64::try_from(offset).unwrap_or(i64::MAX);
        let mut reader = self.reader(path, start)?;
        let end = self.expect_rest(&mut *reader, offset, content)?;
        ensure!(end == len.max(offset), "{path} ends at {end}, expected {len}");
        Ok(())
    }

    /// Reads to the end and says where that is.
    pub fn expect_rest(&self, reader: &mut dyn Reader, offset: u64, content: Content) -> Step<u64> {
        let mut buffer = vec![0; PIECE];
        let mut at = offset;
        loop {
            let len = reader.read(&mut buffer).during(&format!("read at {at}"))?;
            if len == 0 {
                return Ok(at);
            }
            let Some(piece) = buffer.get(..len) else {
                return failed(format!("read says {len} bytes for a buffer of {PIECE}"));
            };
            expect_bytes(content, at, piece)?;
            at += len as u64;
        }
    }

    /// All bytes of an open reader.
    pub fn drain(&self, reader: &mut dyn Reader) -> Step<Vec<u8>> {
        let mut buffer = vec![0; PIECE];
        let mut all = Vec::new();
        loop {
            let len = reader.read(&mut buffer).during("read")?;
            match buffer.get(..len) {
                Some([]) => return Ok(all),
                Some(piece) => all.extend_from_slice(piece),
                None => return failed(format!("read says {len} bytes for a buffer of {PIECE}")),
            }
        }
    }

    /// The file is there with exactly these bytes, by get, reader and stat.
    pub fn expect_content(&self, path: &str, expected: &[u8]) -> CaseResult {
        same(&format!("get_content {path}"), &self.get(path)?, expected)?;
        let read = self.drain(&mut *self.reader(path, 0)?)?;
        same(&format!("reader {path}"), &read, expected)?;
        let info = self.stat(path)?;
        let len = expected.len() as u64;
        ensure!(!info.is_dir, "stat {path} says directory");
        ensure!(info.size == len, "stat {path} says {} bytes, expected {len}", info.size);
        Ok(())
    }

    /// Nothing is at the path, by get, reader and stat.
    pub fn expect_missing(&self, path: &str) -> CaseResult {
        let (driver, ctx) = (self.driver, &self.ctx);
        let code = Code::PathNotFound;
        self.expect_error(&format!("get_content {path}"), driver.get_content(ctx, path), code)?;
        self.expect_error(&format!("reader {path}"), driver.reader(ctx, path, 0), code)?;
        self.expect_error(&format!("stat {path}"), driver.stat(ctx, path), code)?;
        Ok(())
    }

    /// An append finds neither an upload nor content.
    pub fn expect_no_upload(&self, path: &str) -> CaseResult {
        let outcome = self.driver.writer(&self.ctx, path, true);
        self.expect_error(&format!("append to {path}"), outcome, Code::PathNotFound).map(drop)
    }

    /// The call failed with this code, and its error names the driver.
    pub fn expect_error<T>(&self, what: &str, outcome: Result<T>, code: Code) -> Step<Error> {
        self.expect_one_of(what, outcome, &[code])
    }

    /// The call failed with one of these codes, and its error names the driver.
    pub fn expect_one_of<T>(&self, what: &str, outcome: Result<T>, codes: &[Code]) -> Step<Error> {
        let expected = || codes.iter().map(|c| c.name()).collect::<Vec<_>>().join(" or ");
        let error = match outcome {
            Ok(_) => return failed(format!("{what}: expected {}, got a success", expected())),
            Err(error) => error,
        };
        let (code, name) = (error.code().name(), self.driver.name());
        let known = codes.contains(&error.code());
        ensure!(known, "{what}: expected {}, got {code} ({error})", expected());
        let driver = error.driver();
        ensure!(driver == name, "{what}: the error of driver {name} names {driver:?} ({error})");
        let text = error.to_string();
        ensure!(text.contains(name), "{what}: the text {text:?} does not name the driver {name}");
        Ok(error)
    }

    pub fn walker(&self, path: &str, options: &WalkOptions) -> Step<Box<dyn Walker>> {
        match self.driver.walker(&self.ctx, path, options).during(&format!("walk {path}"))? {
            Some(walker) => Ok(walker),
            None => failed("the driver has no walker; it must be run through base"),
        }
    }
}

/// Runs all at once, and fails as the first one does.
pub fn in_threads<F>(work: impl Iterator<Item = F>) -> CaseResult
where
    F: FnOnce() -> CaseResult + Send,
{
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.map(|one| scope.spawn(one)).collect();
        let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        ends.into_iter().try_for_each(|end| end.unwrap_or_else(|_| failed("a thread panicked")))
    })
}

/// Two contents are equal; says where they are not.
pub fn same(what: &str, found: &[u8], expected: &[u8]) -> CaseResult {
    if found == expected {
        return Ok(());
    }
    let place = found.iter().zip(expected).position(|(a, b)| a != b);
    let (len, wanted) = (found.len(), expected.len());
    failed(match place {
        Some(place) => format!("{what}: byte {place} differs ({len} bytes, expected {wanted})"),
        None => format!("{what}: {len} bytes, expected {wanted}"),
    })
}

/// `found` is what `content` has at `offset`.
pub fn expect_bytes(content: Content, offset: u64, found: &[u8]) -> CaseResult {
    content.check(offset, found).map_err(Stop::Failed)
}
