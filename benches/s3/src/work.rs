//! What a client is asked to do, written as `get:4000:8`.

use std::fmt;
use std::str::FromStr;

use crate::Result;
use crate::clients::{self, Client, PIECE, Small, Target};

#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Makes what the others read; the pieces of the large object.
    Prepare(usize),
    /// Makes so many small objects below one path.
    Fill(usize),
    Small {
        call: Small,
        count: usize,
        at_once: usize,
    },
    Upload(usize),
    Download(usize),
    Delete,
}

const OBJECTS: usize = 100;
const TREE: &str = "/tree";
const UPLOAD: &str = "/upload";

fn small_paths(folder: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("/{folder}/object-{:02}", i % OBJECTS)).collect()
}

impl Work {
    pub fn run(self, client: &dyn Client) -> Result<()> {
        match self {
            Work::Prepare(pieces) => {
                client.small(Small::Put, &small_paths("small", OBJECTS), 8)?;
                client.upload("/large", pieces)
            }
            Work::Fill(count) => {
                let path = |i| format!("{TREE}/{:02}/object-{i:05}", i % 50);
                client.small(Small::Put, &(0..count).map(path).collect::<Vec<_>>(), 50)
            }
            Work::Small { call, count, at_once } => {
                let folder = if call == Small::Put { "put" } else { "small" };
                client.small(call, &small_paths(folder, count), at_once)
            }
            Work::Upload(pieces) => client.upload(UPLOAD, pieces),
            Work::Download(pieces) => match client.download("/large")? {
                total if total == (pieces * PIECE) as u64 => Ok(()),
                total => Err(format!("{total} bytes came").into()),
            },
            Work::Delete => client.delete_tree(TREE),
        }
    }

    /// Whether it was done, as a client of its own sees it.
    pub fn check(self, target: &Target) -> Result<()> {
        match self {
            Work::Upload(pieces) => match clients::size(target, UPLOAD)? {
                size if size == (pieces * PIECE) as u64 => Ok(()),
                size => Err(format!("{size} bytes are there").into()),
            },
            Work::Delete if !clients::is_empty(target, TREE)? => Err("objects are left".into()),
            _ => Ok(()),
        }
    }

    /// Connects, and where calls are counted by the thousand settles in.
    pub fn warm(self, client: &dyn Client) -> Result<()> {
        match self {
            Work::Prepare(_) | Work::Fill(_) => Ok(()),
            Work::Small { call, count: count @ 1000.., at_once } => {
                Work::Small { call, count: count / 10, at_once }.run(client)
            }
            _ => Work::Small { call: Small::Stat, count: 1, at_once: 1 }.run(client),
        }
    }
}

impl FromStr for Work {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Work> {
        let words: Vec<&str> = text.split(':').collect();
        let small = |call, count: &str, at_once: &str| -> Result<Work> {
            Ok(Work::Small { call, count: count.parse()?, at_once: at_once.parse()? })
        };
        Ok(match words[..] {
            ["prepare", pieces] => Work::Prepare(pieces.parse()?),
            ["fill", count] => Work::Fill(count.parse()?),
            ["get", count, at_once] => small(Small::Get, count, at_once)?,
            ["put", count, at_once] => small(Small::Put, count, at_once)?,
            ["stat", count, at_once] => small(Small::Stat, count, at_once)?,
            ["upload", pieces] => Work::Upload(pieces.parse()?),
            ["download", pieces] => Work::Download(pieces.parse()?),
            ["delete"] => Work::Delete,
            _ => return Err(format!("{text} is no work").into()),
        })
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Prepare(pieces) => write!(f, "prepare:{pieces}"),
            Work::Fill(count) => write!(f, "fill:{count}"),
            Work::Small { call, count, at_once } => {
                let call = match call {
                    Small::Get => "get",
                    Small::Put => "put",
                    Small::Stat => "stat",
                };
                write!(f, "{call}:{count}:{at_once}")
            }
            Work::Upload(pieces) => write!(f, "upload:{pieces}"),
            Work::Download(pieces) => write!(f, "download:{pieces}"),
            Work::Delete => write!(f, "delete"),
        }
    }
}
