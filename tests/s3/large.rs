//! What shows only above 1,000 parts and 5 GiB. It takes 12 GiB of the server's disk and
//! two minutes, so it runs when it is asked for:
//!
//!     STORE=bluestore tests/services/radosgw.sh DIR
//!     STORAGEDRIVER_S3_RADOSGW=http://127.0.0.1:PORT cargo test --test s3 -- --ignored large

use std::time::Instant;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::content::content_at;
use crate::store::{PART, Store};

const PIECE: usize = 1 << 20;
/// Parts of the first session; a page of ListParts has 1,000.
const FIRST: usize = 1030 * PART;
/// More than one CopyObject may copy.
const WHOLE: usize = 1060 * PART + 77;

#[test]
#[ignore = "large: 12 GiB of disk"]
fn large_uploads_are_resumed_behind_1000_parts_and_moved_above_5_gib() {
    let store = Store::on("radosgw", "large").expect("STORAGEDRIVER_S3_RADOSGW is not set");
    let (driver, ctx) = (store.driver(&[]), Context::none());
    let began = Instant::now();
    let write = |append, to: usize| {
        let mut writer = driver.writer(&ctx, "/upload", append).unwrap();
        assert_eq!(writer.size() as usize, if append { FIRST } else { 0 });
        for from in (writer.size() as usize..to).step_by(PIECE) {
            writer.write(&content_at(5, from, PIECE.min(to - from))).unwrap();
        }
        writer
    };
    write(false, FIRST).close(&ctx).unwrap();
    println!("{:?}: closed", began.elapsed());
    write(true, WHOLE).commit(&ctx).unwrap();
    println!("{:?}: committed", began.elapsed());
    driver.r#move(&ctx, "/upload", "/moved").unwrap();
    println!("{:?}: moved", began.elapsed());
    assert_eq!(driver.stat(&ctx, "/upload").unwrap_err().code(), Code::PathNotFound);
    assert_eq!(driver.stat(&ctx, "/moved").unwrap().size as usize, WHOLE);
    let (mut reader, mut at) = (driver.reader(&ctx, "/moved", 0).unwrap(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let count = reader.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        assert!(piece[..count] == content_at(5, at, count), "other bytes after {at}");
        at += count;
    }
    assert_eq!(at, WHOLE);
    println!("{:?}: read", began.elapsed());
    driver.delete(&ctx, "/moved").unwrap();
}
