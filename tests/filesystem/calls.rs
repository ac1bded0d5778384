//! System calls: how many, and in which order what is acknowledged is synced.

use std::path::Path;

use super::host;

/// The calls between two marks of a job, as strace prints them.
struct Trace(Vec<(String, Vec<String>)>);

impl Trace {
    fn of(job: &str, root: &Path) -> Option<Trace> {
        if !host::has("strace") {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("trace");
        host::run(&["strace", "-f", "-y", "-s0", "-o", file.to_str().unwrap()], job, root);
        let mut sections: Vec<(String, Vec<String>)> = Vec::new();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
            if let Some((_, rest)) = call.split_once("/mark/") {
                sections.push((rest.split('"').next().unwrap().to_string(), Vec::new()));
            } else if let Some((_, calls)) = sections.last_mut() {
                calls.push(call.replace(root.to_str().unwrap(), "ROOT"));
            }
        }
        Some(Trace(sections))
    }

    fn section(&self, name: &str) -> &[String] {
        &self.0.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// The names of the calls. Those of the allocator are none of ours, nor is
    /// the question that a debug build asks before each close.
    fn names(&self, section: &str) -> Vec<&str> {
        self.section(section)
            .iter()
            .map(|call| call.split('(').next().unwrap())
            .filter(|name| {
                !["brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "fcntl"].contains(name)
            })
            .collect()
    }

    /// What was synced, linked, renamed and removed, in order, in short.
    fn changes(&self, section: &str) -> Vec<String> {
        let mut changes = Vec::new();
        for call in self.section(section) {
            let (name, rest) = call.split_once('(').unwrap();
            let target = rest.split(['<', '>']).nth(1).unwrap_or_default();
            let target = if target.contains('#') { "nameless" } else { target };
            if rest.contains("= -1") {
                continue;
            }
            match name {
                "fsync" => changes.push(format!("sync {target}")),
                "linkat" => changes.push("link".to_string()),
                "renameat" | "renameat2" => changes.push("rename".to_string()),
                "mkdirat" => changes.push(format!("mkdir in {target}")),
                _ => {}
            }
        }
        changes
    }
}

#[test]
fn each_call_makes_the_system_calls_it_needs_and_no_more() {
    let place = tempfile::tempdir().unwrap();
    let Some(trace) = Trace::of("calls", &place.path().join("root")) else { return };
    let put = ["openat2", "openat", "write", "fsync"];
    let linked = |more: &[&'static str]| [&put[..], more, &["close", "fsync", "close"]].concat();
    for (section, calls) in [
        ("put-new", linked(&["linkat"])),
        ("put-over", linked(&["linkat", "linkat", "renameat"])),
        ("get", vec!["openat2", "fstat", "read", "close"]),
        ("stat", vec!["openat2", "fstat", "close"]),
        // The second call asks whether the root was replaced.
        ("stat-missing", vec!["openat2", "stat"]),
        ("list", vec!["openat2", "getdents64", "getdents64", "close"]),
        (
            "entries",
            vec!["openat2", "getdents64", "getdents64", "newfstatat", "newfstatat", "newfstatat"],
        ),
        // The upload that may be staged beside the path goes too.
        ("delete", vec!["openat2", "unlinkat", "unlinkat", "fsync", "close"]),
        ("append-missing", vec!["openat2", "stat"]),
        ("upload", vec!["openat2", "openat", "flock", "fstat", "unlinkat", "close", "getpid"]),
        ("append", vec!["openat2", "openat", "openat", "flock", "fstat", "close", "getpid"]),
        (
            "close",
            vec!["fsync", "openat2", "newfstatat", "fsync", "close", "getpid", "flock", "close"],
        ),
        ("small-writes", vec![]),
        ("large-write", vec!["pwritev"]),
        (
            "commit",
            vec!["fsync", "openat2", "newfstatat", "fsync", "close", "getpid", "flock", "close"],
        ),
    ] {
        let mut made = trace.names(section);
        if section == "entries" {
            assert_eq!(made.pop(), Some("close"));
        }
        // One call goes by several names on different machines.
        let plain = |name: &&str| {
            match *name {
                "newfstatat" | "statx" | "fstat" | "stat" => "stat",
                "renameat2" => "renameat",
                other => other,
            }
            .to_string()
        };
        let made: Vec<String> = made.iter().map(plain).collect();
        let expected: Vec<String> = calls.iter().map(plain).collect();
        if cfg!(storagedriver_no_openat2) {
            continue;
        }
        assert_eq!(made, expected, "{section}");
    }
}

#[test]
fn the_file_is_synced_before_its_name_and_its_name_before_the_answer() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("made/by/others")).unwrap();
    std::fs::create_dir_all(root.join("real/deep")).unwrap();
    std::os::unix::fs::symlink("real/deep", root.join("link")).unwrap();
    let Some(trace) = Trace::of("order", &root) else { return };
    let put = |directory: &str| {
        vec!["sync nameless".to_string(), "link".to_string(), format!("sync {directory}")]
    };
    let all = |before: &[&str], after: Vec<String>| {
        before.iter().map(|s| s.to_string()).chain(after).collect::<Vec<_>>()
    };
    // Every entry on the way, the root's own and those above it included, though
    // others made them.
    let mut cold: Vec<String> =
        host::above(&root).iter().map(|above| format!("sync {}", above.display())).collect();
    let below = [
        "sync ROOT",
        "sync ROOT/made",
        "sync ROOT/made/by",
        "mkdir in ROOT/made/by/others",
        "sync ROOT/made/by/others",
    ];
    cold.extend(all(&below, put("ROOT/made/by/others/new")));
    assert_eq!(trace.changes("put-cold"), cold);
    assert_eq!(trace.changes("put-warm"), put("ROOT/made/by/others/new"));
    assert_eq!(trace.changes("put-beside"), put("ROOT/made/by"));
    assert_eq!(trace.changes("delete"), ["sync ROOT/made/by"]);
    let again = ["mkdir in ROOT/made/by", "sync ROOT/made/by"];
    assert_eq!(trace.changes("put-again"), all(&again, put("ROOT/made/by/others")));
    // Made anew by others after our delete: not known any more.
    let others = ["sync ROOT/made/by"];
    assert_eq!(trace.changes("put-others"), all(&others, put("ROOT/made/by/others")));
    assert_eq!(trace.changes("close"), ["sync ROOT/made/by/upload", "sync ROOT/made/by"]);
    assert_eq!(
        trace.changes("commit-staged"),
        ["sync ROOT/made/by/file~upload", "rename", "sync ROOT/made/by"]
    );
    assert_eq!(
        trace.changes("move"),
        [
            "mkdir in ROOT",
            "sync ROOT",
            "mkdir in ROOT/dest",
            "sync ROOT/dest",
            // Whoever wrote it may not have.
            "sync ROOT/made/by/upload",
            "rename",
            "sync ROOT/dest/dir",
            "sync ROOT/made/by",
        ]
    );
    // The link's entry, and those on the real way.
    let linked = trace.changes("link");
    for entry in ["sync ROOT", "sync ROOT/real", "sync ROOT/real/deep"] {
        assert!(linked.iter().any(|change| change == entry), "{entry}: {linked:?}");
    }
}
