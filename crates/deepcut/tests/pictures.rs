//! Pictures of every format and layout against what a second decoder sees in them.
//!
//! `fixtures/pictures/generate.py` makes them; `examples/compare_decoders.rs` compares over any folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use deepcut::Image;
use deepcut::image::{Decoder, Format, ImageError, foreign};
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

/// Lines of a table of the folder, by tabs.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// `[height, width, 4]` bytes, not laid over anything.
fn rgba(image: &Image) -> Vec<u8> {
    let opaque = vec![255; image.height() * image.width()];
    let alpha = image.alpha().unwrap_or(&opaque);
    image.colors().chunks_exact(3).zip(alpha).flat_map(|(c, &a)| [c[0], c[1], c[2], a]).collect()
}

/// The greatest difference of what can be seen: colours where they are visible, and alpha.
fn difference(a: &[u8], b: &[u8]) -> u32 {
    let pixel = |(a, b): (&[u8], &[u8])| {
        let visible = u32::from(b[3].max(a[3]));
        let color = (0..3).map(|c| (u32::from(a[c].abs_diff(b[c])) * visible).div_ceil(255)).max().unwrap_or(0);
        color.max(u32::from(a[3].abs_diff(b[3])))
    };
    a.chunks_exact(4).zip(b.chunks_exact(4)).map(pixel).max().unwrap_or(0)
}

#[test]
fn every_layout_shows_what_a_second_decoder_sees() {
    let mut wrong = Vec::new();
    let pictures = table("expected.tsv");
    for line in &pictures {
        let [name, shown, tolerance] = &line[..] else { panic!("{line:?}") };
        let image = match Decoder::default().open(&folder().join(name)) {
            Ok(image) => image,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = image::open(folder().join(shown)).unwrap().into_rgba8();
        if (image.height(), image.width()) != (expected.height() as usize, expected.width() as usize) {
            wrong.push(format!("{name}: {} × {}", image.height(), image.width()));
            continue;
        }
        let found = difference(&rgba(&image), &expected);
        if found > tolerance.parse().unwrap() {
            wrong.push(format!("{name}: differs by {found}, allowed {tolerance}"));
        }
    }
    assert!(pictures.len() > 140, "only {} pictures", pictures.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the crate `image`, which shares no code with ours for TIFF, BMP and Netpbm, sees something else or nothing, and why.
const OTHERWISE: [(&str, &str); 12] = [
    ("profile-", "profiles are not applied"),
    ("turned-", "orientation is not applied when opening"),
    ("12-in-16", "its values are taken as they are"),
    ("tif-i", "signed values are not read as ranges"),
    ("tif-u", "32 and 64 bits are taken as they are"),
    ("tif-f", "floating-point values are not read as ranges"),
    ("tif-cielab", "not read"),
    ("tif-associated", "colors stay multiplied"),
    ("tif-thumbnail", "the thumbnail is taken"),
    ("tif-full", "the thumbnail is taken"),
    ("tif-five", "further channels"),
    ("lsb-first", "the order of bits is not seen"),
];

#[test]
fn another_decoder_in_this_process_agrees() {
    let (mut compared, mut unread, mut wrong) = (0, 0, Vec::new());
    for line in table("expected.tsv") {
        let name = &line[0];
        if OTHERWISE.iter().any(|(part, _)| name.contains(part)) {
            continue;
        }
        let bytes = std::fs::read(folder().join(name)).unwrap();
        // It panics at planes in tiles.
        let Ok(Ok(other)) = std::panic::catch_unwind(|| image::load_from_memory(&bytes)) else {
            unread += 1;
            continue;
        };
        compared += 1;
        let image = Image::decode(&bytes).unwrap();
        let found = difference(&rgba(&image), &other.into_rgba8());
        // JPEG's inverse transform is rounded otherwise there.
        let allowed = if name.contains("jpeg") || name.contains("ycbcr") { 6 } else { 1 };
        if found > allowed {
            wrong.push(format!("{name}: differs by {found}"));
        }
    }
    println!("{compared} compared, {unread} not read by the crate image");
    assert!(compared > 70, "only {compared}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    for line in table("refused.tsv") {
        let error = Decoder::default().open(&folder().join(&line[0])).unwrap_err().to_string();
        assert!(error.contains(&line[1]), "{}: {error}", line[0]);
        assert!(["convert it first", "develop it first"].iter().any(|remedy| error.contains(remedy)), "{}: {error}", line[0]);
    }
    for (bytes, words) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC is not read; convert it first: heif-convert"),
        (b"%PDF-1.7\n", "PDF is not read; draw its pages first: pdftoppm"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is not read; draw it first: rsvg-convert"),
        (b"BM..\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "wraps a PNG"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\0\0\0\0\0\0\0\0", "pngcrush"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 7\nMAXVAL 255\nTUPLTYPE SPECTRUM\nENDHDR\n0123456", "SPECTRUM"),
    ] {
        let error = Image::decode(bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// No prefix of a file is taken as a whole picture unless every pixel is there.
#[test]
fn files_that_were_cut_short_are_damaged_or_whole_to_the_last_pixel() {
    let keep = Decoder { keep_damaged: true, ..Decoder::default() };
    let (mut damaged, mut kept) = (0, 0);
    for line in table("expected.tsv") {
        let name = &line[0];
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let whole = Image::decode(&bytes).unwrap();
        let step = (bytes.len() / 40).max(1);
        for length in (1..bytes.len()).step_by(step).chain(bytes.len().saturating_sub(8)..bytes.len()) {
            match Image::decode(&bytes[..length]) {
                // Metadata after the pixels may be lost: what is seen is not.
                Ok(image) => assert_eq!(image.colors().len(), whole.colors().len(), "{name} at {length}"),
                Err(_) => damaged += 1,
            }
            if let (Ok(image), Ok(strict)) = (keep.decode(&bytes[..length]), Image::decode(&bytes[..length])) {
                assert_eq!(image, strict);
                let turned = whole.height() != strict.height();
                // A TIFF's tags, a PNG's and a WebP's metadata may follow the pixels.
                assert!(
                    turned || rgba(&strict) == rgba(&whole) || name.starts_with("turned") || name.starts_with("profile"),
                    "{name} at {length}"
                );
            } else if keep.decode(&bytes[..length]).is_ok_and(|image| image.damage().is_some()) {
                kept += 1;
            }
        }
    }
    println!("{damaged} prefixes damaged, {kept} of them kept");
    assert!(damaged > 4000 && kept > 400, "{damaged} {kept}");
}

#[test]
fn bytes_that_changed_never_panic_and_a_png_notices() {
    let keep = Decoder { keep_damaged: true, max_pixels: 1 << 20, memory: None };
    let mut seed = 1_u64;
    for line in table("expected.tsv") {
        let bytes = std::fs::read(folder().join(&line[0])).unwrap();
        for _ in 0..30 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + seed % 3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 33) as usize % bytes.len();
                bytes[at] ^= 1 << (seed >> 20 & 7);
            }
            let _ = keep.decode(&bytes);
        }
    }
    let bytes = std::fs::read(folder().join("png-rgb.png")).unwrap();
    let pixels = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    for at in (pixels..bytes.len() - 16).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert!(Image::decode(&bytes).is_err(), "{at}");
    }
}

#[test]
fn orientation_is_found_in_every_form() {
    let image = Decoder::default().open(&folder().join("../A3_exif6_prefixed.webp")).unwrap();
    assert_eq!((image.height(), image.width()), (160, 112));
}

/// The transparency of a picture is its own in the cutout; a white logo is told from the ground that it is laid over.
#[test]
fn transparency_is_kept_and_white_logos_are_found() {
    let open = |name: &str| Decoder::default().open(&folder().join("..").join(name)).unwrap();
    let half = open("B9_all_half.png");
    let stored = image::open(folder().join("../B9_all_half.png")).unwrap().into_rgba8();
    assert_eq!(rgba(&half), stored.into_raw());

    let logo = open("B9_white_logo.png");
    assert!(!logo.is_constant());
    let found = deepcut::Segmenter::load(deepcut::Options::default()).unwrap().segment(&logo).unwrap();
    let mask = found.mask();
    let alpha = logo.alpha().unwrap();
    let both = mask.iter().zip(alpha).filter(|&(&m, &a)| m > 0 && a > 127).count();
    let either = mask.iter().zip(alpha).filter(|&(&m, &a)| m > 0 || a > 127).count();
    println!("the logo is found with an IoU of {:.3}", both as f64 / either as f64);
    assert!(both * 10 > either * 7, "{both} of {either}");
    let cutout = image::load_from_memory(&deepcut::export::png::cutout(&logo, &found).unwrap()).unwrap().into_rgba8();
    assert!(cutout.pixels().zip(alpha).all(|(pixel, &own)| pixel.0[3] <= own));
}

#[test]
fn only_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let decoder = Decoder::default();
    assert!(matches!(decoder.open(dir.path()), Err(ImageError::NotAFile("a folder"))));
    assert!(matches!(decoder.open(&dir.path().join("none.png")), Err(ImageError::Read(_))));
    let empty = dir.path().join("empty.png");
    std::fs::write(&empty, []).unwrap();
    assert!(matches!(decoder.open(&empty), Err(ImageError::Empty)));
    // First bytes of a picture, then nothing but holes; and far more than a picture can have.
    for (length, is_sparse) in [(1_u64 << 27, true), (300 << 30, false)] {
        let path = dir.path().join("sparse.png");
        std::fs::write(&path, std::fs::read(folder().join("png-rgb.png")).unwrap()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let began = std::time::Instant::now();
        let error = decoder.open(&path).unwrap_err();
        assert!(began.elapsed().as_secs() < 5);
        let expected =
            if is_sparse { matches!(error, ImageError::Sparse { .. }) } else { matches!(error, ImageError::TooLong { .. }) };
        assert!(expected || !cfg!(unix), "{error:?}");
    }
    let pipe = dir.path().join("pipe.png");
    match Command::new("mkfifo").arg(&pipe).status() {
        Ok(status) if status.success() => {
            assert!(matches!(decoder.open(&pipe), Err(ImageError::NotAFile("a pipe, a socket or a device"))));
        }
        _ => println!("skipped: mkfifo is not installed"),
    }
    if cfg!(unix) {
        assert!(matches!(decoder.open(Path::new("/dev/zero")), Err(ImageError::NotAFile(_))));
    }
    // An endless stream.
    let endless = std::io::Read::chain(&b"P5 9 9 255\n"[..], std::io::repeat(0));
    let small = Decoder { max_pixels: 100, ..Decoder::default() };
    assert!(matches!(small.read(endless), Err(ImageError::TooLong { .. })));
    assert!(matches!(
        Decoder { max_pixels: 10, ..decoder }.open(&folder().join("png-rgb.png")),
        Err(ImageError::TooLarge { .. })
    ));
}

#[test]
fn names_of_pictures_and_of_what_is_not_read() {
    for name in ["a.jfif", "a.JIF", "a.apng", "a.dib", "a.pam", "a.Jpg", "a.tiff"] {
        assert!(Image::is_named_by(Path::new(name)) && foreign(Path::new(name)).is_none(), "{name}");
    }
    for name in ["a.heic", "a.HEIF", "a.avif", "a.jxl", "a.cr2", "a.nef", "a.dng", "a.pdf", "a.svg", "a.psd"] {
        assert!(!Image::is_named_by(Path::new(name)) && foreign(Path::new(name)).is_some(), "{name}");
    }
    // A camera's raw file is a TIFF whose first picture may be a thumbnail.
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("a.nef");
    std::fs::copy(folder().join("tif-rgb-raw.tif"), &raw).unwrap();
    assert!(matches!(Decoder::default().open(&raw), Err(ImageError::Foreign(found)) if found.name == "camera RAW"));
    assert_eq!(Format::of(b"\x89PNG\r\n\x1a\n"), Some(Format::Png));
}

/// Every layout that libtiff's own program can write of a picture that is known.
#[test]
fn every_layout_of_tiffcp_is_read() {
    if Command::new("tiffcp").arg("-h").output().is_err() {
        println!("skipped: tiffcp is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for source in ["rgb", "rgba", "l", "p", "cmyk"] {
        let from = folder().join(format!("tif-{source}-raw.tif"));
        let expected = rgba(&Decoder::default().open(&from).unwrap());
        for compression in ["none", "lzw", "lzw:2", "zip", "zip:2", "packbits"] {
            for layout in [&["-s", "-r", "3"][..], &["-t", "-w", "16", "-l", "32"]] {
                for planes in ["contig", "separate"] {
                    for order in [&["-L"][..], &["-B"], &["-8"], &["-8", "-B"], &["-f", "lsb2msb"]] {
                        let to = dir.path().join("out.tif");
                        let mut command = Command::new("tiffcp");
                        command.args(["-c", compression, "-p", planes]).args(layout).args(order).arg(&from).arg(&to);
                        if command.output().unwrap().status.success() {
                            let image = Decoder::default().open(&to).unwrap_or_else(|e| panic!("{command:?}: {e}"));
                            assert!(rgba(&image) == expected, "{command:?}");
                            compared += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{compared} layouts compared");
    assert!(compared > 500, "{compared}");
}

/// WebP as libwebp's own programs write and read it.
#[test]
fn webp_is_read_as_by_dwebp() {
    let dir = tempfile::tempdir().unwrap();
    let (webp, pam) = (dir.path().join("out.webp"), dir.path().join("out.pam"));
    let mut compared = 0;
    for source in ["png-rgb.png", "png-rgba.png", "png-l.png"] {
        for options in [
            &["-q", "1"][..],
            &["-q", "60"],
            &["-q", "100"],
            &["-lossless"],
            &["-near_lossless", "20"],
            &["-q", "50", "-alpha_q", "10"],
            &["-q", "50", "-segments", "4", "-f", "80", "-strong"],
            &["-m", "0", "-q", "30"],
        ] {
            let coded = Command::new("cwebp").args(options).arg(folder().join(source)).arg("-o").arg(&webp).output();
            let shown = Command::new("dwebp").arg(&webp).arg("-pam").arg("-o").arg(&pam).output();
            if coded.is_err() || shown.is_err() {
                println!("skipped: cwebp and dwebp are not installed");
                return;
            }
            let (ours, theirs) = (Decoder::default().open(&webp).unwrap(), Decoder::default().open(&pam).unwrap());
            let found = difference(&rgba(&ours), &rgba(&theirs));
            assert!(found <= 1, "{source} {options:?}: {found}");
            compared += 1;
        }
    }
    println!("{compared} compared");
}

/// The inputs with which these faults were reported.
#[test]
fn the_reported_pictures_are_read() {
    let faults = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/faults");
    if !faults.is_dir() {
        println!("skipped: ../shared/faults is not there");
        return;
    }
    let shown = |name: &str| rgba(&Decoder::default().open(&faults.join(name)).unwrap());
    let plain = shown("B1_planar_tiled.tif");
    for name in ["B2_bigtiff.tif", "B4_float255.tif", "B5_v5_alpha_all_zero.bmp"] {
        assert!(shown(name) == plain, "{name}");
    }
    let noted = Decoder::default().open(&faults.join("B4_float255.tif")).unwrap();
    assert!(noted.notes()[0].contains("255 as white"), "{:?}", noted.notes());
    // The profile's curve is an exponent of 2.2, not quite sRGB's; the other is JPEG's loss.
    assert!(difference(&shown("B8_swapped_profile.png"), &plain) <= 8);
    let mean =
        |name: &str| shown(name).iter().zip(&plain).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / plain.len() as f64;
    assert!(mean("B8_swapped_profile.jpg") < 3.0 && mean("B3_ycbcr_jpeg.tif") < 3.0);
}
