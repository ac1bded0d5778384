//! Walking a tree in canonical order (`path::compare`): the walker over any
//! driver's `entries`, and the loop that feeds a callback.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::context::Context;
use crate::driver::{Driver, FileInfo, WalkOptions, Walker};
use crate::error::{Code, Error, Result};
use crate::path;

/// What a callback answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Continue,
    /// Do not descend; after a file the same as `Continue`.
    SkipDir,
    /// End the walk, which is then a success.
    Stop,
}

/// Feeds every entry of `walker` to `visit`. No lock is held while it runs, so
/// it may call the driver.
pub fn drive(
    walker: &mut dyn Walker,
    mut visit: impl FnMut(&FileInfo) -> Result<Step>,
) -> Result<()> {
    while let Some(info) = walker.next()? {
        match visit(&info)? {
            Step::Continue => {}
            Step::SkipDir => walker.skip_dir(),
            Step::Stop => break,
        }
    }
    Ok(())
}

/// `Driver::entries` for a driver whose listing knows only names.
pub fn entries_by_stat<D: Driver + ?Sized>(
    driver: &D,
    ctx: &Context,
    path: &str,
    after: Option<&str>,
) -> Result<Vec<FileInfo>> {
    let names = driver.list(ctx, path)?;
    let mut entries = Vec::with_capacity(names.len());
    for child in names.iter().filter(|c| after.is_none_or(|after| path::name(c) > after)) {
        match driver.stat(ctx, child) {
            Ok(info) => entries.push(info),
            Err(error) if error.code() == Code::PathNotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// The walk of every driver that has none of its own: one `entries` a directory.
/// Holds the directories on the way to the current one, nothing more.
pub struct EntriesWalker {
    driver: Arc<dyn Driver>,
    ctx: Context,
    options: WalkOptions,
    /// What is left of each directory from the start to the current one, sorted.
    levels: Vec<VecDeque<FileInfo>>,
    /// The directory just returned, not yet listed.
    descend: Option<String>,
}

impl EntriesWalker {
    /// `PathNotFound` if `start` is missing, `NotDirectory` if it is a file.
    pub fn open(
        driver: Arc<dyn Driver>,
        ctx: &Context,
        start: &str,
        options: &WalkOptions,
    ) -> Result<EntriesWalker> {
        let mut walker = EntriesWalker {
            driver,
            ctx: ctx.clone(),
            options: options.clone(),
            levels: Vec::new(),
            descend: None,
        };
        match walker.options.start_after.clone() {
            Some(after) if path::below(&after, start).is_some() => {
                walker.open_inside(start, &after)?;
            }
            after => {
                let all = after.as_deref().is_none_or(|after| walker.reports_all(start, after));
                let first = walker.listing(start, None)?;
                walker.levels.push(if all { first } else { VecDeque::new() });
            }
        }
        Ok(walker)
    }

    /// Whether everything below `start` comes after `after`, which is not below it.
    fn reports_all(&self, start: &str, after: &str) -> bool {
        match path::compare(after, start) {
            std::cmp::Ordering::Less => {
                !(self.options.skip_start_subtree && path::below(start, after).is_some())
            }
            std::cmp::Ordering::Equal => !self.options.skip_start_subtree,
            std::cmp::Ordering::Greater => false,
        }
    }

    /// Opens each level between `start` and `after`, without what lies before.
    fn open_inside(&mut self, start: &str, after: &str) -> Result<()> {
        let mut directory = start.to_string();
        let components: Vec<&str> =
            path::below(after, start).map(|rest| rest.split('/').collect()).unwrap_or_default();
        for component in components {
            match self.listing(&directory, Some(component)) {
                Ok(level) => self.levels.push(level),
                // Below the start a missing level has nothing to report.
                Err(error) if !self.levels.is_empty() && is_gone(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            directory = path::join(&directory, component);
        }
        if !self.options.skip_start_subtree {
            self.descend = Some(directory);
        }
        Ok(())
    }

    fn listing(&self, directory: &str, after: Option<&str>) -> Result<VecDeque<FileInfo>> {
        let mut entries = self.driver.entries(&self.ctx, directory, after)?;
        let by_name = |a: &FileInfo, b: &FileInfo| path::name(&a.path).cmp(path::name(&b.path));
        if !entries.is_sorted_by(|a, b| by_name(a, b).is_lt()) {
            entries.sort_unstable_by(by_name);
            entries.dedup_by(|a, b| a.path == b.path);
        }
        Ok(entries.into())
    }
}

impl Walker for EntriesWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        if let Some(directory) = self.descend.take() {
            match self.listing(&directory, None) {
                Ok(level) => self.levels.push(level),
                // Deleted, or replaced by a file, since it was listed.
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    // The same step can be tried again.
                    self.descend = Some(directory);
                    return Err(error);
                }
            }
        }
        while let Some(level) = self.levels.last_mut() {
            if let Some(info) = level.pop_front() {
                if info.is_dir {
                    self.descend = Some(info.path.clone());
                }
                return Ok(Some(info));
            }
            self.levels.pop();
        }
        Ok(None)
    }

    fn skip_dir(&mut self) {
        self.descend = None;
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error.code(), Code::PathNotFound | Code::NotDirectory)
}
