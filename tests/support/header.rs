//! Makes include/storagedriver.h: one cbindgen run per section, because cbindgen
//! groups by kind, then each section's items put back into the order of the source.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// The header's sections in reading order: title, and the files in src/ffi.
pub const SECTIONS: [(&str, &str); 16] = [
    ("Version", "version"),
    ("Results and errors", "error"),
    ("Small value objects", "value"),
    ("Parameters", "params"),
    ("Context: deadline, cancellation, log fields", "context"),
    ("Factory and driver", "driver"),
    ("Driver operations", "operations"),
    ("Reading", "reader"),
    ("Writing", "writer"),
    ("Walking", "walk"),
    ("Drivers written in C", "custom"),
    ("Completion queue", "queue submit completion"),
    ("Logs and metrics", "log"),
    ("Conformance", "conformance"),
    ("Runtime", "runtime"),
    ("Drivers in a process of their own", "child"),
];

const WIDTH: usize = 88;
const TRAILER: &str = "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* STORAGEDRIVER_H */\n";

/// One declaration of the header.
pub struct Item {
    pub name: String,
    pub kind: Kind,
    /// The lines of its comment, without stars.
    pub doc: Vec<String>,
    /// Lines of C; for a constant its value alone.
    code: Vec<String>,
    /// Set apart from the item before it by an empty line.
    apart: bool,
}

impl Item {
    /// The C text of a constant's value.
    pub fn value(&self) -> &str {
        &self.code[0]
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Constant,
    Type,
    Function,
}

/// The whole header, from `src/ffi` of the source tree at `root`.
pub fn generate(root: &Path) -> String {
    let folder = root.join("src/ffi");
    let mut out = std::fs::read_to_string(folder.join("header_preamble.h"))
        .expect("src/ffi/header_preamble.h");
    for (number, title, items) in sections(root) {
        let _ = write!(out, "\n{}\n", banner(number, title));
        let mut rest = items.as_slice();
        while let Some(first) = rest.first() {
            out.push('\n');
            let group = match first.kind {
                Kind::Constant => constants_together(rest),
                _ => 1,
            };
            let (now, later) = rest.split_at(group);
            match first.kind {
                Kind::Constant => write_constants(&mut out, now),
                _ => write_declaration(&mut out, first),
            }
            rest = later;
        }
    }
    out + TRAILER
}

/// The sections that exist, with their items in the order of the source.
pub fn sections(root: &Path) -> Vec<(usize, &'static str, Vec<Item>)> {
    let mut found = Vec::new();
    for (index, (title, stem)) in SECTIONS.iter().enumerate() {
        let paths = stem.split(' ').map(|stem| root.join(format!("src/ffi/{stem}.rs")));
        let items: Vec<Item> =
            paths.filter(|path| path.is_file()).flat_map(|path| items(&path)).collect();
        if !items.is_empty() {
            found.push((index + 1, *title, items));
        }
    }
    found
}

fn items(path: &Path) -> Vec<Item> {
    let source = std::fs::read_to_string(path).unwrap();
    let places = places(&source);
    let mut items = split(&bindings(path, &places));
    // What stands behind a handle has a Rust name and is nobody's business.
    items.retain(|item| item.name.starts_with("sd_") || item.name.starts_with("SD_"));
    for item in &mut items {
        let place = places
            .get(&item.name)
            .unwrap_or_else(|| panic!("{}: {} is not at top level", path.display(), item.name));
        item.apart = place.apart;
        if let Some(value) = &place.value {
            item.code = vec![value.clone()];
        }
    }
    items.sort_by_key(|item| places[&item.name].line);
    items
}

/// Where the Rust source has a name.
struct Place {
    line: usize,
    apart: bool,
    value: Option<String>,
    is_type: bool,
}

fn places(source: &str) -> HashMap<String, Place> {
    let mut found = HashMap::new();
    let mut apart = true;
    for (line, text) in source.lines().enumerate() {
        if text.is_empty() {
            apart = true;
            continue;
        }
        let word = |prefix: &str| {
            let rest = text.strip_prefix(prefix)?;
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            Some(rest[..end].to_string())
        };
        let constant = word("pub const ");
        let kind = ["pub struct ", "pub type "].iter().find_map(|prefix| word(prefix));
        let function = ["pub extern \"C\" fn ", "pub unsafe extern \"C\" fn "]
            .iter()
            .find_map(|prefix| word(prefix));
        let value = constant.as_ref().map(|name| c_value(name, text));
        let is_type = kind.is_some();
        if let Some(name) = constant.or(kind).or(function) {
            found.insert(name, Place { line, apart, value, is_type });
            apart = false;
        }
    }
    found
}

/// `pub const X: sd_status = -1;` is `(-1)`; a hexadecimal one is unsigned.
fn c_value(name: &str, line: &str) -> String {
    let value = line.rsplit_once("= ").and_then(|(_, value)| value.strip_suffix(';'));
    match value.map(|value| value.replace('_', "")) {
        Some(value) if value.starts_with('-') => format!("({value})"),
        Some(value) if value.starts_with("0x") => format!("{value}u"),
        Some(value) if value.parse::<u64>().is_ok() => value,
        _ => panic!("{name}: write the value as one literal on the same line"),
    }
}

fn bindings(path: &Path, places: &HashMap<String, Place>) -> String {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Both,
        no_includes: true,
        usize_is_size_t: true,
        sort_by: cbindgen::SortKey::None,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        documentation_length: cbindgen::DocumentationLength::Full,
        tab_width: 4,
        export: cbindgen::ExportConfig {
            include: places.iter().filter(|p| p.1.is_type).map(|p| p.0.clone()).collect(),
            ..Default::default()
        },
        ..Default::default()
    };
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(path)
        .generate()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Cuts cbindgen's text into items.
fn split(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut doc, mut code, mut depth) = (Vec::new(), Vec::new(), 0usize);
    let mut in_doc = false;
    for line in text.lines() {
        if depth == 0 && code.is_empty() && (in_doc || line.starts_with("/**")) {
            in_doc = !line.trim_end().ends_with("*/");
            if let Some(text) = line.strip_prefix(" *").filter(|_| in_doc) {
                doc.push(text.strip_prefix(' ').unwrap_or(text).trim_end().to_string());
            }
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        code.push(line.to_string());
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
        let define = line.starts_with("#define");
        if define || (depth == 0 && line.trim_end().ends_with(';')) {
            let code = std::mem::take(&mut code);
            let (name, kind) = identify(&code);
            items.push(Item { name, kind, doc: std::mem::take(&mut doc), code, apart: true });
        }
    }
    assert!(code.is_empty(), "unfinished declaration: {code:?}");
    items
}

fn identify(code: &[String]) -> (String, Kind) {
    let text = code.join(" ");
    let word = |text: &str| {
        let end = text.trim_end();
        let start = end.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        end[start..].to_string()
    };
    if let Some(rest) = text.strip_prefix("#define ") {
        return (rest.split(' ').next().unwrap_or_default().to_string(), Kind::Constant);
    }
    if text.starts_with("typedef struct") || (text.starts_with("typedef") && !text.contains('(')) {
        return (word(text.trim_end_matches(';')), Kind::Type);
    }
    let (before, after) = text.split_once('(').expect("a declaration");
    match after.strip_prefix('*') {
        Some(name) => (word(name.split(')').next().unwrap_or_default()), Kind::Type),
        None => (word(before), Kind::Function),
    }
}

fn banner(number: usize, title: &str) -> String {
    let start = format!("/* ---- {number}. {title} ");
    format!("{start}{} */", "-".repeat(WIDTH.saturating_sub(start.len() + 3)))
}

/// How many constants from the front on the source writes without an empty line.
fn constants_together(items: &[Item]) -> usize {
    let rest = items.get(1..).unwrap_or_default();
    1 + rest.iter().take_while(|item| item.kind == Kind::Constant && !item.apart).count()
}

fn write_constants(out: &mut String, items: &[Item]) {
    let widest = |of: fn(&Item) -> usize| items.iter().map(of).max().unwrap_or(0);
    let name_width = widest(|item| item.name.len());
    let value_width = widest(|item| item.value().len());
    for item in items {
        let Item { name, doc, .. } = item;
        let line = format!("#define {name:name_width$} {:>value_width$}", item.value());
        if doc.iter().any(String::is_empty) {
            write_doc(out, "", doc); // paragraphs
            let _ = writeln!(out, "{line}");
        } else if doc.is_empty() {
            let _ = writeln!(out, "{line}");
        } else {
            let hang = " ".repeat(line.len() + 5);
            let text = wrap(&doc.join(" "), WIDTH.saturating_sub(hang.len() + 3).max(30));
            let _ = writeln!(out, "{line}  /* {} */", text.join(&format!("\n{hang}")));
        }
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > width {
            lines.push(word.to_string());
        } else {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last] = format!("{}{space}{word}", lines[last]);
        }
    }
    lines
}

fn write_declaration(out: &mut String, item: &Item) {
    write_doc(out, "", &item.doc);
    if item.code.iter().any(|line| line.contains('{')) {
        write_struct(out, &item.code);
    } else {
        out.push_str(&fill(&item.code.join(" "), ""));
    }
}

fn write_struct(out: &mut String, code: &[String]) {
    let (mut doc, mut field) = (Vec::new(), String::new());
    for line in code {
        let text = line.trim();
        if line.starts_with("typedef") || line.starts_with('}') {
            let _ = writeln!(out, "{text}");
        } else if text == "/**" || text == "*/" {
        } else if let Some(text) = text.strip_prefix('*').filter(|_| field.is_empty()) {
            doc.push(text.trim().to_string());
        } else {
            field = format!("{field} {text}").trim().to_string();
            if text.ends_with(';') {
                write_doc(out, "    ", &std::mem::take(&mut doc));
                out.push_str(&fill(&std::mem::take(&mut field), "    "));
            }
        }
    }
}

fn write_doc(out: &mut String, indent: &str, doc: &[String]) {
    match doc {
        [] => {}
        [text] if indent.len() + text.len() + 7 <= WIDTH => {
            let _ = writeln!(out, "{indent}/** {text} */");
        }
        lines => {
            let _ = writeln!(out, "{indent}/**");
            for line in lines {
                let _ = writeln!(out, "{}", format!("{indent} * {line}").trim_end());
            }
            let _ = writeln!(out, "{indent} */");
        }
    }
}

/// One declaration, its parameters filled to the width below the parenthesis.
fn fill(code: &str, indent: &str) -> String {
    let words: Vec<&str> = code.split_whitespace().collect();
    // Rust lets no parameter be called self.
    let mut code = words.join(" ").replace("( ", "(").replace("self_", "self");
    if code.contains('(') || !code.starts_with("typedef") {
        code = code.replace("struct sd_", "sd_");
    }
    let Some(open) = code.rfind('(') else { return format!("{indent}{code}\n") };
    let (head, parameters) = code.split_at(open + 1);
    let hang = " ".repeat(indent.len() + head.len());
    let mut line = format!("{indent}{head}");
    let mut out = String::new();
    for (index, parameter) in parameters.split(", ").enumerate() {
        if index > 0 {
            line.push(',');
            if line.len() + parameter.len() + 2 > WIDTH {
                let _ = writeln!(out, "{line}");
                line = hang.clone();
            } else {
                line.push(' ');
            }
        }
        line.push_str(parameter);
    }
    let _ = writeln!(out, "{line}");
    out
}
