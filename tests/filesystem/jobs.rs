//! What the processes that the tests start do. A panic fails the test.

use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::{Code, Result};

use super::driver;

pub fn run(job: &str, root: &Path) {
    let driver = driver(root);
    match job {
        "make" => make(&driver),
        "refused" => refused(&driver),
        "few-descriptors" => few_descriptors(&driver, root),
        "calls" => calls(&driver),
        "order" => order(&driver, root),
        "sync-fails" => sync_fails(&driver, root),
        "append-lost" => append_lost(&driver),
        "commit-unsynced" => commit_unsynced(&driver, root, false),
        "append-unsynced" => commit_unsynced(&driver, root, true),
        "move-replaced" => move_replaced(&driver, root),
        "put-fails" => put_fails(&driver, root),
        "confined" => confined(&driver, root),
        _ => panic!("no job {job}"),
    }
}

/// One file by each way that there is to make one.
fn make(driver: &Base) {
    let ctx = Context::none();
    driver.put_content(&ctx, "/put/dir/file", b"x").unwrap();
    driver.put_content(&ctx, "/put/dir/file", b"over").unwrap();
    let mut writer = driver.writer(&ctx, "/written/file", false).unwrap();
    writer.write(b"x").unwrap();
    writer.commit(&ctx).unwrap();
    let mut writer = driver.writer(&ctx, "/written/file", false).unwrap();
    writer.write(b"staged").unwrap();
    writer.commit(&ctx).unwrap();
    driver.put_content(&ctx, "/source", b"x").unwrap();
    driver.r#move(&ctx, "/source", "/moved/dir/file").unwrap();
    assert_eq!(driver.get_content(&ctx, "/put/dir/file").unwrap(), b"over");
    assert_eq!(driver.get_content(&ctx, "/written/file").unwrap(), b"staged");
}

/// A root where nothing is allowed.
fn refused(driver: &Base) {
    let ctx = Context::none();
    let refused = |outcome: Result<()>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert!(error.detail().contains("permission denied (os error 13)"), "{error}");
    };
    refused(driver.put_content(&ctx, "/file", b"x"));
    refused(driver.get_content(&ctx, "/file").map(drop));
    refused(driver.stat(&ctx, "/file").map(drop));
    refused(driver.list(&ctx, "/").map(drop));
    refused(driver.writer(&ctx, "/file", false).map(drop));
    refused(driver.writer(&ctx, "/file", true).map(drop));
    refused(driver.delete(&ctx, "/file"));
    refused(driver.r#move(&ctx, "/file", "/other"));
}

fn few_descriptors(driver: &Base, root: &Path) {
    let ctx = Context::none();
    driver.put_content(&ctx, "/a/b", b"x").unwrap();
    let limit = Rlimit { current: Some(64), maximum: Some(64) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut held = Vec::new();
    let error = loop {
        match driver.reader(&ctx, "/a/b", 0) {
            Ok(reader) => held.push(reader),
            Err(error) => break error,
        }
    };
    // The last one, too: what takes several may have stopped short of it.
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    for error in [
        error,
        driver.put_content(&ctx, "/a/c", b"x").unwrap_err(),
        driver.writer(&ctx, "/a/d", false).map(drop).unwrap_err(),
        driver.list(&ctx, "/").unwrap_err(),
        driver.stat(&ctx, "/a/b").unwrap_err(),
        driver.delete(&ctx, "/a").unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(error.is_retryable());
    }
    assert!(held.len() > 10);
    // With two to spare a small thing works, and nothing was leaked or left.
    held.clear();
    files.clear();
    for _ in 0..100 {
        driver.put_content(&ctx, "/a/c", b"x").unwrap();
    }
    assert_eq!(driver.list(&ctx, "/a").unwrap().iter().collect::<Vec<_>>(), ["/a/b", "/a/c"]);
    // However deep the tree.
    std::fs::create_dir_all(root.join("d").join("sub/".repeat(500))).unwrap();
    driver.delete(&ctx, "/d").unwrap();
    driver.delete(&ctx, "/a").unwrap();
}

/// Shows in the trace where the next piece of work begins.
fn mark(name: &str) {
    let _ = std::fs::read_link(format!("/mark/{name}"));
}

fn calls(driver: &Base) {
    let ctx = Context::none();
    let data = [7; 4096];
    // Directories warm, allocator too.
    for path in ["/d/e/warm", "/d/e/old"] {
        driver.put_content(&ctx, path, &data).unwrap();
        driver.put_content(&ctx, path, &data).unwrap();
        driver.get_content(&ctx, path).unwrap();
    }
    mark("put-new");
    driver.put_content(&ctx, "/d/e/new", &data).unwrap();
    mark("put-over");
    driver.put_content(&ctx, "/d/e/old", &data).unwrap();
    mark("get");
    driver.get_content(&ctx, "/d/e/old").unwrap();
    mark("stat");
    driver.stat(&ctx, "/d/e/old").unwrap();
    mark("stat-missing");
    driver.stat(&ctx, "/d/e/missing").unwrap_err();
    mark("list");
    driver.list(&ctx, "/d/e").unwrap();
    mark("entries");
    assert_eq!(driver.entries(&ctx, "/d/e", None).unwrap().len(), 3);
    mark("delete");
    driver.delete(&ctx, "/d/e/new").unwrap();
    mark("move");
    driver.r#move(&ctx, "/d/e/old", "/d/e/moved").unwrap();
    mark("append-missing");
    driver.writer(&ctx, "/d/f/missing", true).map(drop).unwrap_err();
    mark("upload");
    let mut writer = driver.writer(&ctx, "/d/e/upload", false).unwrap();
    mark("small-writes");
    for _ in 0..64 {
        writer.write(&data[..1000]).unwrap();
    }
    mark("large-write");
    writer.write(&[0; 1 << 20]).unwrap();
    mark("commit");
    writer.commit(&ctx).unwrap();
    mark("append");
    let mut writer = driver.writer(&ctx, "/d/e/upload", true).unwrap();
    mark("close");
    writer.close(&ctx).unwrap();
    mark("end");
}

fn order(driver: &Base, root: &Path) {
    let ctx = Context::none();
    driver.stat(&ctx, "/").unwrap();
    mark("put-cold");
    driver.put_content(&ctx, "/made/by/others/new/file", b"x").unwrap();
    mark("put-warm");
    driver.put_content(&ctx, "/made/by/others/new/second", b"x").unwrap();
    mark("put-beside");
    driver.put_content(&ctx, "/made/by/file", b"x").unwrap();
    mark("delete");
    driver.delete(&ctx, "/made/by/others").unwrap();
    mark("put-again");
    driver.put_content(&ctx, "/made/by/others/file", b"x").unwrap();
    mark("delete-again");
    driver.delete(&ctx, "/made/by/others").unwrap();
    std::fs::create_dir(root.join("made/by/others")).unwrap();
    mark("put-others");
    driver.put_content(&ctx, "/made/by/others/file", b"x").unwrap();
    mark("upload");
    let mut writer = driver.writer(&ctx, "/made/by/upload", false).unwrap();
    writer.write(b"x").unwrap();
    mark("close");
    writer.close(&ctx).unwrap();
    let mut writer = driver.writer(&ctx, "/made/by/file", false).unwrap();
    writer.write(b"y").unwrap();
    mark("commit-staged");
    writer.commit(&ctx).unwrap();
    mark("move");
    driver.r#move(&ctx, "/made/by/upload", "/dest/dir/file").unwrap();
    mark("link");
    driver.put_content(&ctx, "/link/file", b"x").unwrap();
    mark("end");
}

/// Run with every fsync failing from some point on.
fn sync_fails(driver: &Base, root: &Path) {
    let ctx = Context::none();
    let mut writer = driver.writer(&ctx, "/file", false).unwrap();
    writer.write(b"x").unwrap();
    // The kernel tells of a failure once and then calls the file clean.
    let error = writer.commit(&ctx).unwrap_err();
    assert_eq!((error.code(), error.detail().contains("os error 5")), (Code::Driver, true));
    for outcome in [writer.commit(&ctx), writer.close(&ctx)] {
        let error = outcome.unwrap_err();
        assert!(error.detail().contains("may have lost bytes"), "{error}");
    }
    writer.cancel(&ctx).unwrap();
    assert!(!root.join("file").exists());
}

/// Run with the sync of the second session failing.
fn append_lost(driver: &Base) {
    let ctx = Context::none();
    let mut writer = driver.writer(&ctx, "/file", false).unwrap();
    writer.write(b"kept").unwrap();
    writer.close(&ctx).unwrap();
    let mut writer = driver.writer(&ctx, "/file", true).unwrap();
    writer.write(b" lost").unwrap();
    writer.close(&ctx).unwrap_err();
    assert_eq!(writer.size(), 4);
    drop(writer);
    let mut writer = driver.writer(&ctx, "/file", true).unwrap();
    assert_eq!(writer.size(), 4);
    writer.write(b" again").unwrap();
    writer.commit(&ctx).unwrap();
    assert_eq!(driver.get_content(&ctx, "/file").unwrap(), b"kept again");
}

/// Run with the sync failing that follows the commit's rename.
fn commit_unsynced(driver: &Base, root: &Path, append: bool) {
    let ctx = Context::none();
    std::fs::write(root.join("file"), "old").unwrap();
    let mut writer = driver.writer(&ctx, "/file", false).unwrap();
    writer.write(b"new").unwrap();
    if append {
        writer.close(&ctx).unwrap();
        writer = driver.writer(&ctx, "/file", true).unwrap();
        writer.write(b"er").unwrap();
    }
    let content: &[u8] = if append { b"newer" } else { b"new" };
    writer.commit(&ctx).unwrap_err();
    assert_eq!(writer.cancel(&ctx).unwrap_err().code(), Code::Conflict);
    assert_eq!(driver.get_content(&ctx, "/file").unwrap(), content);
    writer.commit(&ctx).unwrap();
    assert_eq!(driver.get_content(&ctx, "/file").unwrap(), content);
}

/// Run with renames that find two file systems, and slow syncs.
fn move_replaced(driver: &Base, root: &Path) {
    std::fs::write(root.join("source"), "old").unwrap();
    std::fs::write(root.join("other"), "new").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !root.join("dest").exists() {
                std::thread::yield_now();
            }
            std::fs::remove_file(root.join("source")).unwrap();
            std::fs::hard_link(root.join("other"), root.join("source")).unwrap();
        });
        driver.r#move(&Context::none(), "/source", "/dest").unwrap();
    });
    assert_eq!(std::fs::read(root.join("dest")).unwrap(), b"old");
    assert_eq!(std::fs::read(root.join("source")).unwrap(), b"new");
}

/// Run with every fsync failing: nothing of the put may remain.
fn put_fails(driver: &Base, root: &Path) {
    let ctx = Context::none();
    std::fs::write(root.join("file"), "old").unwrap();
    for path in ["/file", "/new"] {
        let error = driver.put_content(&ctx, path, b"content").unwrap_err();
        assert!(error.detail().contains("os error"), "{error}");
    }
    assert_eq!(std::fs::read(root.join("file")).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 1);
}

fn confined(driver: &Base, root: &Path) {
    let ctx = Context::none();
    make(driver);
    std::os::unix::fs::symlink("..", root.join("out")).unwrap();
    for path in ["/out", "/out/root/put/dir/file"] {
        let error = driver.stat(&ctx, path).unwrap_err();
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert!(error.detail().contains("followsymlinks"));
    }
    driver.put_content(&ctx, "/out/file", b"x").unwrap_err();
}
