//! HTTP/1.1 messages as the proxy needs them: heads parsed, bodies passed on byte by byte.

use std::io::{self, BufRead, Read, Write};

/// The head of a request or a response, as it came and taken apart.
pub struct Head {
    pub raw: Vec<u8>,
    /// The first line's words: method, target, version; or version, status, reason.
    pub words: [String; 3],
    pub headers: Headers,
}

/// Names in lower case, in the order in which they came.
pub type Headers = Vec<(String, String)>;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Empty,
    Length(u64),
    Chunked,
    /// As long as the connection stays.
    UntilClosed,
}

impl Head {
    /// The next head; `None` when the peer is done.
    pub fn read(from: &mut dyn BufRead) -> io::Result<Option<Head>> {
        let mut raw = Vec::new();
        loop {
            let start = raw.len();
            if from.read_until(b'\n', &mut raw)? == 0 {
                return match raw.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            if raw[start..] == *b"\r\n" {
                break;
            }
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.lines();
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ').map(String::from);
        let words = std::array::from_fn(|_| words.next().unwrap_or_default());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        Ok(Some(Head { raw, words, headers }))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn status(&self) -> u16 {
        self.words[1].parse().unwrap_or(0)
    }

    pub fn last_of_connection(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || [&self.words[0], &self.words[2]].iter().any(|word| *word == "HTTP/1.0")
    }

    pub fn body_of_request(&self) -> Body {
        self.framing().unwrap_or(Body::Empty)
    }

    /// Of the response to a request with this method.
    pub fn body_of_response(&self, method: &str) -> Body {
        match self.status() {
            _ if method == "HEAD" => Body::Empty,
            100..200 | 204 | 304 => Body::Empty,
            _ => self.framing().unwrap_or(Body::UntilClosed),
        }
    }

    fn framing(&self) -> Option<Body> {
        if self.header("transfer-encoding").is_some() {
            return Some(Body::Chunked);
        }
        match self.header("content-length")?.parse() {
            Ok(0) => Some(Body::Empty),
            length => length.ok().map(Body::Length),
        }
    }
}

pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// Passes a body on with its framing; answers how many bytes of content it has.
pub fn copy(body: Body, from: &mut dyn BufRead, to: &mut dyn Write) -> io::Result<u64> {
    match body {
        Body::Empty => Ok(0),
        Body::Length(length) => {
            pieces(&mut from.take(length), to).and_then(|copied| match copied == length {
                true => Ok(copied),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            })
        }
        Body::UntilClosed => pieces(from, to),
        Body::Chunked => copy_chunks(from, to, true),
    }
}

/// The content of a body without its framing.
pub fn read_whole(body: Body, from: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match body {
        Body::Chunked => copy_chunks(from, &mut content, false)?,
        _ => copy(body, from, &mut content)?,
    };
    Ok(content)
}

/// Piece by piece as it comes; nothing waits until a buffer is full.
fn pieces(from: &mut dyn BufRead, to: &mut dyn Write) -> io::Result<u64> {
    let mut copied = 0;
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(copied);
        }
        to.write_all(piece)?;
        let length = piece.len();
        copied += length as u64;
        from.consume(length);
    }
}

fn copy_chunks(from: &mut dyn BufRead, to: &mut dyn Write, framed: bool) -> io::Result<u64> {
    let mut copied = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        from.read_until(b'\n', &mut line)?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let size = text.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if framed {
            to.write_all(&line)?;
        }
        copied += copy(Body::Length(size), from, to)?;
        // The end of this chunk, or the trailers up to an empty line.
        loop {
            line.clear();
            from.read_until(b'\n', &mut line)?;
            if framed {
                to.write_all(&line)?;
            }
            if line == b"\r\n" || line.is_empty() {
                break;
            }
        }
        if size == 0 {
            return Ok(copied);
        }
    }
}
