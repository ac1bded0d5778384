//! Starting a program with descriptors of our choice: `posix_spawn`, since nothing of
//! ours may run between fork and exec, which a closure of the standard library would.

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

/// The descriptors from this on are closed in the program.
const FIRST_CLOSED: c_int = 4;

type CloseFrom = unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, c_int) -> c_int;

unsafe extern "C" {
    static environ: *const *mut c_char;
}

/// Whether the process has more rights than who started it.
pub fn is_privileged() -> bool {
    // SAFETY: reads a value that the kernel gave the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Descriptor 3, if it is a socket and nobody has taken it yet.
pub fn inherited_socket() -> Option<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    const SOCKET: c_int = 3;
    let mut kind: c_int = 0;
    let mut size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: fills `kind`, which is as long as `size` says.
    let found = unsafe {
        let place = (&raw mut kind).cast();
        libc::getsockopt(SOCKET, libc::SOL_SOCKET, libc::SO_TYPE, place, &mut size)
    };
    if found != 0 || kind != libc::SOCK_STREAM || TAKEN.swap(true, Ordering::AcqRel) {
        return None;
    }
    // SAFETY: open, as was seen, and left to this process by whoever started it.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    // What this process starts does not get it.
    let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
    Some(socket)
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: was initialised, and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: was initialised, and is not used again.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

fn checked(code: c_int) -> Result<(), Errno> {
    if code == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(code)) }
}

/// Starts `program` with its standard input empty, both outputs on `output` and
/// `socket` as descriptor 3; no other descriptor, no blocked signal, a process group of
/// its own. Both must be above 3. Gives the number of the process.
pub fn spawn(
    program: &CStr,
    arguments: &[CString],
    output: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
) -> Result<i32, Errno> {
    let actions = actions(output, socket)?;
    let attributes = attributes()?;
    let mut argv: Vec<*mut c_char> = Vec::with_capacity(arguments.len() + 2);
    argv.push(program.as_ptr().cast_mut());
    argv.extend(arguments.iter().map(|argument| argument.as_ptr().cast_mut()));
    argv.push(ptr::null_mut());
    let mut pid = 0;
    // SAFETY: all of it lives through the call; the lists end with NULL; nobody may
    // change the environment while others read it, as everywhere.
    checked(unsafe {
        libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            &actions.0,
            &attributes.0,
            argv.as_ptr(),
            environ,
        )
    })?;
    Ok(pid)
}

fn actions(output: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<Actions, Errno> {
    let mut actions = MaybeUninit::uninit();
    // SAFETY: initialises it.
    checked(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
    // SAFETY: initialised above.
    let mut actions = Actions(unsafe { actions.assume_init() });
    // SAFETY: the text is constant.
    checked(unsafe {
        let (null, flags) = (c"/dev/null".as_ptr(), libc::O_RDONLY);
        libc::posix_spawn_file_actions_addopen(&mut actions.0, 0, null, flags, 0)
    })?;
    for (from, to) in [(output, 1), (output, 2), (socket, 3)] {
        let from = from.as_raw_fd();
        // SAFETY: numbers only.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&mut actions.0, from, to) })?;
    }
    match close_from() {
        // SAFETY: the function of that name, with its arguments.
        Some(close_from) => checked(unsafe { close_from(&mut actions.0, FIRST_CLOSED) })?,
        // An older libc: those that are open now. Those that are not ours and not
        // marked to be closed are the host's doing.
        None => {
            let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
            let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            for number in numbers.filter(|number: &c_int| *number >= FIRST_CLOSED) {
                // SAFETY: numbers only; one that is closed meanwhile does no harm.
                checked(unsafe {
                    libc::posix_spawn_file_actions_addclose(&mut actions.0, number)
                })?;
            }
        }
    }
    Ok(actions)
}

/// Looked up, because the C library has it since glibc 2.34 only.
fn close_from() -> Option<CloseFrom> {
    let name = c"posix_spawn_file_actions_addclosefrom_np";
    // SAFETY: the text is constant.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: what the C library has under that name is such a function.
    (!found.is_null())
        .then(|| unsafe { std::mem::transmute::<*mut libc::c_void, CloseFrom>(found) })
}

fn attributes() -> Result<Attributes, Errno> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: initialises it.
    checked(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
    // SAFETY: initialised above.
    let mut attributes = Attributes(unsafe { attributes.assume_init() });
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills it.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: filled above.
    let none = unsafe { none.assume_init() };
    let mut defaults = none;
    for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGTERM] {
        // SAFETY: a set and the number of a signal.
        unsafe { libc::sigaddset(&mut defaults, signal) };
    }
    // SAFETY: initialised above, as is the set.
    checked(unsafe { libc::posix_spawnattr_setsigmask(&mut attributes.0, &none) })?;
    // SAFETY: as above.
    checked(unsafe { libc::posix_spawnattr_setsigdefault(&mut attributes.0, &defaults) })?;
    // SAFETY: as above; 0 is a group of its own.
    checked(unsafe { libc::posix_spawnattr_setpgroup(&mut attributes.0, 0) })?;
    let flags =
        libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETPGROUP;
    // SAFETY: as above; the flags fit.
    checked(unsafe { libc::posix_spawnattr_setflags(&mut attributes.0, flags as _) })?;
    Ok(attributes)
}
