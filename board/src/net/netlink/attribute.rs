//! Reads attributes, each with its length and its kind before it, and the numbers in them (`netlink(7)`).

/// The value of the attribute `kind`, which may itself be made of attributes.
pub(super) fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if u16_at(attributes, 2)? & NLA_TYPE_MASK == kind {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

/// The value at the end of a way through attributes in attributes.
pub(super) fn nested<'a>(attributes: &'a [u8], way: &[u16]) -> Option<&'a [u8]> {
    way.iter().try_fold(attributes, |attributes, kind| attribute(attributes, *kind))
}

/// The text that ends with a zero.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Messages and attributes begin at multiples of four.
pub(super) const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Without the two flags that say how a value is written.
const NLA_TYPE_MASK: u16 = 0x3fff;
