//! The small grammar of templates, and the finish of a text: articles and capitals.

/// Index of the bracket that closes the one at `open`.
pub fn closing(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, b) in text.bytes().enumerate().skip(open) {
        match b {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    panic!("unbalanced template {text:?}")
}

/// The choices of a bracket's inside, split at the bars outside inner brackets.
pub fn options(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0, 0, Vec::new());
    for (i, b) in inner.bytes().enumerate() {
        match b {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b'|' if depth == 0 => {
                out.push(&inner[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&inner[start..]);
    out
}

/// Replaces every `a(n)` and `A(n)` by the form the next word asks for.
pub fn articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("(n)");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let next: String = part.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
        let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u']);
        let exception = ["one", "unicorn", "useful"].contains(&next.as_str());
        let silent = ["hour", "honest"].contains(&next.as_str());
        if silent || (vowel && !exception) {
            out.push('n');
        }
        out.push_str(part);
    }
    out
}

/// Gives every sentence its capital. After a closing quote only a full stop ends the sentence around it.
pub fn capitals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut start, mut last, mut before_quote) = (true, ' ', ' ');
    for c in text.chars() {
        out.push(if start && c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c });
        match c {
            '"' if !start => before_quote = last,
            ' ' => start = start || matches!(last, '.' | '!' | '?') || (last == '"' && before_quote == '.'),
            '\n' => start = true,
            '"' => {}
            _ => start = false,
        }
        last = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use flashlm_probe::rng::Rng;

    use super::super::teller::Teller;
    use super::*;

    #[test]
    fn articles_follow_sound_and_sentences_get_capitals() {
        assert_eq!(
            articles("a(n) apple, a(n) pear, a(n) one, a(n) honest boy"),
            "an apple, a pear, a one, an honest boy"
        );
        assert_eq!(
            capitals("he ran. \"oh no!\" she said. \"come.\" they did."),
            "He ran. \"Oh no!\" she said. \"Come.\" They did."
        );
    }

    #[test]
    fn choices_nest() {
        assert_eq!(options("a|b[c|d]|"), ["a", "b[c|d]", ""]);
        let mut t = Teller::new(Rng::new(1));
        let all: std::collections::BTreeSet<_> = (0..50).map(|_| t.expand("[a|b[c|d]]")).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["a", "bc", "bd"]);
    }
}
