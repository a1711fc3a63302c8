//! Formats that people have and this build does not read, with the command that converts.

use std::ffi::OsStr;
use std::path::Path;

/// A format that this build knows, but does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Foreign {
    /// What it is called: `"HEIC"`.
    pub name: &'static str,
    /// What to do about it, as part of a sentence: `"convert it first: heif-convert in.heic out.png"`.
    pub remedy: &'static str,
}

const fn foreign_of(name: &'static str, remedy: &'static str) -> Foreign {
    Foreign { name, remedy }
}

const HEIC: Foreign = foreign_of("HEIC", "convert it first: heif-convert in.heic out.png");
const AVIF: Foreign = foreign_of("AVIF", "convert it first: avifdec in.avif out.png");
const JPEG_XL: Foreign = foreign_of("JPEG XL", "convert it first: djxl in.jxl out.png");
const JPEG_2000: Foreign = foreign_of("JPEG 2000", "convert it first: opj_decompress -i in.jp2 -o out.png");
const JPEG_XR: Foreign = foreign_of("JPEG XR", "convert it first: JxrDecApp -i in.jxr -o out.tif");
const JPEG_LS: Foreign = foreign_of("JPEG-LS", "convert it first: ffmpeg -i in.jls out.png");
/// Camera raw files, whatever the maker.
pub(super) const RAW: Foreign =
    foreign_of("camera RAW", "develop it first: darktable-cli in.raw out.tif, or dcraw_emu -T in.raw");
const SVG: Foreign = foreign_of("SVG", "draw it first: rsvg-convert -o out.png in.svg");
const PDF: Foreign = foreign_of("PDF", "draw its pages first: pdftoppm -png -r 150 in.pdf page");
const POSTSCRIPT: Foreign = foreign_of("PostScript", "draw it first: gs -sDEVICE=png16m -r150 -o page%d.png in.ps");
const PSD: Foreign = foreign_of("Photoshop", "flatten it first: magick 'in.psd[0]' out.png");
const XCF: Foreign = foreign_of("GIMP's XCF", "flatten it first: xcf2png in.xcf -o out.png");
const EXR: Foreign = foreign_of("OpenEXR", "map its tones first: oiiotool in.exr --colorconvert linear sRGB -o out.png");
const HDR: Foreign = foreign_of("Radiance HDR", "map its tones first: oiiotool in.hdr --colorconvert linear sRGB -o out.png");
const PFM: Foreign = foreign_of("PFM (floating point)", "map its tones first: magick in.pfm out.png");
const DICOM: Foreign = foreign_of("DICOM", "choose a window first: dcmj2pnm --write-png in.dcm out.png");
const ICO: Foreign = foreign_of("Windows icon", "take its largest image: icotool -x in.ico");
const ICNS: Foreign = foreign_of("Apple icon", "take its largest image: icns2png -x in.icns");
const TGA: Foreign = foreign_of("TGA", "convert it first: magick in.tga out.png");
const QOI: Foreign = foreign_of("QOI", "convert it first: magick in.qoi out.png");
const DDS: Foreign = foreign_of("DDS", "convert it first: magick in.dds out.png");
const PCX: Foreign = foreign_of("PCX", "convert it first: magick in.pcx out.png");
const XPM: Foreign = foreign_of("XPM or XBM", "convert it first: magick in.xpm out.png");
const METAFILE: Foreign = foreign_of("Windows metafile", "draw it first: inkscape in.emf -o out.png");
const DJVU: Foreign = foreign_of("DjVu", "draw its pages first: ddjvu -format=tiff in.djvu out.tif");
const FITS: Foreign = foreign_of("FITS", "choose a range first: fitspng -o out.png in.fits");
const SCIENCE: Foreign = foreign_of("a file of arrays", "write the image as PNG or TIFF first");
const SLIDE: Foreign =
    foreign_of("a slide scanner's file", "take a level out first: vips openslideload in.svs out.tif --level 2");
const VIDEO: Foreign = foreign_of("a video", "take its frames first: ffmpeg -i in.mp4 frame%05d.png");
const MNG: Foreign = foreign_of("MNG or JNG", "convert it first: magick 'in.mng[0]' out.png");
const FLIF: Foreign = foreign_of("FLIF", "convert it first: flif -d in.flif out.png");
const BPG: Foreign = foreign_of("BPG", "convert it first: bpgdec -o out.png in.bpg");
const ARCHIVE: Foreign = foreign_of("an archive", "unpack it first");
const PAGE: Foreign = foreign_of("a web page", "the download gave a page instead of the image: download it again");
const POINTER: Foreign = foreign_of("a Git LFS pointer", "fetch the image itself: git lfs pull");

/// Extensions in lower case.
const EXTENSIONS: [(&[&str], Foreign); 31] = [
    (&["heic", "heif", "hif", "heics", "heifs"], HEIC),
    (&["avif", "avifs"], AVIF),
    (&["jxl"], JPEG_XL),
    (&["jp2", "j2k", "jpf", "jpx", "jpm", "j2c", "jpc", "jph", "jhc"], JPEG_2000),
    (&["jxr", "wdp", "hdp"], JPEG_XR),
    (&["jls"], JPEG_LS),
    (
        &[
            "3fr", "ari", "arw", "bay", "cap", "cr2", "cr3", "crw", "dcr", "dcs", "dng", "drf", "eip", "erf", "fff", "gpr",
            "iiq", "k25", "kdc", "mdc", "mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "ptx", "pxn", "r3d", "raf", "raw",
            "rw2", "rwl", "rwz", "sr2", "srf", "srw", "x3f",
        ],
        RAW,
    ),
    (&["svg", "svgz"], SVG),
    (&["pdf", "ai"], PDF),
    (&["ps", "eps", "epsf"], POSTSCRIPT),
    (&["psd", "psb"], PSD),
    (&["xcf"], XCF),
    (&["exr"], EXR),
    (&["hdr", "rgbe", "pic"], HDR),
    (&["pfm"], PFM),
    (&["dcm", "dicom"], DICOM),
    (&["ico", "cur"], ICO),
    (&["icns"], ICNS),
    (&["tga", "targa", "icb", "vda", "vst"], TGA),
    (&["qoi"], QOI),
    (&["dds"], DDS),
    (&["pcx", "dcx"], PCX),
    (&["xpm", "xbm"], XPM),
    (&["wmf", "emf"], METAFILE),
    (&["djvu", "djv"], DJVU),
    (&["fits", "fit", "fts"], FITS),
    (&["svs", "ndpi", "scn", "mrxs", "vms", "czi", "lif", "nd2", "oib", "oif", "vsi", "bif"], SLIDE),
    (&["mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "mts", "m2ts", "wmv", "flv", "3gp", "ogv", "insv"], VIDEO),
    (&["mng", "jng"], MNG),
    (&["flif"], FLIF),
    (&["bpg"], BPG),
];

/// The foreign format that a file is named as, whatever the case; nothing is read.
#[must_use]
pub fn foreign(path: &Path) -> Option<Foreign> {
    let extension = path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase();
    EXTENSIONS.iter().find(|(names, _)| names.contains(&&*extension)).map(|&(_, format)| format)
}

/// How many of a file's first bytes [`foreign_bytes`] looks at.
pub const FIRST_BYTES: usize = 4096;

/// The foreign format that a file's first bytes tell of.
///
/// Camera raw files that are TIFFs in disguise are told apart when the TIFF is read.
#[must_use]
pub fn foreign_bytes(first: &[u8]) -> Option<Foreign> {
    const MAGIC: [(&[u8], Foreign); 48] = [
        (b"\xff\x0a", JPEG_XL),
        (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
        (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
        (b"\xff\x4f\xff\x51", JPEG_2000),
        (b"II\xbc\x01", JPEG_XR),
        (b"IIRO", RAW),
        (b"IIRS", RAW),
        (b"MMOR", RAW),
        (b"IIU\0", RAW),
        (b"FUJIFILMCCD-RAW", RAW),
        (b"FOVb", RAW),
        (b"\0MRM", RAW),
        (b"II\x1a\0\0\0HEAPCCDR", RAW),
        (b"%!PS", POSTSCRIPT),
        (b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
        (b"8BPS", PSD),
        (b"gimp xcf", XCF),
        (b"\x76\x2f\x31\x01", EXR),
        (b"#?RADIANCE", HDR),
        (b"#?RGBE", HDR),
        (b"PF\n", PFM),
        (b"Pf\n", PFM),
        (b"\0\0\x01\0", ICO),
        (b"\0\0\x02\0", ICO),
        (b"icns", ICNS),
        (b"qoif", QOI),
        (b"DDS ", DDS),
        (b"/* XPM", XPM),
        (b"#define ", XPM),
        (b"\xd7\xcd\xc6\x9a", METAFILE),
        (b"AT&TFORM", DJVU),
        (b"SIMPLE  =", FITS),
        (b"\x93NUMPY", SCIENCE),
        (b"\x89HDF\r\n\x1a\n", SCIENCE),
        (b"\x8aMNG\r\n\x1a\n", MNG),
        (b"\x8bJNG\r\n\x1a\n", MNG),
        (b"FLIF", FLIF),
        (b"BPG\xfb", BPG),
        (b"\x1a\x45\xdf\xa3", VIDEO),
        (b"FLV\x01", VIDEO),
        (b"OggS", VIDEO),
        (b"\0\0\x01\xba", VIDEO),
        (b"\0\0\x01\xb3", VIDEO),
        (b"PK\x03\x04", ARCHIVE),
        (b"\x1f\x8b", ARCHIVE),
        (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
        (b"Rar!", ARCHIVE),
        (b"version https://git-lfs", POINTER),
    ];
    let first = &first[..first.len().min(FIRST_BYTES)];
    let at = |offset: usize, magic: &[u8]| first.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if let Some(&(_, format)) = MAGIC.iter().find(|(magic, _)| at(0, magic)) {
        return Some(format);
    }
    if at(4, b"ftyp") {
        return Some(media_brand(first));
    }
    // The thirty-two bits before it are the atom's length.
    if ["moov", "mdat", "wide", "skip"].iter().any(|atom| at(4, atom.as_bytes())) || (at(0, b"RIFF") && at(8, b"AVI ")) {
        return Some(VIDEO);
    }
    if at(128, b"DICM") {
        return Some(DICOM);
    }
    if (at(0, b"II*\0") || at(0, b"MM\0*")) && at(8, b"CR\x02") {
        return Some(RAW);
    }
    if at(40, b" EMF") {
        return Some(METAFILE);
    }
    let contains = |what: &[u8], within: usize| first[..first.len().min(within)].windows(what.len()).any(|w| w == what);
    if contains(b"%PDF-", 1024) {
        return Some(PDF);
    }
    // Text: a mark of its encoding and blanks may come first.
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
    if text.first() == Some(&b'<') {
        let lower = text.to_ascii_lowercase();
        let has = |what: &[u8]| lower.windows(what.len()).any(|w| w == what);
        return match () {
            () if has(b"<svg") => Some(SVG),
            () if has(b"<html") || has(b"<!doctype html") || has(b"<head") || has(b"<body") => Some(PAGE),
            () => None,
        };
    }
    None
}

/// What a file of ISO's media format holds, by its major brand, then by the compatible ones.
fn media_brand(first: &[u8]) -> Foreign {
    let length = first.get(..4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).clamp(12, FIRST_BYTES);
    let brands =
        || first.get(8..length.min(first.len())).unwrap_or_default().chunks_exact(4).enumerate().filter(|&(i, _)| i != 1);
    let has = |known: &[&[u8]]| brands().any(|(_, brand)| known.contains(&brand));
    if has(&[b"crx "]) {
        return RAW;
    }
    if has(&[b"avif", b"avis"]) {
        return AVIF;
    }
    if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2", b"miaf"]) {
        return HEIC;
    }
    if has(&[b"jp2 ", b"jpx ", b"jpm "]) { JPEG_2000 } else { VIDEO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_bytes_tell_foreign_formats() {
        let named = |name| foreign(Path::new(name)).map(|f| f.name);
        assert_eq!(named("a/IMG_0001.HEIC"), Some("HEIC"));
        assert_eq!(named("a.cr2"), Some("camera RAW"));
        assert_eq!(named("a.jpg"), None);
        assert_eq!(named("heic"), None);
        let told = |bytes: &[u8]| foreign_bytes(bytes).map(|f| f.name);
        assert_eq!(told(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), Some("HEIC"));
        assert_eq!(told(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"), Some("AVIF"));
        assert_eq!(told(b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"), Some("camera RAW"));
        assert_eq!(told(b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"), Some("a video"));
        assert_eq!(told(b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- x --><SVG xmlns='x'>"), Some("SVG"));
        assert_eq!(told(b"<!DOCTYPE html><html><svg"), Some("SVG"));
        assert_eq!(told(b"<!DOCTYPE html><title>404"), Some("a web page"));
        assert_eq!(told(b"junk %PDF-1.7"), Some("PDF"));
        assert_eq!(told(&[&[0; 128][..], b"DICM"].concat()), Some("DICOM"));
        assert_eq!(told(b"II*\0\x10\0\0\0CR\x02\0"), Some("camera RAW"));
        assert_eq!(told(b"II*\0\x08\0\0\0"), None);
        assert_eq!(told(b"\x89PNG\r\n\x1a\n"), None);
        assert_eq!(told(b""), None);
        // The two tables agree in what they call a format, and no extension is an image's.
        for (names, _) in EXTENSIONS {
            assert!(names.iter().all(|name| !crate::Image::EXTENSIONS.contains(name)), "{names:?}");
        }
    }
}
