//! Running a job in a process of its own, and mounting small file systems.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs `job` on `root` behind `wrapper` ("strace", "sh -c …"), to success.
pub fn run(wrapper: &[&str], job: &str, root: &Path) {
    run_program(&std::env::current_exe().unwrap(), wrapper, job, root);
}

/// The same as a user without rights.
pub fn run_as_nobody(job: &str, root: &Path) {
    let place = open_directory();
    let program = place.path().join("helper");
    // By another process: what is open for writing in this one may be refused to start.
    let copied =
        Command::new("install").arg(std::env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    run_program(&program, &wrapper, job, root);
}

fn run_program(program: &Path, wrapper: &[&str], job: &str, root: &Path) {
    let program = program.to_str().unwrap();
    let arguments = [program, "--exact", "helper", "--nocapture", "--test-threads=1"];
    let mut line = wrapper.iter().copied().chain(arguments);
    let output = Command::new(line.next().unwrap())
        .args(line)
        .env("SD_JOB", job)
        .env("SD_ROOT", root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{job}: {said}");
}

/// A directory that other users may enter.
pub fn open_directory() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    place
}

pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// The directories above `root` on its file system, the nearest first.
pub fn above(root: &Path) -> Vec<&Path> {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let own = device(root);
    root.ancestors().skip(1).take_while(|path| device(path) == own).collect()
}

pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: needs root");
    }
    root
}

/// A tmpfs of `size`, unmounted when dropped. `None`, with the reason printed,
/// where mounting is not possible.
pub struct Mount(pub PathBuf);

impl Mount {
    pub fn tmpfs(at: &Path, size: &str) -> Option<Mount> {
        if !is_root() {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Mount(at.to_path_buf()));
        }
        eprintln!("SKIPPED: cannot mount a tmpfs");
        None
    }

    pub fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
