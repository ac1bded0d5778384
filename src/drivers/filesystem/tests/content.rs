//! Whole files, reads and stat.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn what_is_put_is_what_is_got() {
    each(|f| {
        for size in [0_usize, 1, 4095, 4096, 4097, 300_000] {
            let data: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            f.put("/a/b/c", &data);
            let got = f.get("/a/b/c").unwrap();
            assert_eq!(got, data);
            assert!(got.capacity() > got.len(), "room for the byte after the last");
            assert_eq!(std::fs::read(f.at("/a/b/c")).unwrap(), data);
            let info = f.driver.stat(&Context::none(), "/a/b/c").unwrap();
            assert_eq!(
                (info.size, info.is_dir, info.path.as_str()),
                (size as u64, false, "/a/b/c")
            );
            assert_ne!(info.mtime_ns, 0);
        }
        assert_eq!(f.names_in("/a/b"), ["c"], "no litter");
    });
}

#[test]
fn a_file_without_a_size_is_read_to_its_end() {
    let config = Config {
        root: PathBuf::from("/proc/self"),
        max_threads: 25,
        fsync: true,
        follow_symlinks: false,
    };
    let driver = Filesystem::new(&config, Resolution::confined());
    let got = driver.get_content(&Context::none(), "/status").unwrap();
    assert!(got.starts_with(b"Name:"));
}

#[test]
fn a_file_without_nameless_files_is_put_all_the_same() {
    each(|f| {
        f.driver.tree.named_only.store(true, std::sync::atomic::Ordering::Relaxed);
        f.put("/a/x", "one");
        f.put("/a/x", "two");
        assert_eq!(f.text("/a/x"), "two");
        assert_eq!(f.names_in("/a"), ["x"]);
    });
}

#[test]
fn an_open_reader_goes_on_with_the_content_it_was_opened_on() {
    each(|f| {
        f.put("/a", "old content");
        let mut reader = f.driver.reader(&Context::none(), "/a", 4).unwrap();
        f.put("/a", "new");
        let mut buf = [0; 64];
        assert_eq!(reader.read(&mut buf).unwrap(), 7);
        assert_eq!(&buf[..7], b"content");
        assert_eq!(reader.read(&mut buf).unwrap(), 0);
        assert_eq!(reader.read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn an_offset_at_or_past_the_end_reads_nothing() {
    each(|f| {
        f.put("/a", "abc");
        for offset in [3, 4, 1 << 40, i64::MAX - 1, i64::MAX] {
            let mut reader = f.driver.reader(&Context::none(), "/a", offset).unwrap();
            assert_eq!(reader.read(&mut [0; 16]).unwrap(), 0, "{offset}");
        }
    });
}

#[test]
fn nothing_is_found_where_nothing_is() {
    each(|f| {
        let missing = |path: &str| {
            let ctx = Context::none();
            assert_eq!(code(f.get(path)), Some(Code::PathNotFound), "get {path}");
            assert_eq!(code(f.driver.reader(&ctx, path, 64)), Some(Code::PathNotFound), "{path}");
            assert_eq!(code(f.driver.stat(&ctx, path)), Some(Code::PathNotFound), "stat {path}");
            assert_eq!(code(f.driver.list(&ctx, path)), Some(Code::PathNotFound), "list {path}");
            assert_eq!(code(f.delete(path)), Some(Code::PathNotFound), "delete {path}");
            assert_eq!(code(f.rename(path, "/x/y")), Some(Code::PathNotFound), "move {path}");
            assert_eq!(code(f.writer(path, true)), Some(Code::PathNotFound), "append {path}");
        };
        missing("/a");
        assert!(!f.root().exists(), "looking makes no root");
        f.put("/file", "x");
        for path in ["/a", "/a/b", "/file/x", "/file/x/y", "/filex", "/fil"] {
            missing(path);
        }
        missing(&format!("/{}", "n".repeat(300)));
        missing(&"/deep".repeat(2000));
        assert_eq!(f.names_in("/"), ["file"], "and makes nothing");
    });
}

#[test]
fn a_store_that_was_never_written_to_is_empty() {
    each(|f| {
        let info = f.driver.stat(&Context::none(), "/").unwrap();
        assert!(info.is_dir);
        assert_eq!(f.list("/"), [""; 0]);
        assert!(f.driver.entries(&Context::none(), "/", None).unwrap().is_empty());
        assert!(!f.root().exists());
        f.put("/a", "x");
        assert_eq!(f.list("/"), ["/a"]);
    });
}

#[test]
fn files_and_directories_are_told_apart() {
    each(|f| {
        let ctx = Context::none();
        f.put("/dir/file", "x");
        assert_eq!(code(f.get("/dir")), Some(Code::IsDirectory));
        assert_eq!(code(f.driver.reader(&ctx, "/dir", 0)), Some(Code::IsDirectory));
        assert_eq!(code(f.driver.put_content(&ctx, "/dir", b"y")), Some(Code::IsDirectory));
        assert_eq!(code(f.writer("/dir", false)), Some(Code::IsDirectory));
        assert_eq!(code(f.writer("/dir", true)), Some(Code::IsDirectory));
        assert_eq!(code(f.driver.list(&ctx, "/dir/file")), Some(Code::NotDirectory));
        let under = "/dir/file/below";
        assert_eq!(code(f.driver.put_content(&ctx, under, b"y")), Some(Code::NotDirectory));
        assert_eq!(code(f.writer(under, false)), Some(Code::NotDirectory));
        assert_eq!(code(f.rename("/dir", "/other")), Some(Code::IsDirectory));
        assert_eq!(code(f.rename("/dir/file", "/dir")), Some(Code::IsDirectory));
        let info = f.driver.stat(&ctx, "/dir").unwrap();
        assert_eq!((info.is_dir, info.size), (true, 0));
        assert_ne!(info.mtime_ns, 0);
        assert_eq!(f.names_in("/dir"), ["file"], "no litter");
    });
}

#[test]
fn a_name_too_long_for_the_file_system_is_refused_when_written() {
    each(|f| {
        let path = format!("/{}", "n".repeat(256));
        let outcome = f.driver.put_content(&Context::none(), &path, b"x");
        assert_eq!(code(outcome), Some(Code::InvalidArgument));
        let longest = format!("/{}", "n".repeat(255));
        f.put(&longest, "x");
        let mut writer = f.writer(&longest, false).unwrap();
        writer.write(b"new").unwrap();
        commit(&mut writer);
        assert_eq!(f.text(&longest), "new");
        assert_eq!(f.names_in("/").len(), 1);
    });
}

#[test]
fn a_pipe_in_the_tree_does_not_block() {
    each(|f| {
        f.put("/x", "x");
        rustix::fs::mkfifoat(rustix::fs::CWD, f.at("/pipe"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(code(f.get("/pipe")), Some(Code::Driver));
        assert_eq!(code(f.writer("/pipe", false)), Some(Code::Driver));
        assert!(f.writer("/pipe", true).is_err());
        f.delete("/pipe").unwrap();
    });
}

#[test]
fn the_root_may_be_a_link_and_may_be_replaced() {
    each(|f| {
        let (one, two) = (f.outer.path().join("one"), f.outer.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        symlink(&one, f.root()).unwrap();
        f.put("/a", "one");
        assert!(one.join("a").exists());
        std::fs::remove_file(f.root()).unwrap();
        symlink(&two, f.root()).unwrap();
        std::fs::write(two.join("b"), "two").unwrap();
        assert_eq!(f.text("/b"), "two");
        f.put("/c", "two");
        assert!(two.join("c").exists() && !one.join("c").exists());
    });
}

#[test]
fn a_root_that_was_removed_is_made_again() {
    each(|f| {
        f.put("/a/b", "x");
        std::fs::remove_dir_all(f.root()).unwrap();
        assert_eq!(code(f.get("/a/b")), Some(Code::PathNotFound));
        assert_eq!(f.list("/"), [""; 0]);
        f.put("/a/b", "y");
        assert_eq!(f.text("/a/b"), "y");
        std::fs::remove_dir_all(f.root()).unwrap();
        // Without a look in between.
        f.put("/c", "z");
        assert_eq!(f.list("/"), ["/c"]);
    });
}

#[test]
fn a_root_that_is_a_file_is_named_in_the_error() {
    each(|f| {
        std::fs::write(f.root(), "x").unwrap();
        let error = f.get("/a").unwrap_err();
        assert_eq!(error.code(), Code::NotDirectory);
        assert!(error.detail().contains("root directory"), "{error}");
    });
}

#[test]
fn a_put_replaces_the_file_and_keeps_no_old_links_to_it() {
    each(|f| {
        f.put("/a", "one");
        std::fs::hard_link(f.at("/a"), f.at("/b")).unwrap();
        f.put("/a", "two");
        assert_eq!((f.text("/a"), f.text("/b")), ("two".to_string(), "one".to_string()));
        assert_eq!(std::fs::metadata(f.at("/a")).unwrap().nlink(), 1);
        let mode = std::fs::metadata(f.at("/a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o600, 0o600);
    });
}

#[test]
fn stale_temporaries_are_swept_by_the_next_write_and_live_ones_are_not() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/d/x", "x");
    std::fs::write(f.at("/d/~tmp~0123456789abcdef"), "left by a killed process").unwrap();
    f.restarted().put_content(&Context::none(), "/d/y", b"y").unwrap();
    assert_eq!(f.names_in("/d").len(), 3, "an hour has not passed");
    // An upload that is open has its temporary for as long as it wants.
    let mut first = f.writer("/d/x", false).unwrap();
    let mut second = f.writer("/d/x", false).unwrap();
    f.impatient().put_content(&Context::none(), "/d/z", b"z").unwrap();
    second.write(b"second").unwrap();
    commit(&mut second);
    first.cancel(&Context::none()).unwrap();
    assert_eq!(f.text("/d/x"), "second");
    assert_eq!(f.names_in("/d"), ["x", "y", "z"]);
}

#[test]
fn a_put_that_loses_its_temporary_starts_anew() {
    let f = Fixture::new(Resolution::confined(), false);
    f.driver.tree.named_only.store(true, std::sync::atomic::Ordering::Relaxed);
    f.put("/d/x", "first");
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            for _ in 0..200 {
                f.impatient().put_content(&Context::none(), "/d/other", b"o").unwrap();
            }
        });
        while !sweeper.is_finished() {
            // ENOENT sixteen times in a row is possible, tearing is not.
            let _ = f.driver.put_content(&Context::none(), "/d/x", b"again");
            assert!(["first", "again"].contains(&f.text("/d/x").as_str()));
        }
    });
    f.put("/d/x", "last");
    assert_eq!(f.text("/d/x"), "last");
}
