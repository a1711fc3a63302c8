//! Tags one by one: each is honoured, or the image is refused with its name.

use super::*;

/// A little-endian TIFF: each tag with its type and values, then the bytes of one strip.
fn tiff(tags: &[(u16, u16, &[u32])], pixels: &[u8]) -> Vec<u8> {
    tiff_of(tags, &[pixels])
}

/// The same of several strips.
fn tiff_of(tags: &[(u16, u16, &[u32])], strips: &[&[u8]]) -> Vec<u8> {
    let mut tags = tags.to_vec();
    let lengths: Vec<u32> = strips.iter().map(|strip| strip.len() as u32).collect();
    let starts: Vec<u32> = (0..strips.len()).map(|i| 8 + lengths[..i].iter().sum::<u32>()).collect();
    let pixels = strips.concat();
    tags.push((tag::STRIP_OFFSETS, 4, &starts));
    tags.push((tag::STRIP_LENGTHS, 4, &lengths));
    let mut tail = Vec::new();
    let start = 8 + pixels.len() as u32;
    let values_at = start + 2 + 12 * tags.len() as u32 + 4;
    let mut out = [b"II*\0", &start.to_le_bytes()[..], &pixels, &(tags.len() as u16).to_le_bytes()].concat();
    for (tag, kind, values) in tags {
        let bytes: Vec<u8> = match kind {
            3 => values.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|&v| v.to_le_bytes()).collect(),
        };
        out.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &(values.len() as u32).to_le_bytes()].concat());
        if bytes.len() <= 4 {
            out.extend([&bytes[..], &[0; 4]].concat().get(..4).unwrap());
        } else {
            out.extend((values_at + tail.len() as u32).to_le_bytes());
            tail.extend(bytes);
        }
    }
    [out, vec![0; 4], tail].concat()
}

/// The tags of a grey image of two pixels, with others in their place.
fn grey(changed: &[(u16, u16, &[u32])], pixels: &[u8]) -> Result<Picture, ImageError> {
    let plain: [(u16, u16, &[u32]); 4] =
        [(tag::WIDTH, 3, &[2]), (tag::HEIGHT, 3, &[1]), (tag::BITS, 3, &[8]), (tag::PHOTOMETRIC, 3, &[1])];
    let kept = plain.into_iter().filter(|(tag, ..)| changed.iter().all(|(other, ..)| other != tag));
    decode(&tiff(&kept.chain(changed.iter().copied()).collect::<Vec<_>>(), pixels))
}

#[test]
fn tags_that_are_not_honoured_are_named() {
    assert_eq!(grey(&[], &[7, 9]).unwrap().data, [7, 9]);
    for (changed, words) in [
        (&[(tag::FILL_ORDER, 3, &[3_u32][..])][..], "FillOrder 3"),
        (&[(tag::PLANAR, 3, &[3])], "PlanarConfiguration 3"),
        (&[(tag::COMPRESSION, 3, &[6])], "old-style JPEG"),
        (&[(tag::COMPRESSION, 3, &[12_345])], "Compression 12345"),
        (&[(tag::COMPRESSION, 3, &[8]), (tag::PREDICTOR, 3, &[7])], "Predictor 7"),
        (&[(tag::COMPRESSION, 3, &[8]), (tag::PREDICTOR, 3, &[3])], "Predictor 3"),
        (&[(tag::COMPRESSION, 3, &[8]), (tag::PREDICTOR, 3, &[2]), (tag::BITS, 3, &[4])], "Predictor 2 for 4 bits"),
        (&[(tag::COMPRESSION, 3, &[3])], "more than one bit"),
        (&[(tag::COMPRESSION, 3, &[3]), (tag::BITS, 3, &[1]), (tag::FAX_3_OPTIONS, 4, &[2])], "without compression"),
        (&[(tag::SAMPLE_FORMAT, 3, &[5])], "SampleFormat 5"),
        (&[(tag::BITS, 3, &[20])], "20 bits"),
        (&[(tag::SAMPLE_FORMAT, 3, &[3])], "8 bits a sample (Float)"),
        (&[(tag::SAMPLES, 3, &[3]), (tag::BITS, 3, &[5, 6, 5]), (tag::PHOTOMETRIC, 3, &[2])], "differ in BitsPerSample"),
        (&[(tag::PHOTOMETRIC, 3, &[4])], "mask"),
        (&[(tag::PHOTOMETRIC, 3, &[10])], "ITULab"),
        (&[(tag::PHOTOMETRIC, 3, &[77])], "PhotometricInterpretation 77"),
        (&[(tag::PHOTOMETRIC, 3, &[5]), (tag::SAMPLES, 3, &[4]), (tag::INK_SET, 3, &[2])], "InkSet"),
        (&[(tag::PHOTOMETRIC, 3, &[5]), (tag::SAMPLES, 3, &[4]), (tag::DOT_RANGE, 3, &[10, 200])], "DotRange"),
        (&[(tag::PHOTOMETRIC, 3, &[6]), (tag::SAMPLES, 3, &[3]), (tag::BITS, 3, &[16])], "YCbCr with 16 bits"),
        (&[(tag::DECODE, 4, &[0, 1])], "Decode"),
        (&[(tag::INDEXED, 3, &[1])], "Indexed"),
        (&[(tag::IMAGE_DEPTH, 3, &[2])], "dimensions"),
    ] {
        let error = grey(changed, &[0; 16]).unwrap_err();
        assert!(matches!(error, ImageError::Unsupported(_)) && error.to_string().contains(words), "{words}: {error}");
    }
    assert!(matches!(grey(&[(tag::PHOTOMETRIC, 4, &[32_803])], &[0; 2]), Err(ImageError::Foreign(RAW))));
    // Old LZW begins with a zero byte and an odd one.
    assert!(grey(&[(tag::COMPRESSION, 3, &[5])], &[0, 1, 2, 3]).unwrap_err().to_string().contains("old-style LZW"));
}

#[test]
fn values_are_scaled_by_the_range_that_they_show() {
    let floats = |values: [f32; 2]| {
        let bytes = values.map(f32::to_le_bytes).concat();
        let picture = grey(&[(tag::BITS, 3, &[32]), (tag::SAMPLE_FORMAT, 3, &[3])], &bytes).unwrap();
        (picture.data, picture.notes.len())
    };
    assert_eq!(floats([0.0, 0.5]), (vec![0, 128], 0));
    assert_eq!(floats([0.0, 200.0]), (vec![0, 200], 1));
    assert_eq!(floats([0.6, 1.2]), (vec![0, 255], 1));
    assert_eq!(floats([-1.0, 1.0]), (vec![0, 255], 1));
    assert_eq!(floats([0.0, 51_400.0]), (vec![0, 200], 1));
    assert_eq!(floats([f32::NAN, 1.0]), (vec![0, 255], 1));
    assert_eq!(floats([f32::INFINITY, 0.2]), (vec![255, 51], 0));
    let wide = |more: &[(u16, u16, &[u32])], values: [u16; 2]| {
        let changed = [&[(tag::BITS, 3, &[16_u32][..])], more].concat();
        let picture = grey(&changed, &values.map(u16::to_le_bytes).concat()).unwrap();
        (picture.data, picture.notes.len())
    };
    assert_eq!(wide(&[], [0, 32_896]), (vec![0, 128], 0));
    assert_eq!(wide(&[], [0, 4000]), (vec![0, 249], 1));
    // What a tag states needs no note.
    assert_eq!(wide(&[(tag::MAX_VALUE, 3, &[4095])], [0, 1000]), (vec![0, 62], 0));
    assert_eq!(wide(&[(tag::MAX_VALUE, 3, &[3000])], [0, 65_535]), (vec![0, 255], 0));
}

/// Colours are as the TIFF says, whatever markers a strip carries.
#[test]
fn strips_of_jpeg_have_the_colors_of_the_tiff() {
    let fixture = |name: &str| {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg").join(name)).unwrap()
    };
    let tags = |photometric: &'static [u32], more: &[(u16, u16, &'static [u32])]| {
        let plain: [(u16, u16, &[u32]); 6] = [
            (tag::WIDTH, 3, &[37]),
            (tag::HEIGHT, 3, &[29]),
            (tag::BITS, 3, &[8, 8, 8]),
            (tag::SAMPLES, 3, &[3]),
            (tag::COMPRESSION, 3, &[7]),
            (tag::PHOTOMETRIC, 3, photometric),
        ];
        [&plain[..], more].concat()
    };
    // Its JFIF marker says YCbCr.
    let jpeg = fixture("luma_1x1.jpg");
    let expected = crate::image::jpeg::decode(&jpeg, &crate::image::jpeg::Limits { max_pixels: 1 << 20 }).unwrap().data;
    let whole = [(tag::YCBCR_SUBSAMPLING, 3, &[1_u32, 1][..])];
    assert_eq!(decode(&tiff(&tags(&[6], &whole), &jpeg)).unwrap().data, expected);
    let as_stored = decode(&tiff(&tags(&[2], &[]), &jpeg)).unwrap().data;
    assert_ne!(as_stored, expected);
    // Planes apart are streams of one channel each: grey where chroma is none.
    let luma = fixture("grey.jpg");
    let planes: [(u16, u16, &[u32]); 2] = [(tag::YCBCR_SUBSAMPLING, 3, &[1, 1]), (tag::PLANAR, 3, &[2])];
    let planar = |photometric| decode(&tiff_of(&tags(photometric, &planes), &[&luma, &luma, &luma])).unwrap().data;
    let (rgb, ycc) = (planar(&[2]), planar(&[6]));
    assert!(rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b) && rgb != ycc);
    for (&[y, cb, cr], &[r, _, b]) in rgb.as_chunks::<3>().0.iter().zip(ycc.as_chunks::<3>().0) {
        let near = |expected: f64, found: u8| (expected.clamp(0.0, 255.0) - f64::from(found)).abs() < 1.5;
        assert!(
            near(f64::from(y) + 1.402 * (f64::from(cr) - 128.0), r) && near(f64::from(y) + 1.772 * (f64::from(cb) - 128.0), b)
        );
    }
}

#[test]
fn alpha_is_of_the_scale_of_its_format() {
    let alpha = |format: u32, bits: u32, bytes: &[u8]| {
        let (format, bits) = ([format], [bits, bits]);
        let tags: [(u16, u16, &[u32]); 4] =
            [(tag::BITS, 3, &bits), (tag::SAMPLES, 3, &[2]), (tag::SAMPLE_FORMAT, 3, &format), (tag::EXTRA_SAMPLES, 3, &[2])];
        grey(&tags, bytes).unwrap().alpha.unwrap()
    };
    let floats = |values: [f32; 4]| alpha(3, 32, &values.map(f32::to_le_bytes).concat());
    assert_eq!(floats([0.2, 1.0, 0.9, 0.2]), [255, 51]);
    assert_eq!(floats([0.0, 255.0, 200.0, 51.0]), [255, 51]);
    assert_eq!(alpha(2, 16, &[-7_i16, 32_767, 900, 6553].map(i16::to_le_bytes).concat()), [255, 51]);
    assert_eq!(alpha(1, 64, &[7, u64::MAX, 900, u64::MAX / 5].map(u64::to_le_bytes).concat()), [255, 51]);
    assert_eq!(alpha(1, 16, &[7, 65_535, 900, 13_107_u16].map(u16::to_le_bytes).concat()), [255, 51]);
}

#[test]
fn a_fourth_channel_without_a_name_is_alpha_unless_it_is_empty() {
    let four = |pixels: &[u8]| grey(&[(tag::PHOTOMETRIC, 3, &[2]), (tag::SAMPLES, 3, &[4])], pixels).unwrap();
    let clear = four(&[1, 2, 3, 0, 4, 5, 6, 9]);
    assert_eq!((clear.data, clear.alpha, clear.notes.len()), (vec![1, 2, 3, 4, 5, 6], Some(vec![0, 9]), 1));
    assert_eq!(four(&[1, 2, 3, 0, 4, 5, 6, 0]).alpha, None);
    let unspecified: [(u16, u16, &[u32]); 3] =
        [(tag::PHOTOMETRIC, 3, &[2]), (tag::SAMPLES, 3, &[4]), (tag::EXTRA_SAMPLES, 3, &[0])];
    assert_eq!(grey(&unspecified, &[1, 2, 3, 7, 4, 5, 6, 9]).unwrap().alpha, None);
}

#[test]
fn strips_that_lie_over_each_other_or_are_missing() {
    // Far fewer strips than rows.
    let many = [(tag::HEIGHT, 4, &[100_000_u32][..]), (tag::ROWS_PER_STRIP, 3, &[1])];
    assert!(grey(&many, &[0; 4096]).unwrap_err().to_string().contains("missing"));
    let half = grey(&[(tag::HEIGHT, 3, &[2])], &[1, 2, 3]).unwrap();
    assert_eq!((half.data, half.damage.unwrap()), (vec![1, 2, 3, 0], "1 of its 1 strips are missing or wrong".to_owned()));
    assert!(grey(&[(tag::HEIGHT, 3, &[0])], &[1, 2]).is_err());
    assert!(header(&tiff(&[], &[])).is_err());
}
