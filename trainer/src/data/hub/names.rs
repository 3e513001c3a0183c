//! Which names from a hub, or from a user, may become paths.

/// Whether `name` is a path to a file inside a data set, on this system and on others: relative, of plain components.
pub fn is_inside(name: &str) -> bool {
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    !drive && !name.contains(|c: char| c == '\\' || c.is_control()) && name.split('/').all(plain)
}

/// Whether `name` is one component of a path that a hub may choose: a commit's or an etag's name.
pub fn is_component(name: &str) -> bool {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&name.len()) && name.chars().all(usual) && !name.starts_with('.')
}

/// Whether `name` is an owner's or a data set's, as the hub has them.
pub fn is_owner_or_set(name: &str) -> bool {
    is_component(name)
        && name.len() <= 96
        && !name.contains("--")
        && !name.contains("..")
        && !name.starts_with('-')
        && !name.ends_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_a_data_set_are_none() {
        for name in ["a.txt", "a/b c/d.txt", "..a/b", "a..b", "é.txt", "12:30.txt", ".hidden"] {
            assert!(is_inside(name), "{name}");
        }
        let bad =
            ["", "/etc/passwd", "..", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a\\b", "..\\a", "C:a", "c:/a"];
        for name in bad.into_iter().chain(["a\0b", "a\nb", "\\\\server\\a"]) {
            assert!(!is_inside(name), "{name:?}");
        }
    }

    #[test]
    fn components_are_of_plain_characters() {
        assert!(is_component("abc123") && is_component("0af-1_b.c"));
        let long = "a".repeat(129);
        for name in ["", ".", "..", ".a", "a/b", "a\\b", "a:b", "a b", "W/\"a\"", &long] {
            assert!(!is_component(name), "{name:?}");
        }
        assert!(is_owner_or_set("roneneldan") && is_owner_or_set("Tiny_Stories.v2-x"));
        for name in ["a--b", "a..b", "-a", "a-", "a.", "..", ""] {
            assert!(!is_owner_or_set(name), "{name:?}");
        }
    }
}
