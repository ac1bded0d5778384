//! What calls leave whose context ends while they run. The wrapper of every driver
//! looks at the context before a call; here it has ended right after.

use std::os::unix::fs::symlink;

use super::*;

fn cancelled() -> Context {
    let ctx = Context::new(&Context::none());
    ctx.cancel();
    ctx
}

#[test]
fn put_move_and_delete_of_a_file_run_to_their_end() {
    each(|f| {
        let ctx = cancelled();
        f.put("/d/old", "old");
        for path in ["/d/old", "/d/new"] {
            f.driver.put_content(&ctx, path, b"content").unwrap();
            assert_eq!(f.text(path), "content");
        }
        f.driver.r#move(&ctx, "/d/new", "/d/old").unwrap();
        assert_eq!(f.names_in("/d"), ["old"]);
        f.driver.delete(&ctx, "/d/old").unwrap();
        assert!(f.names_in("/d").is_empty());
    });
}

#[test]
fn write_commit_cancel_and_close_run_to_their_end() {
    each(|f| {
        let ctx = cancelled();
        for (path, before) in [("/fresh", None), ("/over", Some("old"))] {
            if let Some(before) = before {
                f.put(path, before);
            }
            let open = |append| f.driver.writer(&ctx, path, append).unwrap();
            let mut writer = open(false);
            writer.write(&[b'a'; 100_000]).unwrap();
            writer.close(&ctx).unwrap();
            let mut writer = open(true);
            assert_eq!(writer.size(), 100_000);
            writer.write(b"b").unwrap();
            writer.cancel(&ctx).unwrap();
            let mut writer = open(false);
            writer.write(b"content").unwrap();
            writer.commit(&ctx).unwrap();
            assert_eq!(f.text(path), "content");
        }
    });
}

/// As between two file systems; a link that says where to go from here is copied, too.
#[test]
fn a_move_that_copies_ends_and_changes_nothing() {
    each(|f| {
        f.put("/d/target", "content");
        f.put("/e/dest", "old");
        symlink("target", f.at("/d/link")).unwrap();
        for dest in ["/e/new", "/e/dest"] {
            let outcome = f.driver.r#move(&cancelled(), "/d/link", dest);
            assert_eq!(code(outcome), Some(Code::Cancelled));
        }
        assert_eq!(f.text("/d/link"), "content");
        assert_eq!(f.text("/e/dest"), "old");
        assert_eq!(f.names_in("/e"), ["dest"]);
        f.driver.r#move(&Context::none(), "/d/link", "/e/dest").unwrap();
        assert_eq!(f.text("/e/dest"), "content");
    });
}

#[test]
fn a_delete_ends_before_the_next_directory_and_can_be_repeated() {
    each(|f| {
        for path in ["/d/file", "/d/a/file", "/d/b/file", "/beside"] {
            f.put(path, "content");
        }
        assert_eq!(code(f.driver.delete(&cancelled(), "/d")), Some(Code::Cancelled));
        // The files before it are gone, what is below is whole.
        assert_eq!(f.names_in("/d"), ["a", "b"]);
        assert_eq!(f.text("/d/a/file"), "content");
        f.delete("/d").unwrap();
        assert_eq!(f.names_in("/"), ["beside"]);
    });
}
