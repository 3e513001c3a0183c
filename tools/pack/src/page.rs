//! A page that tells stories: one file of HTML with the model and what runs it inside.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flashlm_host::escaped;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest;

/// What runs a model in a browser, as `web-example/build.sh commit` built it: so a page can be made without a compiler
/// for WebAssembly.
pub const MODULE: &[u8] = include_bytes!("../../../web-example/module/flashlm.wasm");

const TEMPLATE: &str = include_str!("../../../web-example/page/index.html");
const STYLE: &str = include_str!("../../../web-example/page/style.css");
const SCRIPT: &str = include_str!("../../../web-example/page/page.js");
const BINDING: &str = include_str!("../../../web-example/flashlm.js");
const WORKER: &str = include_str!("../../../web-example/page/worker.js");

/// The page with `module`, a build of `web-example`, and `model`, a blob. It fetches nothing, and its own policy
/// forbids it to: only this script and this style have a say in it.
///
/// # Errors
/// There is no memory to compress in.
pub fn page(title: &str, module: &[u8], model: &[u8]) -> io::Result<String> {
    let policy = format!(
        "default-src 'none'; script-src {} 'wasm-unsafe-eval'; style-src {}; worker-src blob:; img-src data:; \
         base-uri 'none'; form-action 'none'",
        source(SCRIPT),
        source(STYLE)
    );
    let worker = [&script(BINDING), WORKER].concat();
    let (title, module, model) = (escaped(title), packed(module)?, packed(model)?);
    let values = [
        ("policy", policy.as_str()),
        ("title", &title),
        ("style", STYLE),
        ("worker", &worker),
        ("script", SCRIPT),
        ("module", &module),
        ("model", &model),
    ];
    Ok(filled(TEMPLATE, &values))
}

/// A module of JavaScript as a script: a worker that a page from a disk starts can be no module.
fn script(module: &str) -> String {
    module.replace("\nexport ", "\n")
}

/// `template` with each `{{name}}` replaced by its value.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = String::from(pieces.next().unwrap_or_default());
    for piece in pieces {
        match piece.split_once("}}") {
            Some((name, rest)) => {
                page += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
                page += rest;
            }
            None => page += piece,
        }
    }
    page
}

/// How a policy names an inline script or style.
fn source(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(hash))
}

/// Bytes as the page's worker unpacks them.
fn packed(bytes: &[u8]) -> io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_all_inside_and_its_policy_allows_nothing_else() {
        let page = page("<Tom> & co", MODULE, b"model").unwrap();
        assert!(!page.contains("{{") && !page.contains("}}"), "something was not filled in");
        assert!(page.contains("<title>&lt;Tom&gt; &amp; co</title>") && page.contains("default-src 'none'"));
        for outside in ["src=\"http", "href=\"http", "url(", "@import", "fetch(", "XMLHttpRequest", "import "] {
            assert!(!page.contains(outside), "{outside}");
        }
        // of what stands inside nothing ends its element
        for text in [SCRIPT, STYLE, BINDING, WORKER] {
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
        for text in [SCRIPT, STYLE] {
            assert!(page.contains(text) && page.contains(&source(text)));
        }
        assert!(page.contains("\nclass FlashLM") && !page.contains("\nexport "));
    }

    #[test]
    fn hashes_are_those_that_browsers_compute() {
        // printf '' | openssl dgst -sha256 -binary | base64
        assert_eq!(source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }

    #[test]
    fn what_was_packed_is_unpacked_to_the_same() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| ((i * i) >> 3) as u8).collect();
        let zipped = STANDARD.decode(packed(&bytes).unwrap()).unwrap();
        let mut back = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&zipped[..]), &mut back).unwrap();
        assert_eq!(back, bytes);
    }
}
