//! How many requests each call makes. A call that makes one more fails here.

use std::sync::Arc;
use std::thread;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{Driver, RedirectRequest};
use storagedriver::error::Code;

use crate::content::content;
use crate::proxy::Proxy;
use crate::store::{Store, operations};

struct Counted {
    proxy: Proxy,
    driver: Arc<Base>,
    /// Nobody counts what this one does.
    aside: Arc<Base>,
}

impl Counted {
    fn new(test: &str, more: &[(&str, &str)]) -> Option<Counted> {
        let store = Store::on("radosgw", test)?;
        let (proxy, driver) = store.proxied(more);
        // The connection, the credentials and whatever else comes once.
        assert!(driver.get_content(&Context::none(), "/nothing").is_err());
        Some(Counted { proxy, driver, aside: store.driver(more) })
    }

    fn at_most<T>(&self, most: usize, call: &str, run: impl FnOnce(&dyn Driver) -> T) -> T {
        self.proxy.take();
        let result = run(&*self.driver);
        let made = operations(&self.proxy.take());
        println!("{call:40} {:3} of {most:3}  {}", made.len(), brief(&made));
        assert!(made.len() <= most, "{call}: {} requests, not {most}: {made:?}", made.len());
        result
    }

    /// An upload of sessions of these sizes, continued by `more` bytes.
    fn resumed(&self, most: usize, call: &str, sizes: &[usize], more: usize, commit: bool) {
        let ctx = Context::none();
        let path = &call.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let path = &format!("/{path}");
        let all = content(9, sizes.iter().sum::<usize>() + more);
        let mut at = 0;
        for (n, size) in sizes.iter().enumerate() {
            let mut writer = self.aside.writer(&ctx, path, n > 0).unwrap();
            writer.write(&all[at..at + size]).unwrap();
            writer.close(&ctx).unwrap();
            at += size;
        }
        self.at_most(most, call, |driver| {
            let mut writer = driver.writer(&ctx, path, true).unwrap();
            assert_eq!(writer.size(), at as u64);
            writer.write(&all[at..]).unwrap();
            if commit {
                writer.commit(&ctx).unwrap();
            }
            writer.close(&ctx).unwrap();
        });
        if commit {
            assert!(self.aside.get_content(&ctx, path).unwrap() == all, "{call}");
        }
    }
}

/// Runs of the same operation as one.
fn brief(made: &[&str]) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for name in made {
        match words.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => words.push((name, 1)),
        }
    }
    let word = |(name, count): &(&str, usize)| match count {
        1 => name.to_string(),
        _ => format!("{count} {name}"),
    };
    words.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn small_files_cost_one_request() {
    let Some(at) = Counted::new("small", &[]) else { return };
    let ctx = Context::none();
    let data = content(1, 4096);
    at.at_most(1, "put 4 KiB", |driver| driver.put_content(&ctx, "/d/a", &data).unwrap());
    let found = at.at_most(1, "get 4 KiB", |driver| driver.get_content(&ctx, "/d/a").unwrap());
    assert!(found == data);
    at.at_most(1, "get of a missing file", |driver| {
        assert_eq!(driver.get_content(&ctx, "/d/b").unwrap_err().code(), Code::PathNotFound);
    });
    at.at_most(1, "reader of a missing file", |driver| {
        let missing = driver.reader(&ctx, "/d/b", 64).map(drop).unwrap_err();
        assert_eq!(missing.code(), Code::PathNotFound);
    });
    at.at_most(1, "reader from the middle", |driver| {
        let mut reader = driver.reader(&ctx, "/d/a", 4000).unwrap();
        assert_eq!(read_all(&mut *reader), data[4000..]);
    });
    at.at_most(1, "reader past the end", |driver| {
        let mut reader = driver.reader(&ctx, "/d/a", 5000).unwrap();
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
    });
    at.at_most(1, "stat of a file", |driver| {
        assert_eq!(driver.stat(&ctx, "/d/a").unwrap().size, 4096);
    });
    at.at_most(2, "stat of a directory", |driver| {
        assert!(driver.stat(&ctx, "/d").unwrap().is_dir);
    });
    at.at_most(2, "stat of nothing", |driver| {
        assert_eq!(driver.stat(&ctx, "/d/b").unwrap_err().code(), Code::PathNotFound);
    });
    at.at_most(0, "redirect", |driver| {
        let request = RedirectRequest::default();
        assert!(driver.redirect_url(&ctx, "/d/a", &request).unwrap().is_some());
    });
    at.at_most(2, "delete of a file", |driver| driver.delete(&ctx, "/d/a").unwrap());
    assert!(at.aside.stat(&ctx, "/d/a").is_err());
}

#[test]
fn an_upload_costs_its_parts_and_two() {
    let Some(at) = Counted::new("upload", &[("chunksize", "10485760")]) else { return };
    let ctx = Context::none();
    for (size, most) in [(0, 1), (4096, 1), (10 << 20, 1), ((10 << 20) + 1, 4), (100 << 20, 12)] {
        let data = content(2, size);
        let call = format!("writer of {size} bytes, commit");
        at.at_most(most, &call, |driver| {
            let mut writer = driver.writer(&ctx, "/a", false).unwrap();
            data.chunks(300_000).for_each(|piece| writer.write(piece).unwrap());
            writer.commit(&ctx).unwrap();
            writer.close(&ctx).unwrap();
        });
        assert!(at.aside.get_content(&ctx, "/a").unwrap() == data);
    }
    at.at_most(1, "reader of 100 MiB", |driver| {
        let mut reader = driver.reader(&ctx, "/a", 0).unwrap();
        assert!(read_all(&mut *reader) == content(2, 100 << 20));
    });
    // Who goes on with it must find this upload alone, and what it is to replace.
    at.at_most(3, "writer closed before its first byte", |driver| {
        driver.writer(&ctx, "/b", false).unwrap().close(&ctx).unwrap();
    });
    // Whoever cancels wants nothing to be left at the path, of earlier ones either.
    at.at_most(1, "writer cancelled before its first part", |driver| {
        let mut writer = driver.writer(&ctx, "/c", false).unwrap();
        writer.write(b"some bytes").unwrap();
        writer.cancel(&ctx).unwrap();
        writer.close(&ctx).unwrap();
    });
}

#[test]
fn a_resumed_upload_costs_two_more_and_a_small_tail_three_more() {
    let Some(at) = Counted::new("resume", &[("chunksize", "10485760")]) else { return };
    let ten = 10 << 20;
    at.resumed(4, "append 10 MiB to 10 MiB, commit", &[ten], ten, true);
    at.resumed(3, "append 10 MiB to 10 MiB, close", &[ten], ten, false);
    at.resumed(7, "append 10 MiB to 10 MiB + 1, commit", &[ten + 1], ten, true);
    at.resumed(6, "append 10 MiB to 10 MiB + 1, close", &[ten + 1], ten, false);
    at.resumed(5, "append 10 MiB to 1 MiB, commit", &[1 << 20], ten, true);
    at.resumed(5, "append 8 MiB to 1 MiB, commit", &[1 << 20], 8 << 20, true);
    at.resumed(6, "append 8 MiB to 1 MiB, close", &[1 << 20], 8 << 20, false);
}

#[test]
fn a_move_costs_three_requests_and_a_large_one_its_parts_more() {
    let more = [("multipartcopythresholdsize", "10485760"), ("multipartcopychunksize", "6291456")];
    let Some(at) = Counted::new("move", &more) else { return };
    let ctx = Context::none();
    for (size, most) in [(1 << 20, 3), (12 << 20, 6)] {
        let data = content(3, size);
        at.aside.put_content(&ctx, "/from", &data).unwrap();
        let call = format!("move of {} MiB", size >> 20);
        at.at_most(most, &call, |driver| driver.r#move(&ctx, "/from", "/to").unwrap());
        assert!(at.aside.get_content(&ctx, "/to").unwrap() == data);
        assert!(at.aside.stat(&ctx, "/from").is_err());
    }
    at.at_most(2, "move of a missing file", |driver| {
        let error = driver.r#move(&ctx, "/from", "/to").unwrap_err();
        assert_eq!(error.code(), Code::PathNotFound);
    });
}

#[test]
fn listings_cost_a_request_for_a_thousand_entries() {
    let Some(at) = Counted::new("lists", &[]) else { return };
    let ctx = Context::none();
    // 500 directories of five files, and 2500 files beside each other.
    let paths: Vec<String> = (0..2500)
        .flat_map(|n| [format!("/tree/{}/{}", n / 5, n % 5), format!("/flat/{n:04}")])
        .chain((0..10).map(|n| format!("/ten/{n}")))
        .collect();
    thread::scope(|scope| {
        for part in paths.chunks(paths.len() / 8 + 1) {
            let driver = &at.aside;
            scope.spawn(move || {
                let ctx = Context::none();
                part.iter().for_each(|path| driver.put_content(&ctx, path, b"x").unwrap());
            });
        }
    });
    at.at_most(1, "list of 10", |driver| assert_eq!(driver.list(&ctx, "/ten").unwrap().len(), 10));
    at.at_most(1, "list of 500 directories", |driver| {
        assert_eq!(driver.list(&ctx, "/tree").unwrap().len(), 500);
    });
    at.at_most(3, "list of 2500", |driver| {
        assert_eq!(driver.list(&ctx, "/flat").unwrap().len(), 2500);
    });
    at.at_most(1, "list of one page of 100", |driver| {
        let page = driver.list_page(&ctx, "/flat", Some("/flat/1000"), 100).unwrap();
        assert_eq!(page.iter().next(), Some("/flat/1001"));
        assert_eq!(page.len(), 100);
    });
    at.at_most(3, "walk of 2500 in 500 directories", |driver| {
        let walker = driver.walker(&ctx, "/tree", &Default::default()).unwrap();
        let (mut walker, mut entries) = (walker.unwrap(), 0);
        while walker.next().unwrap().is_some() {
            entries += 1;
        }
        assert_eq!(entries, 3000);
    });
    at.at_most(6, "delete of 2500 in 500 directories", |driver| {
        driver.delete(&ctx, "/tree").unwrap();
    });
    assert!(at.aside.stat(&ctx, "/tree").is_err());
    assert_eq!(at.aside.list(&ctx, "/flat").unwrap().len(), 2500);
}

fn read_all(reader: &mut dyn storagedriver::driver::Reader) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return all,
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}
