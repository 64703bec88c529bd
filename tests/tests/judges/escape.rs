//! What stands behind a backslash in a judge's text is a character, as in JavaScript.

/// The bytes that `text` stands for.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digits = |from: &[u8], most: usize, radix| {
            let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
            from.iter().take(most).take_while(is_digit).count()
        };
        let number = |digits: &[u8], radix| {
            let text = String::from_utf8_lossy(digits);
            u32::from_str_radix(&text, radix).expect("digits") as u8
        };
        rest = behind;
        let byte = match (byte, behind) {
            (b'\\', [letter @ (b'r' | b'n' | b't' | b'f'), after @ ..]) => {
                rest = after;
                match letter {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    _ => 0x0c,
                }
            }
            (b'\\', [b'x', after @ ..]) => {
                let count = digits(after, 2, 16);
                rest = &after[count..];
                number(&after[..count], 16)
            }
            (b'\\', [b'0'..=b'7', ..]) => {
                let count = digits(behind, 3, 8);
                rest = &behind[count..];
                number(&behind[..count], 8)
            }
            _ => {
                stream.push(*byte);
                continue;
            }
        };
        // What was escaped is a character, which travels as UTF-8.
        stream.extend_from_slice(char::from(byte).encode_utf8(&mut [0; 2]).as_bytes());
    }
    stream
}
