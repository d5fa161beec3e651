//! The `{% … %}` tags of a text.

/// A `{% word … %}` tag.
pub(super) struct Tag<'a> {
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) word: &'a str,
    pub(super) word_at: usize,
}

impl Tag<'_> {
    pub(super) fn word_end(&self) -> usize {
        self.word_at + self.word.len()
    }
}

/// Walks over the tags of a text, past comments and raw blocks.
pub(super) struct Tags<'a> {
    pub(super) text: &'a str,
    pub(super) position: usize,
}

impl<'a> Tags<'a> {
    fn skip_past(&mut self, end: &str) {
        let rest = &self.text[self.position..];
        self.position = rest
            .find(end)
            .map_or(self.text.len(), |i| self.position + i + end.len());
    }

    pub(super) fn next_tag(&mut self) -> Option<Tag<'a>> {
        loop {
            let at = self.position + self.text[self.position..].find('{')?;
            self.position = at;
            if self.text[at..].starts_with("{#") {
                self.skip_past("#}");
            } else if self.text[at..].starts_with("{%") {
                self.skip_past("%}");
                let inner = &self.text[at + 2..];
                let trimmed = inner.trim_start_matches(['-', '+']).trim_start();
                let word_at = at + 2 + (inner.len() - trimmed.len());
                let length = trimmed
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(trimmed.len());
                let word = &trimmed[..length];
                if word == "raw" {
                    self.skip_past("endraw");
                }
                return Some(Tag {
                    at,
                    end: self.position,
                    word,
                    word_at,
                });
            } else {
                self.position += 1;
            }
        }
    }
}
