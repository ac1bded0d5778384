//! What we write others read, and what they write we read and go on with. boto3 is
//! the other here; Distribution's registry is in `tests/s3_peers`.

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::boto::{Boto, pack};
use crate::content::content;
use crate::store::{PART, Store};

use serde_json::json;

/// Each test runs on both.
const SERVERS: &[&str] = &["radosgw", "seaweedfs"];

fn on_both(test: &str, run: impl Fn(&Store, &mut Boto, &dyn Driver)) {
    for server in SERVERS {
        let Some(store) = Store::on(server, test) else { continue };
        println!("{server}");
        run(&store, &mut Boto::start(&store), &*store.driver(&[]));
    }
}

#[test]
fn boto3_reads_what_we_wrote() {
    on_both("ours", |store, boto, driver| {
        let ctx = Context::none();
        for (n, size) in [0, 1, 4096, PART, PART + 1, 3 * PART + 77].into_iter().enumerate() {
            let data = content(n as u64, size);
            let (put, upload) = (format!("/put/{size}"), format!("/upload/{size}"));
            driver.put_content(&ctx, &put, &data).unwrap();
            let mut writer = driver.writer(&ctx, &upload, false).unwrap();
            data.chunks(99_999).for_each(|piece| writer.write(piece).unwrap());
            writer.commit(&ctx).unwrap();
            for path in [put, upload] {
                assert!(boto.get(&store.key(&path)) == data, "{path}");
                let head = boto.call("head_object", json!({"Key": store.key(&path)}));
                assert_eq!(head["ContentType"], json!("application/octet-stream"), "{path}");
            }
        }
        // Nothing but the files: no directories, no uploads.
        let listed = boto.list(&store.key("/"));
        assert_eq!(listed.len(), 12, "{listed:?}");
        assert_eq!(boto.uploads(&store.key("/")), []);
        driver.r#move(&ctx, "/put/4096", "/moved").unwrap();
        assert!(boto.get(&store.key("/moved")) == content(2, 4096));
        driver.delete(&ctx, "/upload").unwrap();
        assert_eq!(boto.list(&store.key("/upload")), []);
    });
}

#[test]
fn we_read_what_boto3_wrote() {
    on_both("theirs", |store, boto, driver| {
        let ctx = Context::none();
        for size in [0, 1, 4096, PART + 1] {
            let data = content(1, size);
            let args = json!({"Key": store.key(&format!("/d/{size}")), "Body": pack(&data)});
            boto.call("put_object", args);
            assert!(driver.get_content(&ctx, &format!("/d/{size}")).unwrap() == data);
            assert_eq!(driver.stat(&ctx, &format!("/d/{size}")).unwrap().size, size as u64);
        }
        let key = store.key("/d/parts");
        let id = boto.create_upload(&key);
        let data = content(2, 2 * PART + 10);
        for (n, part) in data.chunks(PART).enumerate() {
            boto.upload_part(&key, &id, n as u64 + 1, part);
        }
        boto.complete(&key, &id);
        assert!(driver.get_content(&ctx, "/d/parts").unwrap() == data);
        // A marker, as some tools make them for a directory, is none of ours.
        boto.call("put_object", json!({"Key": store.key("/d/") }));
        boto.call("put_object", json!({"Key": store.key("/d/empty/") }));
        let listed: Vec<String> =
            driver.list(&ctx, "/d").unwrap().iter().map(String::from).collect();
        let files = ["/d/0", "/d/1", "/d/4096", "/d/5242881", "/d/parts"];
        assert!(files.iter().all(|file| listed.contains(&file.to_string())), "{listed:?}");
        assert!(listed.iter().all(|path| !path.ends_with('/')), "{listed:?}");
    });
}

#[test]
fn an_upload_in_progress_is_one_multipart_upload_and_nothing_else() {
    on_both("progress", |store, boto, driver| {
        let ctx = Context::none();
        for (size, parts) in [(0, 0), (1000, 1), (PART, 1), (2 * PART + 9, 3)] {
            let (path, data) = (format!("/u/{size}"), content(1, size));
            let mut writer = driver.writer(&ctx, &path, false).unwrap();
            data.chunks(99_999).for_each(|piece| writer.write(piece).unwrap());
            writer.close(&ctx).unwrap();
            let key = store.key(&path);
            let uploads = boto.uploads(&key);
            assert_eq!(uploads.len(), 1, "{path}: {uploads:?}");
            assert_eq!(uploads[0].0, key);
            let found = boto.parts(&key, &uploads[0].1);
            let numbers: Vec<u64> = found.iter().map(|part| part.0).collect();
            assert_eq!(numbers, (1..=parts).collect::<Vec<u64>>(), "{path}");
            assert_eq!(found.iter().map(|part| part.1).sum::<u64>(), size as u64, "{path}");
            let small = found.iter().rev().skip(1).filter(|part| part.1 < PART as u64).count();
            assert_eq!(small, 0, "{path}: parts that nobody can complete: {found:?}");
            if size > 0 {
                // As anybody else would end it.
                boto.complete(&key, &uploads[0].1);
                assert!(driver.get_content(&ctx, &path).unwrap() == data, "{path}");
            }
        }
        assert_eq!(boto.list(&store.key("/u")).len(), 3);
    });
}

#[test]
fn an_upload_that_boto3_began_goes_on() {
    on_both("begun", |store, boto, driver| {
        let ctx = Context::none();
        let tails: &[&[usize]] =
            &[&[], &[1], &[PART], &[PART, 1000], &[PART + 1, 2 * PART, 70_000]];
        for (n, parts) in tails.iter().enumerate() {
            let (path, size) = (format!("/u/{n}"), parts.iter().sum::<usize>());
            let (key, data) = (store.key(&path), content(1, size + PART + 1));
            let id = boto.create_upload(&key);
            let mut at = 0;
            for (n, part) in parts.iter().enumerate() {
                boto.upload_part(&key, &id, n as u64 + 1, &data[at..at + part]);
                at += part;
            }
            let mut writer = driver.writer(&ctx, &path, true).unwrap();
            assert_eq!(writer.size(), size as u64, "{path}");
            writer.write(&data[size..]).unwrap();
            writer.commit(&ctx).unwrap();
            assert!(driver.get_content(&ctx, &path).unwrap() == data, "{path}");
            assert_eq!(boto.uploads(&key), [], "{path}");
        }
    });
}

/// What a process leaves that dies with several parts on the wire.
#[test]
fn an_upload_with_a_part_behind_a_gap_goes_on_before_the_gap() {
    on_both("gap", |store, boto, driver| {
        let ctx = Context::none();
        // Whoever sent the parts that are lost sends them again, and maybe more.
        for more in [PART, PART + 1, 3 * PART] {
            let (path, data) = (format!("/u/{more}"), content(1, PART + more));
            let key = store.key(&path);
            let id = boto.create_upload(&key);
            boto.upload_part(&key, &id, 1, &data[..PART]);
            boto.upload_part(&key, &id, 3, &content(2, PART));
            let mut writer = driver.writer(&ctx, &path, true).unwrap();
            assert_eq!(writer.size(), PART as u64, "{path}");
            writer.write(&data[PART..]).unwrap();
            writer.commit(&ctx).unwrap();
            assert!(driver.get_content(&ctx, &path).unwrap() == data, "{path}");
            assert_eq!(boto.uploads(&key), [], "{path}");
        }
    });
}

/// The same where the next session ends before it has written over all of them.
#[test]
fn parts_behind_a_gap_never_count_for_bytes_of_ours() {
    on_both("behind", |store, boto, driver| {
        let ctx = Context::none();
        for more in [0, 100, PART + 100, 3 * PART] {
            let (path, data) = (format!("/u/{more}"), content(1, 8 * PART));
            let key = store.key(&path);
            let id = boto.create_upload(&key);
            boto.upload_part(&key, &id, 1, &data[..PART]);
            for number in 3..6 {
                boto.upload_part(&key, &id, number, &content(2, PART));
            }
            let mut writer = driver.writer(&ctx, &path, true).unwrap();
            assert_eq!(writer.size(), PART as u64, "{path}");
            writer.write(&data[PART..PART + more]).unwrap();
            match writer.close(&ctx) {
                Ok(()) => assert_eq!(writer.size() as usize, PART + more, "{path}"),
                Err(error) => assert_eq!(error.code(), Code::Conflict, "{path}: {error}"),
            }
            drop(writer);
            let uploads = boto.uploads(&key);
            let mut writer = driver.writer(&ctx, &path, true).unwrap();
            let from = writer.size() as usize;
            assert!(from >= PART && from <= PART + more, "{path}: {from}");
            if let [(_, id)] = &uploads[..] {
                let sum: u64 = boto.parts(&key, id).iter().map(|part| part.1).sum();
                assert!(sum as usize <= PART + more, "{path}: {sum}");
            }
            writer.write(&data[from..]).unwrap();
            writer.commit(&ctx).unwrap();
            assert!(driver.get_content(&ctx, &path).unwrap() == data, "{path}");
            assert_eq!(boto.uploads(&key), [], "{path}");
        }
    });
}
