//! Lists of images, in the syntax that each data set's own lists have.
//!
//! | layout     | a line                                                                                                       |
//! |------------|--------------------------------------------------------------------------------------------------------------|
//! | any        | an image's name, with or without extension and folders; a second word is not looked at                     |
//! | VOC        | as above; `NAME -1` is an image without the list's class, which is left out                                 |
//! | DAVIS      | a sequence, `SEQUENCE/FRAME`, or the paths of a frame and of its mask                                        |
//! | COCO       | as any, or an image's number                                                                                |
//! | CUB        | as any, `NUMBER`, `NUMBER PATH`, or `NUMBER 0` for the test split, where 1 is left out                       |

use super::Layout;
use std::collections::{BTreeMap, BTreeSet};

/// What each line names, of the names `known`; None if nothing.
pub(super) fn read(
    layout: Layout,
    text: &str,
    known: &BTreeSet<String>,
    ids: &BTreeMap<u64, String>,
) -> Vec<(String, Option<Vec<String>>)> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| (line.to_owned(), names(layout, line, known, ids))).collect()
}

fn names(layout: Layout, line: &str, known: &BTreeSet<String>, ids: &BTreeMap<u64, String>) -> Option<Vec<String>> {
    if let Some(name) = find(line, known) {
        return Some(vec![name]);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, rest @ ..] = &words[..] else { return Some(vec![]) };
    if first.starts_with('#') {
        return Some(vec![]);
    }
    let numbered = || Some(vec![ids.get(&first.parse().ok()?)?.clone()]);
    let plain = || find(first, known).map(|name| vec![name]);
    match (layout, rest) {
        (Layout::Voc { .. } | Layout::VocInstances { .. }, ["-1"]) => plain().map(|_| vec![]),
        (Layout::Cub, ["1"]) => numbered().map(|_| vec![]),
        (Layout::Cub, [path]) if *path != "0" => find(path, known).map(|name| vec![name]).or_else(plain),
        (Layout::Davis, _) => plain().or_else(|| {
            let of = format!("{}/", first.trim_matches('/'));
            let frames: Vec<String> = known.range(of.clone()..).take_while(|name| name.starts_with(&of)).cloned().collect();
            (!frames.is_empty()).then_some(frames)
        }),
        _ => plain().or_else(numbered),
    }
}

/// The known name that a word means: itself, without extension, or the last parts of a path.
fn find(word: &str, known: &BTreeSet<String>) -> Option<String> {
    let word = word.replace('\\', "/");
    let parts: Vec<&str> = word.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let (last, _) = parts.split_last()?;
    let stem = last.rsplit_once('.').map_or(*last, |(stem, _)| stem);
    // The longest path first: frames of two sequences have one number.
    (0..parts.len()).find_map(|from| {
        let folder: String = parts[from..parts.len() - 1].iter().map(|part| format!("{part}/")).collect();
        [last, stem].into_iter().map(|name| format!("{folder}{name}")).find(|name| known.contains(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(layout: Layout, text: &str, known: &[&str]) -> Vec<String> {
        let ids = known.iter().zip(1..).map(|(name, id)| (id, (*name).to_owned())).collect();
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        let told = read(layout, text, &known, &ids).into_iter();
        told.flat_map(|(line, names)| names.unwrap_or_else(|| vec![format!("?{line}")])).collect()
    }

    #[test]
    fn the_sets_own_lists_are_understood() {
        let voc = "000005  1\r\n000007 -1\n000009  0\n\n000011\n";
        let year = Layout::Voc { year: 2007 };
        assert_eq!(picked(year, voc, &["000005", "000007", "000009"]), ["000005", "000009", "?000011"]);
        let frames = ["bear/00000", "bear/00001", "bear-two/00000", "dog/00000"];
        let davis = "/JPEGImages/480p/dog/00000.jpg /Annotations/480p/dog/00000.png\nbear\n";
        assert_eq!(picked(Layout::Davis, davis, &frames), ["dog/00000", "bear/00000", "bear/00001"]);
        assert_eq!(picked(Layout::Davis, "bear/00001\nbea\n", &frames), ["bear/00001", "?bea"]);
        let coco = "train2014/COCO_1.jpg\n2\nCOCO_3\n\u{feff}x";
        assert_eq!(picked(Layout::Coco20k, coco, &["COCO_1", "COCO_2"]), ["COCO_1", "COCO_2", "?COCO_3", "?\u{feff}x"]);
        let cub = "\u{feff}1 001.A/A_1.jpg\n2 1\n3 0\n2\n9 x.jpg";
        assert_eq!(
            picked(Layout::Cub, cub, &["001.A/A_1", "001.A/A_2", "002.B/B_1"]),
            ["001.A/A_1", "002.B/B_1", "001.A/A_2", "?9 x.jpg"]
        );
        let any = "# chosen\nimages/a.b.jpg\na.b\nmy photo\n.\\images\\c.png c_mask.png\n/\nd.jpg";
        assert_eq!(picked(Layout::Masks, any, &["a.b", "my photo", "c"]), ["a.b", "a.b", "my photo", "c", "?/", "?d.jpg"]);
    }
}
