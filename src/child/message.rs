//! JSON bodies: requests, answers, errors, hellos. What comes from the other side is
//! checked here; nothing else looks into a body.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::frame::{MAX_BODY, WINDOW};
use crate::context::Context;
use crate::driver::{Capabilities, FileInfo};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::params::Params;
use crate::path;

pub const MAJOR: u64 = 1;
pub const MINOR: u64 = 0;

pub type Object = Map<String, Value>;

pub fn no_answer() -> Error {
    wrong("a stream that ended without an answer")
}

/// For a body that is not what the page says.
pub fn wrong(what: &str) -> Error {
    Error::new(Code::Driver, format!("wrong answer of the driver: {what}"))
}

/// The object of a body.
pub fn parse(body: &[u8]) -> Result<Object> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(wrong("a body that is no json object")),
    }
}

pub fn text<'o>(object: &'o Object, key: &str) -> Option<&'o str> {
    object.get(key)?.as_str()
}

pub fn number(object: &Object, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

pub fn truth(object: &Object, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or_default()
}

// ---- requests ----

/// Written by hand: every call makes one.
pub struct Request(String);

impl Request {
    pub fn new(op: &str) -> Request {
        let mut body = String::with_capacity(128);
        body.push_str(r#"{"op":""#);
        body.push_str(op);
        body.push('"');
        Request(body)
    }

    #[must_use]
    pub fn text(mut self, key: &str, value: &str) -> Request {
        self.key(key);
        let plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if value.bytes().all(plain) {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            self.0.push_str(&Value::from(value).to_string());
        }
        self
    }

    #[must_use]
    pub fn number(mut self, key: &str, value: u64) -> Request {
        self.key(key);
        self.0.push_str(&value.to_string());
        self
    }

    #[must_use]
    pub fn truth(mut self, key: &str, value: bool) -> Request {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    #[must_use]
    pub fn optional(self, key: &str, value: Option<&str>) -> Request {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    fn key(&mut self, key: &str) {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// The body; `InvalidArgument` if it is longer than a frame.
    pub fn finish(mut self, ctx: &Context) -> Result<Vec<u8>> {
        if let Some(left) = ctx.remaining() {
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self = self.number("timeout_ms", left.max(1));
        }
        self.0.push('}');
        if self.0.len() > MAX_BODY {
            return Err(Error::invalid_argument("the path is too long"));
        }
        Ok(self.0.into_bytes())
    }
}

// ---- errors ----

pub fn error_body(error: &Error) -> Vec<u8> {
    let mut object = json!({ "code": error.code().number() });
    let mut set = |key: &str, value: Value| {
        if let Some(object) = object.as_object_mut() {
            object.insert(key.to_string(), value);
        }
    };
    if !error.detail().is_empty() {
        // A frame has an end, whatever a driver finds to say.
        let detail: String = error.detail().chars().take(16 << 10).collect();
        set("detail", detail.into());
    }
    if !error.path().is_empty() && error.path().len() < MAX_BODY / 8 {
        set("path", error.path().into());
    }
    if let Some(offset) = error.offset() {
        set("offset", offset.into());
    }
    if error.http_status() != 0 {
        set("http_status", error.http_status().into());
    }
    if let Some(wait) = error.retry_after() {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        set("retry_after_ms", wait.into());
    }
    if !error.request_id().is_empty() && error.request_id().len() < 4096 {
        set("request_id", error.request_id().into());
    }
    set("retryable", error.is_retryable().into());
    object.to_string().into_bytes()
}

/// Codes that only the library itself can mean.
const OURS: &[Code] = &[
    Code::Internal,
    Code::Callback,
    Code::Forked,
    Code::Shutdown,
    Code::StructSize,
    Code::DriverDied,
    Code::DriverVersion,
];

pub fn error_from(body: &[u8]) -> Error {
    let object = match parse(body) {
        Ok(object) => object,
        Err(error) => return error,
    };
    let code = object.get("code").and_then(Value::as_i64);
    let code = code.and_then(|code| Code::from_number(i32::try_from(code).ok()?));
    let code = code.filter(|code| !OURS.contains(code)).unwrap_or(Code::Driver);
    let detail = text(&object, "detail").unwrap_or_default();
    let unexplained = detail.is_empty()
        && !matches!(code, Code::PathNotFound | Code::InvalidPath | Code::InvalidOffset);
    let detail = if unexplained { "the driver failed and did not say why" } else { detail };
    let mut error = Error::new(code, detail);
    if let Some(path) = text(&object, "path") {
        error = error.with_path(path);
    }
    if let Some(offset) = object.get("offset").and_then(Value::as_i64) {
        error = error.with_offset(offset);
    }
    let status = object.get("http_status").and_then(Value::as_i64);
    if let Some(status) = status.and_then(|status| i32::try_from(status).ok()) {
        error = error.with_http_status(status);
    }
    if let Some(wait) = number(&object, "retry_after_ms") {
        error = error.with_retry_after(Duration::from_millis(wait));
    }
    if let Some(id) = text(&object, "request_id") {
        error = error.with_request_id(id);
    }
    if let Some(retryable) = object.get("retryable").and_then(Value::as_bool) {
        error = error.with_retryable(retryable);
    }
    error
}

// ---- infos and lists ----

/// No file is longer; what says so is a negative number.
const LONGEST: u64 = i64::MAX as u64;

pub fn info_value(info: &FileInfo) -> Object {
    let mut object = Object::new();
    object.insert("size".to_string(), info.size.into());
    object.insert("mtime_ns".to_string(), info.mtime_ns.into());
    object.insert("dir".to_string(), info.is_dir.into());
    object
}

pub fn info_from(object: &Object, path: &str) -> Result<FileInfo> {
    let size = number(object, "size").ok_or_else(|| wrong("an info without a size"))?;
    let is_dir = object.get("dir").and_then(Value::as_bool);
    let is_dir = is_dir.ok_or_else(|| wrong("an info that says not whether it is a directory"))?;
    let mtime_ns = match object.get("mtime_ns") {
        None | Some(Value::Null) => 0,
        Some(time) => time.as_i64().unwrap_or(-1),
    };
    if size > LONGEST || mtime_ns < 0 {
        return Err(wrong("a size or a time that cannot be"));
    }
    if is_dir && size > 0 {
        return Err(wrong("a directory with a size"));
    }
    if !is_dir && path == "/" {
        return Err(wrong("a root that is a file"));
    }
    Ok(FileInfo { path: path.to_string(), size, mtime_ns, is_dir })
}

fn list<'o>(object: &'o Object, key: &str) -> Result<&'o [Value]> {
    let list = object.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| wrong("an answer without its list"))
}

/// Adds the names of one answer as children of `directory`.
pub fn names_from(object: &Object, directory: &str, names: &mut Names) -> Result<()> {
    let directory = if directory == "/" { "" } else { directory };
    for name in list(object, "names")? {
        let name = name.as_str().filter(|name| path::is_component(name));
        names.push_child(directory, name.ok_or_else(|| wrong("a name that is none"))?);
    }
    Ok(())
}

/// Adds the children of one answer.
pub fn entries_from(object: &Object, directory: &str, entries: &mut Vec<FileInfo>) -> Result<()> {
    for entry in list(object, "entries")? {
        let entry = entry.as_object().ok_or_else(|| wrong("an entry that is no object"))?;
        let name = text(entry, "name").filter(|name| path::is_component(name));
        let name = name.ok_or_else(|| wrong("a name that is none"))?;
        entries.push(info_from(entry, &path::join(directory, name))?);
    }
    Ok(())
}

/// The entries of one answer to `next`, all of them below `start`.
pub fn walked_from(object: &Object, start: &str) -> Result<Vec<FileInfo>> {
    let entries = list(object, "entries")?;
    let mut infos = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = entry.as_object().ok_or_else(|| wrong("an entry that is no object"))?;
        let path = text(entry, "path").ok_or_else(|| wrong("an entry without a path"))?;
        if path::check(path).is_err() || path::below(path, start).is_none() {
            return Err(wrong("an entry from elsewhere"));
        }
        infos.push(info_from(entry, path)?);
    }
    Ok(infos)
}

// ---- hello ----

macro_rules! capability_words {
    ($($field:ident)+) => {
        pub fn capability_words(has: Capabilities) -> Vec<&'static str> {
            let mut words = Vec::new();
            $(if has.$field { words.push(stringify!($field)); })+
            words
        }

        fn capabilities_from(words: &[Value]) -> Capabilities {
            let has = |word: &str| words.iter().any(|given| given.as_str() == Some(word));
            Capabilities { $($field: has(stringify!($field)),)+ }
        }
    };
}

capability_words! {
    real_directories visible_uploads exact_append shrinkable mtime_of_directories redirect
}

/// The optional operations, as flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    pub list_page: bool,
    pub entries: bool,
    pub walk: bool,
    pub redirect_url: bool,
}

pub fn host_hello(driver: &str, params: &Params) -> Vec<u8> {
    let parameters: Object =
        params.keys().filter_map(|key| Some((key.to_string(), params.get(key)?.clone()))).collect();
    let host = concat!("libstoragedriver ", env!("CARGO_PKG_VERSION"));
    json!({
        "protocol": [MAJOR, MINOR], "interface": "0.1", "host": host, "driver": driver,
        "window": WINDOW, "parameters": parameters,
    })
    .to_string()
    .into_bytes()
}

/// What a host's hello says.
pub struct HostHello {
    pub major: u64,
    pub driver: String,
    pub window: u32,
    pub params: Params,
}

pub fn host_hello_from(body: &[u8]) -> Result<HostHello> {
    let object = parse(body)?;
    let (major, _minor) = protocol(&object).unwrap_or((0, 0));
    let params = object.get("parameters").map_or("{}".to_string(), Value::to_string);
    Ok(HostHello {
        major,
        driver: text(&object, "driver").unwrap_or_default().to_string(),
        window: window(&object).unwrap_or(WINDOW),
        params: Params::from_json(&params)?,
    })
}

fn protocol(object: &Object) -> Option<(u64, u64)> {
    match object.get("protocol")?.as_array()?.as_slice() {
        [major, minor, ..] => Some((major.as_u64()?, minor.as_u64()?)),
        _ => None,
    }
}

fn window(object: &Object) -> Option<u32> {
    number(object, "window").and_then(|window| u32::try_from(window).ok()).filter(|w| *w > 0)
}

/// What a driver's hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverHello {
    pub minor: u64,
    pub driver: Option<String>,
    pub window: u32,
    pub capabilities: Capabilities,
    pub operations: Operations,
    pub max_concurrency: Option<usize>,
}

impl DriverHello {
    pub fn body(&self) -> Vec<u8> {
        let o = self.operations;
        let operations = [
            (o.list_page, "list_page"),
            (o.entries, "entries"),
            (o.walk, "walk"),
            (o.redirect_url, "redirect_url"),
        ];
        let operations: Vec<&str> =
            operations.iter().filter(|(has, _)| *has).map(|(_, word)| *word).collect();
        json!({
            "protocol": [MAJOR, self.minor], "driver": self.driver, "window": self.window,
            "capabilities": capability_words(self.capabilities), "operations": operations,
            "max_concurrency": self.max_concurrency.unwrap_or(0),
        })
        .to_string()
        .into_bytes()
    }
}

/// For a driver to say that it speaks another major version.
pub fn version_only() -> Vec<u8> {
    json!({ "protocol": [MAJOR, MINOR], "window": WINDOW }).to_string().into_bytes()
}

pub fn driver_hello_from(body: &[u8]) -> Result<DriverHello> {
    let object = parse(body)?;
    let (major, minor) = protocol(&object).ok_or_else(|| wrong("a hello without a version"))?;
    if major != MAJOR || minor > MINOR {
        let detail = format!(
            "the driver speaks version {major}.{minor} of the protocol, this library {MAJOR}.{MINOR}"
        );
        return Err(Error::new(Code::DriverVersion, detail));
    }
    let words = |key: &str| object.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let operations = words("operations");
    let has = |word: &str| operations.iter().any(|given| given.as_str() == Some(word));
    let max = number(&object, "max_concurrency").unwrap_or(0);
    Ok(DriverHello {
        minor,
        driver: text(&object, "driver").map(str::to_string),
        window: window(&object).ok_or_else(|| wrong("a hello without a window"))?,
        capabilities: capabilities_from(&words("capabilities")),
        operations: Operations {
            list_page: has("list_page"),
            entries: has("entries"),
            walk: has("walk"),
            redirect_url: has("redirect_url"),
        },
        max_concurrency: usize::try_from(max).ok().filter(|max| *max > 0),
    })
}
