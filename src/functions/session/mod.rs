//! The window functions over ordered events: one implementation, a file for what each gives.

mod evaluator;
mod is_session_start;
mod output;
mod physical;
mod session_end;
mod session_event_number;
mod session_id;
mod session_number;
mod session_start;
mod session_start_reason;
mod window;

pub(crate) use output::{CachedId, Writer, as_timestamps};
pub(crate) use physical::SessionCall;
pub(crate) use window::Kind;
use window::SessionizeFunction;

/// All of them.
pub(super) fn all() -> [SessionizeFunction; 7] {
    [
        session_number::session_number(),
        session_id::session_id(),
        session_start::session_start(),
        session_end::session_end(),
        session_event_number::session_event_number(),
        is_session_start::is_session_start(),
        session_start_reason::session_start_reason(),
    ]
}
