//! Glob patterns, component by component: which names lead on, and which end.

use super::InputError;
use glob::{MatchOptions, Pattern};

pub(super) const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// One component of a pattern.
#[derive(Debug)]
pub(super) enum Part {
    /// `**`: any folders, or none.
    Folders,
    /// A name, in two halves since extensions are compared whatever their case.
    Name { stem: Glob, extension: Option<Glob> },
}

#[derive(Debug)]
pub(super) struct Glob {
    pattern: Pattern,
    pub text: String,
}

impl Glob {
    pub fn new(text: &str) -> Result<Self, InputError> {
        let pattern = Pattern::new(text).map_err(|error| InputError::Pattern { reason: error.to_string() })?;
        Ok(Self { pattern, text: text.into() })
    }

    pub fn all() -> Self {
        Self { pattern: Pattern::default(), text: "*".into() }
    }

    fn matches(&self, name: &str, case_sensitive: bool) -> bool {
        let options = MatchOptions { case_sensitive, ..MatchOptions::new() };
        self.text == "*" || self.pattern.matches_with(name, options)
    }
}

impl Part {
    pub fn new(text: &str, is_last: bool) -> Result<Self, InputError> {
        if text == "**" {
            return Ok(Self::Folders);
        }
        let halves =
            text.rsplit_once('.').filter(|(stem, extension)| is_last && !stem.is_empty() && !extension.contains([']', '}']));
        Ok(match halves {
            None => Self::Name { stem: Glob::new(text)?, extension: None },
            Some((stem, extension)) => Self::Name { stem: Glob::new(stem)?, extension: Some(Glob::new(extension)?) },
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Folders => !name.starts_with('.'),
            Self::Name { stem, .. } if name.starts_with('.') && !stem.text.starts_with('.') => false,
            Self::Name { stem, extension: None } => stem.matches(name, true),
            Self::Name { stem, extension: Some(extension) } => {
                name.rsplit_once('.').is_some_and(|(own_stem, own)| stem.matches(own_stem, true) && extension.matches(own, false))
            }
        }
    }
}

/// Where the name of a folder's entry leads from these parts: the parts of what lies in it, and whether it is the end of the pattern.
pub(super) fn next(parts: &[Part], states: &[usize], name: &str) -> (Vec<usize>, bool) {
    let (mut deeper, mut is_last) = (Vec::new(), false);
    let mut at: Vec<usize> = states.to_vec();
    let mut i = 0;
    while i < at.len() {
        let state = at[i];
        i += 1;
        let Some(part) = parts.get(state) else { continue };
        if matches!(part, Part::Folders) && !at.contains(&(state + 1)) {
            at.push(state + 1);
        }
        if part.matches(name) {
            let after = state + usize::from(!matches!(part, Part::Folders));
            if after == parts.len() {
                is_last = true;
            } else if !deeper.contains(&after) {
                deeper.push(after);
            }
        }
    }
    deeper.sort_unstable();
    (deeper, is_last)
}

/// `a.{jpg,png}` is `a.jpg` and `a.png`, as in a shell.
pub(super) fn braces(text: &str) -> Vec<String> {
    let Some(open) = text.find('{') else { return vec![text.into()] };
    let (mut depth, mut from, mut choices) = (0, open + 1, Vec::new());
    for (at, c) in text.char_indices().skip_while(|&(at, _)| at < open) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            '}' if depth == 1 && !choices.is_empty() => {
                choices.push(&text[from..at]);
                let whole = choices.iter().map(|choice| format!("{}{choice}{}", &text[..open], &text[at + 1..]));
                return whole.flat_map(|text| braces(&text)).collect();
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    vec![text.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_choices() {
        let expected = |text, choices: &[&str]| assert_eq!(braces(text), choices, "{text}");
        expected("a.jpg", &["a.jpg"]);
        expected("{a,b}/*.{jpg,png}", &["a/*.jpg", "a/*.png", "b/*.jpg", "b/*.png"]);
        expected("a{,.{x,y}}", &["a", "a.x", "a.y"]);
        for literal in ["{a}", "{a,b", "a}b,{c"] {
            expected(literal, &[literal]);
        }
    }

    /// The files of `names` that the pattern takes, given as below the current folder.
    fn taken<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
        let texts: Vec<&str> = pattern.split('/').collect();
        let parts: Vec<Part> = texts.iter().enumerate().map(|(i, text)| Part::new(text, i + 1 == texts.len()).unwrap()).collect();
        let takes = |name: &&&str| {
            let mut states = vec![0];
            let components: Vec<&str> = name.split('/').collect();
            components.iter().enumerate().any(|(i, component)| {
                let (deeper, is_last) = next(&parts, &states, component);
                states = deeper;
                is_last && i + 1 == components.len()
            })
        };
        names.iter().filter(takes).copied().collect()
    }

    #[test]
    fn patterns_lead_through_folders() {
        let names = ["a.jpg", "B.JPG", "c.png", "x/a.jpg", "x/y/a.jpeg", ".h.jpg", ".hid/a.jpg", "x/._a.jpg", "x.d/a.jpg"];
        assert_eq!(taken("*.jpg", &names), ["a.jpg", "B.JPG"]);
        assert_eq!(taken("**/*.jpg", &names), ["a.jpg", "B.JPG", "x/a.jpg", "x.d/a.jpg"]);
        assert_eq!(taken("**/*.jp*g", &names), ["a.jpg", "B.JPG", "x/a.jpg", "x/y/a.jpeg", "x.d/a.jpg"]);
        assert_eq!(taken("x/**/**/*", &names), ["x/a.jpg", "x/y/a.jpeg"]);
        assert_eq!(taken("?/*", &names), ["x/a.jpg"]);
        assert_eq!(taken(".*/*.jpg", &names), [".hid/a.jpg"]);
        assert_eq!(taken("x/._*.jpg", &names), ["x/._a.jpg"]);
        assert_eq!(taken("x.[a-d]/a.[jJ][pP][gG]", &names), ["x.d/a.jpg"]);
        // Names are compared as they are, extensions whatever their case.
        assert_eq!(taken("b.jpg", &names), [""; 0]);
        assert!(Part::new("a**b", true).is_err() && Part::new("[", true).is_err());
    }
}
