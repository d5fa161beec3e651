//! `is_session_start`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::window::{Kind, SessionizeFunction};
use crate::functions::docs;

static DOCUMENTATION: LazyLock<Documentation> =
    LazyLock::new(|| docs::window(Kind::IsSessionStart, DESCRIPTION, EXAMPLE));

const DESCRIPTION: &str = "Whether a session starts at this event.";

const EXAMPLE: &str = "\
SELECT t, is_session_start(t) OVER (PARTITION BY visitor ORDER BY t) AS value
FROM (VALUES
  ('ada', TIMESTAMP '2026-01-01 09:00:00'),
  ('ada', TIMESTAMP '2026-01-01 09:10:00'),
  ('ada', TIMESTAMP '2026-01-01 09:40:00')
) AS events(visitor, t)
ORDER BY t;
+---------------------+-------+
| t                   | value |
+---------------------+-------+
| 2026-01-01T09:00:00 | true  |
| 2026-01-01T09:10:00 | false |
| 2026-01-01T09:40:00 | true  |
+---------------------+-------+";

/// The function `is_session_start`.
pub(crate) fn is_session_start() -> SessionizeFunction {
    SessionizeFunction::new(Kind::IsSessionStart, &DOCUMENTATION)
}
