//! Values of options that are more than a word: `--vars`, `--memory-limit`.

use serde_json::{Map, Value};

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::project::yaml_value;

use super::progress::count;

/// The variables of `--vars`: a mapping, as YAML or JSON.
pub(crate) fn vars(text: &str) -> Result<Map<String, Value>> {
    let hint = "write a mapping, for example `--vars '{name: value}'`";
    let value = yaml_value("--vars", text).map_err(|e| {
        let why = e.message().trim_start_matches("not valid YAML: ");
        let message = format!("`--vars` is neither YAML nor JSON: {why}");
        let kind = ErrorKind::Usage;
        let error = RunnerError::new(kind, message).with_hint(hint);
        match e.location() {
            Some(place) => error.with_location(place.clone()),
            None => error,
        }
    })?;
    match value {
        Value::Object(map) => Ok(map),
        other => {
            let found = found(&other);
            let message =
                format!("`--vars` must be a mapping of names to values, found {found}");
            Err(RunnerError::new(ErrorKind::Usage, message).with_hint(hint))
        }
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => format!("the boolean `{b}`"),
        Value::Number(n) => format!("the number `{n}`"),
        Value::String(s) => format!("the text `{s}`"),
        Value::Array(a) => format!("a list of {}", count(a.len() as u64, "item")),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// An age: `7d`, `12h`, `30m`, `0s`.
pub(crate) fn age(text: &str) -> Result<chrono::TimeDelta> {
    let wrong = || {
        let message = format!("`{text}` is not an age");
        RunnerError::new(ErrorKind::Usage, message)
            .with_hint("write a whole number and a unit: `7d`, `12h`, `30m`, `0s`")
    };
    let trimmed = text.trim();
    let Some((at, unit)) = trimmed.char_indices().next_back() else {
        return Err(wrong());
    };
    let number: u32 = trimmed[..at].trim().parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    chrono::TimeDelta::try_seconds(i64::from(number) * seconds).ok_or_else(wrong)
}

/// A size in bytes: `1048576`, `256MB` (powers of 1000), `512MiB` or `512M` (powers of 1024).
pub(crate) fn size(text: &str) -> Result<usize> {
    let wrong = || {
        let message = format!("`{text}` is not a size");
        RunnerError::new(ErrorKind::Usage, message).with_hint(
            "write a number of bytes or a unit: `256MB`, `512MiB`, `1GB`, `1.5GiB`",
        )
    };
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = trimmed[digits.len()..].to_ascii_uppercase();
    let factor: f64 = match unit.as_str() {
        "" | "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "K" | "KIB" => 1024.0,
        "M" | "MIB" => 1024_f64.powi(2),
        "G" | "GIB" => 1024_f64.powi(3),
        "T" | "TIB" => 1024_f64.powi(4),
        _ => return Err(wrong()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let bytes = number * factor;
    if !bytes.is_finite() || bytes < 1.0 || bytes > 2_f64.powi(53) {
        return Err(wrong());
    }
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("4096").ok(), Some(4096));
        assert_eq!(size("256MB").ok(), Some(256_000_000));
        assert_eq!(size("1.5 GiB").ok(), Some(1_610_612_736));
        assert_eq!(size("2g").ok(), Some(2 << 30));
        for wrong in ["", "MB", "-1", "0", "1XB", "nan", "infGB", "1e99GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages() {
        let seconds = |text| age(text).ok().map(|age| age.num_seconds());
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds(" 12 h"), Some(43_200));
        assert_eq!(seconds("0s"), Some(0));
        for wrong in ["", "d", "7", "-1d", "1w", "1.5h", "7é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn vars_are_a_mapping() {
        let vars_of = |t| vars(t).map(Value::Object).map_err(|e| e.to_string());
        let both = serde_json::json!({"a": 1, "b": ["x"]});
        assert_eq!(vars_of("{a: 1, b: [x]}"), Ok(both.clone()));
        assert_eq!(vars_of(r#"{"a": 1, "b": ["x"]}"#), Ok(both));
        let texts = serde_json::json!({"a": "007", "b": "99999999999999999999999999"});
        assert_eq!(
            vars_of("{a: 007, b: 99999999999999999999999999}"),
            Ok(texts)
        );
        let message =
            "`--vars` must be a mapping of names to values, found a list of 2 items";
        assert_eq!(vars_of("[1, 2]"), Err(message.to_owned()));
        assert!(vars_of("{a: ").is_err());
    }
}
