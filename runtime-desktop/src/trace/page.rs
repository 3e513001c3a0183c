//! A trace as one page: the text, its words coloured by their passes, and what was done for each.

use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::escaped;

use super::{Trace, counted};

/// What the page looks like, by day and by night.
const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 1.1rem/1.7 Georgia, serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
p.text { white-space: pre-wrap; }
.given { font-weight: bold; }
p.text a { color: inherit; text-decoration: none; border-radius: .2rem; }
.l0 { background: light-dark(#e3f1fb, #16324a); }
.l1 { background: light-dark(#fdeeb8, #5c4a00); }
.l2 { background: light-dark(#f9c6bb, #74261a); }
p.text a:hover, tr:target { outline: 2px solid currentColor; }
table { border-collapse: collapse; font: .8rem/1.4 ui-monospace, monospace; }
td, th { border-top: 1px solid #8888; padding: .2rem .6rem; text-align: left; vertical-align: top; }
td { white-space: pre-wrap; }";

/// A page of HTML that needs nothing else: what `model` made of a text whose first `given` tokens the reader wrote. A
/// word shows what was done for it when it is pointed at, and leads to its row of the table.
pub fn page(trace: &Trace, tokenizer: &Tokenizer, given: usize, model: &str) -> String {
    let words = trace.words(tokenizer);
    let (mut text, mut rows) = (String::new(), String::new());
    for (i, word) in words.iter().enumerate() {
        let bare = word.text.trim_start();
        text += &escaped(word.text.strip_suffix(bare).unwrap_or_default());
        if bare.is_empty() {
            continue;
        }
        let (bare, lines) = (escaped(bare), escaped(trace.lines_of_word(tokenizer, word).trim_end()));
        let (level, passes) = (trace.level(word.passes), counted(word.passes));
        let whose = if word.steps.start < given { " given" } else { "" };
        text += &format!("<a href=\"#w{i}\" class=\"l{level}{whose}\" title=\"{lines}\">{bare}</a>");
        rows += &format!("<tr id=\"w{i}\"><td class=\"l{level}{whose}\">{bare}</td><td>{passes}</td>");
        rows += &format!("<td>{lines}</td></tr>\n");
    }
    let [few, some] = [trace.depths[0], trace.depths[1]];
    let (model, few, some) = (escaped(model), counted(few.into()), counted(some.into()));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Passes of {model}</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{model}</h1>\n\
         <p>Passes of the reasoning loop: <span class=\"l0\">up to {few}</span>, \
         <span class=\"l1\">up to {some}</span>, \
         <span class=\"l2\">more</span>; the prompt in <span class=\"given\">bold</span>. Point at a word for what was \
         done, or follow it to its row.</p>\n<p class=\"text\">{text}</p>\n\
         <table>\n<thead><tr><th>word</th><th>passes</th><th>for each token: operations and weights, gates, what was \
         read with which share</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</body>\n</html>\n"
    )
}
