//! The example in Python with a host that a test plays: what it must not believe.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};
use storagedriver::child::frame::{Header, Kind, WINDOW};
use tempfile::TempDir;

use crate::served;
use crate::wire::Wire;

struct Python {
    wire: Wire,
    program: Child,
    folder: TempDir,
}

impl Python {
    fn start() -> Python {
        let (ours, theirs): (OwnedFd, OwnedFd) = served::pair();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = Command::new("sh")
            .args(["-c", "exec \"$0\" 3<&0 </dev/null"])
            .arg(root.join("examples/python-driver/registry-storage-pydir"))
            .stdin(theirs)
            .spawn()
            .unwrap();
        let mut python =
            Python { wire: Wire::new(ours), program, folder: tempfile::tempdir().unwrap() };
        let hello = json!({"protocol": [1, 0], "driver": "pydir", "window": WINDOW,
            "parameters": {"rootdirectory": python.folder.path()}});
        python.wire.send(Kind::Hello, 0, false, hello.to_string().as_bytes());
        assert_eq!(python.wire.read().0.kind, Kind::Hello);
        python
    }

    fn ask_to_put(&mut self, length: usize) {
        let request = json!({"op": "put_content", "path": "/a", "length": length});
        self.wire.send(Kind::Request, 1, false, request.to_string().as_bytes());
    }

    /// The host dies; what the driver has left behind.
    fn hang_up(mut self) -> Vec<String> {
        drop(self.wire);
        self.program.wait().unwrap();
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_host_that_dies_in_the_last_piece_of_a_put_leaves_no_torn_file() {
    let mut python = Python::start();
    python.ask_to_put(1000);
    let half = [&Header::new(Kind::Data, 1, 1000).ending(true).encode()[..], &[7; 500]].concat();
    python.wire.send_bytes(&half);
    let left = python.hang_up();
    assert!(!left.contains(&"a".to_string()), "{left:?}");
}

#[test]
fn a_put_of_another_length_does_not_happen_in_python_either() {
    let mut python = Python::start();
    python.ask_to_put(1000);
    python.wire.send(Kind::Data, 1, true, &[7; 500]);
    let answer = loop {
        let (header, body) = python.wire.read();
        if header.kind != Kind::Credit {
            assert_eq!((header.kind, header.end), (Kind::Error, true));
            break serde_json::from_slice::<Value>(&body).unwrap();
        }
    };
    assert_eq!(answer["code"], -114);
    assert_eq!(python.hang_up(), Vec::<String>::new());
}
