//! Nested objects -> one level of dotted names.

use super::scan::entries;

/// Objects below this many others are kept as text.
const DEEPEST: usize = 64;

/// Writes `object` without objects in it: `{"a": {"b": 1}}` is `{"a.b":1}`. Lists become
/// texts that hold them as JSON; an object without keys leaves nothing. Where one name arises twice,
/// the later value counts, as for any key that JSON repeats.
pub(super) fn flatten(object: &[u8], flat: &mut Vec<u8>) {
    flat.push(b'{');
    level(object, 0, &mut Vec::new(), flat);
    flat.push(b'}');
}

fn level(object: &[u8], depth: usize, name: &mut Vec<u8>, flat: &mut Vec<u8>) {
    for (key, value) in entries(object) {
        let above = name.len();
        if depth > 0 {
            name.push(b'.');
        }
        // both ends of the key are quotes
        name.extend_from_slice(&key[1..key.len() - 1]);
        match value[0] {
            b'{' if depth < DEEPEST => level(value, depth + 1, name, flat),
            b'{' | b'[' => {
                field(name, flat);
                as_text(value, flat);
            }
            _ => {
                field(name, flat);
                flat.extend_from_slice(value);
            }
        }
        name.truncate(above);
    }
}

fn field(name: &[u8], flat: &mut Vec<u8>) {
    if flat.len() > 1 {
        flat.push(b',');
    }
    flat.push(b'"');
    flat.extend_from_slice(name);
    flat.extend_from_slice(b"\":");
}

/// JSON as a JSON string, without the blanks between its parts.
fn as_text(value: &[u8], flat: &mut Vec<u8>) {
    flat.push(b'"');
    let (mut text, mut escaped) = (false, false);
    for byte in value {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if !text => continue,
            b'"' | b'\\' => flat.extend_from_slice(&[b'\\', *byte]),
            _ => flat.push(*byte),
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            _ => {}
        }
    }
    flat.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_dotted_names() {
        for (object, expected) in [
            ("{}", "{}"),
            (r#"{"a": 1, "b": "x, {y}"}"#, r#"{"a":1,"b":"x, {y}"}"#),
            (
                r#"{"a": {"b": {"c": null}, "d": -1.50}, "e": true}"#,
                r#"{"a.b.c":null,"a.d":-1.50,"e":true}"#,
            ),
            (r#"{"a": {}, "b": [ ]}"#, r#"{"b":"[]"}"#),
            (
                "{\"a\": [ 1,\n {\"b\": \"c \\\" d\"} ]}",
                r#"{"a":"[1,{\"b\":\"c \\\" d\"}]"}"#,
            ),
            (r#"{"": {"": 1}}"#, r#"{".":1}"#),
            (r#"{"a\"b": {"é": "\\"}}"#, r#"{"a\"b.é":"\\"}"#),
        ] {
            let mut flat = Vec::new();
            flatten(object.as_bytes(), &mut flat);
            assert_eq!(String::from_utf8(flat).unwrap(), expected, "{object}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        let mut flat = Vec::new();
        flatten(deep.as_bytes(), &mut flat);
        let flat: serde_json::Value = serde_json::from_slice(&flat).unwrap();
        assert_eq!(flat.as_object().unwrap().len(), 1);
    }
}
