//! What is done to which request.

use std::sync::Arc;
use std::time::Duration;

use super::{Headers, Seen};

/// A response whose body is whole, so that it can be changed.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Without the length, which is added when it is not here.
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }
}

#[derive(Clone)]
pub enum Fault {
    /// The proxy answers; the server is not asked.
    Answer(Response),
    /// The server's answer, changed. A content-length that is set and wrong stays so,
    /// and the connection ends after it.
    Edit(Arc<dyn Fn(&mut Response) + Send + Sync>),
    /// Both sides are reset when so many bytes of the request were passed on.
    ResetRequest(u64),
    /// The client is reset when so many bytes of the response were passed on; with 0
    /// the server has done its work and nobody hears of it.
    ResetResponse(u64),
    /// So many bytes of the request are passed on, and no more is read.
    StallRequest(u64),
    /// So many bytes of the response are passed on, and then nothing more happens.
    StallResponse(u64),
    /// Everything happens later.
    Delay(Duration),
}

impl Fault {
    pub fn edit(change: impl Fn(&mut Response) + Send + Sync + 'static) -> Fault {
        Fault::Edit(Arc::new(change))
    }

    /// Only the front of the body, with the length that fits it.
    pub fn truncate(length: usize) -> Fault {
        Fault::edit(move |response| response.body.truncate(length))
    }

    /// A Content-Length that is wrong by so much.
    pub fn wrong_length(by: i64) -> Fault {
        Fault::edit(move |response| {
            let length = response.body.len() as i64 + by;
            response.headers.push(("content-length".to_string(), length.to_string()));
        })
    }
}

type Matches = Box<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Once, for the first request that matches, unless it is told otherwise.
pub struct Rule {
    matches: Matches,
    fault: Fault,
    skip: usize,
    times: usize,
}

impl Rule {
    pub fn on(matches: impl Fn(&Seen) -> bool + Send + Sync + 'static, fault: Fault) -> Rule {
        Rule { matches: Box::new(matches), fault, skip: 0, times: 1 }
    }

    /// From the `n`-th request on that matches, the first being 1.
    pub fn nth(mut self, n: usize) -> Rule {
        self.skip = n - 1;
        self
    }

    pub fn times(mut self, times: usize) -> Rule {
        self.times = times;
        self
    }

    pub fn always(self) -> Rule {
        self.times(usize::MAX)
    }

    /// The fault to do to this request. A rule that comes after another's fault
    /// has not had its turn, unless it only delays.
    pub(super) fn applies(&mut self, seen: &Seen, faulted: bool) -> Option<Fault> {
        let may = !faulted || matches!(self.fault, Fault::Delay(_));
        if self.times == 0 || !may || !(self.matches)(seen) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}
