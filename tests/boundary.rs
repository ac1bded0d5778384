//! A panic inside the library stops at the boundary to C: it becomes an error and a
//! log record, the host's standard error stays clean, what was half changed is
//! refused from then on, and everything else goes on.

use std::ffi::{CStr, c_char, c_void};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use storagedriver::context::Context;
use storagedriver::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use storagedriver::error::{Error, Result};
use storagedriver::factory;
use storagedriver::ffi::*;
use storagedriver::names::Names;

/// Panics wherever the path says so.
struct Panics;

fn touch(path: &str) {
    match path {
        "/text" => panic!("a static text"),
        "/string" => panic!("made of {} parts\nand two lines", 2),
        "/number" => std::panic::panic_any(5),
        _ => {}
    }
}

impl Driver for Panics {
    fn name(&self) -> &str {
        "panics"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    /// So that a slot that is lost is noticed.
    fn max_concurrency(&self) -> Option<usize> {
        Some(1)
    }
    fn get_content(&self, _: &Context, path: &str) -> Result<Vec<u8>> {
        touch(path);
        Ok(b"content".to_vec())
    }
    fn put_content(&self, _: &Context, path: &str, _: &[u8]) -> Result<()> {
        touch(path);
        Ok(())
    }
    fn stat(&self, _: &Context, path: &str) -> Result<FileInfo> {
        touch(path);
        Ok(FileInfo { path: path.to_string(), size: 7, mtime_ns: 0, is_dir: path == "/" })
    }
    fn list(&self, _: &Context, path: &str) -> Result<Names> {
        touch(path);
        Ok(Names::new())
    }
    fn r#move(&self, _: &Context, source: &str, _: &str) -> Result<()> {
        touch(source);
        Ok(())
    }
    fn delete(&self, _: &Context, path: &str) -> Result<()> {
        touch(path);
        Err(Error::path_not_found(path))
    }
    fn redirect_url(&self, _: &Context, path: &str, _: &RedirectRequest) -> Result<Option<String>> {
        touch(path);
        Ok(None)
    }
    fn reader(&self, _: &Context, path: &str, _: i64) -> Result<Box<dyn Reader>> {
        touch(path);
        Ok(Box::new(Handle))
    }
    fn writer(&self, _: &Context, path: &str, _: bool) -> Result<Box<dyn Writer>> {
        touch(path);
        Ok(Box::new(Handle))
    }
    fn walker(&self, _: &Context, path: &str, _: &WalkOptions) -> Result<Option<Box<dyn Walker>>> {
        touch(path);
        Ok(Some(Box::new(Handle)))
    }
}

/// A reader, writer or walker that panics at each step, and when it is dropped.
struct Handle;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Reader for Handle {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        panic!("in a read")
    }
}

impl Writer for Handle {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        if data == b"good" { Ok(()) } else { panic!("in a write") }
    }
    fn size(&self) -> u64 {
        4
    }
    fn commit(&mut self, _: &Context) -> Result<()> {
        panic!("in a commit")
    }
    fn cancel(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
    fn close(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
}

impl Walker for Handle {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        panic!("in a step")
    }
    fn skip_dir(&mut self) {}
}

impl Drop for Handle {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
        if !std::thread::panicking() {
            panic!("in a drop")
        }
    }
}

fn driver() -> *mut sd_driver {
    // The first of the tests in this process registers it.
    let _ = factory::register("panics", Arc::new(|_, _| Ok(Arc::new(Panics))));
    let mut driver = null_mut();
    let status =
        unsafe { sd_factory_create(c"panics".as_ptr(), null(), null(), &mut driver, null_mut()) };
    assert_eq!(status, SD_OK);
    driver
}

/// The status and the message of a call.
fn call(call: impl FnOnce(*mut *mut sd_error) -> sd_status) -> (sd_status, String) {
    let mut error = null_mut();
    let status = call(&mut error);
    let message = text(unsafe { sd_error_message(error) });
    unsafe { sd_error_free(error) };
    (status, message)
}

fn text(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_string()
}

fn assert_internal((status, message): (sd_status, String), panic: &str) {
    assert_eq!(status, SD_ERR_INTERNAL, "{message}");
    assert!(message.contains(panic), "{message:?} has not {panic:?}");
    assert!(!message.contains('\n'), "{message:?}");
}

fn assert_invalid_state((status, message): (sd_status, String)) {
    assert_eq!(status, SD_ERR_INVALID_STATE, "{message}");
}

/// A call that panics nowhere.
fn assert_works(driver: *mut sd_driver) {
    let mut content = null_mut();
    let status =
        unsafe { sd_get_content(driver, null(), c"/fine".as_ptr(), &mut content, null_mut()) };
    assert_eq!(status, SD_OK);
    assert_eq!(text(unsafe { sd_buffer_data(content) }.cast()), "content");
    unsafe { sd_buffer_free(content) };
}

#[test]
fn a_panic_becomes_an_error_with_its_text_and_writes_no_output() {
    let driver = driver();
    let untouched = std::ptr::without_provenance_mut::<sd_buffer>(8);
    for (path, panic) in
        [(c"/text", "a static text"), (c"/string", "made of 2 parts"), (c"/number", "unknown kind")]
    {
        let mut out = untouched;
        let path = path.as_ptr();
        assert_internal(
            call(|e| unsafe { sd_get_content(driver, null(), path, &mut out, e) }),
            panic,
        );
        assert_eq!(out, untouched);
        assert_works(driver);
    }
    unsafe { sd_driver_free(driver) };
}

#[test]
fn every_operation_catches_it_and_gives_its_slot_back() {
    let driver = driver();
    let p = c"/text".as_ptr();
    let n = null();
    let (mut info, mut names, mut page) = (null_mut(), null_mut(), null_mut());
    let mut url = null_mut();
    let (mut reader, mut writer, mut walker) = (null_mut(), null_mut(), null_mut());
    let calls: &mut [&mut dyn FnMut(*mut *mut sd_error) -> sd_status] = unsafe {
        &mut [
            &mut |e| sd_put_content(driver, n, p, null(), 0, e),
            &mut |e| sd_stat(driver, n, p, &mut info, e),
            &mut |e| sd_list(driver, n, p, &mut names, e),
            &mut |e| sd_list_page(driver, n, p, null(), 0, &mut page, e),
            &mut |e| sd_move(driver, n, p, c"/to".as_ptr(), e),
            &mut |e| sd_delete(driver, n, p, e),
            &mut |e| sd_redirect_url(driver, n, p, null(), &mut url, e),
            &mut |e| sd_reader_open(driver, n, p, 0, &mut reader, e),
            &mut |e| sd_writer_open(driver, n, p, 0, &mut writer, e),
            &mut |e| sd_walker_open(driver, n, p, null(), &mut walker, e),
            &mut |e| sd_walk(driver, n, p, null(), Some(visit), null_mut(), e),
            &mut |e| sd_read_stream(driver, n, p, 0, Some(sink), null_mut(), null_mut(), e),
            &mut |e| sd_write_stream(driver, n, p, 0, Some(source), null_mut(), null_mut(), e),
        ]
    };
    for each in calls {
        assert_internal(call(each), "a static text");
        assert_works(driver);
    }
    unsafe { sd_driver_free(driver) };
}

unsafe extern "C" fn visit(_: *mut c_void, _: *const sd_file_info) -> sd_status {
    SD_OK
}
unsafe extern "C" fn sink(_: *mut c_void, _: *const c_void, _: usize) -> sd_status {
    SD_OK
}
unsafe extern "C" fn source(_: *mut c_void, _: *mut c_void, _: usize, l: *mut usize) -> sd_status {
    unsafe { l.write(4) };
    SD_OK
}

#[test]
fn a_stream_that_panics_tells_its_total() {
    let driver = driver();
    for path in [c"/fine", c"/text"] {
        let (p, mut total) = (path.as_ptr(), 9);
        let outcome = call(|e| unsafe {
            sd_write_stream(driver, null(), p, 0, Some(source), null_mut(), &mut total, e)
        });
        assert_internal(outcome, if path == c"/fine" { "in a write" } else { "a static text" });
        assert_eq!(total, 0);
        assert_works(driver);
    }
    unsafe { sd_driver_free(driver) };
}

#[test]
fn a_reader_that_panicked_is_refused_and_can_be_freed() {
    let driver = driver();
    let (mut reader, mut buf, mut len) = (null_mut(), [0u8; 4], 9);
    let status =
        unsafe { sd_reader_open(driver, null(), c"/r".as_ptr(), 0, &mut reader, null_mut()) };
    assert_eq!(status, SD_OK);
    let mut read =
        || call(|e| unsafe { sd_reader_read(reader, buf.as_mut_ptr().cast(), 4, &mut len, e) });
    assert_internal(read(), "in a read");
    assert_invalid_state(read());
    assert_invalid_state(read());
    assert_eq!(len, 9);
    assert_works(driver);
    free_and_count(|| unsafe { sd_reader_free(reader) });
    unsafe { sd_driver_free(driver) };
}

#[test]
fn a_writer_that_panicked_is_refused_and_can_be_freed() {
    for by_commit in [false, true] {
        let driver = driver();
        let mut writer = null_mut();
        let status =
            unsafe { sd_writer_open(driver, null(), c"/w".as_ptr(), 0, &mut writer, null_mut()) };
        assert_eq!(status, SD_OK);
        let write = |text: &[u8]| {
            let (data, len) = (text.as_ptr().cast(), text.len());
            call(|e| unsafe { sd_writer_write(writer, data, len, e) })
        };
        let commit = || call(|e| unsafe { sd_writer_commit(writer, null(), e) });
        assert_eq!(write(b"good").0, SD_OK);
        if by_commit {
            assert_internal(commit(), "in a commit");
        } else {
            assert_internal(write(b"bad"), "in a write");
        }
        assert_invalid_state(write(b"good"));
        assert_invalid_state(commit());
        assert_invalid_state(call(|e| unsafe { sd_writer_cancel(writer, null(), e) }));
        assert_invalid_state(call(|e| unsafe { sd_writer_close(writer, null(), e) }));
        assert_eq!(unsafe { sd_writer_size(writer) }, 4);
        assert_works(driver);
        free_and_count(|| unsafe { sd_writer_free(writer) });
        unsafe { sd_driver_free(driver) };
    }
}

#[test]
fn a_walker_that_panicked_is_refused_and_can_be_freed() {
    let driver = driver();
    let (mut walker, mut info) = (null_mut(), null_mut());
    let status =
        unsafe { sd_walker_open(driver, null(), c"/".as_ptr(), null(), &mut walker, null_mut()) };
    assert_eq!(status, SD_OK);
    let mut next = || call(|e| unsafe { sd_walker_next(walker, &mut info, e) });
    assert_internal(next(), "in a step");
    assert_invalid_state(next());
    assert_eq!(unsafe { sd_walker_skip_dir(walker) }, SD_ERR_INVALID_STATE);
    assert_works(driver);
    free_and_count(|| unsafe { sd_walker_free(walker) });
    unsafe { sd_driver_free(driver) };
}

/// The drop panics too, which nobody notices; the memory is given back.
fn free_and_count(free: impl FnOnce()) {
    let before = DROPPED.load(Ordering::SeqCst);
    free();
    assert!(DROPPED.load(Ordering::SeqCst) > before);
}

#[test]
fn a_panic_reaches_the_log_in_one_line() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    unsafe extern "C" fn hook(_: *mut c_void, record: *const sd_log_record) {
        let record = unsafe { &*record };
        if record.level == SD_LOG_ERROR {
            LINES.lock().unwrap().push(text(record.message));
        }
    }
    let driver = driver();
    assert_eq!(unsafe { sd_log_set_hook(Some(hook), null_mut(), SD_LOG_ERROR) }, SD_OK);
    let outcome = call(|e| unsafe { sd_delete(driver, null(), c"/string".as_ptr(), e) });
    assert_eq!(unsafe { sd_log_set_hook(None, null_mut(), 0) }, SD_OK);
    assert_internal(outcome, "made of 2 parts");
    let lines = LINES.lock().unwrap();
    let line = lines.iter().find(|line| line.contains("made of 2 parts and two lines"));
    assert!(line.is_some_and(|line| !line.contains('\n')), "{lines:?}");
    unsafe { sd_driver_free(driver) };
}

/// What the process below does with its standard output and error open to us.
const CHILD: &str = "STORAGEDRIVER_BOUNDARY_CHILD";

#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    a_panic_becomes_an_error_with_its_text_and_writes_no_output();
    every_operation_catches_it_and_gives_its_slot_back();
    a_reader_that_panicked_is_refused_and_can_be_freed();
    a_writer_that_panicked_is_refused_and_can_be_freed();
    a_walker_that_panicked_is_refused_and_can_be_freed();
    // A panic of the host's own is not silenced.
    let own = std::panic::catch_unwind(|| panic!("of the host"));
    assert!(own.is_err());
}

#[test]
fn nothing_is_written_to_standard_error_but_the_hosts_own_panics() {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
    assert_eq!(stderr.matches("panicked at").count(), 1, "{stderr}");
    assert!(stderr.contains("of the host"), "{stderr}");
    for text in ["in a read", "in a write", "in a step", "in a drop", "static text"] {
        assert!(!stderr.contains(text) && !stdout.contains(text), "{text}: {stderr}");
    }
}

#[test]
fn a_hook_of_rust_that_panics_is_caught_as_well() {
    // In a process of its own: hooks are global.
    if std::env::var_os("STORAGEDRIVER_BOUNDARY_HOOK").is_none() {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args(["--exact", "a_hook_of_rust_that_panics_is_caught_as_well"])
            .env("STORAGEDRIVER_BOUNDARY_HOOK", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let driver = driver();
    let hook = Box::new(|_: &storagedriver::observe::LogRecord<'_>| panic!("in the hook"));
    storagedriver::observe::set_log_hook(Some(hook), SD_LOG_TRACE).unwrap();
    let path = c"/fine".as_ptr();
    let mut out = null_mut();
    assert_internal(
        call(|e| unsafe { sd_get_content(driver, null(), path, &mut out, e) }),
        "in the hook",
    );
    assert_internal(call(|e| unsafe { sd_delete(driver, null(), c"/text".as_ptr(), e) }), "text");
    storagedriver::observe::set_log_hook(None, 0).unwrap();
    assert_works(driver);
    unsafe { sd_driver_free(driver) };
}
