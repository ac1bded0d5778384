//! Which calls a writer accepts when: the header's table, as plain data.

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// A write failed: only `cancel` and `close` are left.
    Broken,
    Committed,
    Cancelled,
    /// Resumable by an append.
    Closed,
    /// Closed after commit or cancel.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Write,
    Commit,
    Cancel,
    Close,
}

/// Whether an accepted call reaches the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The driver does it.
    Run,
    /// Nothing is left to do; it is a success.
    Nothing,
}

impl State {
    /// Whether `action` is allowed now: `InvalidState` naming the state if not.
    pub fn begin(self, action: Action) -> Result<Turn> {
        use {Action as A, State as S};
        match (action, self) {
            (A::Write | A::Commit, S::Open) => Ok(Turn::Run),
            (A::Cancel, S::Open | S::Broken) => Ok(Turn::Run),
            (A::Cancel, S::Cancelled) => Ok(Turn::Nothing),
            (A::Close, S::Open | S::Broken) => Ok(Turn::Run),
            (A::Close, S::Committed | S::Cancelled | S::Closed | S::Ended) => Ok(Turn::Nothing),
            (A::Write | A::Commit, S::Broken) => {
                Err(Error::invalid_state("an earlier write failed; cancel or close the writer"))
            }
            (A::Write | A::Commit | A::Cancel, _) => {
                Err(Error::invalid_state(format!("the writer is already {}", self.word())))
            }
        }
    }

    /// The state after `action` ended.
    #[must_use]
    pub fn end(self, action: Action, succeeded: bool) -> State {
        use {Action as A, State as S};
        match (action, succeeded, self) {
            (A::Write, false, _) => S::Broken,
            (A::Write, true, state) => state,
            // What failed may be tried again.
            (_, false, state) => state,
            (A::Commit, true, _) => S::Committed,
            (A::Cancel, true, _) => S::Cancelled,
            (A::Close, true, S::Committed | S::Cancelled | S::Ended) => S::Ended,
            (A::Close, true, _) => S::Closed,
        }
    }

    fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Broken => "broken",
            State::Committed => "committed",
            State::Cancelled => "cancelled",
            State::Closed | State::Ended => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_writer_states() {
        use {Action as A, State as S};
        const RUN: Option<Turn> = Some(Turn::Run);
        const NOTHING: Option<Turn> = Some(Turn::Nothing);
        let table = [
            // state, write, commit, cancel, close
            (S::Open, [RUN, RUN, RUN, RUN]),
            (S::Broken, [None, None, RUN, RUN]),
            (S::Committed, [None, None, None, NOTHING]),
            (S::Cancelled, [None, None, NOTHING, NOTHING]),
            (S::Closed, [None, None, None, NOTHING]),
            (S::Ended, [None, None, None, NOTHING]),
        ];
        for (state, row) in table {
            for (action, expected) in [A::Write, A::Commit, A::Cancel, A::Close].iter().zip(row) {
                assert_eq!(state.begin(*action).ok(), expected, "{action:?} when {state:?}");
            }
        }
    }

    #[test]
    fn what_failed_may_be_tried_again_but_a_write() {
        use {Action as A, State as S};
        for action in [A::Commit, A::Cancel, A::Close] {
            assert_eq!(S::Open.end(action, false), S::Open);
        }
        assert_eq!(S::Open.end(A::Write, false), S::Broken);
        assert_eq!(S::Broken.end(A::Cancel, true), S::Cancelled);
        assert_eq!(S::Broken.end(A::Close, true), S::Closed);
        assert_eq!(S::Committed.end(A::Close, true), S::Ended);
    }
}
