//! Nothing outside the root can be reached.

use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

/// Everything outside the root, by name and content.
fn outside(f: &Fixture) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![f.outer.path().join("outside")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            found.push((path, Vec::new()));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn plant(f: &Fixture) -> PathBuf {
    let secret = f.outer.path().join("outside");
    std::fs::create_dir_all(secret.join("dir")).unwrap();
    std::fs::write(secret.join("file"), "secret").unwrap();
    std::fs::write(secret.join("empty"), "").unwrap();
    std::fs::write(secret.join("dir/inner"), "secret").unwrap();
    f.put("/dir/own", "own");
    secret
}

fn refuse(f: &Fixture, path: &str) {
    let ctx = Context::none();
    let refused = |what: &str, outcome: Result<()>| {
        let error = outcome.expect_err(what);
        assert_eq!(error.code(), Code::Permission, "{what} {path}: {error}");
        assert!(error.detail().contains("followsymlinks"), "{what} {path}: {error}");
        assert_eq!(error.path(), path);
    };
    refused("get", f.get(path).map(drop));
    refused("reader", f.driver.reader(&ctx, path, 0).map(drop));
    refused("stat", f.driver.stat(&ctx, path).map(drop));
    refused("list", f.driver.list(&ctx, path).map(drop));
    refused("append", f.writer(path, true).map(drop));
    refused("writer", f.writer(path, false).map(drop));
    refused("move", f.rename(path, "/dir/moved"));
}

fn refuse_below(f: &Fixture, path: &str) {
    let ctx = Context::none();
    refuse(f, path);
    for outcome in
        [f.driver.put_content(&ctx, path, b"x"), f.delete(path), f.rename("/dir/own", path)]
    {
        assert_eq!(code(outcome), Some(Code::Permission), "{path}");
    }
}

#[test]
fn links_that_lead_out_of_the_root_are_refused() {
    confined(|f| {
        let secret = plant(f);
        let before = outside(f);
        symlink(secret.join("dir"), f.at("/absolute")).unwrap();
        symlink("../outside/dir", f.at("/relative")).unwrap();
        symlink("../../outside/dir", f.at("/dir/deep")).unwrap();
        symlink("../../root/dir/../../outside/dir", f.at("/dir/winding")).unwrap();
        symlink("/", f.at("/slash")).unwrap();
        symlink(f.root().join("dir"), f.at("/absolute-inside")).unwrap();
        for path in ["/absolute/inner", "/relative/inner", "/dir/deep/inner", "/dir/winding/inner"]
        {
            refuse_below(f, path);
        }
        refuse_below(f, "/slash/etc/passwd");
        refuse_below(f, "/absolute-inside/own");
        for path in ["/absolute", "/relative", "/dir/deep", "/dir/winding"] {
            refuse(f, path);
        }
        symlink("../outside/file", f.at("/file")).unwrap();
        symlink("../outside/empty", f.at("/empty")).unwrap();
        symlink("../outside/new", f.at("/new")).unwrap();
        for path in ["/file", "/empty", "/new"] {
            refuse(f, path);
        }
        assert_eq!(before, outside(f));
        // A put replaces the link, a delete removes it.
        f.put("/file", "own");
        f.put("/new", "own");
        for path in ["/empty", "/relative", "/dir/deep"] {
            f.delete(path).unwrap();
            assert!(std::fs::symlink_metadata(f.at(path)).is_err());
        }
        assert_eq!(before, outside(f));
    });
}

#[test]
fn links_that_stay_below_the_root_are_followed() {
    confined(|f| {
        f.put("/a/b/file", "x");
        f.put("/a/top", "t");
        symlink("a/b", f.at("/link")).unwrap();
        symlink("../../a/./b//../top", f.at("/a/b/up")).unwrap();
        symlink("link/file", f.at("/chain")).unwrap();
        symlink("b/..", f.at("/a/self")).unwrap();
        assert_eq!(f.text("/link/file"), "x");
        assert_eq!(f.text("/a/b/up"), "t");
        assert_eq!(f.text("/chain"), "x");
        assert_eq!(f.text("/link/up"), "t");
        assert_eq!(f.text("/a/self/top"), "t");
        assert!(f.driver.stat(&Context::none(), "/link").unwrap().is_dir);
        assert!(f.driver.stat(&Context::none(), "/a/self").unwrap().is_dir);
        assert_eq!(f.driver.stat(&Context::none(), "/chain").unwrap().size, 1);
        assert_eq!(f.list("/link"), ["/link/file", "/link/up"]);
        f.put("/link/new/deep", "n");
        assert_eq!(f.text("/a/b/new/deep"), "n");
        let mut writer = f.writer("/chain", true).unwrap();
        writer.write(b"y").unwrap();
        commit(&mut writer);
        assert_eq!(f.text("/a/b/file"), "xy");
    });
}

#[test]
fn links_without_end_are_an_error() {
    confined(|f| {
        f.put("/x", "x");
        symlink("b", f.at("/a")).unwrap();
        symlink("a", f.at("/b")).unwrap();
        symlink("loop/x", f.at("/loop")).unwrap();
        for path in ["/a", "/loop", "/a/x"] {
            let error = f.get(path).unwrap_err();
            assert!(error.detail().contains("os error 40"), "{error}");
        }
        symlink("nowhere", f.at("/dangling")).unwrap();
        assert_eq!(code(f.get("/dangling")), Some(Code::PathNotFound));
    });
}

#[test]
fn followsymlinks_serves_trees_that_are_spread_by_links() {
    let f = Fixture::new(Resolution::confined(), true);
    let secret = plant(&f);
    symlink(secret.join("dir"), f.at("/disk2")).unwrap();
    symlink("../outside/file", f.at("/file")).unwrap();
    assert_eq!(f.text("/disk2/inner"), "secret");
    assert_eq!(f.text("/file"), "secret");
    f.put("/disk2/new/file", "n");
    assert_eq!(std::fs::read(secret.join("dir/new/file")).unwrap(), b"n");
    f.rename("/disk2/inner", "/dir/moved").unwrap();
    assert_eq!(f.text("/dir/moved"), "secret");
    // Even then a link is removed and not what it leads to.
    f.delete("/disk2").unwrap();
    assert!(secret.join("dir/new/file").exists());
}

#[test]
fn a_directory_swapped_for_a_link_during_writes_leads_nowhere() {
    for resolution in [Resolution::confined(), Resolution::ByHand] {
        let f = Fixture::new(resolution, false);
        let secret = plant(&f);
        let before = outside(&f);
        f.put("/a/b/seed", "x");
        symlink(secret.join("dir"), f.at("/trap")).unwrap();
        let done = AtomicBool::new(false);
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        let cwd = rustix::fs::CWD;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (one, two) = (f.at("/a/b"), f.at("/trap"));
                    rustix::fs::renameat_with(cwd, one, cwd, two, exchange).unwrap();
                }
            });
            let ctx = Context::none();
            for n in 0..400 {
                let path = format!("/a/b/c{}/file", n % 7);
                let _ = f.driver.put_content(&ctx, &path, b"written");
                if let Ok(mut writer) = f.writer("/a/b/inner", false) {
                    let _ = writer.write(b"overwritten");
                    let _ = writer.commit(&ctx);
                }
                if let Ok(content) = f.get("/a/b/inner") {
                    assert_ne!(content, b"secret");
                }
                let _ = f.rename("/dir/own", "/a/b/own");
                let _ = f.rename("/a/b/own", "/dir/own");
                let _ = f.delete(&path);
                let _ = f.delete("/a/b/inner");
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(before, outside(&f), "{resolution:?}");
    }
}

#[test]
fn a_tree_swapped_for_a_link_during_its_deletion_leads_nowhere() {
    let f = Fixture::new(Resolution::confined(), false);
    let secret = plant(&f);
    let before = outside(&f);
    symlink(secret.join("dir"), f.at("/trap")).unwrap();
    let done = AtomicBool::new(false);
    let (cwd, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (one, two) = (f.at("/t/sub"), f.at("/trap"));
                let _ = rustix::fs::renameat_with(cwd, one, cwd, two, exchange);
            }
        });
        for _ in 0..100 {
            let _ = f.driver.put_content(&Context::none(), "/t/sub/inner", b"x");
            let _ = f.driver.put_content(&Context::none(), "/t/sub/deep/inner", b"x");
            let _ = f.delete("/t");
            if std::fs::symlink_metadata(f.at("/trap")).is_err() {
                symlink(secret.join("dir"), f.at("/trap")).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(before, outside(&f));
}
