//! Uploads: where their bytes lie, how they go on, and how they end.

use super::*;

#[test]
fn a_fresh_upload_lies_at_its_final_path_as_distribution_expects() {
    each(|f| {
        let ctx = Context::none();
        let mut writer = f.writer("/u/data", false).unwrap();
        assert_eq!(std::fs::metadata(f.at("/u/data")).unwrap().len(), 0);
        writer.write(b"hello ").unwrap();
        assert_eq!(writer.size(), 6);
        writer.close(&ctx).unwrap();
        assert_eq!(std::fs::read(f.at("/u/data")).unwrap(), b"hello ");
        // Another program goes on with it, and we after that.
        let mut file = std::fs::OpenOptions::new().append(true).open(f.at("/u/data")).unwrap();
        std::io::Write::write_all(&mut file, b"from there ").unwrap();
        let mut writer = f.writer("/u/data", true).unwrap();
        assert_eq!(writer.size(), 17);
        writer.write(b"and back").unwrap();
        commit(&mut writer);
        assert_eq!(f.text("/u/data"), "hello from there and back");
        assert_eq!(f.names_in("/u"), ["data"]);
    });
}

#[test]
fn a_fresh_writer_over_content_leaves_it_alone_until_commit() {
    each(|f| {
        let ctx = Context::none();
        f.put("/d/x", "committed");
        let mut writer = f.writer("/d/x", false).unwrap();
        writer.write(b"up").unwrap();
        assert_eq!(f.text("/d/x"), "committed");
        writer.close(&ctx).unwrap();
        assert_eq!(f.text("/d/x"), "committed");
        assert_eq!(f.list("/d"), ["/d/x"], "the staged file is hidden");
        assert_eq!(f.names_in("/d"), ["x", "x~upload"]);
        // A later process finds the staged upload before the content.
        let later = f.restarted();
        let mut writer = later.writer(&ctx, "/d/x", true).unwrap();
        assert_eq!(writer.size(), 2);
        writer.write(b"load").unwrap();
        writer.commit(&ctx).unwrap();
        assert_eq!(f.text("/d/x"), "upload");
        assert_eq!(f.names_in("/d"), ["x"]);
    });
}

#[test]
fn an_append_goes_on_after_committed_content() {
    each(|f| {
        f.put("/x", "one");
        let mut writer = f.writer("/x", true).unwrap();
        assert_eq!(writer.size(), 3);
        writer.write(b" two").unwrap();
        commit(&mut writer);
        assert_eq!(f.text("/x"), "one two");
    });
}

#[test]
fn a_fresh_writer_over_an_empty_file_takes_it_over() {
    each(|f| {
        f.put("/x", "");
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"new").unwrap();
        commit(&mut writer);
        assert_eq!(f.text("/x"), "new");
        assert_eq!(f.names_in("/"), ["x"]);
    });
}

#[test]
fn cancelling_a_fresh_upload_removes_it_and_leaves_committed_content() {
    each(|f| {
        let ctx = Context::none();
        let mut writer = f.writer("/d/new", false).unwrap();
        writer.write(&[7; 100_000]).unwrap();
        writer.cancel(&ctx).unwrap();
        assert_eq!(code(f.get("/d/new")), Some(Code::PathNotFound));
        for content in ["", "committed"] {
            f.put("/d/old", content);
            let mut writer = f.writer("/d/old", false).unwrap();
            writer.write(&[7; 100_000]).unwrap();
            writer.cancel(&ctx).unwrap();
            assert_eq!(f.text("/d/old"), content);
        }
        assert_eq!(f.names_in("/d"), ["old"]);
    });
}

#[test]
fn cancelling_an_append_restores_the_length_it_found() {
    each(|f| {
        let ctx = Context::none();
        // Committed content, a visible upload and a staged one.
        f.put("/committed", "content");
        for (path, staged) in [("/committed", false), ("/visible", false), ("/staged", true)] {
            if staged {
                f.put(path, "below");
            }
            if path != "/committed" {
                let mut writer = f.writer(path, false).unwrap();
                writer.write(b"content").unwrap();
                writer.close(&ctx).unwrap();
            }
            let mut writer = f.writer(path, true).unwrap();
            assert_eq!(writer.size(), 7);
            writer.write(&[7; 200_000]).unwrap();
            writer.write(b"gathered").unwrap();
            writer.cancel(&ctx).unwrap();
            let mut writer = f.writer(path, true).unwrap();
            assert_eq!(writer.size(), 7, "{path}");
            commit(&mut writer);
            assert_eq!(f.text(path), "content");
        }
    });
}

#[test]
fn small_and_large_writes_keep_their_order() {
    each(|f| {
        let ctx = Context::none();
        let mut expected = Vec::new();
        let mut writer = f.writer("/x", false).unwrap();
        let sizes = [1, 65_535, 65_536, 3, 40_000, 40_000, 0, 200_000, 64, 65_472, 1, 7];
        for (n, size) in sizes.into_iter().enumerate() {
            let piece = vec![n as u8 + 1; size];
            writer.write(&piece).unwrap();
            expected.extend(piece);
            assert_eq!(writer.size(), expected.len() as u64);
            if n == 6 {
                writer.close(&ctx).unwrap();
                writer = f.writer("/x", true).unwrap();
                assert_eq!(writer.size(), expected.len() as u64);
            }
        }
        commit(&mut writer);
        assert!(f.get("/x").unwrap() == expected);
        assert_eq!(writer.size(), expected.len() as u64);
    });
}

#[test]
fn a_writer_freed_without_close_loses_what_was_gathered_and_nothing_else() {
    each(|f| {
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(&[1; 100_000]).unwrap();
        writer.write(b"gathered").unwrap();
        drop(writer);
        assert_eq!(f.writer("/x", true).unwrap().size(), 100_000);
    });
}

#[test]
fn a_commit_over_a_file_that_others_replaced_or_removed_is_a_conflict() {
    each(|f| {
        let ctx = Context::none();
        for (path, content) in [("/new", None), ("/old", Some("old"))] {
            for replace in [true, false] {
                if let Some(content) = content {
                    f.put(path, content);
                }
                let mut writer = f.writer(path, false).unwrap();
                writer.write(b"upload").unwrap();
                if replace && content.is_none() {
                    f.put(path, "other");
                } else {
                    f.delete(path).unwrap();
                }
                assert_eq!(code(writer.commit(&ctx)), Some(Code::Conflict), "{path}");
                assert_eq!(code(writer.close(&ctx)), Some(Code::Conflict), "{path}");
                writer.cancel(&ctx).unwrap();
                if replace && content.is_none() {
                    assert_eq!(f.text(path), "other");
                    f.delete(path).unwrap();
                }
            }
        }
        // The whole directory gone.
        let mut writer = f.writer("/up/load/data", false).unwrap();
        writer.write(b"x").unwrap();
        f.delete("/up").unwrap();
        assert_eq!(code(writer.commit(&ctx)), Some(Code::Conflict));
        writer.cancel(&ctx).unwrap();
    });
}

#[test]
fn what_others_wrote_to_an_upload_is_neither_acknowledged_nor_cut_off() {
    each(|f| {
        let ctx = Context::none();
        for append in [false, true] {
            for theirs in ["", "more than we wrote, by somebody without locks"] {
                f.put("/x", "");
                let mut writer = f.writer("/x", append).unwrap();
                writer.write(&[7; 10]).unwrap();
                writer.close(&ctx).unwrap();
                let mut writer = f.writer("/x", true).unwrap();
                writer.write(&[7; 10]).unwrap();
                std::fs::write(f.at("/x"), theirs).unwrap();
                assert_eq!(code(writer.cancel(&ctx)), Some(Code::Conflict));
                assert_eq!(f.text("/x"), theirs);
            }
            // What they cut off before our bytes were written, is missed.
            let mut writer = f.writer("/y", false).unwrap();
            writer.write(&[7; 100_000]).unwrap();
            std::fs::write(f.at("/y"), "theirs").unwrap();
            let ended = if append { writer.close(&ctx) } else { writer.commit(&ctx) };
            assert_eq!(code(ended), Some(Code::Conflict));
            assert_eq!(f.text("/y"), "theirs");
            f.delete("/y").unwrap();
        }
    });
}

#[test]
fn a_staged_upload_whose_content_was_deleted_is_not_found_again() {
    each(|f| {
        let ctx = Context::none();
        f.put("/x", "content");
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"staged").unwrap();
        writer.close(&ctx).unwrap();
        f.delete("/x").unwrap();
        assert_eq!(f.names_in("/"), [""; 0]);
        // Removed by somebody who knows nothing of staged files.
        f.put("/x", "content");
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"staged").unwrap();
        writer.close(&ctx).unwrap();
        std::fs::remove_file(f.at("/x")).unwrap();
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"fresh").unwrap();
        writer.close(&ctx).unwrap();
        assert_eq!(f.writer("/x", true).unwrap().size(), 5);
    });
}

#[test]
fn two_uploads_to_one_path_do_not_mix() {
    each(|f| {
        for content in [None, Some(""), Some("content")] {
            match content {
                Some(content) => f.put("/x", content),
                None => drop(f.delete("/x")),
            }
            let mut writers: Vec<_> = (0..4).map(|_| f.writer("/x", false).unwrap()).collect();
            for round in 0..3 {
                for (n, writer) in writers.iter_mut().enumerate() {
                    writer.write(&vec![n as u8; 70_000 + round]).unwrap();
                }
            }
            let mut committed = 0;
            for mut writer in writers {
                match writer.commit(&Context::none()) {
                    Ok(()) => committed += 1,
                    Err(error) => assert_eq!(error.code(), Code::Conflict),
                }
                let now = f.get("/x").unwrap();
                assert!(now.iter().all(|byte| *byte == now[0]), "torn");
            }
            assert_eq!(f.get("/x").unwrap()[0], 3, "the last commit wins");
            assert!(committed >= 3);
            assert_eq!(f.names_in("/"), ["x"]);
        }
    });
}

#[test]
fn a_path_that_is_being_written_cannot_be_appended_to() {
    each(|f| {
        let ctx = Context::none();
        let mut writer = f.writer("/x", false).unwrap();
        writer.write(b"x").unwrap();
        assert_eq!(code(f.writer("/x", true)), Some(Code::Conflict));
        writer.close(&ctx).unwrap();
        // A closed writer that was not freed yet is in nobody's way.
        let mut second = f.writer("/x", true).unwrap();
        commit(&mut second);
        let third = f.writer("/x", true).unwrap();
        drop(third);
        assert_eq!(f.writer("/x", true).unwrap().size(), 1);
    });
}

#[test]
fn an_upload_staged_aside_waits_where_an_append_finds_it() {
    each(|f| {
        let ctx = Context::none();
        f.put("/x", "content");
        let mut first = f.writer("/x", false).unwrap();
        let mut second = f.writer("/x", false).unwrap();
        first.write(b"1").unwrap();
        second.write(b"22").unwrap();
        let error = second.close(&ctx).unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "only one can wait");
        first.cancel(&ctx).unwrap();
        second.close(&ctx).unwrap();
        assert_eq!(f.names_in("/"), ["x", "x~upload"]);
        assert_eq!(f.writer("/x", true).unwrap().size(), 2);
        assert_eq!(f.text("/x"), "content");
    });
}

#[test]
fn many_writers_and_readers_at_once_never_see_a_torn_file() {
    let f = Fixture::new(Resolution::confined(), false);
    f.put("/x", vec![0; 100_000]);
    std::thread::scope(|scope| {
        for n in 0..8_u8 {
            let f = &f;
            scope.spawn(move || {
                for round in 0..10 {
                    let data = vec![n; 100_000];
                    if round % 2 == 0 {
                        f.put("/x", &data);
                        continue;
                    }
                    let mut writer = f.writer("/x", false).unwrap();
                    data.chunks(30_000).for_each(|piece| writer.write(piece).unwrap());
                    commit(&mut writer);
                }
            });
            scope.spawn(move || {
                for _ in 0..50 {
                    let got = f.get("/x").unwrap();
                    assert_eq!(got.len(), 100_000);
                    assert!(got.iter().all(|byte| *byte == got[0]));
                }
            });
        }
    });
    assert_eq!(f.names_in("/"), ["x"]);
}
