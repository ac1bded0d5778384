//! The threads of the library in this process.

use std::time::{Duration, Instant};

/// How many there are; each of them has a name of ours.
pub fn count() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("sd-")).count()
}

/// Whether none is left. The kernel may show one for a moment after it was joined.
pub fn none_left() -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while count() > 0 {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
