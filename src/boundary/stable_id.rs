//! The stable id: lower-case hex md5 over parts joined with `-`.

use md5::{Digest, Md5};

const NULL: &[u8] = b"_dbt_utils_surrogate_key_null_";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Builds one id after the other from texts; a null has a text of its own.
#[derive(Debug, Default)]
pub(crate) struct StableId {
    hasher: Md5,
    started: bool,
    hex: String,
}

impl StableId {
    /// Adds the next part.
    pub(crate) fn part(&mut self, text: Option<&str>) {
        if self.started {
            self.hasher.update(b"-");
        }
        self.started = true;
        self.hasher.update(text.map_or(NULL, str::as_bytes));
    }

    /// The id of the parts so far as a number: its digits, read as one; the next part
    /// begins another id.
    pub(crate) fn finish_bits(&mut self) -> u128 {
        self.started = false;
        u128::from_be_bytes(self.hasher.finalize_reset().into())
    }

    /// The id of the parts so far; the next part begins another one.
    pub(crate) fn finish(&mut self) -> &str {
        let bits = self.finish_bits();
        self.hex.clear();
        for byte in bits.to_be_bytes() {
            self.hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        &self.hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids() {
        let mut id = StableId::default();
        id.part(Some("507f191e810c19729de860ea"));
        id.part(Some("1"));
        assert_eq!(id.finish(), "34e587cce9fc0a90b2d8d1e99efa3427");
        id.part(Some(""));
        assert_eq!(id.finish(), "d41d8cd98f00b204e9800998ecf8427e");
        id.part(Some(""));
        assert_eq!(id.finish_bits(), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }
}
