//! Every call of a driver as the fault tests make it: what must lie there before,
//! the requests it makes, and what may lie there after it.

use storagedriver::context::Context;
use storagedriver::driver::{Driver, Reader};
use storagedriver::error::{Code, Result};

use crate::content::content;
use crate::store::PART;

pub struct Operation {
    pub name: &'static str,
    /// Each kind of request it makes, and how many of them.
    pub requests: &'static [(&'static str, usize)],
    /// Makes what it needs below a directory of its own.
    pub prepare: fn(&dyn Driver, &str),
    /// Makes the call; a result that is wrong panics.
    pub run: fn(&dyn Driver, &Context, &str) -> Result<()>,
    /// Looks at what lies there: the whole effect, or, when the call failed, the
    /// whole effect or none.
    pub check: fn(&dyn Driver, &str, bool),
}

/// Sizes that make two parts.
const LARGE: usize = PART + 100_000;

pub const ALL: &[Operation] = &[
    Operation {
        name: "get",
        requests: &[("GetObject", 1)],
        prepare: |driver, at| put(driver, at, "a", 1, 100_000),
        run: |driver, ctx, at| {
            let found = driver.get_content(ctx, &format!("{at}/a"))?;
            assert!(found == content(1, 100_000), "get: other bytes");
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "put",
        requests: &[("PutObject", 1)],
        prepare: |driver, at| put(driver, at, "a", 1, 50_000),
        run: |driver, ctx, at| driver.put_content(ctx, &format!("{at}/a"), &content(2, 100_000)),
        check: |driver, at, done| is_one_of(driver, at, "a", &[(1, 50_000), (2, 100_000)], done),
    },
    Operation {
        name: "reader",
        requests: &[("GetObject", 1)],
        prepare: |driver, at| put(driver, at, "a", 1, 3 << 20),
        run: |driver, ctx, at| {
            let mut reader = driver.reader(ctx, &format!("{at}/a"), 1000)?;
            let found = read_all(&mut *reader)?;
            assert_eq!(found.len(), (3 << 20) - 1000, "a short success");
            assert!(found == content(1, 3 << 20)[1000..], "reader: other bytes");
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "stat",
        requests: &[("HeadObject", 1)],
        prepare: |driver, at| put(driver, at, "a", 1, 1000),
        run: |driver, ctx, at| {
            assert_eq!(driver.stat(ctx, &format!("{at}/a"))?.size, 1000);
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "stat of a directory",
        requests: &[("ListObjectsV2", 1)],
        prepare: |driver, at| put(driver, at, "d/a", 1, 1000),
        run: |driver, ctx, at| {
            assert!(driver.stat(ctx, &format!("{at}/d"))?.is_dir);
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "list",
        requests: &[("ListObjectsV2", 1)],
        prepare: |driver, at| (0..9).for_each(|n| put(driver, at, &format!("d/{n}"), n, 10)),
        run: |driver, ctx, at| {
            assert_eq!(driver.list(ctx, &format!("{at}/d"))?.len(), 9);
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "walk",
        requests: &[("ListObjectsV2", 1)],
        prepare: |driver, at| (0..9).for_each(|n| put(driver, at, &format!("d/{n}/a"), n, 10)),
        run: |driver, ctx, at| {
            let walker = driver.walker(ctx, &format!("{at}/d"), &Default::default())?;
            let (mut walker, mut found) = (walker.unwrap(), 0);
            while walker.next()?.is_some() {
                found += 1;
            }
            assert_eq!(found, 18, "a walk that lost something");
            Ok(())
        },
        check: |_, _, _| {},
    },
    Operation {
        name: "move",
        requests: &[("HeadObject", 1), ("CopyObject", 1), ("DeleteObject", 1)],
        prepare: |driver, at| {
            put(driver, at, "a", 1, 50_000);
            put(driver, at, "b", 2, 1000);
        },
        run: |driver, ctx, at| driver.r#move(ctx, &format!("{at}/a"), &format!("{at}/b")),
        check: |driver, at, done| {
            is_one_of(driver, at, "b", &[(2, 1000), (1, 50_000)], done);
            // The source may stay when the move failed, and must while the copy is not there.
            let source = driver.get_content(&Context::none(), &format!("{at}/a"));
            let copied = driver.stat(&Context::none(), &format!("{at}/b")).unwrap().size == 50_000;
            match source {
                Ok(bytes) => assert!(!done && bytes == content(1, 50_000)),
                Err(error) => assert!(copied && error.code() == Code::PathNotFound),
            }
        },
    },
    Operation {
        name: "delete",
        requests: &[("ListObjectsV2", 1), ("DeleteObjects", 1)],
        prepare: |driver, at| {
            (0..5).for_each(|n| put(driver, at, &format!("d/{n}"), n, 10));
            put(driver, at, "d-sibling", 9, 10);
        },
        run: |driver, ctx, at| driver.delete(ctx, &format!("{at}/d")),
        check: |driver, at, done| {
            let left = driver.list(&Context::none(), &format!("{at}/d"));
            // SeaweedFS lists directories for a while after their last file has gone.
            assert!(!done || left.map_or(true, |names| names.is_empty()));
            is_one_of(driver, at, "d-sibling", &[(9, 10)], true);
        },
    },
    Operation {
        name: "upload",
        requests: &[
            ("CreateMultipartUpload", 1),
            ("UploadPart", 2),
            ("CompleteMultipartUpload", 1),
        ],
        prepare: |driver, at| put(driver, at, "a", 1, 1000),
        run: |driver, ctx, at| {
            let mut writer = driver.writer(ctx, &format!("{at}/a"), false)?;
            content(2, LARGE).chunks(1 << 20).try_for_each(|piece| writer.write(piece))?;
            writer.commit(ctx)?;
            writer.close(ctx)
        },
        check: |driver, at, done| is_one_of(driver, at, "a", &[(1, 1000), (2, LARGE)], done),
    },
    Operation {
        name: "resume",
        requests: &[
            ("ListMultipartUploads", 1),
            ("ListParts", 1),
            ("UploadPart", 1),
            ("CompleteMultipartUpload", 1),
        ],
        prepare: |driver, at| begin(driver, at, PART),
        run: |driver, ctx, at| go_on(driver, ctx, at, PART, LARGE),
        check: |driver, at, done| resumable(driver, at, PART, LARGE, done),
    },
    Operation {
        name: "resume after a small tail",
        requests: &[
            ("ListMultipartUploads", 1),
            ("ListParts", 1),
            ("CompleteMultipartUpload", 2),
            ("CreateMultipartUpload", 1),
            ("UploadPartCopy", 1),
            ("UploadPart", 1),
        ],
        prepare: |driver, at| begin(driver, at, PART + 1000),
        run: |driver, ctx, at| go_on(driver, ctx, at, PART + 1000, 2 * LARGE),
        check: |driver, at, done| resumable(driver, at, PART + 1000, 2 * LARGE, done),
    },
    Operation {
        name: "resume of a small upload",
        requests: &[
            ("ListMultipartUploads", 1),
            ("ListParts", 1),
            ("CompleteMultipartUpload", 2),
            ("CreateMultipartUpload", 1),
            ("GetObject", 1),
            ("UploadPart", 2),
        ],
        prepare: |driver, at| begin(driver, at, 2000),
        run: |driver, ctx, at| go_on(driver, ctx, at, 2000, LARGE),
        check: |driver, at, done| resumable(driver, at, 2000, LARGE, done),
    },
];

/// Removes what a call left: the servers keep everything in memory.
pub fn forget(driver: &dyn Driver, at: &str) {
    let _ = driver.delete(&Context::none(), at);
}

fn put(driver: &dyn Driver, at: &str, name: &str, seed: u64, length: usize) {
    let data = content(seed, length);
    driver.put_content(&Context::none(), &format!("{at}/{name}"), &data).unwrap();
}

/// One of these contents lies there, whole; the last of them when it is `done`.
fn is_one_of(driver: &dyn Driver, at: &str, name: &str, all: &[(u64, usize)], done: bool) {
    let found = driver.get_content(&Context::none(), &format!("{at}/{name}")).unwrap();
    let all = if done { &all[all.len() - 1..] } else { all };
    let whole = all.iter().any(|(seed, length)| found == content(*seed, *length));
    assert!(whole, "{name}: {} bytes, torn, old or gone", found.len());
}

fn begin(driver: &dyn Driver, at: &str, length: usize) {
    let ctx = Context::none();
    let mut writer = driver.writer(&ctx, &format!("{at}/u"), false).unwrap();
    writer.write(&content(3, length)).unwrap();
    writer.close(&ctx).unwrap();
}

fn go_on(driver: &dyn Driver, ctx: &Context, at: &str, from: usize, to: usize) -> Result<()> {
    let mut writer = driver.writer(ctx, &format!("{at}/u"), true)?;
    assert_eq!(writer.size(), from as u64);
    content(3, to)[from..].chunks(1 << 20).try_for_each(|piece| writer.write(piece))?;
    writer.commit(ctx)?;
    writer.close(ctx)
}

/// All of it, or an upload that has at least what was acknowledged and can end.
fn resumable(driver: &dyn Driver, at: &str, acked: usize, to: usize, done: bool) {
    let (ctx, path) = (Context::none(), format!("{at}/u"));
    let whole = content(3, to);
    if !done {
        let mut writer = driver.writer(&ctx, &path, true).unwrap();
        let size = writer.size() as usize;
        assert!(size >= acked && size <= to, "{size} bytes are left of {acked}");
        writer.write(&whole[size..]).unwrap();
        writer.commit(&ctx).unwrap();
        writer.close(&ctx).unwrap();
    }
    assert!(driver.get_content(&ctx, &path).unwrap() == whole, "torn");
}

pub fn read_all(reader: &mut dyn Reader) -> Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}
