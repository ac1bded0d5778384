//! Listing, walking, moving and deleting.

use super::*;
use std::os::unix::fs::{MetadataExt, symlink};

const GO_TEMPORARY: &str = "data.01234567-89ab-cdef-0123-456789abcdef.tmp";

#[test]
fn a_listing_is_sorted_and_leaves_out_what_no_path_names() {
    each(|f| {
        for name in ["b", "a", "a.b", "a-b", "B", "longer-than-eight-b", "longer-than-eight-a"] {
            f.put(&format!("/d/{name}"), "x");
        }
        f.put("/d/dir/x", "x");
        for hidden in ["with space", "~tmp~1", "x~upload", "ä", "a:b", GO_TEMPORARY] {
            std::fs::write(f.at("/d").join(hidden), "x").unwrap();
        }
        let not_utf8: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe");
        std::fs::write(f.at("/d").join(not_utf8), "x").unwrap();
        let mut expected = vec![
            "/d/B",
            "/d/a",
            "/d/a-b",
            "/d/a.b",
            "/d/b",
            "/d/dir",
            "/d/longer-than-eight-a",
            "/d/longer-than-eight-b",
        ];
        assert_eq!(f.list("/d"), expected);
        let ctx = Context::none();
        let entries = f.driver.entries(&ctx, "/d", None).unwrap();
        assert_eq!(entries.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), expected);
        assert!(entries.iter().all(|e| (e.path == "/d/dir") == e.is_dir));
        let after = f.driver.entries(&ctx, "/d", Some("b")).unwrap();
        expected.drain(..5);
        assert_eq!(after.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), expected);
        // Distribution's temporary files are hidden, not out of reach.
        assert_eq!(f.text(&format!("/d/{GO_TEMPORARY}")), "x");
        f.delete(&format!("/d/{GO_TEMPORARY}")).unwrap();
    });
}

#[test]
fn entries_know_what_stat_knows() {
    each(|f| {
        f.put("/d/file", "four");
        f.put("/d/dir/x", "x");
        symlink("file", f.at("/d/link")).unwrap();
        let ctx = Context::none();
        let entries = f.driver.entries(&ctx, "/d", None).unwrap();
        assert_eq!(entries.len(), 3);
        for entry in entries {
            assert_eq!(entry, f.driver.stat(&ctx, &entry.path).unwrap());
        }
    });
}

#[test]
fn a_walk_ends_though_links_lead_back() {
    each(|f| {
        f.put("/a/file", "x");
        f.put("/b/file", "x");
        symlink("../b", f.at("/a/to-b")).unwrap();
        symlink("../a", f.at("/b/to-a")).unwrap();
        symlink(".", f.at("/a/self")).unwrap();
        symlink("nowhere", f.at("/a/dangling")).unwrap();
        let mut found = Vec::new();
        let mut left = vec!["/".to_string()];
        while let Some(path) = left.pop() {
            for entry in f.driver.entries(&Context::none(), &path, None).unwrap() {
                found.push(entry.path.clone());
                left.extend(entry.is_dir.then_some(entry.path));
            }
        }
        found.sort();
        assert_eq!(
            found,
            [
                "/a",
                "/a/file",
                "/a/to-b",
                "/a/to-b/file",
                "/b",
                "/b/file",
                "/b/to-a",
                "/b/to-a/file"
            ]
        );
    });
}

#[test]
fn ten_thousand_names_are_listed_once_each() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/d/x", "x");
    let mut expected: Vec<String> = (0..10_000).map(|n| format!("/d/sha256-{n:x}")).collect();
    expected.iter().for_each(|path| std::fs::write(f.at(path), "").unwrap());
    expected.push("/d/x".to_string());
    expected.sort();
    assert_eq!(f.list("/d"), expected);
    assert_eq!(f.driver.entries(&Context::none(), "/d", None).unwrap().len(), 10_001);
    f.delete("/d").unwrap();
    assert_eq!(f.names_in("/"), [""; 0]);
}

#[test]
fn a_move_makes_the_destinations_parents_and_replaces_a_file() {
    each(|f| {
        f.put("/a/x", "one");
        f.rename("/a/x", "/new/dir/y").unwrap();
        assert_eq!(f.text("/new/dir/y"), "one");
        assert_eq!(f.list("/a"), [""; 0]);
        f.put("/a/x", "two");
        f.rename("/a/x", "/new/dir/y").unwrap();
        assert_eq!(f.text("/new/dir/y"), "two");
    });
}

#[test]
fn a_move_of_nothing_makes_nothing_and_names_the_source() {
    each(|f| {
        f.put("/a", "x");
        let error = f.rename("/missing", "/new/dir").unwrap_err();
        assert_eq!((error.code(), error.path()), (Code::PathNotFound, "/missing"));
        let error = f.rename("/a/below", "/new/dir").unwrap_err();
        assert_eq!((error.code(), error.path()), (Code::PathNotFound, "/a/below"));
        assert_eq!(code(f.rename("/missing", "/missing")), Some(Code::PathNotFound));
        assert_eq!(f.names_in("/"), ["a"]);
    });
}

#[test]
fn a_move_onto_itself_changes_nothing() {
    each(|f| {
        f.put("/a", "x");
        let before = std::fs::metadata(f.at("/a")).unwrap().ino();
        f.rename("/a", "/a").unwrap();
        assert_eq!(std::fs::metadata(f.at("/a")).unwrap().ino(), before);
    });
}

#[test]
fn a_move_between_two_names_of_one_file_leaves_one() {
    each(|f| {
        f.put("/a", "x");
        std::fs::hard_link(f.at("/a"), f.at("/b")).unwrap();
        f.rename("/a", "/b").unwrap();
        assert_eq!(f.names_in("/"), ["b"]);
    });
}

#[test]
fn a_move_of_a_link_moves_what_it_leads_to() {
    confined(|f| {
        f.put("/a/x", "content");
        symlink("x", f.at("/a/link")).unwrap();
        f.rename("/a/link", "/b/c/file").unwrap();
        assert_eq!(f.text("/b/c/file"), "content");
        assert_eq!(f.names_in("/a"), ["x"]);
    });
}

#[test]
fn a_move_over_a_path_leaves_what_is_staged_there() {
    each(|f| {
        f.put("/x", "old");
        f.put("/y", "moved");
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"staged").unwrap();
        writer.close(&Context::none()).unwrap();
        f.rename("/y", "/x").unwrap();
        assert_eq!(f.text("/x"), "moved");
        let mut writer = f.writer("/x", true).unwrap();
        commit(&mut writer);
        assert_eq!(f.text("/x"), "staged");
    });
}

#[test]
fn a_delete_takes_the_tree_and_no_lexical_sibling() {
    each(|f| {
        for path in ["/a/b/c", "/a/x", "/ab", "/a-b/x", "/a.b"] {
            f.put(path, "x");
        }
        f.delete("/a").unwrap();
        assert_eq!(f.list("/"), ["/a-b", "/a.b", "/ab"]);
        f.delete("/a-b/x").unwrap();
        assert_eq!(f.list("/a-b"), [""; 0], "an emptied directory stays");
    });
}

#[test]
fn a_delete_removes_links_and_not_what_they_lead_to() {
    confined(|f| {
        let outside = f.outer.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "x").unwrap();
        f.put("/keep/file", "x");
        f.put("/d/sub/x", "x");
        symlink(&outside, f.at("/d/out")).unwrap();
        symlink("../../keep", f.at("/d/sub/in")).unwrap();
        f.delete("/d").unwrap();
        assert!(outside.join("file").exists());
        assert_eq!(f.list("/"), ["/keep"]);
        assert_eq!(f.text("/keep/file"), "x");
    });
}

#[test]
fn a_deep_tree_is_deleted_with_little_stack() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/d/x", "x");
    deep_tree(&f, "/d", 5000, &["aa", "zz"]);
    let thread = std::thread::Builder::new().stack_size(192 * 1024);
    std::thread::scope(|scope| {
        let deleted = thread.spawn_scoped(scope, || f.delete("/d")).unwrap();
        deleted.join().unwrap().unwrap();
    });
    assert_eq!(f.names_in("/"), [""; 0]);
}

/// Directories called "sub" in each other, deeper than a path can name, and
/// `beside` in every tenth.
fn deep_tree(f: &Fixture, path: &str, depth: usize, beside: &[&str]) {
    let (directory, mode) = (super::super::root::DIRECTORY, super::super::root::DIRECTORY_MODE);
    let mut here = rustix::fs::open(f.at(path), directory, 0.into()).unwrap();
    for n in 0..depth {
        rustix::fs::mkdirat(&here, "sub", mode).unwrap();
        if n % 10 == 0 {
            beside.iter().for_each(|name| rustix::fs::mkdirat(&here, *name, mode).unwrap());
        }
        here = rustix::fs::openat(&here, "sub", directory, 0.into()).unwrap();
    }
}

#[test]
fn a_directory_moved_out_during_its_deletion_takes_nothing_along() {
    let f = Fixture::new(Resolution::confined(), false);
    let outside = f.outer.path().join("outside");
    let moved = f.at("/d").join("sub/".repeat(11));
    let deep = f.at("/d").join("sub/".repeat(200)).join("file");
    for _ in 0..5 {
        for name in ["aa", "zz"] {
            std::fs::create_dir_all(outside.join(name).join("kept")).unwrap();
        }
        f.put("/d/x", "x");
        deep_tree(&f, "/d", 1000, &["aa", "zz"]);
        std::fs::write(&deep, "x").unwrap();
        std::thread::scope(|scope| {
            let deleted = scope.spawn(|| f.delete("/d"));
            // Files go on the way down: now it is far below what is moved.
            while deep.exists() {}
            let _ = std::fs::rename(&moved, outside.join("moved"));
            if let Err(error) = deleted.join().unwrap() {
                assert_eq!(error.code(), Code::Conflict, "{error}");
            }
        });
        for name in ["aa", "zz"] {
            assert!(outside.join(name).join("kept").exists());
        }
        let _ = f.delete("/d");
        let _ = std::fs::remove_dir_all(outside.join("moved"));
    }
}

#[test]
fn several_may_delete_one_tree() {
    each(|f| {
        for _ in 0..5 {
            for n in 0..60 {
                let path = f.at(&format!("/t/{}/{}", n % 6, n % 7));
                std::fs::create_dir_all(&path).unwrap();
                std::fs::write(path.join(n.to_string()), "x").unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| match f.delete("/t") {
                        Ok(()) => {}
                        Err(error) => assert_eq!(error.code(), Code::PathNotFound, "{error}"),
                    });
                }
            });
            assert_eq!(f.list("/"), [""; 0]);
        }
    });
}

#[test]
fn puts_beside_deletes_of_their_directory_succeed() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/t/seed", "x");
    std::thread::scope(|scope| {
        let deleter = scope.spawn(|| {
            for _ in 0..200 {
                let _ = f.delete("/t");
            }
        });
        let mut n = 0;
        while !deleter.is_finished() {
            n += 1;
            let path = format!("/t/a/b{}/c", n % 3);
            let outcome = f.driver.put_content(&Context::none(), &path, b"x");
            assert!(matches!(code(outcome), None | Some(Code::Conflict)));
        }
    });
    f.put("/t/a/b/c", "x");
    assert_eq!(f.text("/t/a/b/c"), "x");
}

#[test]
fn a_cancelled_context_ends_a_long_delete() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/d/a/b", "x");
    let ctx = Context::new(&Context::none());
    ctx.cancel();
    assert_eq!(code(f.driver.delete(&ctx, "/d")), Some(Code::Cancelled));
    f.delete("/d").unwrap();
}
