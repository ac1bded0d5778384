//! What can go wrong: one error type, with a stable code and the attributes a
//! registry needs to answer its client. Texts and JSON are Distribution's.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub type Result<T> = std::result::Result<T, Error>;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// One per thing a caller would do differently. The numbers are the C
        /// header's and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Code { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl Code {
            /// Every code, in the order of the header.
            pub const ALL: &[Code] = &[$(Code::$variant,)+];

            /// The C constant's name, `SD_ERR_PATH_NOT_FOUND`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The code with this number, if there is one.
            pub fn from_number(number: i32) -> Option<Code> {
                match number { $($number => Some(Code::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    /// A failure inside a backend that has no code of its own; see the detail.
    Driver = -1, "SD_ERR_DRIVER";
    /// An argument that the call can never accept.
    InvalidArgument = -2, "SD_ERR_INVALID_ARGUMENT";
    /// The object is not in a state in which this call is allowed.
    InvalidState = -3, "SD_ERR_INVALID_STATE";
    /// A bug in the library, caught.
    Internal = -4, "SD_ERR_INTERNAL";
    /// The caller's context was cancelled.
    Cancelled = -5, "SD_ERR_CANCELLED";
    /// The caller's deadline passed.
    Deadline = -6, "SD_ERR_DEADLINE";
    /// A callback of the caller answered a failure or something undocumented.
    Callback = -7, "SD_ERR_CALLBACK";
    /// The object was made before a fork and cannot be used in the child.
    Forked = -8, "SD_ERR_FORKED";
    /// The library was shut down.
    Shutdown = -9, "SD_ERR_SHUTDOWN";
    /// A struct is newer than this library.
    StructSize = -10, "SD_ERR_STRUCT_SIZE";
    /// Nothing is stored at the path.
    PathNotFound = -100, "SD_ERR_PATH_NOT_FOUND";
    /// The path does not follow the grammar.
    InvalidPath = -101, "SD_ERR_INVALID_PATH";
    /// The offset is negative.
    InvalidOffset = -102, "SD_ERR_INVALID_OFFSET";
    /// The driver cannot do this.
    Unsupported = -103, "SD_ERR_UNSUPPORTED";
    /// No driver has this name.
    InvalidDriver = -104, "SD_ERR_INVALID_DRIVER";
    /// A driver of this name exists already.
    AlreadyRegistered = -105, "SD_ERR_ALREADY_REGISTERED";
    /// A driver parameter is unknown, missing or malformed.
    InvalidParameter = -106, "SD_ERR_INVALID_PARAMETER";
    /// Access was refused.
    Permission = -107, "SD_ERR_PERMISSION";
    /// A conformance case failed.
    Conformance = -108, "SD_ERR_CONFORMANCE";
    /// The path is a directory, and the call wants a file.
    IsDirectory = -109, "SD_ERR_IS_DIRECTORY";
    /// The path is a file, and the call wants a directory.
    NotDirectory = -110, "SD_ERR_NOT_DIRECTORY";
    /// The disk is full or a quota is used up.
    NoSpace = -111, "SD_ERR_NO_SPACE";
    /// The backend asks to slow down.
    Throttled = -112, "SD_ERR_THROTTLED";
    /// The backend cannot be reached or is failing.
    Unavailable = -113, "SD_ERR_UNAVAILABLE";
    /// Bytes do not match their checksum.
    Corrupt = -114, "SD_ERR_CORRUPT";
    /// Somebody else changed the path meanwhile.
    Conflict = -115, "SD_ERR_CONFLICT";
    /// The driver's process ended.
    DriverDied = -116, "SD_ERR_DRIVER_DIED";
    /// The driver's process speaks another protocol version.
    DriverVersion = -117, "SD_ERR_DRIVER_VERSION";
}

impl Code {
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Whether the same call may succeed later without anything being changed.
    fn retryable(self) -> bool {
        matches!(self, Code::Throttled | Code::Unavailable)
    }
}

/// A failure. Small to move (one pointer), immutable once returned, `Send`.
///
/// The detail is one line, lower case, without a trailing dot, a code name or a
/// secret. `Display` adds Distribution's wording around it.
#[derive(Clone, Debug)]
pub struct Error(Box<Fields>);

#[derive(Clone, Debug)]
struct Fields {
    code: Code,
    detail: String,
    details: Vec<String>,
    driver: String,
    path: String,
    offset: Option<i64>,
    http_status: i32,
    retryable: bool,
    retry_after: Option<Duration>,
    request_id: String,
    callback_result: i32,
}

impl Error {
    pub fn new(code: Code, detail: impl Into<String>) -> Error {
        Error(Box::new(Fields {
            code,
            detail: detail.into(),
            details: Vec::new(),
            driver: String::new(),
            path: String::new(),
            offset: None,
            http_status: 0,
            retryable: code.retryable(),
            retry_after: None,
            request_id: String::new(),
            callback_result: 0,
        }))
    }

    pub fn path_not_found(path: &str) -> Error {
        Error::new(Code::PathNotFound, "").with_path(path)
    }

    pub fn invalid_path(path: &str) -> Error {
        Error::new(Code::InvalidPath, "").with_path(path)
    }

    pub fn invalid_offset(path: &str, offset: i64) -> Error {
        Error::new(Code::InvalidOffset, "").with_path(path).with_offset(offset)
    }

    pub fn is_directory(path: &str) -> Error {
        Error::new(Code::IsDirectory, "is a directory").with_path(path)
    }

    pub fn not_directory(path: &str) -> Error {
        Error::new(Code::NotDirectory, "not a directory").with_path(path)
    }

    pub fn unsupported(detail: impl Into<String>) -> Error {
        Error::new(Code::Unsupported, detail)
    }

    pub fn invalid_state(detail: impl Into<String>) -> Error {
        Error::new(Code::InvalidState, detail)
    }

    pub fn invalid_argument(detail: impl Into<String>) -> Error {
        Error::new(Code::InvalidArgument, detail)
    }

    pub fn invalid_parameter(key: &str, detail: impl fmt::Display) -> Error {
        Error::new(Code::InvalidParameter, format!("parameter {key}: {detail}"))
    }

    /// Several failures of one call, as of a delete of many objects.
    pub fn several(details: Vec<String>) -> Error {
        let mut error = Error::new(Code::Driver, details.join("; "));
        error.0.details = details;
        error
    }

    /// Another code, which decides anew whether another try is worth it.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Error {
        if self.0.code != code {
            self.0.code = code;
            self.0.retryable = code.retryable();
        }
        self
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = detail.into();
        self
    }

    #[must_use]
    pub fn with_path(mut self, path: &str) -> Error {
        self.0.path = path.to_string();
        self
    }

    #[must_use]
    pub fn with_offset(mut self, offset: i64) -> Error {
        self.0.offset = Some(offset);
        self
    }

    #[must_use]
    pub fn with_driver(mut self, driver: &str) -> Error {
        self.0.driver = driver.to_string();
        self
    }

    #[must_use]
    pub fn with_http_status(mut self, status: i32) -> Error {
        self.0.http_status = status;
        self
    }

    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Error {
        self.0.retryable = retryable;
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Error {
        self.0.retry_after = Some(wait);
        self
    }

    #[must_use]
    pub fn with_request_id(mut self, id: &str) -> Error {
        self.0.request_id = id.to_string();
        self
    }

    #[must_use]
    pub fn with_callback_result(mut self, result: i32) -> Error {
        self.0.callback_result = result;
        self
    }

    /// The path, where the error does not name one yet.
    #[must_use]
    pub fn or_path(self, path: &str) -> Error {
        if self.0.path.is_empty() { self.with_path(path) } else { self }
    }

    pub fn code(&self) -> Code {
        self.0.code
    }
    /// The cause alone, without the driver's name and the path.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
    /// "" when unknown.
    pub fn driver(&self) -> &str {
        &self.0.driver
    }
    /// "" when unknown.
    pub fn path(&self) -> &str {
        &self.0.path
    }
    pub fn offset(&self) -> Option<i64> {
        self.0.offset
    }
    /// 0 when unknown.
    pub fn http_status(&self) -> i32 {
        self.0.http_status
    }
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
    /// The backend's, or "".
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }
    /// What the caller's callback answered; 0 when none was involved.
    pub fn callback_result(&self) -> i32 {
        self.0.callback_result
    }

    /// Distribution's JSON form: `{"driver":…,"detail":…}`, or `"details":[…]`
    /// where one call failed in several ways.
    pub fn json(&self) -> String {
        let driver = Value::from(self.0.driver.as_str());
        if self.0.details.is_empty() {
            format!(r#"{{"driver":{driver},"detail":{}}}"#, Value::from(self.text()))
        } else {
            let details = Value::from(self.0.details.as_slice());
            format!(r#"{{"driver":{driver},"details":{details}}}"#)
        }
    }

    /// The message without the driver's name, on one line whatever was asked: paths
    /// and names may be anything.
    fn text(&self) -> String {
        let shown = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        let text = self.raw_text();
        if text.contains(char::is_control) { text.chars().map(shown).collect() } else { text }
    }

    fn raw_text(&self) -> String {
        let Fields { code, detail, path, offset, .. } = &*self.0;
        match code {
            Code::PathNotFound => format!("Path not found: {path}"),
            Code::InvalidPath => format!("invalid path: {path}"),
            Code::InvalidOffset => {
                format!("invalid offset: {} for path: {path}", offset.unwrap_or_default())
            }
            Code::Unsupported if detail.is_empty() => "unsupported method".to_string(),
            Code::InvalidDriver => match detail.strip_prefix("middleware ") {
                None => format!("StorageDriver not registered: {detail}"),
                Some(name) => format!("no storage middleware registered with name: {name}"),
            },
            _ if !path.is_empty() => format!("{detail}: {path}"),
            _ => detail.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.driver.is_empty() {
            write!(f, "{}: ", self.0.driver)?;
        }
        f.write_str(&self.text())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_distributions() {
        let named = |e: Error| e.with_driver("foo").to_string();
        assert_eq!(named(Error::path_not_found("/a")), "foo: Path not found: /a");
        assert_eq!(named(Error::invalid_path("a")), "foo: invalid path: a");
        assert_eq!(named(Error::invalid_offset("/a", -1)), "foo: invalid offset: -1 for path: /a");
        assert_eq!(named(Error::unsupported("")), "foo: unsupported method");
        assert_eq!(
            Error::new(Code::InvalidDriver, "nope").to_string(),
            "StorageDriver not registered: nope"
        );
        assert_eq!(
            Error::new(Code::InvalidDriver, "middleware nope").to_string(),
            "no storage middleware registered with name: nope"
        );
    }

    #[test]
    fn a_message_is_one_line_whatever_was_asked() {
        let error = Error::invalid_path("/a\nb\u{1b}[31m").with_driver("foo");
        assert_eq!(error.to_string(), "foo: invalid path: /a\\nb\\u{1b}[31m");
        assert_eq!(error.path(), "/a\nb\u{1b}[31m");
    }

    #[test]
    fn json_is_distributions() {
        let one = Error::new(Code::Driver, "unexpected error").with_driver("foo");
        assert_eq!(one.json(), r#"{"driver":"foo","detail":"unexpected error"}"#);
        let two = Error::several(vec!["one".into(), "two".into()]).with_driver("foo");
        assert_eq!(two.json(), r#"{"driver":"foo","details":["one","two"]}"#);
    }

    #[test]
    fn codes_have_distinct_numbers_and_names() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!(code.name().starts_with("SD_ERR_"));
            assert_eq!(Code::ALL.iter().filter(|c| c.name() == code.name()).count(), 1);
        }
        assert_eq!(Code::from_number(0), None);
    }
}
