//! Where a driver's program is.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::sys;
use crate::runtime::Config;

/// The historical program had the longer name.
const PREFIXES: [&str; 2] = ["registry-storage-", "registry-storagedriver-"];

/// The program of the driver `name`, which must follow the grammar of names.
pub fn find(name: &str, config: &Config) -> Option<PathBuf> {
    // Who runs with more rights than his caller does not run what the caller names.
    let environment = |key: &str| match sys::is_privileged() {
        true => None,
        false => std::env::var_os(key),
    };
    let own = config.driver_path.clone().map(Into::into).or_else(|| environment("SD_DRIVER_PATH"));
    let folders: Vec<PathBuf> = [own, environment("PATH")]
        .iter()
        .flatten()
        .flat_map(std::env::split_paths)
        // An empty entry, too, would mean the current directory.
        .filter(|folder| folder.is_absolute())
        .collect();
    let programs = PREFIXES.iter().flat_map(|prefix| {
        let file = format!("{prefix}{name}");
        folders.iter().map(move |folder| folder.join(&file))
    });
    programs.into_iter().find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    program.is_file() && access(program, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn looking_in(folders: &[&Path]) -> Config {
        let path = std::env::join_paths(folders).unwrap().into_string().unwrap();
        Config { driver_path: Some(path), ..Config::default() }
    }

    #[test]
    fn the_short_name_comes_before_the_historical_one_and_order_counts() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = looking_in(&[a.path(), b.path()]);
        assert_eq!(find("some-where", &config), None);
        let historical = program(a.path(), "registry-storagedriver-some-where");
        assert_eq!(find("some-where", &config), Some(historical));
        let second = program(b.path(), "registry-storage-some-where");
        assert_eq!(find("some-where", &config), Some(second));
        let first = program(a.path(), "registry-storage-some-where");
        assert_eq!(find("some-where", &config), Some(first));
    }

    #[test]
    fn what_cannot_run_and_the_current_directory_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("registry-storage-x"), "").unwrap();
        fs::create_dir(folder.path().join("registry-storage-y")).unwrap();
        let config = looking_in(&[folder.path()]);
        assert_eq!(find("x", &config), None);
        assert_eq!(find("y", &config), None);
        let here = std::env::current_dir().unwrap();
        let inside = tempfile::tempdir_in(&here).unwrap();
        program(inside.path(), "registry-storage-z");
        let name = inside.path().file_name().unwrap();
        for entry in [name.to_str().unwrap().to_string(), format!("./{}", name.to_str().unwrap())] {
            let config = Config { driver_path: Some(entry), ..Config::default() };
            assert_eq!(find("z", &config), None);
        }
    }
}
