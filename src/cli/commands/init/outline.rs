//! The lines of a YAML file as a tree, so that entries can be left out and all else stays as
//! it is written.

/// An entry: its lines (comments above it first) and what is indented below.
#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    lines: Vec<&'a str>,
    below: Vec<Self>,
}

/// `text` without the entries whose path `keep` refuses: the keys from the top, or the names
/// of list items that begin with `- name:`. Maps that are left without entries go too.
pub(super) fn only(text: &str, keep: &dyn Fn(&[&str]) -> bool) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    let mut entries = entries(&lines, &mut at, 0);
    retain(&mut entries, &mut Vec::new(), keep);
    let mut kept = Vec::new();
    write(&entries, &mut kept);
    let mut text = kept.join("\n");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The entries at `indent` or deeper, from line `at` on.
fn entries<'a>(lines: &[&'a str], at: &mut usize, indent: usize) -> Vec<Entry<'a>> {
    let mut found: Vec<Entry<'a>> = Vec::new();
    loop {
        let comments = lines[*at..].iter().take_while(|line| is_comment(line));
        let comments = comments.count();
        let Some(line) = lines.get(*at + comments) else {
            return found;
        };
        let own = line.len() - line.trim_start().len();
        if own < indent {
            return found;
        }
        let start = *at;
        *at += comments + 1;
        found.push(Entry {
            key: key(line),
            lines: lines[start..*at].to_vec(),
            below: entries(lines, at, own + 1),
        });
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn key(line: &str) -> &str {
    let line = line.trim_start();
    let item = line.strip_prefix("- name:").map(str::trim);
    item.unwrap_or_else(|| line.split(':').next().unwrap_or_default())
}

fn retain<'a>(
    entries: &mut Vec<Entry<'a>>,
    path: &mut Vec<&'a str>,
    keep: &dyn Fn(&[&str]) -> bool,
) {
    entries.retain_mut(|entry| {
        path.push(entry.key);
        let had = !entry.below.is_empty();
        let kept = keep(path);
        if kept {
            retain(&mut entry.below, path, keep);
        }
        path.pop();
        kept && !(had && entry.below.is_empty())
    });
}

fn write<'a>(entries: &[Entry<'a>], lines: &mut Vec<&'a str>) {
    for entry in entries {
        let blank = |line: &&&str| line.trim().is_empty();
        let after_head = lines.last().is_some_and(|line| line.ends_with(':'));
        let skipped = entry.lines.iter().take_while(blank).count();
        lines.extend(&entry.lines[if after_head { skipped } else { 0 }..]);
        write(&entry.below, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_with_their_comments_and_what_is_below() {
        let text = "\
name: p

vars:
  # one
  a_x: 1
  # two,
  # on two lines
  b_x:
    - {name: c}
  b_y: 2

models:
  p:
    b:
      +tags: [b]
";
        let kept = only(text, &|path| {
            !path.last().is_some_and(|key| key.starts_with('b'))
        });
        assert_eq!(kept, "name: p\n\nvars:\n  # one\n  a_x: 1\n");
        assert_eq!(only(text, &|_| true), text);
        let apart = "vars:\n  a: 1\n\n  # two\n  b: 2\n";
        let kept = only(apart, &|path| path != ["vars", "a"]);
        assert_eq!(kept, "vars:\n  # two\n  b: 2\n");
        let list = "seeds:\n  - name: a\n    x: 1\n  - name: b\n    x: 2\n";
        let kept = only(list, &|path| path != ["seeds", "a"]);
        assert_eq!(kept, "seeds:\n  - name: b\n    x: 2\n");
    }
}
