//! `session_event_number`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::window::{Kind, SessionizeFunction};
use crate::functions::docs;

static DOCUMENTATION: LazyLock<Documentation> =
    LazyLock::new(|| docs::window(Kind::SessionEventNumber, DESCRIPTION, EXAMPLE));

const DESCRIPTION: &str = "Numbers the events within their session: 1, 2, 3, …";

const EXAMPLE: &str = "\
SELECT t, session_event_number(t) OVER (PARTITION BY visitor ORDER BY t) AS value
FROM (VALUES
  ('ada', TIMESTAMP '2026-01-01 09:00:00'),
  ('ada', TIMESTAMP '2026-01-01 09:10:00'),
  ('ada', TIMESTAMP '2026-01-01 09:40:00')
) AS events(visitor, t)
ORDER BY t;
+---------------------+-------+
| t                   | value |
+---------------------+-------+
| 2026-01-01T09:00:00 | 1     |
| 2026-01-01T09:10:00 | 2     |
| 2026-01-01T09:40:00 | 1     |
+---------------------+-------+";

/// The function `session_event_number`.
pub(crate) fn session_event_number() -> SessionizeFunction {
    SessionizeFunction::new(Kind::SessionEventNumber, &DOCUMENTATION)
}
