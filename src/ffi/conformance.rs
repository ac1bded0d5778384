//! Section 14: conformance.

use std::ffi::{c_char, c_void};

use super::boundary;
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{SD_ERR_CONFORMANCE, SD_ERR_UNSUPPORTED, SD_OK, sd_error, sd_status};
use super::sized::SizedStruct;
use super::text::c_text;
use super::value::{buffer, sd_buffer};
use crate::conformance::{self, CaseReport, Options, Outcome};
use crate::error::{Code, Error};

/// Is told of each case when it has ended: SD_OK, SD_ERR_CONFORMANCE if it failed,
/// SD_ERR_UNSUPPORTED if it was skipped. `detail` says why, or is "". Both texts
/// are lent until it returns.
pub type sd_case_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        name: *const c_char,
        status: sd_status,
        detail: *const c_char,
    ),
>;

/// What to run of the suite. Set struct_size to sizeof(sd_conformance_options) and
/// everything else to zero, then what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_conformance_options {
    pub struct_size: usize,
    /// A glob over the names of cases, "*append*"; NULL runs all.
    pub filter: *const c_char,
    /// The most bytes that a case may store at a time; 0: 128 MiB. The case of
    /// 5 GiB runs only where this allows it.
    pub max_object_size: u64,
    /// SD_CONFORMANCE_ flags.
    pub flags: u32,
    /// Called on the calling thread after each case; may be NULL.
    pub on_case: sd_case_fn,
    /// Handed to `on_case`.
    pub user: *mut c_void,
}

// SAFETY: pointers and a function that are NULL, and numbers that are 0.
unsafe impl SizedStruct for sd_conformance_options {
    const NAME: &'static str = "sd_conformance_options";
    const FIRST_SIZE: usize = 48;
}

/// sd_conformance_options.flags: do not ask for redirect URLs.
pub const SD_CONFORMANCE_NO_REDIRECT: u32 = 0x1;

/// Put a driver to the test: run every promise of this library as a case named
/// "topic/promise".
///
/// Works below two random directories of its own and deletes those alone, so it
/// may run on a store that is in use. The report is a JSON object: "driver",
/// "seed", "directory", "passed", "failed", "skipped", and "cases" with "name",
/// "outcome", "detail" and "duration_ms".
///
/// Ownership: `options` may be NULL. `*report_json` is yours; free it with
///            sd_buffer_free. It is written also when the call returns
///            SD_ERR_CONFORMANCE. `report_json` may be NULL.
/// Threads:   shared; the cases use threads of their own, `on_case` does not.
/// Errors:    SD_ERR_CONFORMANCE       at least one case failed
///            SD_ERR_INVALID_ARGUMENT  the filter is malformed or matches nothing
///            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from `ctx`, between two cases
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_conformance_run(
    driver: *const sd_driver,
    ctx: *const sd_context,
    options: *const sd_conformance_options,
    report_json: *mut *mut sd_buffer,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let wants_report = !report_json.is_null();
            let out = wants_report.then(|| c.out(report_json, "report_json")).transpose()?;
            // Our own, in case that `on_case` frees the caller's.
            let (driver, ctx) =
                (c.share(driver, "driver")?.driver.clone(), c.context(ctx)?.clone());
            let mut wanted = Options::default();
            let mut tell: Box<dyn FnMut(&CaseReport)>;
            if let Some(options) = c.sized(options)? {
                if options.flags & !SD_CONFORMANCE_NO_REDIRECT != 0 {
                    let detail = format!("unknown flags {:#x}", options.flags);
                    return Err(Error::invalid_argument(detail));
                }
                wanted.filter = c.optional_text(options.filter, "filter")?;
                wanted.max_object_size = options.max_object_size;
                wanted.no_redirect = options.flags & SD_CONFORMANCE_NO_REDIRECT != 0;
                if let Some(on_case) = options.on_case {
                    tell = Box::new(move |case| {
                        let (name, detail) = (c_text(case.name), c_text(&case.detail));
                        on_case(options.user, name.as_ptr(), status(case), detail.as_ptr());
                    });
                    wanted.on_case = Some(&mut *tell);
                }
            }
            let report = conformance::run(&*driver, &ctx, wanted)?;
            if let Some(out) = out {
                out.set(buffer(report.to_json().into_bytes()));
            }
            match report.failed() {
                0 => Ok(()),
                1 => Err(Error::new(Code::Conformance, "1 case failed")),
                n => Err(Error::new(Code::Conformance, format!("{n} cases failed"))),
            }
        })
    }
}

fn status(case: &CaseReport) -> sd_status {
    match case.outcome {
        Outcome::Passed => SD_OK,
        Outcome::Failed => SD_ERR_CONFORMANCE,
        Outcome::Skipped => SD_ERR_UNSUPPORTED,
    }
}
