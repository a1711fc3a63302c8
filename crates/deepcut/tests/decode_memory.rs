//! Small files that claim much: what decoding them costs, measured in a process of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use deepcut::image::{Decoder, Format};
use deepcut::memory::Memory;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;
use std::path::Path;
use std::process::Command;

const FILE: &str = "DEEPCUT_TEST_DECODES";
/// Megabytes that a process may take to refuse or decode one of these; the process itself takes a tenth of it.
const MOST: u64 = 64;

/// The other half of the tests below: decodes one file and says how large the process became.
#[test]
#[ignore = "run by the tests of this file, in a process of its own"]
fn child() {
    let path = std::env::var(FILE).unwrap();
    let result = match Decoder::default().open(Path::new(&path)) {
        Ok(image) => format!("{} × {}, {:?}", image.width(), image.height(), image.notes()),
        Err(error) => error.to_string(),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("result: {result}\npeak: {}", peak.trim().trim_end_matches(" kB"));
}

/// What comes of a file, and the peak of the process in megabytes.
fn cost(name: &str, bytes: &[u8]) -> (String, u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FILE, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let find = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{name}: {text}"));
    let (result, peak) = (find("result: ").to_owned(), find("peak: ").parse::<u64>().unwrap() / 1024);
    println!("{name}: {} bytes, {peak} MB: {result}", bytes.len());
    (result, peak)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// A PNG of a size, with further chunks before its pixels, which are all zero.
fn png(height: u32, width: u32, color: u8, bytes_per_pixel: usize, more: &[u8], rows: u32) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, color, 0, 0, 0]].concat();
    let pixels = zeros(rows as usize * (1 + width as usize * bytes_per_pixel));
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head), more.to_vec(), chunk(b"IDAT", &pixels), chunk(b"IEND", &[])].concat()
}

/// So many zeros, deflated.
fn zeros(mut n: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    while n > 0 {
        let part = n.min(block.len());
        encoder.write_all(&block[..part]).unwrap();
        n -= part;
    }
    encoder.finish().unwrap()
}

/// A TIFF of one strip: pairs of a tag and its value.
fn tiff(tags: &[(u16, u32)]) -> Vec<u8> {
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        out.extend([&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    out.extend([0; 4]);
    out
}

#[test]
fn small_files_cost_little() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: the system does not tell a process's peak");
        return;
    }
    let side = |n: u16| n.to_le_bytes();
    let gif = |n: u16, frame: u16| {
        let screen = [&b"GIF89a"[..], &side(n), &side(n), &[0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2c, 0, 0, 0, 0]].concat();
        [&screen[..], &side(frame), &side(frame), &[0, 2, 2, 0x44, 1, 0, 0x3b]].concat()
    };
    let bmp = |bits: u8, compression: u8| {
        let mut out = [
            &b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"[..],
            &16_000_u32.to_le_bytes(),
            &16_000_u32.to_le_bytes(),
            &[1, 0, bits, 0],
        ]
        .concat();
        out.extend([compression, 0, 0, 0]);
        out.extend([0; 80]);
        out
    };
    let profile = chunk(b"iCCP", &[b"x\0\0", &zeros(1 << 28)[..]].concat());
    let text = chunk(b"zTXt", &[b"Raw profile type exif\0\0", &zeros(1 << 28)[..]].concat());
    let webp = |n: u32| {
        let bits = (n - 1) | (n - 1) << 14;
        let body = [&b"WEBPVP8L"[..], &12_u32.to_le_bytes(), &[0x2f], &bits.to_le_bytes(), &[0x88, 0x88, 8, 0, 0, 0, 0]].concat();
        [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
    };
    let size = [(256, 16_000), (257, 16_000)];
    let refused = [
        ("screen.gif", gif(16_000, 1)),
        ("frame.gif", gif(65_535, 65_535)),
        ("plain.bmp", bmp(24, 0)),
        ("runs.bmp", bmp(8, 1)),
        ("bits.pbm", b"P4 16000 16000\n12345678".to_vec()),
        ("text.ppm", b"P3 16000 16000 255\n1 2 3".to_vec()),
        ("many.pam", b"P7\nWIDTH 16000\nHEIGHT 16000\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n1234".to_vec()),
        ("empty.png", png(16_000, 16_000, 2, 3, &[], 10)),
        ("one.webp", webp(16_383)),
        ("strip.tif", tiff(&[size[0], size[1], (258, 8), (259, 5), (262, 1), (273, 8), (279, 90)])),
        ("tile.tif", tiff(&[(256, 9), (257, 9), (258, 8), (262, 1), (322, 1 << 16), (323, 1 << 16), (324, 8), (325, 90)])),
        (
            "channels.tif",
            tiff(&[(256, 9), (257, 9), (258, 8), (262, 1), (277, 190), (322, 2048), (323, 2048), (324, 8), (325, 90)]),
        ),
        ("float.tif", tiff(&[size[0], size[1], (258, 64), (259, 8), (262, 1), (273, 8), (277, 1), (339, 3)])),
        ("samples.tif", tiff(&[(256, 9), (257, 9), (258, 8), (262, 1), (273, 8), (277, 60_000)])),
    ];
    for (name, bytes) in refused {
        let (result, peak) = cost(name, &bytes);
        assert!(peak < MOST && result.contains("damaged: "), "{name}: {peak} MB: {result}");
    }
    for (name, bytes, note) in
        [("profile.png", png(32, 32, 2, 3, &profile, 32), "profile"), ("text.png", png(32, 32, 2, 3, &text, 32), "[]")]
    {
        let (result, peak) = cost(name, &bytes);
        assert!(peak < MOST && result.starts_with("32 × 32") && result.contains(note), "{name}: {peak} MB: {result}");
    }
}

/// A picture whose bytes do hold all that it claims waits for room, and the peak of four threads is that of one at a time.
#[test]
fn large_pictures_wait_for_room() {
    let bytes = png(3000, 3000, 6, 4, &[], 3000);
    let memory = Memory::new(1);
    let decoder = Decoder { memory: Some(memory.clone()), ..Decoder::default() };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let image = decoder.decode(&bytes).unwrap();
                assert_eq!((image.height(), image.width()), (3000, 3000));
                // Nobody else holds anything: a share of it is kept as long as the picture lives.
                assert_eq!(memory.held(), 3000 * 3000 * 12);
            });
        }
    });
    assert_eq!(memory.held(), 0);
}

/// What a decoder asks the budget for is what the process then takes.
#[test]
fn the_cost_asked_for_covers_the_peak() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: the system does not tell a process's peak");
        return;
    }
    let (_, alone) = cost("alone.pgm", b"P5 1 1 255\n\0");
    let rgba = image::RgbaImage::from_fn(1200, 900, |x, y| image::Rgba([x as u8, y as u8, (x * y) as u8, (x + y) as u8]));
    let rgba = image::DynamicImage::ImageRgba8(rgba);
    let rgb = image::DynamicImage::ImageRgb8(rgba.to_rgb8());
    let wide = image::DynamicImage::ImageRgb16(rgba.to_rgb16());
    for (name, format, picture, extension) in [
        ("png", Format::Png, &rgb, image::ImageFormat::Png),
        ("png-alpha", Format::Png, &rgba, image::ImageFormat::Png),
        ("png-16", Format::Png, &wide, image::ImageFormat::Png),
        ("webp", Format::WebP, &rgba, image::ImageFormat::WebP),
        ("tiff", Format::Tiff, &rgba, image::ImageFormat::Tiff),
        ("tiff-16", Format::Tiff, &wide, image::ImageFormat::Tiff),
        ("gif", Format::Gif, &rgba, image::ImageFormat::Gif),
        ("bmp", Format::Bmp, &rgb, image::ImageFormat::Bmp),
        ("pnm", Format::Pnm, &rgb, image::ImageFormat::Pnm),
        ("jpeg", Format::Jpeg, &rgb, image::ImageFormat::Jpeg),
    ] {
        let mut bytes = Vec::new();
        if extension == image::ImageFormat::Gif {
            let frame = image::Frame::new(picture.to_rgba8());
            image::codecs::gif::GifEncoder::new_with_speed(&mut bytes, 30).encode_frame(frame).unwrap();
        } else {
            picture.write_to(&mut std::io::Cursor::new(&mut bytes), extension).unwrap();
        }
        let asked = Decoder::default().cost(format, &bytes).unwrap() >> 20;
        let (result, peak) = cost(name, &bytes);
        println!("{name}: {asked} MB asked for, {} MB taken", peak - alone);
        assert!(result.starts_with("1200 × 900"), "{name}: {result}");
        assert!(peak - alone <= asked + 4, "{name}: {peak} MB, {alone} of it the process's own, {asked} asked for");
    }
}
