//! The functions as expressions, for the DataFrame API.
//!
//! A window function's arguments are given in their order (`t`, `gap`, `boundary`,
//! `granularity`, `max_duration`, `time_zone`, `split_on`, `start_when`, `end_after`;
//! [`session_id`] has the key first), a null literal standing for a default:
//!
//! ```
//! use datafusion::logical_expr::ExprFunctionExt;
//! use datafusion::prelude::*;
//! use datafusion_sessionize::functions::expr_fn::session_number;
//!
//! let number = session_number(vec![col("t"), lit("1 hour")])
//!     .partition_by(vec![col("visitor")])
//!     .order_by(vec![col("t").sort(true, false)])
//!     .build()?;
//! # Ok::<(), datafusion::error::DataFusionError>(())
//! ```

use std::sync::Arc;

use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, WindowFunctionDefinition};

macro_rules! window_builder {
    ($name:ident, $index:literal, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(arguments: Vec<Expr>) -> Expr {
            window($index, arguments)
        }
    };
}

window_builder!(session_number, 0, "1, 2, 3, … within the key.");
window_builder!(session_id, 1, "A stable id; the key comes before `t`.");
window_builder!(session_start, 2, "The time of the session's first event.");
window_builder!(session_end, 3, "The time of the session's last event.");
window_builder!(session_event_number, 4, "1, 2, 3, … within the session.");
window_builder!(is_session_start, 5, "Whether a session starts here.");
window_builder!(session_start_reason, 6, "Why a session starts here.");

/// The group of ids that both belong to, over all rows of the window.
pub fn connected_component(id: Expr, other_id: Expr) -> Expr {
    window(7, vec![id, other_id])
}

/// The md5 of all values, as dbt's packages make surrogate keys.
pub fn surrogate_key(values: Vec<Expr>) -> Expr {
    super::SCALAR[0].call(values)
}

/// The host of a URL.
pub fn url_host(url: Expr) -> Expr {
    super::SCALAR[1].call(vec![url])
}

/// The path of a URL.
pub fn url_path(url: Expr) -> Expr {
    super::SCALAR[2].call(vec![url])
}

/// The query of a URL.
pub fn url_query(url: Expr) -> Expr {
    super::SCALAR[3].call(vec![url])
}

/// A query parameter of a URL.
pub fn url_parameter(url: Expr, name: Expr) -> Expr {
    super::SCALAR[4].call(vec![url, name])
}

/// The id of the time bucket that an event falls into; `width` is 30 minutes if `None`.
pub fn session_bucket_id(key: Expr, t: Expr, width: Option<Expr>) -> Expr {
    let given = [key, t].into_iter().chain(width);
    super::SCALAR[6].call(given.collect())
}

/// The registrable domain of a host.
pub fn registrable_domain(host: Expr) -> Expr {
    super::SCALAR[5].call(vec![host])
}

/// What a user agent string says of device, system and browser.
pub fn user_agent(ua: Expr) -> Expr {
    super::SCALAR[7].call(vec![ua])
}

/// Where a visit comes from: `url`, `referrer`, `utm_source`, `utm_medium`, `utm_campaign` and,
/// if they are not to have their defaults, `own_domains` and `fbclid_alone`.
pub fn traffic_source(arguments: Vec<Expr>) -> Expr {
    super::SCALAR[8].call(arguments)
}

fn window(index: usize, arguments: Vec<Expr>) -> Expr {
    let function = Arc::clone(&super::WINDOW[index]);
    let definition = WindowFunctionDefinition::WindowUDF(function);
    Expr::from(WindowFunction::new(definition, arguments))
}
