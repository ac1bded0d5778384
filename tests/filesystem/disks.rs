//! Other users, other masks, and file systems that are full, read-only, or two.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use super::driver;
use super::host::{self, Mount};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn modes_are_distributions_under_any_umask() {
    for (umask, file, directory) in
        [("022", 0o644, 0o755), ("007", 0o660, 0o770), ("0", 0o666, 0o777)]
    {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("above/root");
        let line = format!("umask {umask}; exec \"$0\" \"$@\"");
        host::run(&["sh", "-c", &line], "make", &root);
        for path in ["put/dir/file", "written/file", "moved/dir/file"] {
            assert_eq!(mode(&root.join(path)), file, "{path}");
        }
        for path in ["../../above", "", "put", "put/dir", "written", "moved", "moved/dir"] {
            assert_eq!(mode(&root.join(path)), directory, "{path}");
        }
    }
}

#[test]
fn a_user_without_rights_can_do_everything_in_a_root_of_its_own() {
    if !host::is_root() || !host::has("setpriv") {
        return;
    }
    let place = host::open_directory();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o777)).unwrap();
    host::run_as_nobody("make", &place.path().join("root"));
    assert!(place.path().join("root/put/dir/file").exists());
}

#[test]
fn a_root_without_permission_is_a_permission_error() {
    if !host::is_root() || !host::has("setpriv") {
        return;
    }
    let place = host::open_directory();
    let root = place.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o700)).unwrap();
    host::run_as_nobody("refused", &root);
}

#[test]
fn running_out_of_descriptors_is_an_error_that_passes() {
    let place = tempfile::tempdir().unwrap();
    host::run(&["env"], "few-descriptors", &place.path().join("root"));
}

#[test]
fn a_read_only_root_serves_and_refuses_writes() {
    let place = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(&place.path().join("root"), "1m") else { return };
    let (driver, ctx) = (driver(&mount.0), Context::none());
    driver.put_content(&ctx, "/d/file", b"x").unwrap();
    mount.remount("ro");
    assert_eq!(driver.get_content(&ctx, "/d/file").unwrap(), b"x");
    for outcome in [
        driver.put_content(&ctx, "/d/file", b"y"),
        driver.put_content(&ctx, "/new/file", b"y"),
        driver.writer(&ctx, "/d/file", false).map(drop),
        driver.writer(&ctx, "/d/file", true).map(drop),
        driver.writer(&ctx, "/d/new", false).map(drop),
        driver.delete(&ctx, "/d/file"),
        driver.delete(&ctx, "/d"),
        driver.r#move(&ctx, "/d/file", "/d/other"),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert!(error.detail().contains("ead-only file system (os error 30)"), "{error}");
    }
}

#[test]
fn a_full_disk_in_the_middle_of_an_upload_loses_nothing_that_was_counted() {
    let place = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(&place.path().join("root"), "8m") else { return };
    let (driver, ctx) = (driver(&mount.0), Context::none());
    for piece in [1000, 40_000, 65_536, 1_000_000] {
        let data: Vec<u8> = (0..piece).map(|n| (n % 251) as u8).collect();
        let mut writer = driver.writer(&ctx, "/up/load", false).unwrap();
        let error = loop {
            if let Err(error) = writer.write(&data) {
                break error;
            }
        };
        assert_eq!(error.code(), Code::NoSpace);
        assert_eq!(error.detail(), "no space left on device (os error 28)");
        writer.close(&ctx).unwrap();
        let size = writer.size();
        assert!(size > 6 << 20, "{size}");
        assert_eq!(driver.stat(&ctx, "/up/load").unwrap().size, size);
        let content = driver.get_content(&ctx, "/up/load").unwrap();
        let expected = (0..content.len()).map(|n| (n % piece % 251) as u8);
        assert!(content.iter().copied().eq(expected));
        // With room again it goes on where it stopped.
        mount.remount("size=16m");
        let mut writer = driver.writer(&ctx, "/up/load", true).unwrap();
        assert_eq!(writer.size(), size);
        writer.write(&data).unwrap();
        writer.commit(&ctx).unwrap();
        assert_eq!(driver.stat(&ctx, "/up/load").unwrap().size, size + piece as u64);
        driver.delete(&ctx, "/up").unwrap();
        mount.remount("size=8m");
    }
}

#[test]
fn a_put_onto_a_full_disk_keeps_the_old_content_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(&place.path().join("root"), "8m") else { return };
    let (driver, ctx) = (driver(&mount.0), Context::none());
    driver.put_content(&ctx, "/d/x", b"old").unwrap();
    let error = driver.put_content(&ctx, "/d/x", &vec![1; 9 << 20]).unwrap_err();
    assert_eq!(error.code(), Code::NoSpace);
    assert_eq!(driver.get_content(&ctx, "/d/x").unwrap(), b"old");
    assert_eq!(std::fs::read_dir(mount.0.join("d")).unwrap().count(), 1);
    driver.put_content(&ctx, "/d/y", &vec![1; 7 << 20]).unwrap();
}

#[test]
fn a_commit_that_found_no_room_can_be_repeated() {
    let place = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(&place.path().join("root"), "8m") else { return };
    let (driver, ctx) = (driver(&mount.0), Context::none());
    let mut writer = driver.writer(&ctx, "/x", false).unwrap();
    writer.write(&[7; 60_000]).unwrap();
    // Fill it to the last page behind the writer's back.
    let mut filler = std::fs::File::create(mount.0.join("filler")).unwrap();
    while std::io::Write::write(&mut filler, &[0; 4096]).is_ok() {}
    assert_eq!(writer.commit(&ctx).unwrap_err().code(), Code::NoSpace);
    assert_eq!(writer.commit(&ctx).unwrap_err().code(), Code::NoSpace);
    assert_eq!(writer.size(), 60_000);
    std::fs::remove_file(mount.0.join("filler")).unwrap();
    drop(filler);
    writer.commit(&ctx).unwrap();
    assert_eq!(driver.get_content(&ctx, "/x").unwrap(), [7; 60_000]);
}

#[test]
fn a_move_across_file_systems_copies_and_removes_the_source_last() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    let Some(mount) = Mount::tmpfs(&root.join("other"), "8m") else { return };
    let (driver, ctx) = (driver(&root), Context::none());
    let data: Vec<u8> = (0..3_000_000).map(|n| (n % 251) as u8).collect();
    driver.put_content(&ctx, "/here/x", &data).unwrap();
    driver.put_content(&ctx, "/other/dir/x", b"old").unwrap();
    driver.r#move(&ctx, "/here/x", "/other/dir/x").unwrap();
    assert!(driver.get_content(&ctx, "/other/dir/x").unwrap() == data);
    assert_eq!(driver.stat(&ctx, "/here/x").unwrap_err().code(), Code::PathNotFound);
    driver.r#move(&ctx, "/other/dir/x", "/back/x").unwrap();
    assert!(driver.get_content(&ctx, "/back/x").unwrap() == data);
    driver.put_content(&ctx, "/back/empty", b"").unwrap();
    driver.r#move(&ctx, "/back/empty", "/other/empty").unwrap();
    assert_eq!(driver.stat(&ctx, "/other/empty").unwrap().size, 0);
    // No room there: the source stays, the destination as it was.
    driver.put_content(&ctx, "/back/large", &vec![1; 9 << 20]).unwrap();
    driver.put_content(&ctx, "/other/dir/x", b"old").unwrap();
    let error = driver.r#move(&ctx, "/back/large", "/other/dir/x").unwrap_err();
    assert_eq!(error.code(), Code::NoSpace);
    assert_eq!(driver.stat(&ctx, "/back/large").unwrap().size, 9 << 20);
    assert_eq!(driver.get_content(&ctx, "/other/dir/x").unwrap(), b"old");
    assert_eq!(std::fs::read_dir(mount.0.join("dir")).unwrap().count(), 1);
    // A mount inside the root is no way out of it; a link to one is.
    symlink(&mount.0, root.join("link")).unwrap();
    let error = driver.get_content(&ctx, "/link/empty").unwrap_err();
    assert_eq!(error.code(), Code::Permission);
}
