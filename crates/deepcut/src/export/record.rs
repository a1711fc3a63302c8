//! A record of the image and settings, stored inside each result. A later run reads it to skip finished work.
//!
//! | file        | where                                                                        |
//! |-------------|------------------------------------------------------------------------------|
//! | PNG         | a `tEXt` chunk of the keyword `deepcut`, before the pixels                   |
//! | JSON        | the member `record`                                                          |
//! | safetensors | the metadata `record`                                                        |
//!
//! The record is JSON in ASCII and says nothing of time or machine: the same image and settings make the same bytes.
//!
//! Source: PNG specification (third edition), 5.3 chunk layout, 11.3.3.3 `tEXt`, annex D CRC.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The keyword of the PNG chunk.
pub(super) const KEYWORD: &[u8] = b"deepcut\0";
pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Where the first chunk ends, `IHDR`, which comes before all others.
pub(super) const PNG_HEADER: usize = 33;

/// What a result was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The image's file name, without its folder.
    pub input: String,
    /// Tells folders apart: images of one name in two folders are two images.
    pub folder: String,
    /// Length of the image's file.
    pub bytes: u64,
    /// SHA-256 of the image's file, in hexadecimal.
    pub sha256: String,
    /// The network, and every option that is not the default.
    pub settings: BTreeMap<String, Value>,
    /// This program's version.
    pub version: String,
}

impl Record {
    /// The record of an image that comes from no file.
    #[must_use]
    pub fn of_no_file(input: &str) -> Self {
        Self {
            input: input.into(),
            folder: String::new(),
            bytes: 0,
            sha256: String::new(),
            settings: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// The record as JSON in ASCII.
    #[must_use]
    pub fn to_ascii(&self) -> String {
        // Only text is in it, so this does not fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        let mut ascii = String::with_capacity(text.len());
        let mut units = [0; 2];
        for c in text.chars() {
            match c {
                ' '..='~' => ascii.push(c),
                c => c.encode_utf16(&mut units).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        ascii
    }

    /// A PNG file with the record in it; what is no PNG file is left as it is.
    #[must_use]
    pub fn into_png(&self, mut png: Vec<u8>) -> Vec<u8> {
        if png.len() < PNG_HEADER || !png.starts_with(PNG_SIGNATURE) {
            return png;
        }
        let content = [b"tEXt", KEYWORD, self.to_ascii().as_bytes()].concat();
        let length = (content.len() - 4) as u32;
        let chunk = [&length.to_be_bytes(), &content[..], &crc32fast::hash(&content).to_be_bytes()].concat();
        png.splice(PNG_HEADER..PNG_HEADER, chunk);
        png
    }
}
