//! Whether a path is a file, guessed from how it was with others of its name. A file is
//! found with one request. What is none needs two, and they can be made at once if that
//! is expected: registries ask for the same few names, `data` or `_uploads`, in many
//! directories. A wrong guess costs a request or a wait, never the answer.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::path;

const NAMES: usize = 256;
/// From here on a name is expected not to be a file's.
const DOUBT: u8 = 2;
const MOST: u8 = 3;

/// By a hash of the name: how often in a row, lately, it was no file's.
pub struct Guesses([AtomicU8; NAMES]);

impl Default for Guesses {
    fn default() -> Guesses {
        Guesses(std::array::from_fn(|_| AtomicU8::new(0)))
    }
}

impl Guesses {
    pub fn is_file(&self, path: &str) -> bool {
        self.of(path).is_none_or(|doubt| doubt.load(Ordering::Relaxed) < DOUBT)
    }

    pub fn learn(&self, path: &str, is_file: bool) {
        let Some(doubt) = self.of(path) else { return };
        let before = doubt.load(Ordering::Relaxed);
        // Back at once: a request too many costs money, a wait only time.
        let after = if is_file { 0 } else { (before + 1).min(MOST) };
        if after != before {
            doubt.store(after, Ordering::Relaxed);
        }
    }

    fn of(&self, path: &str) -> Option<&AtomicU8> {
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
        let hash = path::name(path).bytes().fold(2_166_136_261, step);
        self.0.get(hash as usize % NAMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_seldom_a_files_is_doubted_until_it_is_one() {
        let guesses = Guesses::default();
        assert!(guesses.is_file("/a/data"));
        guesses.learn("/a/data", false);
        assert!(guesses.is_file("/b/data"));
        guesses.learn("/b/data", false);
        assert!(!guesses.is_file("/c/data") && guesses.is_file("/c/link"));
        guesses.learn("/c/data", true);
        assert!(guesses.is_file("/d/data"));
    }
}
