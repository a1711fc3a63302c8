//! What reaches the terminal: errors without repetition, and no control characters of file names.

use deepcut::batch::Remedy;
use std::error::Error;
use std::io::Write as _;

/// A line on standard error. If that is closed there is nowhere to say so.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", line(text));
}

/// An error and its causes, each but those that an earlier one quotes.
pub fn chain(error: &anyhow::Error) -> String {
    join(error.to_string(), error.chain().nth(1))
}

/// As [`chain`], of an error of the library that ends with a remedy: the flags that do it are named.
pub fn with_flags(error: &(dyn Error + 'static), remedy: Option<Remedy>) -> String {
    let mut text = error.to_string();
    let flags = match remedy {
        Some(Remedy::WritableFolder) => Some("give a writable one with -o"),
        Some(Remedy::OverwriteOrFolder) => Some("pass --overwrite to replace it, or another folder with -o"),
        Some(Remedy::OverwriteOrName) => Some("pass --overwrite to replace it, or another name with -o"),
        Some(Remedy::AnotherFolder) => Some("give another folder with -o"),
        Some(Remedy::FolderOrOneFormat) => Some("give a folder with -o, or one --format"),
        Some(Remedy::FewerThreads) => Some("ask for fewer with --threads"),
        Some(Remedy::MorePixels) => Some("raise the limit with --max-pixels"),
        _ => None,
    };
    if let (Some(flags), Some(remedy)) = (flags, remedy)
        && let Some(what) = text.strip_suffix(&remedy.to_string())
    {
        text = format!("{what}{flags}");
    }
    join(text, error.source())
}

/// An error's text and its causes.
fn join(mut text: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
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

/// `1 image`, `2 images`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_said_once() {
        let missing = || std::io::Error::other("No such file or directory (os error 2)");
        let shown = |error: anyhow::Error| chain(&error);
        assert_eq!(
            shown(anyhow!(missing()).context("cannot read the file")),
            "cannot read the file: No such file or directory (os error 2)"
        );
        // A cause that quotes its own.
        let quoting =
            anyhow!(missing()).context("IO error for a.jpg: No such file or directory (os error 2)").context("cannot be read");
        assert_eq!(shown(quoting), "cannot be read: IO error for a.jpg: No such file or directory (os error 2)");
        let twice = anyhow!("Cannot read file a: gone").context("cannot read");
        assert_eq!(shown(twice), "Cannot read file a: gone");
        assert_eq!(shown(anyhow!("the same.").context("The same").context("first")), "first: The same");
        assert_eq!(shown(Err::<(), _>(anyhow!("c")).context("b").context("a").unwrap_err()), "a: b: c");
    }

    #[test]
    fn remedies_name_the_flags() {
        let shown = |error: deepcut::batch::BatchError| with_flags(&error, error.remedy());
        use deepcut::batch::{BatchError, FileError};
        let source = std::io::Error::other("no such folder");
        assert_eq!(
            shown(FileError::MakeFolder { folder: "x".into(), source }.into()),
            "cannot make the folder x; give a writable one with -o: no such folder"
        );
        assert_eq!(
            shown(BatchError::OneResult { formats: 1, images: 2 }),
            "one file or standard output takes one result of one image, not 1 format of 2 images; give a folder with -o, or one --format"
        );
        assert_eq!(shown(BatchError::StreamTwice), "standard input can be read only once");
        let large = deepcut::video::VideoError::TooLarge { height: 9, width: 8, max_pixels: 7 };
        assert_eq!(large.to_string(), "frames of 8 × 9 pixels are more than 7; raise the limit to read them");
        assert_eq!(
            with_flags(&large, large.remedy()),
            "frames of 8 × 9 pixels are more than 7; raise the limit with --max-pixels"
        );
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(line("a\x1b[31m\r\n\u{9b}\u{202e}gpj.ü"), r"a\u{1b}[31m\r\n\u{9b}\u{202e}gpj.ü");
        assert_eq!((count(1, "file"), count(2, "file")), ("1 file".into(), "2 files".into()));
    }
}
