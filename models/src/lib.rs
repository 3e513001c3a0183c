//! Trained models, by name.
//!
//! Beside each packed model, `NAME.flm`, lies its card, `NAME.md`: data and licence, command, time, machine, figures,
//! limits. Programs that take a model's file take a name in its place.

use std::ffi::OsStr;

use flashlm_core::include_blob;

/// A packed model that programs bring along.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    pub name: &'static str,
    /// What it is good for, in a line.
    pub about: &'static str,
    /// The blob, on a 64-byte boundary.
    pub blob: &'static [u8],
}

/// All of them, the one that programs take by themselves first.
pub static MODELS: &[Named] = &[
    Named { name: "supernova", about: "stories; 7.7 M parameters", blob: include_blob!("../supernova.flm") },
    Named { name: "reasoning", about: "stories that ask questions; 7.7 M", blob: include_blob!("../reasoning.flm") },
    Named { name: "mini", about: "stories; 3.7 M", blob: include_blob!("../mini.flm") },
    Named { name: "micro", about: "stories; 1.4 M", blob: include_blob!("../micro.flm") },
    Named { name: "nano", about: "stories; 0.6 M", blob: include_blob!("../nano.flm") },
];

/// What also means the first of [`MODELS`].
pub const DEFAULT: &str = "default";

/// The model called `name`, which may be what stands where a path could.
pub fn find(name: impl AsRef<OsStr>) -> Option<&'static Named> {
    let name = name.as_ref();
    if name == DEFAULT { MODELS.first() } else { MODELS.iter().find(|model| model.name == name) }
}

/// What can be asked for: "supernova, nano".
pub fn names() -> String {
    MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use flashlm_core::Model;

    use super::*;

    fn names_of(ending: &str) -> BTreeSet<String> {
        let folder = fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(ending).map(String::from))
            .filter(|name| name != "README")
            .collect()
    }

    #[test]
    fn every_model_of_the_folder_is_found_by_its_name_and_has_a_card() {
        let found: BTreeSet<String> = MODELS.iter().map(|model| model.name.to_string()).collect();
        assert_eq!(found, names_of(".flm"));
        assert_eq!(found, names_of(".md"));
        for name in &found {
            assert_eq!(find(name).unwrap().name, name);
        }
        assert!(find("no such model").is_none());
        assert_eq!(find(DEFAULT).unwrap().name, MODELS[0].name);
    }

    #[test]
    fn every_model_can_read_text_and_its_card_says_how_large_it_is() {
        for model in MODELS {
            let parsed = Model::from_bytes(model.blob).unwrap();
            assert!(parsed.tokenizer().is_some(), "{}", model.name);
            let card = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{}.md", model.name));
            let card = fs::read_to_string(card).unwrap();
            let bytes = model.blob.len().to_string();
            assert!(card.replace(',', "").contains(&format!("{bytes} bytes")), "{}: {bytes} bytes", model.name);
        }
    }
}
