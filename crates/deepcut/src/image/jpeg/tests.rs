//! The decoder against libjpeg-turbo's pixels and warnings. `tests/fixtures/generate_jpeg.py` made the files and their hashes.

use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LIMITS: Limits = Limits { max_pixels: 1 << 24 };

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// Damage of a file that has pixels, or the error of one that has none.
fn fault(bytes: &[u8]) -> Option<String> {
    match decode(bytes, &LIMITS) {
        Ok(decoded) => decoded.damage,
        Err(error) => Some(error.to_string()),
    }
}

/// Place of a file's first marker of a kind, which no data before it look like.
fn place(bytes: &[u8], marker: u8) -> usize {
    bytes.windows(2).position(|two| two == [0xff, marker]).unwrap()
}

#[test]
fn every_kind_of_file_has_libjpegs_pixels() {
    let table = String::from_utf8(fixture("expected.tsv")).unwrap();
    let mut tried = 0;
    for line in table.lines() {
        let [name, height, width, channels, hash] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = fixture(name);
        let decoded = decode(&bytes, &LIMITS).unwrap();
        assert_eq!(decoded.damage, None, "{name}");
        let shape = [decoded.height, decoded.width, decoded.components.count()].map(|n| n.to_string());
        assert_eq!(shape, [height, width, channels], "{name}");
        let seen: String = Sha256::digest(&decoded.data).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seen, hash, "{name}: other pixels");
        let header = header(&bytes).unwrap();
        assert_eq!((header.height, header.width, header.components), (decoded.height, decoded.width, decoded.components));
        assert_eq!(decoded.into_rgb().len(), header.height * header.width * 3);
        tried += 1;
    }
    assert!(tried >= 55, "{tried} files");
}

/// Every prefix lacks something, but for the two bytes that only say that the image ends.
#[test]
fn a_file_cut_anywhere_is_damaged() {
    for name in
        ["luma_2x2.jpg", "scans_backwards.jpg", "progressive_script.jpg", "restarts.jpg", "grey.jpg", "cmyk.jpg", "noise_100.jpg"]
    {
        let bytes = fixture(name);
        let whole = decode(&bytes, &LIMITS).unwrap();
        for length in 0..bytes.len() {
            match decode(&bytes[..length], &LIMITS) {
                Ok(cut) if length >= bytes.len() - 2 => assert_eq!((cut.damage, &cut.data), (None, &whole.data), "{name}"),
                Ok(cut) => {
                    assert!(cut.damage.is_some(), "{length} of {} bytes of {name}", bytes.len());
                    assert_eq!(cut.data.len(), whole.data.len());
                }
                Err(_) => assert!(length < bytes.len() - 2),
            }
        }
    }
}

/// What comes before a cut is as in the whole image, and what is missing is counted.
#[test]
fn the_rows_before_a_cut_are_kept() {
    let bytes = fixture("luma_1x1.jpg");
    let whole = decode(&bytes, &LIMITS).unwrap();
    let scan = place(&bytes, 0xda);
    let cut = decode(&bytes[..(scan + bytes.len()) / 2], &LIMITS).unwrap();
    let damage = cut.damage.unwrap();
    assert!(damage.starts_with("the file ends early, ") && damage.contains(" of 60 blocks are missing"), "{damage}");
    let row = 3 * whole.width;
    assert_eq!(cut.data[..8 * row], whole.data[..8 * row]);
    // Grey, as libjpeg makes what it lacks.
    assert_eq!(cut.data[cut.data.len() - 3..], [128; 3]);
}

/// Bytes of one segment are lost: the others keep their places.
#[test]
fn restart_markers_limit_damage() {
    let bytes = fixture("restarts.jpg");
    let whole = decode(&bytes, &LIMITS).unwrap();
    let marker = |number: u8| place(&bytes, 0xd0 + number);
    // An MCU of 8 × 8 pixels for each segment, six of them a row.
    let differing = |damaged: &[u8]| {
        let decoded = decode(damaged, &LIMITS).unwrap();
        assert!(decoded.damage.is_some());
        let mcus: std::collections::BTreeSet<usize> = (0..whole.data.len() / 3)
            .filter(|pixel| decoded.data[3 * pixel..][..3] != whole.data[3 * pixel..][..3])
            .map(|pixel| pixel / 48 / 8 * 6 + pixel % 48 / 8)
            .collect();
        mcus.into_iter().collect::<Vec<_>>()
    };
    // The segment between the markers 3 and 4 is that of MCU 4.
    let middle = (marker(3) + marker(4)) / 2;
    assert_eq!(differing(&[&bytes[..middle], &bytes[marker(4)..]].concat()), [4], "half of a segment is gone");
    assert_eq!(differing(&[&bytes[..marker(3)], &bytes[marker(4)..]].concat()), [4], "a segment and its marker are gone");
    assert_eq!(differing(&[&bytes[..marker(3)], &bytes[marker(5)..]].concat()), [4, 5], "two of them");
    let mut noisy = bytes.clone();
    noisy[marker(3) + 4..marker(4)].fill(0x55);
    assert_eq!(differing(&noisy), [4]);
    // A marker that has no meaning within a scan.
    noisy[middle..middle + 2].copy_from_slice(&[0xff, 0x5a]);
    assert_eq!(differing(&noisy), [4]);
    let twice = [&bytes[..marker(4)], &bytes[marker(3)..]].concat();
    assert_eq!(differing(&twice), [0; 0], "a segment comes twice");
}

#[test]
fn what_libjpeg_warns_of_is_damage() {
    let plain = fixture("luma_1x1.jpg");
    let scan = place(&plain, 0xda);
    let insert = |at: usize, what: &[u8]| [&plain[..at], what, &plain[at..]].concat();
    let end = plain.len() - 2;
    let segment = |name: &[u8], number: u8| [&[0xff, number, 0, name.len() as u8 + 2], name].concat();
    for (damaged, words) in [
        (insert(2, b"junk"), "4 bytes belong to nothing"),
        (insert(scan, &[0xff, 0, 1]), "3 bytes belong to nothing"),
        (insert(end, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), "9 bytes belong to nothing"),
        (insert(end, &[0xff, 0xd8]), "a second image begins within the first"),
        (insert(end, &[0xff, 0xe0, 0, 1]), "less than two bytes"),
        (insert(end, &[0xff, 0xfe, 0, 99]), "the file ends within a segment"),
        (insert(2, &segment(b"JFIF\0\x07\x08\0\0\x01\0\x01\0\0", 0xe0)), "its JFIF version, 7.08, is unknown"),
    ] {
        let fault = decode(&damaged, &LIMITS).unwrap().damage.unwrap();
        assert!(fault.contains(words), "{words} not in: {fault}");
    }
    // A part of a colour profile is none; the pixels are whole.
    let part = insert(scan, &segment(b"ICC_PROFILE\0\x01\x02\0\0\x10\0profile", 0xe2));
    assert_eq!((fault(&part), decode(&part, &LIMITS).unwrap().icc), (None, Some(Vec::new())));
    let part = crate::Image::decode(&part).unwrap();
    assert!(part.notes()[0].contains("color profile cannot be read"), "{:?}", part.notes());
    // Harmless: a restart marker or a table before the end, and a comment.
    for harmless in [&[0xff, 0xd0][..], &[0xff, 0xff, 0xfe, 0, 3, 7], &[0xff, 0xdd, 0, 4, 0, 9], &[0xff, 0x01]] {
        assert_eq!(fault(&insert(end, harmless)), None);
    }
    // Refined until a coefficient leaves its sixteen bits, found by fuzzing.
    assert!(fault(&fixture("refined_beyond.jpg")).is_some());
    // One of four Huffman tables is gone: those of the standard are for files without any.
    let mut lost = plain.clone();
    lost[place(&plain, 0xc4) + 1] = 0xe4;
    assert!(fault(&lost).unwrap().contains("a Huffman table is missing"));
    // More coefficients than a block has: the code for the longest run, again and again.
    let mut long = fixture("noise_100.jpg");
    let scan = place(&long, 0xda);
    let end = long.len() - 2;
    long[scan + 20..end].copy_from_slice(&[0xff, 0].repeat(end)[..end - scan - 20]);
    assert!(fault(&long).unwrap().contains("follow invalid codes"));
}

/// A progressive file that ends between two scans, with the marker that ends an image.
#[test]
fn missing_scans_are_damage() {
    let bytes = fixture("progressive_script.jpg");
    let scans: Vec<usize> = (0..bytes.len() - 1).filter(|&at| bytes[at..at + 2] == [0xff, 0xda]).collect();
    assert_eq!(scans.len(), 10);
    let tables = bytes[..scans[9]].windows(2).rposition(|two| two == [0xff, 0xc4]).unwrap();
    let fault_of = |bytes: &[u8]| decode(bytes, &LIMITS).unwrap().damage.unwrap();
    let cut = [&bytes[..tables], &[0xff, 0xd9]].concat();
    assert_eq!(fault_of(&cut), "scans are missing: 63 of 192 frequencies are not there in full");
    // A refinement comes twice.
    let twice = [&bytes[..bytes.len() - 2], &bytes[scans[9]..]].concat();
    assert!(fault_of(&twice).ends_with("its scans do not follow each other"));
    let sequential = fixture("scans_backwards.jpg");
    let last = sequential.windows(2).rposition(|two| two == [0xff, 0xda]).unwrap();
    let cut = [&sequential[..last], &[0xff, 0xd9]].concat();
    assert_eq!(fault_of(&cut), "scans are missing: 64 of 192 frequencies are not there in full");
    let again = [&sequential[..sequential.len() - 2], &sequential[last..]].concat();
    assert_eq!(fault_of(&again), "its scans do not follow each other");
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let plain = fixture("luma_2x1.jpg");
    let frame = place(&plain, 0xc0);
    let patched = |at: usize, value: u8| {
        let mut bytes = plain.clone();
        bytes[frame + at] = value;
        decode(&bytes, &LIMITS).map(|_| ()).unwrap_err().to_string()
    };
    for (marker, words) in [
        (0xc3, "lossless"),
        (0xc5, "hierarchical"),
        (0xc9, "arithmetically"),
        (0xca, "arithmetically"),
        (0xcb, "arithmetically"),
        (0xcc, "arithmetically"),
        (0xcf, "hierarchical"),
        (0xf7, "JPEG-LS"),
        (0xf0, "the marker FFF0 is unknown"),
    ] {
        let message = patched(1, marker);
        assert!(message.contains(words) && message.contains(';'), "{message}");
    }
    assert!(patched(4, 12).contains("samples of 12 bits"));
    assert!(patched(9, 2).contains("2 components"));
    assert!(patched(14, 0x31).contains("no whole multiples"));
    assert!(patched(11, 0x51).contains("out of range"));
    let mut later = plain.clone();
    later[frame + 5..frame + 7].fill(0);
    assert!(decode(&later, &LIMITS).unwrap_err().to_string().contains("(DNL)"));
    assert_eq!(decode(b"\x89PNG", &LIMITS).unwrap_err(), JpegError::NotJpeg);
    assert_eq!(decode(&plain[..frame], &LIMITS).unwrap_err(), JpegError::Truncated);
    let small = Limits { max_pixels: 37 * 29 - 1 };
    assert!(matches!(decode(&plain, &small), Err(JpegError::TooLarge { height: 29, width: 37, .. })));
    assert!(decode(&plain, &Limits { max_pixels: 37 * 29 }).is_ok());
}

/// A few hundred bytes that state an image of 4 gigapixels cost nothing.
#[test]
fn claims_beyond_the_bytes_are_refused() {
    for (name, blocks_of_a_byte) in [("luma_2x2.jpg", 4), ("progressive.jpg", 8), ("grey.jpg", 4), ("progressive_grey.jpg", 8)] {
        let mut bytes = fixture(name);
        let frame = bytes.windows(2).position(|two| two == [0xff, 0xc0] || two == [0xff, 0xc2]).unwrap();
        bytes[frame + 5..frame + 9].fill(0xff);
        let error = decode(&bytes, &Limits { max_pixels: u64::MAX }).unwrap_err();
        assert_eq!(error, JpegError::Claim { height: 65_535, width: 65_535, bytes: bytes.len() }, "{name}");
        assert_eq!(header(&bytes).unwrap_err(), error);
        // What is let through needs memory in proportion to the bytes.
        for side in 1..=255_u8 {
            bytes[frame + 5..frame + 9].copy_from_slice(&[side, 0, side, 0]);
            if let Ok(header) = header(&bytes) {
                assert!(header.memory < (bytes.len() * blocks_of_a_byte * 1024) as u64, "{name}, {side}: {}", header.memory);
            }
        }
    }
}

/// A scan of two bytes for each 32,767 blocks: there may be many, and the work stays bounded.
#[test]
fn scans_without_end_are_left_out() {
    let bytes = fixture("progressive_grey.jpg");
    let last = bytes.windows(2).rposition(|two| two == [0xff, 0xda]).unwrap();
    let scan = &bytes[last..bytes.len() - 2];
    let bomb = [&bytes[..last], &scan.repeat(MAX_VISITS as usize / SCAN_VISITS as usize + 9), &[0xff, 0xd9]].concat();
    let damage = decode(&bomb, &LIMITS).unwrap().damage.unwrap();
    assert!(damage.contains("more scans than any program writes"), "{damage}");
}

#[test]
fn profile_and_exif_are_found() {
    let plain = fixture("grey.jpg");
    let segment = |number: u8, contents: &[u8]| [&[0xff, number, 0, contents.len() as u8 + 2], contents].concat();
    // A profile of 12 bytes in two parts, the second first.
    let parts = [
        segment(0xe2, b"ICC_PROFILE\0\x02\x02 profile"),
        segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        segment(0xe1, b"Exif\0\0II*\0"),
        segment(0xe2, b"ICC_PROFILE\0\x01\x02\0\0\0\x0c"),
    ];
    let decoded = decode(&[&plain[..2], &parts.concat(), &plain[2..]].concat(), &LIMITS).unwrap();
    assert_eq!(decoded.damage, None);
    assert_eq!(decoded.icc.unwrap(), b"\0\0\0\x0c profile");
    assert_eq!(decoded.exif.unwrap(), b"II*\0");
}

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

fn djpeg(file: &Path) -> Output {
    Command::new("djpeg").args(["-dct", "int"]).arg(file).output().unwrap()
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Sizes, qualities, sampling factors, restart intervals and scan scripts at random, made by cjpeg and decoded by djpeg.
#[test]
fn random_files_have_djpegs_pixels() {
    if !installed("cjpeg") || !installed("djpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [source, script, file] = ["source.ppm", "script", "file.jpg"].map(|name| folder.path().join(name));
    let mut dice = Dice(1);
    let mut compared = 0;
    for case in 0..400 {
        let (width, height, contrast) = (1 + dice.below(70), 1 + dice.below(50), 1 + dice.below(200));
        let mut ppm = format!("P6\n{width} {height}\n255\n").into_bytes();
        for pixel in 0..width * height {
            let inside = (pixel % width).abs_diff(width / 2) + (pixel / width).abs_diff(height / 3) < width / 3;
            ppm.extend((0..3).map(|c| (30 + 20 * c + if inside { 90 } else { 0 } + dice.below(contrast)).min(255) as u8));
        }
        std::fs::write(&source, ppm).unwrap();
        let mut factor = |most: usize| 1 + dice.below(most);
        let factors: Vec<String> =
            (0..3).map(|c| format!("{}x{}", factor(if c == 0 { 4 } else { 2 }), factor(if c == 0 { 4 } else { 2 }))).collect();
        let mut arguments = vec!["-quality".to_string(), factor(100).to_string(), "-sample".into(), factors.join(",")];
        match factor(3) {
            1 => arguments.push("-optimize".into()),
            2 => arguments.extend(["-restart".into(), format!("{}B", factor(9))]),
            _ => {}
        }
        match factor(4) {
            1 => arguments.push("-progressive".into()),
            2 => {
                std::fs::write(&script, progressive_script(&mut dice)).unwrap();
                arguments.extend(["-scans".into(), script.display().to_string()]);
            }
            3 => {
                let order = ["0;1;2;", "2;0;1;", "0 1;2;", "1 2;0;", "0;1 2;"][dice.below(5)];
                std::fs::write(&script, order).unwrap();
                arguments.extend(["-scans".into(), script.display().to_string()]);
            }
            _ => {}
        }
        let made = Command::new("cjpeg").args(&arguments).arg("-outfile").arg(&file).arg(&source).output().unwrap();
        if !made.status.success() {
            // Ratios that are not whole numbers, and MCUs of more than ten blocks.
            continue;
        }
        let expected = djpeg(&file).stdout;
        let decoded = decode(&std::fs::read(&file).unwrap(), &LIMITS).unwrap();
        assert_eq!(decoded.damage, None, "case {case}: {arguments:?}");
        let same = expected.ends_with(&decoded.data) && expected.len() - decoded.data.len() < 20;
        assert!(same, "case {case}, {width} × {height}: {arguments:?} has other pixels");
        compared += 1;
    }
    println!("{compared} files compared");
    assert!(compared > 150, "only {compared} files compared");
}

/// A script for cjpeg: bands of each component, each from coarse to fine, in any order that keeps each one's own.
fn progressive_script(dice: &mut Dice) -> String {
    let mut bands: Vec<Vec<String>> = Vec::new();
    let low = dice.below(4);
    let mut script = format!("0,1,2: 0-0, 0, {low};\n");
    let refine =
        |band: String, low: usize| (0..low).rev().map(move |bit| format!("{band}, {}, {bit};\n", bit + 1)).collect::<Vec<_>>();
    bands.push(refine("0,1,2: 0-0".into(), low));
    for component in 0..3 {
        let cut = 1 + dice.below(62);
        for (first, last) in [(1, cut), (cut + 1, 63)] {
            let low = dice.below(4);
            let band = format!("{component}: {first}-{last}");
            bands.push([vec![format!("{band}, 0, {low};\n")], refine(band, low)].concat());
        }
    }
    while bands.iter().any(|band| !band.is_empty()) {
        let next = dice.below(bands.len());
        if !bands[next].is_empty() {
            script += &bands[next].remove(0);
        }
    }
    script
}

/// Whatever djpeg warns of, or gives up on, is damage or an error here, but for a missing end.
#[test]
fn whatever_djpeg_warns_of_is_damage() {
    if !installed("djpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.jpg");
    let names: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().unwrap() == "jpg")
        .collect();
    let mut names = names;
    names.sort();
    let mut dice = Dice(2);
    let mut flagged = 0;
    for case in 0..400 {
        let name = &names[dice.below(names.len())];
        let mut bytes = std::fs::read(name).unwrap();
        let at = 2 + dice.below(bytes.len() - 4);
        let end = (at + 1 + dice.below(20)).min(bytes.len());
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            _ => bytes[at..end].fill_with(|| dice.below(256) as u8),
        }
        std::fs::write(&file, &bytes).unwrap();
        let output = djpeg(&file);
        let words = String::from_utf8_lossy(&output.stderr);
        let only_end = words.trim() == "Premature end of JPEG file";
        if words.is_empty() && output.status.success() {
            continue;
        }
        flagged += 1;
        assert!(fault(&bytes).is_some() || only_end, "case {case}, {}: djpeg says {words}", name.display());
    }
    assert!(flagged > 200, "only {flagged} files were damaged");
}

proptest! {
    /// Damage at random: no panic, and pixels of the announced size.
    #[test]
    fn damage_never_panics(
        which in 0_usize..59,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..30), 1..8),
    ) {
        let table = String::from_utf8(fixture("expected.tsv")).unwrap();
        let name = table.lines().nth(which % table.lines().count()).unwrap().split('\t').next().unwrap();
        let mut bytes = fixture(name);
        for (at, value, removed) in edits {
            let at = at.index(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, [value]);
        }
        if let Ok(decoded) = decode(&bytes, &LIMITS) {
            let header = header(&bytes).unwrap();
            prop_assert_eq!(decoded.data.len(), header.height * header.width * header.components.count());
            prop_assert!(decoded.data.len() as u64 <= header.memory);
        }
    }
}
