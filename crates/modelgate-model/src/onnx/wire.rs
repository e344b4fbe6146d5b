//! Protocol buffers field by field: what is not looked at is passed on as it was.

use super::load::refuse;
use crate::error::ModelError;

/// A field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// Tag and content as they were.
    pub(super) whole: &'a [u8],
    /// The content, where it is of bytes.
    pub(super) bytes: Option<&'a [u8]>,
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Returns the fields of a message in order.
pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field<'_>>, ModelError> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match field(bytes, &mut at) {
            Some(field) => found.push(field),
            None => return refuse("it is not a protobuf"),
        }
    }
    Ok(found)
}

fn field<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Field<'a>> {
    let start = *at;
    let tag = varint(bytes, at)?;
    let mut content = None;
    match tag & 7 {
        0 => drop(varint(bytes, at)?),
        1 => *at = at.checked_add(8)?,
        2 => {
            let length = usize::try_from(varint(bytes, at)?).ok()?;
            let end = at.checked_add(length)?;
            content = Some(bytes.get(*at..end)?);
            *at = end;
        }
        5 => *at = at.checked_add(4)?,
        _ => return None,
    }
    Some(Field { number: tag >> 3, whole: bytes.get(start..*at)?, bytes: content })
}

/// Appends a field of bytes.
pub(super) fn push(target: &mut Vec<u8>, number: u64, content: &[u8]) {
    for mut value in [number << 3 | 2, content.len() as u64] {
        while value >= 0x80 {
            target.push(value as u8 | 0x80);
            value >>= 7;
        }
        target.push(value as u8);
    }
    target.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::proto::Node;
    use super::*;

    #[test]
    fn what_was_written_is_read_and_passed_on() {
        let node = Node { name: "n".repeat(300), op_type: "Cast".to_owned(), ..Node::default() };
        let bytes = node.encode_to_vec();
        let found = fields(&bytes).expect("fields");
        let mut copy = Vec::new();
        for field in &found {
            copy.extend_from_slice(field.whole);
        }
        assert_eq!(copy, bytes);
        let mut written = Vec::new();
        push(&mut written, 3, "n".repeat(300).as_bytes());
        assert_eq!(written, found[0].whole);
    }

    #[test]
    fn cut_and_endless_bytes_are_refused() {
        for bytes in [&[0x80][..], &[0x0a, 5, 1], &[0x0b], &[0xff; 20], &[0x0d, 1], &[0x09, 1, 2]] {
            assert!(fields(bytes).is_err(), "{bytes:?}");
        }
        assert!(fields(b"").expect("no field").is_empty());
    }
}
