//! What reaches the terminal: errors without repetition, and no control characters of file names.

use std::error::Error;

/// An error and its causes, each but those that an earlier one quotes.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut cause: Option<&(dyn Error + 'static)> = error.chain().nth(1);
    while let Some(next) = cause {
        let words = next.to_string();
        let said = plain_words(&text);
        if !said.contains(&plain_words(&words)) {
            // "cannot read: cannot read file": the cause says it in full.
            match text.rfind(": ").map_or(&*text, |at| &text[at + 2..]) {
                last if plain_words(&words).starts_with(&plain_words(last)) => text.truncate(text.len() - last.len()),
                _ => text.push_str(": "),
            }
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

/// For comparing: case and full stops say nothing.
fn plain_words(text: &str) -> String {
    text.trim().trim_end_matches('.').to_lowercase()
}

/// A line for people: characters that command a terminal, or turn the direction of the text, are written out.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// `1 picture`, `2 pictures`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_told_once() {
        let missing = || std::io::Error::other("No such file or directory (os error 2)");
        let told = |error: anyhow::Error| chain(&error);
        assert_eq!(
            told(anyhow!(missing()).context("cannot read the file")),
            "cannot read the file: No such file or directory (os error 2)"
        );
        // A cause that quotes its own.
        let quoting =
            anyhow!(missing()).context("IO error for a.jpg: No such file or directory (os error 2)").context("cannot be read");
        assert_eq!(told(quoting), "cannot be read: IO error for a.jpg: No such file or directory (os error 2)");
        let twice = anyhow!("Cannot read file a: gone").context("cannot read");
        assert_eq!(told(twice), "Cannot read file a: gone");
        assert_eq!(told(anyhow!("the same.").context("The same").context("first")), "first: The same");
        assert_eq!(told(Err::<(), _>(anyhow!("c")).context("b").context("a").unwrap_err()), "a: b: c");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(line("a\x1b[31m\r\n\u{9b}\u{202e}gpj.ü"), r"a\u{1b}[31m\r\n\u{9b}\u{202e}gpj.ü");
        assert_eq!((count(1, "file"), count(2, "file")), ("1 file".into(), "2 files".into()));
    }
}
