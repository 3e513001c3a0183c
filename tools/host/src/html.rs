//! Text in a page or a picture.

/// `text` as HTML and XML have it between tags and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_markup_would_read_is_escaped() {
        assert_eq!(escaped("<b> & \"c\" 'd'"), "&lt;b&gt; &amp; &quot;c&quot; 'd'");
    }
}
