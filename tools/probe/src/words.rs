//! Words, as the baselines see a text.

/// Runs of letters and digits in lower case, and every other visible character by itself.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let length = match first.is_alphanumeric() {
            true => rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        Some(word.to_lowercase())
    })
}

/// How many words a text has, punctuation aside.
pub fn count(text: &str) -> usize {
    words(text).filter(|w| w.starts_with(char::is_alphanumeric)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_marks_are_told_apart() {
        assert_eq!(
            words("Tom's 3 cats, \u{e9}t\u{e9}!").collect::<Vec<_>>(),
            ["tom", "'", "s", "3", "cats", ",", "\u{e9}t\u{e9}", "!"]
        );
        assert_eq!(count("Where is Tom? In the barn."), 6);
        assert_eq!(count(" \n"), 0);
    }
}
