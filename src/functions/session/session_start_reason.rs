//! `session_start_reason`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::window::{Kind, SessionizeFunction};
use crate::functions::docs;

static DOCUMENTATION: LazyLock<Documentation> =
    LazyLock::new(|| docs::window(Kind::SessionStartReason, DESCRIPTION, EXAMPLE));

const DESCRIPTION: &str = "Why a session starts at this event: `first`, `inactivity`, `max_duration`, `calendar_day`, `value_change` or `forced`, the first that holds in this order. Null where none starts.";

const EXAMPLE: &str = "\
SELECT t, session_start_reason(t) OVER (PARTITION BY visitor ORDER BY t) AS value
FROM (VALUES
  ('ada', TIMESTAMP '2026-01-01 09:00:00'),
  ('ada', TIMESTAMP '2026-01-01 09:10:00'),
  ('ada', TIMESTAMP '2026-01-01 09:40:00')
) AS events(visitor, t)
ORDER BY t;
+---------------------+------------+
| t                   | value      |
+---------------------+------------+
| 2026-01-01T09:00:00 | first      |
| 2026-01-01T09:10:00 |            |
| 2026-01-01T09:40:00 | inactivity |
+---------------------+------------+";

/// The function `session_start_reason`.
pub(crate) fn session_start_reason() -> SessionizeFunction {
    SessionizeFunction::new(Kind::SessionStartReason, &DOCUMENTATION)
}
