//! What an upload holds in memory, in a process of its own.

use std::process::Command;

use storagedriver::context::Context;
use storagedriver::driver::Driver;

use crate::store::Store;

const MIB: usize = 1 << 20;
const PART: usize = 10 * MIB;
const PARALLEL: usize = 4;

/// A line of /proc/self/status, in bytes.
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() * 1024
}

#[test]
fn an_upload_holds_its_parts_and_ten_mib() {
    if crate::store::endpoint("radosgw").is_none() {
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["memory::uploads_200_mib", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let held = said.lines().find_map(|line| line.strip_prefix("held ")).unwrap();
    let held: usize = held.trim().parse().unwrap();
    let bound = (PARALLEL + 1) * PART + 10 * MIB;
    assert!(held <= bound, "{held} bytes, {bound} at most");
}

#[test]
#[ignore = "run by the test above, alone in its process"]
fn uploads_200_mib() {
    let store = Store::on("radosgw", "memory").unwrap();
    let part = PART.to_string();
    let parallel = PARALLEL.to_string();
    let driver = store.driver(&[("chunksize", &part), ("uploadconcurrency", &parallel)]);
    let ctx = Context::none();
    driver.put_content(&ctx, "/warm", b"x").unwrap();
    let piece = vec![7_u8; 64 << 10];
    let before = status("VmRSS:");
    let mut writer = driver.writer(&ctx, "/file", false).unwrap();
    for _ in 0..200 * MIB / piece.len() {
        writer.write(&piece).unwrap();
    }
    writer.commit(&ctx).unwrap();
    assert_eq!(driver.stat(&ctx, "/file").unwrap().size, 200 * MIB as u64);
    println!("\nheld {}", status("VmHWM:").saturating_sub(before));
    driver.delete(&ctx, "/file").unwrap();
}
