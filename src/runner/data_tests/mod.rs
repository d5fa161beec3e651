//! Generic data tests: `not_null`, `unique`, `accepted_values`, `relationships`.
