//! The processor that the command runs on: kernels as `DEEPCUT_ISA` forces them, and rates that were measured once.
//!
//! Rates of the kernels decide what `--precision auto` is. They are measured in a few milliseconds and kept in the user's cache folder, by
//! processor, instruction set and version, so that one machine always decides alike. Where nothing can be kept, or the machine is too busy
//! for rates that can be relied on, they are measured each time.

use anyhow::Context;
use deepcut::batch::files;
use deepcut::cpu::CpuBuilder;
use deepcut::cpu::Rates;
use deepcut::{Cpu, Isa};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that forces an instruction set: `native`, `avx2`, `avx512`, `avx512_vnni`, `avx512_bf16` or `neon`.
const ISA_VARIABLE: &str = "DEEPCUT_ISA";

/// The processor; with the portable kernels if results are to be the same on every processor.
///
/// # Errors
/// If `DEEPCUT_ISA` names kernels that this machine does not run.
pub fn cpu(portable: bool) -> anyhow::Result<Cpu> {
    Ok(builder(portable)?.build()?)
}

/// The processor with its kernels and rates, and threads yet to be chosen; with the portable kernels if results are to be the same on every processor.
///
/// # Errors
/// If `DEEPCUT_ISA` names kernels that this machine does not run.
pub fn builder(portable: bool) -> anyhow::Result<CpuBuilder> {
    let isa = match std::env::var(ISA_VARIABLE) {
        _ if portable => Isa::portable(),
        Err(_) => Isa::detect(),
        Ok(name) => Isa::by_name(&name).with_context(|| {
            let names: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
            format!("{ISA_VARIABLE}={name}: this machine has {}", names.join(", "))
        })?,
    };
    let builder = Cpu::builder().isa(isa);
    let (Some(folder), Some(processor)) = (cache_folder(|name| std::env::var_os(name)), processor_name()) else {
        return Ok(builder);
    };
    Ok(builder.rates(kept_rates(&folder.join("deepcut/rates.json"), &processor, isa, || isa.measure())))
}

/// The folder for what can be made again, as the system's custom has it.
fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |below: &str| absolute("HOME").map(|home| home.join(below));
    absolute("XDG_CACHE_HOME").or_else(|| {
        if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            home("Library/Caches")
        } else {
            home(".cache")
        }
    })
}

/// Maker and model of the processor; None where the system does not say.
fn processor_name() -> Option<String> {
    if let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") {
        return name_in(&text);
    }
    // Windows says it in a variable; all of Apple's processors of one architecture have the same kernels.
    std::env::var("PROCESSOR_IDENTIFIER").ok().or_else(|| cfg!(target_os = "macos").then(|| std::env::consts::ARCH.to_owned()))
}

/// The lines of `/proc/cpuinfo` that tell one kind of processor from another.
fn name_in(cpuinfo: &str) -> Option<String> {
    const FIELDS: [&str; 8] =
        ["vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part", "CPU variant"];
    let first = cpuinfo.split("\n\n").next()?;
    let values: Vec<&str> = first
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| FIELDS.contains(&name.trim()))
        .map(|(_, value)| value.trim())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The rates kept in a file, or measured now and kept there if they can be relied on. A file that cannot be read or written is no failure.
fn kept_rates(path: &Path, processor: &str, isa: Isa, measure: impl FnOnce() -> (Rates, bool)) -> Rates {
    let key = format!("{processor}; {}; {}", isa.name(), env!("CARGO_PKG_VERSION"));
    let kept = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let mut kept = kept.filter(Value::is_object).unwrap_or_else(|| json!({}));
    let rate = |name: &str| kept[&key][name].as_f64().filter(|rate| rate.is_finite() && *rate >= 0.0);
    if let (Some(f32), Some(bf16), Some(int8)) = (rate("f32"), rate("bf16"), rate("int8")) {
        return Rates { f32, bf16, int8 };
    }
    let (rates, confirmed) = measure();
    if !confirmed {
        return rates;
    }
    let Rates { f32, bf16, int8 } = rates;
    kept[&key] = json!({ "f32": f32, "bf16": bf16, "int8": int8 });
    let _ = files::write(path, format!("{kept:#}\n").as_bytes(), true);
    rates
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn rates_are_measured_once_for_each_processor_and_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deepcut/rates.json");
        let isa = Isa::detect();
        let rates = |f32| Rates { f32, bf16: 1.0, int8: 2.0 };
        let kept_rates = |path: &Path, processor, isa, confirmed| kept_rates(path, processor, isa, || (rates(7.0), confirmed));
        // A busy machine's are used and not kept.
        assert_eq!(kept_rates(&path, "a processor", isa, false), rates(7.0));
        assert!(!path.exists());
        assert_eq!(kept_rates(&path, "a processor", isa, true), rates(7.0));
        // What is kept counts, not what the machine does now.
        let text = std::fs::read_to_string(&path).unwrap();
        let mut kept: Value = serde_json::from_str(&text).unwrap();
        let entry = kept.as_object_mut().unwrap().values_mut().next().unwrap();
        *entry = json!({ "f32": 3.0, "bf16": 1.0, "int8": 2.0 });
        std::fs::write(&path, kept.to_string()).unwrap();
        assert_eq!(kept_rates(&path, "a processor", isa, true), rates(3.0));
        kept_rates(&path, "another", isa, true);
        kept_rates(&path, "a processor", Isa::portable(), true);
        let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(kept.as_object().unwrap().len(), if isa == Isa::portable() { 2 } else { 3 });
        // Damaged, or no place for a file.
        for damaged in ["{", "[]", r#"{"a processor": 7}"#] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(kept_rates(&path, "a processor", isa, true), rates(7.0));
        }
        assert_eq!(kept_rates(&path.join("below a file"), "a processor", isa, true), rates(7.0));
        assert!(isa.measure().0.f32 > 0.0);
    }

    #[test]
    fn a_processor_is_named_by_what_tells_it_from_others() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\ncpu MHz\t: 2.7\n\nprocessor\t: 1\nmodel\t: 9\n";
        assert_eq!(name_in(text).as_deref(), Some("AuthenticAMD, 26, 2, AMD EPYC, 1"));
        assert_eq!(name_in("processor: 0\nCPU implementer : 0x41\nCPU part : 0xd40").as_deref(), Some("0x41, 0xd40"));
        assert_eq!(name_in("nothing"), None);
    }

    #[test]
    fn the_cache_folder_is_the_systems() {
        let of = |name: &'static str, value: &'static str| cache_folder(move |asked| (asked == name).then(|| value.into()));
        if cfg!(target_os = "linux") {
            assert_eq!(of("HOME", "/home/a"), Some("/home/a/.cache".into()));
            assert_eq!(of("XDG_CACHE_HOME", "/c"), Some("/c".into()));
            assert_eq!((of("XDG_CACHE_HOME", "relative"), of("OTHER", "/x")), (None, None));
        }
    }
}
