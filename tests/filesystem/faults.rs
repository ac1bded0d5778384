//! System calls that fail, as strace can make them.

use std::path::Path;

use super::host;

/// Runs `job` with `faults` injected, each as strace's option has it.
fn run(faults: &[&str], job: &str, root: &Path) {
    if !host::has("strace") {
        return;
    }
    let faults: Vec<String> = faults.iter().map(|fault| format!("inject={fault}")).collect();
    let mut line = vec!["strace", "-f", "-qq", "-o", "/dev/null"];
    for fault in &faults {
        line.extend(["-e", fault]);
    }
    host::run(&line, job, root);
}

fn root() -> (tempfile::TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir(&root).unwrap();
    (place, root)
}

/// Which sync is the first after those of the directories above the root, which
/// come with the first write.
fn first(root: &Path) -> usize {
    host::above(root).len() + 1
}

#[test]
fn bytes_that_a_failed_sync_may_have_lost_are_never_acknowledged() {
    let (_place, root) = root();
    run(&[&format!("fsync:error=EIO:when={}", first(&root))], "sync-fails", &root);
}

#[test]
fn an_append_after_a_failed_sync_finds_only_what_was_synced_before() {
    let (_place, root) = root();
    // The session before it synced its file and the directory.
    run(&[&format!("fsync:error=EIO:when={}", first(&root) + 2)], "append-lost", &root);
}

#[test]
fn cancelling_after_a_commit_that_replaced_content_removes_nothing() {
    for (job, sync) in [("commit-unsynced", 1), ("append-unsynced", 3)] {
        let (_place, root) = root();
        let at = first(&root) + sync;
        run(&[&format!("fsync:error=EIO:when={at}")], job, &root);
    }
}

#[test]
fn a_put_that_cannot_be_synced_leaves_what_was_there() {
    for link in [None, Some("linkat:error=EPERM")] {
        let (_place, root) = root();
        let sync = format!("fsync:error=EIO:when={}+", first(&root));
        let faults: Vec<&str> = [sync.as_str()].into_iter().chain(link).collect();
        run(&faults, "put-fails", &root);
    }
}

#[test]
fn a_source_that_was_replaced_while_it_was_copied_stays() {
    let (_place, root) = root();
    // Time enough between the destination's name and the end of the source.
    run(&["renameat:error=EXDEV", "fsync:delay_exit=300000"], "move-replaced", &root);
}

#[test]
fn a_put_whose_link_is_refused_goes_by_a_hidden_name() {
    for errno in ["EPERM", "ENOENT", "EOPNOTSUPP"] {
        let (_place, root) = root();
        run(&[&format!("linkat:error={errno}")], "make", &root);
        for directory in ["", "put/dir", "written", "moved/dir"] {
            for entry in std::fs::read_dir(root.join(directory)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!name.contains('~'), "{name}");
            }
        }
    }
}

#[test]
fn a_kernel_without_openat2_confines_by_hand() {
    for errno in ["ENOSYS", "EPERM"] {
        let (_place, root) = root();
        run(&[&format!("openat2:error={errno}")], "confined", &root);
        assert!(!root.parent().unwrap().join("file").exists());
    }
}

#[test]
fn a_path_crossed_by_renames_is_resolved_all_the_same() {
    let (_place, root) = root();
    // Every other time, and then always.
    run(&["openat2:error=EAGAIN:when=2+2"], "confined", &root);
    let (_place, root) = self::root();
    run(&["openat2:error=EAGAIN:when=2+"], "confined", &root);
}

#[test]
fn interrupted_calls_are_made_again() {
    let (_place, root) = root();
    for call in ["write", "pwrite64", "fsync", "openat2", "flock"] {
        let fault = format!("{call}:error=EINTR:when=2+2");
        run(&[&fault], "make", &root);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
