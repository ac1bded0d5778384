//! The driver's parameters.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::params::Params;

const DEFAULT_ROOT: &str = "/var/lib/registry";
const DEFAULT_THREADS: u64 = 100;
const MIN_THREADS: u64 = 25;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Absolute, so that a later change of the working directory changes nothing.
    pub root: PathBuf,
    pub max_threads: usize,
    /// Whether results are made durable before they are acknowledged.
    pub fsync: bool,
    /// Whether links may lead out of the root.
    pub follow_symlinks: bool,
}

impl Config {
    pub fn read(params: &Params) -> Result<Config> {
        let mut reader = params.reader();
        let root = reader.text("rootdirectory")?.unwrap_or_else(|| DEFAULT_ROOT.to_string());
        let max_threads = reader.limit("maxthreads", MIN_THREADS, DEFAULT_THREADS)?;
        let fsync = reader.boolean("fsync", true)?;
        let follow_symlinks = reader.boolean("followsymlinks", false)?;
        reader.finish()?;
        if root.is_empty() || root.contains('\0') {
            return Err(Error::invalid_parameter("rootdirectory", "must name a directory"));
        }
        let root = std::path::absolute(root).map_err(|error| {
            Error::invalid_parameter("rootdirectory", format!("cannot be made absolute: {error}"))
        })?;
        let max_threads = usize::try_from(max_threads).unwrap_or(usize::MAX);
        Ok(Config { root, max_threads, fsync, follow_symlinks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn read(json: &str) -> Result<Config> {
        Config::read(&Params::from_json(json).unwrap())
    }

    #[test]
    fn defaults_are_distributions() {
        let config = read("{}").unwrap();
        assert_eq!(config.root, PathBuf::from("/var/lib/registry"));
        assert_eq!(config.max_threads, 100);
        assert!(config.fsync && !config.follow_symlinks);
    }

    #[test]
    fn maxthreads_below_25_is_raised_and_text_is_accepted() {
        assert_eq!(read(r#"{"maxthreads":3}"#).unwrap().max_threads, 25);
        assert_eq!(read(r#"{"maxthreads":"200"}"#).unwrap().max_threads, 200);
        assert!(read(r#"{"maxthreads":"many"}"#).is_err());
    }

    #[test]
    fn a_root_that_names_nothing_is_refused() {
        for json in [r#"{"rootdirectory":""}"#, r#"{"rootdirectory":"/a\u0000b"}"#] {
            assert_eq!(read(json).unwrap_err().code(), Code::InvalidParameter, "{json}");
        }
        assert!(read(r#"{"rootdirectory":"here"}"#).unwrap().root.is_absolute());
    }
}
