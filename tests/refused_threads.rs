//! Remote drivers where the system refuses the library a thread: an error, no panic and
//! no waiting, and once there are threads again everything works. tests/c/refused.c says
//! the same of local drivers.

#[path = "common/remote_driver.rs"]
mod remote_driver;

use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use remote_driver::{Settings, delayed};
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::queue::Queue;
use storagedriver::runtime::{self, Config};

const LONG: Duration = Duration::from_secs(60);
const WORKERS: u32 = 3;

/// Threads that may still be started.
static ALLOWED: AtomicI64 = AtomicI64::new(i64::MAX);

type Create = unsafe extern "C" fn(*mut c_void, *const c_void, *mut c_void, *mut c_void) -> c_int;

/// Every thread of this program is started here, for it comes before libc's.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    run: *mut c_void,
    user: *mut c_void,
) -> c_int {
    if ALLOWED.fetch_sub(1, Ordering::SeqCst) <= 0 {
        return libc::EAGAIN;
    }
    // SAFETY: the name ends with a NUL.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
    // SAFETY: this is its signature, but for what the pointers point to.
    let next = unsafe { transmute::<*mut c_void, Create>(next) };
    // SAFETY: as the caller promises.
    unsafe { next(thread, attributes, run, user) }
}

#[test]
fn without_its_threads_a_remote_driver_fails_until_it_has_them() {
    let none = Context::none();
    for allowed in 0..i64::from(WORKERS) {
        runtime::configure(Config { worker_threads: WORKERS, ..Config::default() }).unwrap();
        let (driver, _control) = delayed(Settings { delay: Duration::ZERO, ..Settings::default() });
        let queue = Queue::new().unwrap();
        ALLOWED.store(allowed, Ordering::SeqCst);
        let blocking = driver.put_content(&none, "/a", b"abc");
        assert_eq!(blocking.err().map(|error| error.code()), Some(Code::Driver));
        ALLOWED.store(allowed, Ordering::SeqCst);
        let queued = queue.put_content(1, &driver, &none, "/a", b"abc");
        assert_eq!(queued.err().map(|error| error.code()), Some(Code::Driver));
        ALLOWED.store(i64::MAX, Ordering::SeqCst);

        assert_eq!(queue.in_flight(), 0);
        assert!(queue.next(Some(Duration::from_millis(20))).unwrap().is_none());
        assert_eq!(driver.stat(&none, "/a").err().map(|e| e.code()), Some(Code::PathNotFound));
        queue.put_content(2, &driver, &none, "/a", b"abc").unwrap();
        assert_eq!(queue.next(Some(LONG)).unwrap().map(|completion| completion.tag), Some(2));
        assert_eq!(driver.get_content(&none, "/a").unwrap(), b"abc");

        // A shutdown needs one, too, to wait on; without it the threads end by themselves.
        ALLOWED.store(0, Ordering::SeqCst);
        runtime::shutdown(LONG).unwrap();
        ALLOWED.store(i64::MAX, Ordering::SeqCst);
    }
}
