//! Header blocks (RFC 7541), as far as two of one encoder are to be compared: texts stay compressed.

use std::collections::VecDeque;

/// How long the table is that every decoder begins with (RFC 7541, appendix A).
const STATIC: usize = 61;

/// A name or a value: what the static table has at this place; or these bytes, which one encoder writes for one text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text {
    Static(usize),
    Bytes(Vec<u8>),
}

/// A name, and a value.
pub(super) type Field = [Text; 2];

/// The fields of a header block (section 6). What was evicted from the table is kept: it is referred to no more.
pub(super) fn decode(table: &mut VecDeque<Field>, mut block: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some(&first) = block.first() {
        let bits = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let at = integer(&mut block, bits);
        let known = |table: &VecDeque<Field>| match at.checked_sub(STATIC + 1) {
            Some(at) => table.get(at).expect("a header block refers to what was not said").clone(),
            None => [Text::Static(at), Text::Static(at)],
        };
        if bits == 5 {
            if at == 0 {
                table.clear();
            }
            continue;
        }
        let field = match bits {
            7 => known(table),
            _ if at == 0 => [text(&mut block), text(&mut block)],
            _ => [known(table)[0].clone(), text(&mut block)],
        };
        if bits == 6 {
            table.push_front(field.clone());
        }
        fields.push(field);
    }
    fields
}

/// An integer behind the first bits of a byte (section 5.1).
fn integer(block: &mut &[u8], bits: u32) -> usize {
    let mut next = || block.split_off_first().map_or(0, |byte| usize::from(*byte));
    let most = (1 << bits) - 1;
    let first = next() & most;
    if first < most {
        return first;
    }
    let mut value = most;
    for shift in (0..28).step_by(7) {
        let more = next();
        value += (more & 127) << shift;
        if more < 128 {
            break;
        }
    }
    value
}

/// A string (section 5.2), and whether it is compressed.
fn text(block: &mut &[u8]) -> Text {
    let compressed = block[0] & 0x80;
    let length = integer(block, 7);
    let (bytes, rest) = block.split_at(length);
    *block = rest;
    Text::Bytes([&[compressed], bytes].concat())
}
