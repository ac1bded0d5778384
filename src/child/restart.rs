//! The process of a driver now, and the next one after its death where that is wanted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::session::{Greeting, Session};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::params::Params;

/// Between two starts of a program that keeps dying: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One that lived as long as this has not failed at once.
const LONG_LIFE: Duration = Duration::from_secs(30);

/// How to start the program.
pub struct Recipe {
    pub asked_name: String,
    pub program: PathBuf,
    pub argument: Option<String>,
    pub params: Params,
    pub patience: Duration,
}

impl Recipe {
    pub fn start(&self) -> Result<Greeting> {
        let argument = self.argument.clone();
        Greeting::start(&self.asked_name, &self.program, argument, &self.params, self.patience)
    }
}

pub struct Sessions {
    /// `None`: a death is for ever.
    recipe: Option<Recipe>,
    current: Mutex<Current>,
}

struct Current {
    session: Arc<Session>,
    life: Life,
    /// Somebody starts the program again; these wait for it.
    starting: bool,
    waiting: Vec<Waker>,
    /// A start that its caller gave up: the next one goes on with it.
    begun: Option<Greeting>,
}

#[derive(Clone, Copy)]
struct Life {
    started: Instant,
    /// The last start succeeded.
    lived: bool,
    /// From then to the next start.
    pause: Duration,
}

impl Life {
    /// That of the next process, after this one's death, or how long to wait for it.
    fn next(self, dead: Error) -> Result<Life> {
        let age = self.started.elapsed();
        let pause = if self.lived && age > LONG_LIFE { Duration::ZERO } else { self.pause };
        if let Some(left) = pause.checked_sub(age).filter(|left| !left.is_zero()) {
            return Err(dead.with_retryable(true).with_retry_after(left));
        }
        let pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Ok(Life { started: Instant::now(), lived: false, pause })
    }
}

impl Sessions {
    pub fn new(session: Session, recipe: Option<Recipe>) -> Sessions {
        let life = Life { started: Instant::now(), lived: true, pause: Duration::ZERO };
        let session = Arc::new(session);
        let current = Current { session, life, starting: false, waiting: Vec::new(), begun: None };
        Sessions { recipe, current: Mutex::new(current) }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dead or alive.
    pub fn last(&self) -> Arc<Session> {
        self.lock().session.clone()
    }

    /// The connection for a new call; after a death, a new one where that is wanted.
    pub fn current(&self, ctx: &Context) -> Result<Arc<Session>> {
        loop {
            let session = self.last();
            let Some(dead) = session.link.death_by_now(ctx)? else { return Ok(session) };
            let Some(recipe) = &self.recipe else { return Err(dead) };
            let mut current = self.lock();
            if current.starting {
                drop(current);
                self.wait_for_start(ctx)?;
            } else if Arc::ptr_eq(&current.session, &session) {
                ctx.status()?;
                let begun = current.begun.take();
                if begun.is_none() {
                    current.life = current.life.next(dead)?;
                }
                current.starting = true;
                drop(current);
                return self.start(ctx, recipe, begun);
            }
        }
    }

    /// For who has set `starting`; not under the lock, since others may wait less long.
    fn start(
        &self,
        ctx: &Context,
        recipe: &Recipe,
        begun: Option<Greeting>,
    ) -> Result<Arc<Session>> {
        let _starting = Starting(self);
        let greeting = begun.map_or_else(|| recipe.start(), Ok)?;
        let greeted = greeting.finish(ctx);
        let mut current = self.lock();
        let session = Arc::new(greeted.map_err(|mut unborn| {
            current.begun = unborn.greeting.take();
            unborn.error
        })?);
        let (old, new) = (&current.session.hello, &session.hello);
        if old.capabilities != new.capabilities || old.operations != new.operations {
            let detail = "the driver's process came back with other capabilities";
            return Err(Error::new(Code::DriverDied, detail));
        }
        current.life.lived = true;
        current.session = session.clone();
        Ok(session)
    }

    fn wait_for_start(&self, ctx: &Context) -> Result<()> {
        ctx.wait(|waker| {
            let mut current = self.lock();
            if !current.starting {
                return Poll::Ready(());
            }
            if !current.waiting.iter().any(|other| other.will_wake(waker)) {
                current.waiting.push(waker.clone());
            }
            Poll::Pending
        })
    }
}

/// Dropped, the start is over, however it went.
struct Starting<'s>(&'s Sessions);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut current = self.0.lock();
        current.starting = false;
        let waiting = std::mem::take(&mut current.waiting);
        drop(current);
        waiting.into_iter().for_each(Waker::wake);
    }
}
