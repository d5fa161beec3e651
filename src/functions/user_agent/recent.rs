//! The strings seen lately, so that one that comes again in another batch is not parsed
//! again.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{HashMap, Result};

use super::agent::Agent;

/// Bounds of what is kept: some 8 MiB if every string were as long as may be.
const MOST_STRINGS: usize = 16_384;
const LONGEST_STRING: usize = 512;

type Agents = HashMap<String, Arc<Agent>>;

static RECENT: LazyLock<Mutex<Agents>> = LazyLock::new(Mutex::default);

/// What each of `texts` says.
pub(super) fn agents(texts: &[&str]) -> Result<Vec<Arc<Agent>>> {
    let mut found = known(texts);
    let mut parsed = Vec::new();
    for (text, slot) in texts.iter().zip(&mut found) {
        if slot.is_none() {
            let agent = Arc::new(Agent::parse(text)?);
            parsed.push((*text, Arc::clone(&agent)));
            *slot = Some(agent);
        }
    }
    if !parsed.is_empty() {
        keep(parsed);
    }
    Ok(found.into_iter().flatten().collect())
}

fn known(texts: &[&str]) -> Vec<Option<Arc<Agent>>> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let known = texts.iter().map(|text| recent.get(*text).map(Arc::clone));
    known.collect()
}

fn keep(parsed: Vec<(&str, Arc<Agent>)>) {
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    for (text, agent) in parsed {
        if text.len() > LONGEST_STRING {
            continue;
        }
        if recent.len() >= MOST_STRINGS {
            recent.clear();
        }
        recent.insert(text.to_owned(), agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_a_bound() {
        let agent = Arc::new(Agent {
            device: String::new(),
            device_category: "other",
            os: String::new(),
            browser: String::new(),
            is_bot: false,
        });
        for number in 0..MOST_STRINGS + 10 {
            keep(vec![(&format!("bound {number}"), Arc::clone(&agent))]);
        }
        let long = "x".repeat(LONGEST_STRING + 1);
        keep(vec![(&long, agent)]);
        let recent = RECENT.lock().unwrap();
        assert!(recent.len() <= MOST_STRINGS);
        assert!(!recent.contains_key(&long));
    }
}
