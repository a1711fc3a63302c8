//! Text in XML files.

/// A text for an element or an attribute between double quotes. Characters that XML 1.0 has no way to write become U+FFFD.
///
/// Source: XML 1.0 (fifth edition), 2.2 characters, 2.4 markup, 3.3.3 normalization of attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A reader makes spaces of these if they stand for themselves.
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(character))),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_be_written() {
        assert_eq!(escape("größe 🦆 'a'"), "größe 🦆 'a'");
        assert_eq!(escape("a & b <c> \"d\".png"), "a &amp; b &lt;c&gt; &quot;d&quot;.png");
        assert_eq!(escape("a\nb\tc\u{1}d"), "a&#10;b&#9;c\u{fffd}d");
    }
}
