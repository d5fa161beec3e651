//! `session_start`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::window::{Kind, SessionizeFunction};
use crate::functions::docs;

static DOCUMENTATION: LazyLock<Documentation> =
    LazyLock::new(|| docs::window(Kind::SessionStart, DESCRIPTION, EXAMPLE));

const DESCRIPTION: &str = "The time of the first event of the event's session, in the type of `t` (a date becomes a timestamp).";

const EXAMPLE: &str = "\
SELECT t, session_start(t) OVER (PARTITION BY visitor ORDER BY t) AS value
FROM (VALUES
  ('ada', TIMESTAMP '2026-01-01 09:00:00'),
  ('ada', TIMESTAMP '2026-01-01 09:10:00'),
  ('ada', TIMESTAMP '2026-01-01 09:40:00')
) AS events(visitor, t)
ORDER BY t;
+---------------------+---------------------+
| t                   | value               |
+---------------------+---------------------+
| 2026-01-01T09:00:00 | 2026-01-01T09:00:00 |
| 2026-01-01T09:10:00 | 2026-01-01T09:00:00 |
| 2026-01-01T09:40:00 | 2026-01-01T09:40:00 |
+---------------------+---------------------+";

/// The function `session_start`.
pub(crate) fn session_start() -> SessionizeFunction {
    SessionizeFunction::new(Kind::SessionStart, &DOCUMENTATION)
}
