//! The moment after which a build can no longer be taken back.
//!
//! ```text
//! open ──enter()──► committing     the commit is let through to its end
//!   │  ◄──reopen()──┘              it was refused: the build starts over
//!   └────close()──► closed         nothing of the build will ever be seen
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::runner::error::{ErrorKind, Result, RunnerError};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Committing,
    /// As before, and the build is no longer wanted once that commit has ended.
    LastCommitting,
    Closed,
}

/// Stands between what a build has written and what readers see. Clones share their state.
///
/// A dropped query can look like one that came to its end: its operators stop one by one,
/// and whoever reads from a stopped one sees no further rows. So a build that is no longer
/// wanted must find the gate closed.
#[derive(Debug, Clone, Default)]
pub struct CommitGate(Arc<Mutex<State>>);

impl CommitGate {
    /// Passes the gate; an error once it is closed. What follows should be short.
    pub fn enter(&self) -> Result<()> {
        let mut state = self.state();
        if *state == State::Closed {
            return Err(RunnerError::new(ErrorKind::Interrupted, "interrupted"));
        }
        if *state == State::Open {
            *state = State::Committing;
        }
        Ok(())
    }

    /// Goes back before the gate, after a commit that was refused. What is no longer wanted
    /// finds it closed.
    pub(crate) fn reopen(&self) {
        let mut state = self.state();
        *state = match *state {
            State::Open | State::Committing => State::Open,
            State::LastCommitting | State::Closed => State::Closed,
        };
    }

    /// Closes the gate; `false` if the build has passed it.
    pub fn close(&self) -> bool {
        let mut state = self.state();
        *state = match *state {
            State::Open | State::Closed => State::Closed,
            State::Committing | State::LastCommitting => State::LastCommitting,
        };
        *state == State::Closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_wins() {
        let gate = CommitGate::default();
        assert!(gate.enter().is_ok());
        assert!(!gate.close());
        let gate = CommitGate::default();
        assert!(gate.clone().close());
        assert!(gate.enter().is_err());
    }

    #[test]
    fn a_refused_commit_starts_over_unless_nobody_wants_it() {
        let gate = CommitGate::default();
        assert!(gate.enter().is_ok());
        gate.reopen();
        assert!(gate.enter().is_ok());
        assert!(!gate.close());
        gate.reopen();
        assert!(gate.enter().is_err());
    }
}
