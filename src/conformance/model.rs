//! Random operations beside a reference that does the same in memory: whatever
//! the other cases did not think of.

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use super::content::Choices;
use super::probe::{CaseResult, During, Probe, Stop, ensure, same};
use crate::driver::WalkOptions;
use crate::error::{Code, Result};
use crate::path;

pub const CASES: &[Case] = &[Case {
    name: "model/random_operations_agree_with_a_reference",
    run: |p| Model::new(p).run(300),
}];

struct Model<'p> {
    p: &'p Probe<'p>,
    choices: Choices,
    root: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Those that stay when they are empty: where directories are real.
    directories: BTreeSet<String>,
    /// What was done, for the report of a failure.
    history: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Directory,
    Missing,
}

impl<'p> Model<'p> {
    fn new(p: &'p Probe<'p>) -> Model<'p> {
        Model {
            choices: p.choices(),
            root: p.path("m"),
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            history: Vec::new(),
            p,
        }
    }

    fn run(mut self, steps: usize) -> CaseResult {
        // The root of the tree is always there.
        self.put("keep", false)?;
        for step in 1..=steps {
            let outcome = self.step().and_then(|()| match step % 30 {
                0 => self.compare_all(),
                _ => Ok(()),
            });
            if let Err(Stop::Failed(detail)) = outcome {
                let from = self.history.len().saturating_sub(12);
                let last = self.history.get(from..).unwrap_or_default().join(", ");
                return Err(Stop::Failed(format!("{detail}; after {last}")));
            }
        }
        self.compare_all()
    }

    fn step(&mut self) -> CaseResult {
        let (one, other) = (self.any_path(), self.any_path());
        match self.choices.below(10) {
            0 | 1 => self.put(&one, false),
            2 | 3 => self.put(&one, true),
            4 | 5 => self.rename(&one, &other),
            6 => self.delete(&one),
            7 => self.get(&one),
            8 => self.list(&one),
            _ => self.stat(&one),
        }
    }

    /// Of one to three components with names that sort around the slash.
    fn any_path(&mut self) -> String {
        let depth = 1 + self.choices.below(3);
        let name = |choices: &mut Choices| {
            choices.one_of(&["a", "a-", "a.b", "ab", "b"]).copied().unwrap_or("a")
        };
        (0..depth).map(|_| name(&mut self.choices)).collect::<Vec<_>>().join("/")
    }

    fn at(&self, rest: &str) -> String {
        path::join(&self.root, rest)
    }

    fn kind(&self, path: &str) -> Kind {
        let below = |candidate: &String| path::below(candidate, path).is_some();
        if self.files.contains_key(path) {
            Kind::File
        } else if self.directories.contains(path) || self.files.keys().any(below) {
            Kind::Directory
        } else {
            Kind::Missing
        }
    }

    /// Why no file can be at `path`, if it cannot.
    fn conflict(&self, path: &str) -> Option<Code> {
        if self.files.keys().any(|file| path::below(path, file).is_some()) {
            Some(Code::NotDirectory)
        } else if self.kind(path) == Kind::Directory {
            Some(Code::IsDirectory)
        } else {
            None
        }
    }

    fn insert(&mut self, path: &str, data: Vec<u8>) {
        if self.p.capabilities.real_directories {
            let mut above = path::parent(path);
            while path::below(above, &self.root).is_some() {
                self.directories.insert(above.to_string());
                above = path::parent(above);
            }
        }
        self.files.insert(path.to_string(), data);
    }

    /// The call did what is expected of it: `None` is a success.
    fn agree<T>(&self, what: &str, outcome: Result<T>, expected: Option<Code>) -> CaseResult {
        match expected {
            Some(code) => self.p.expect_error(what, outcome, code).map(drop),
            None => outcome.during(what).map(drop),
        }
    }

    fn note(&mut self, what: String) -> String {
        self.history.push(what.clone());
        what
    }

    fn put(&mut self, rest: &str, by_writer: bool) -> CaseResult {
        let path = self.at(rest);
        let stream = self.choices.next();
        let len = self.choices.below(5000) as usize;
        let conflict = self.conflict(&path);
        if conflict.is_some() && !self.p.capabilities.real_directories {
            return Ok(());
        }
        let what = self.note(format!("{} {rest}", if by_writer { "write" } else { "put" }));
        let data = self.p.content(stream).bytes(len);
        let (driver, ctx) = (self.p.driver, &self.p.ctx);
        let outcome = if by_writer {
            driver.writer(ctx, &path, false).and_then(|mut writer| {
                writer.write(&data)?;
                writer.commit(ctx)?;
                writer.close(ctx)
            })
        } else {
            driver.put_content(ctx, &path, &data)
        };
        self.agree(&what, outcome, conflict)?;
        if conflict.is_none() {
            self.insert(&path, data);
        }
        Ok(())
    }

    fn rename(&mut self, source: &str, dest: &str) -> CaseResult {
        let (from, to) = (self.at(source), self.at(dest));
        let expected = match self.kind(&from) {
            Kind::Missing => Some(Code::PathNotFound),
            Kind::Directory => Some(Code::IsDirectory),
            Kind::File if from == to => None,
            Kind::File => self.conflict(&to),
        };
        let by_place = self.kind(&from) == Kind::File && expected.is_some();
        if by_place && !self.p.capabilities.real_directories {
            return Ok(());
        }
        let what = self.note(format!("move {source} to {dest}"));
        self.agree(&what, self.p.driver.r#move(&self.p.ctx, &from, &to), expected)?;
        if expected.is_none()
            && let Some(data) = self.files.remove(&from)
        {
            self.insert(&to, data);
        }
        Ok(())
    }

    fn delete(&mut self, rest: &str) -> CaseResult {
        let path = self.at(rest);
        let expected = (self.kind(&path) == Kind::Missing).then_some(Code::PathNotFound);
        let what = self.note(format!("delete {rest}"));
        self.agree(&what, self.p.driver.delete(&self.p.ctx, &path), expected)?;
        let goes =
            |candidate: &String| *candidate == path || path::below(candidate, &path).is_some();
        self.files.retain(|file, _| !goes(file));
        self.directories.retain(|directory| !goes(directory));
        Ok(())
    }

    fn get(&mut self, rest: &str) -> CaseResult {
        let path = self.at(rest);
        let what = self.note(format!("get {rest}"));
        let outcome = self.p.driver.get_content(&self.p.ctx, &path);
        match (self.kind(&path), self.files.get(&path)) {
            (_, Some(data)) => same(&what, &outcome.during(&what)?, data),
            (Kind::Directory, _) => {
                let code = super::content_cases::not_a_file(self.p);
                self.agree(&what, outcome, Some(code))
            }
            _ => self.agree(&what, outcome, Some(Code::PathNotFound)),
        }
    }

    fn stat(&mut self, rest: &str) -> CaseResult {
        let path = self.at(rest);
        let what = self.note(format!("stat {rest}"));
        let outcome = self.p.driver.stat(&self.p.ctx, &path);
        let kind = self.kind(&path);
        if kind == Kind::Missing {
            return self.agree(&what, outcome, Some(Code::PathNotFound));
        }
        let info = outcome.during(&what)?;
        let size = self.files.get(&path).map_or(0, Vec::len) as u64;
        let right = info.size == size && info.is_dir == (kind == Kind::Directory);
        ensure!(right, "{what}: {info:?}, expected {size} bytes");
        Ok(())
    }

    fn list(&mut self, rest: &str) -> CaseResult {
        let path = self.at(rest);
        let what = self.note(format!("list {rest}"));
        let outcome = self.p.driver.list(&self.p.ctx, &path);
        match self.kind(&path) {
            Kind::Missing => self.agree(&what, outcome, Some(Code::PathNotFound)),
            Kind::File => self.agree(&what, outcome, Some(Code::NotDirectory)),
            Kind::Directory => {
                let names = outcome.during(&what)?;
                let found: Vec<&str> = names.iter().collect();
                let expected: BTreeSet<String> = self
                    .files
                    .keys()
                    .chain(&self.directories)
                    .filter_map(|entry| path::below(entry, &path)?.split('/').next())
                    .map(|name| path::join(&path, name))
                    .collect();
                ensure!(found.iter().eq(&expected), "{what}: {found:?}, expected {expected:?}");
                Ok(())
            }
        }
    }

    /// The walk has every entry in order, and every file its content.
    fn compare_all(&self) -> CaseResult {
        let mut expected: BTreeSet<String> = self.directories.clone();
        for file in self.files.keys() {
            let mut entry = file.as_str();
            while path::below(entry, &self.root).is_some() {
                expected.insert(entry.to_string());
                entry = path::parent(entry);
            }
        }
        let mut expected: Vec<String> = expected.into_iter().collect();
        expected.sort_by(|a, b| path::compare(a, b));
        let mut walker = self.p.walker(&self.root, &WalkOptions::default())?;
        let mut found = Vec::new();
        while let Some(info) = walker.next().during("next")? {
            found.push(info.path);
        }
        ensure!(found == expected, "the walk is {found:?}, expected {expected:?}");
        self.files.iter().try_for_each(|(path, data)| same(path, &self.p.get(path)?, data))
    }
}
