//! What the stories promise.

use std::collections::{BTreeMap, HashSet};

use super::lexicon::Lexicon;
use super::made_up::Kind;
use super::open::{NAMES, NOUNS, WORDS};
use super::words_test::TEST;
use super::words_train::TRAIN;
use super::*;

const HARD: Difficulty =
    Difficulty { facts: 3, filler: 4, distractors: 2, wordings: ALL_WORDINGS, open: OPEN, loose: false };

#[test]
#[ignore = "prints stories to read"]
fn print_samples() {
    for split in [Split::Train, Split::Test] {
        for family in Family::ALL {
            for index in 0..40 {
                let difficulty = Difficulty {
                    facts: 1 + (index % 3) as u8,
                    filler: (index % 5) as u16,
                    distractors: (index % 3) as u8,
                    wordings: [ALL_WORDINGS, 3, 9][index as usize % 3],
                    open: OPEN,
                    loose: index / 2 % 2 == 1,
                };
                let told = story(split, &[family], difficulty, 11, index);
                let mut text = told.text.clone();
                for a in told.answers.iter().rev() {
                    text.replace_range(
                        a.span.clone(),
                        &format!(
                            "<{}|{}@{} not {}>",
                            &told.text[a.span.clone()],
                            a.facts,
                            a.distance,
                            a.wrong.join("/")
                        ),
                    );
                }
                println!("-- {split:?} {} {index}\n{text}", family.name());
            }
        }
    }
}

#[test]
fn a_story_is_a_function_of_its_arguments() {
    for index in 0..500 {
        let once = story(Split::Train, &[], HARD, 3, index);
        assert_eq!(once, story(Split::Train, &[], HARD, 3, index));
    }
}

/// Stories of every family, split and difficulty.
fn some(count: u64) -> impl Iterator<Item = (Split, Family, Difficulty, ReasoningStory)> {
    let cases = [Split::Train, Split::Test].into_iter().flat_map(|s| Family::ALL.map(|f| (s, f)));
    cases.flat_map(move |(split, family)| {
        (0..count).map(move |i| {
            let difficulty = Difficulty {
                facts: 1 + (i % 3) as u8,
                filler: (i % 13) as u16,
                distractors: (i / 3 % 7) as u8,
                wordings: ALL_WORDINGS,
                open: OPEN,
                loose: i % 2 == 1,
            };
            (split, family, difficulty, story(split, &[family], difficulty, 5, i))
        })
    })
}

#[test]
fn another_seed_tells_other_stories_and_nearly_all_are_distinct() {
    let hard = |seed| (0..20_000).map(move |i| story(Split::Train, &[], HARD, seed, i).text);
    let distinct: HashSet<String> = hard(1).collect();
    assert!(distinct.len() >= 19_900, "{} distinct", distinct.len());
    assert!(hard(2).filter(|t| distinct.contains(t)).count() < 60);
}

#[test]
fn a_span_holds_a_whole_answer_and_wrong_answers_are_wrong() {
    for (_, family, difficulty, told) in some(600) {
        assert!(!told.answers.is_empty(), "no question: {}", told.text);
        let mut last = 0;
        for a in &told.answers {
            let answer = &told.text[a.span.clone()];
            assert!(a.span.start >= last, "answers out of order: {}", told.text);
            last = a.span.end;
            assert!(answer.bytes().all(|b| b.is_ascii_alphabetic() || b == b' '), "{answer:?}: {}", told.text);
            assert_eq!(answer, answer.trim());
            assert!(told.text[..a.span.start].ends_with([' ', '"']), "{answer:?}: {}", told.text);
            assert!(
                !told.text[a.span.end..].starts_with(|c: char| c.is_ascii_alphanumeric()),
                "{answer:?}: {}",
                told.text
            );
            assert!((1..=difficulty.facts).contains(&a.facts), "{} facts: {}", a.facts, told.text);
            assert_eq!(a.family, family);
            let wrong: HashSet<_> = a.wrong.iter().collect();
            assert!(wrong.len() >= 3 && wrong.len() == a.wrong.len(), "{:?}: {}", a.wrong, told.text);
            assert!(!a.wrong.iter().any(|w| w == answer), "{answer:?} of {:?}: {}", a.wrong, told.text);
        }
    }
}

#[test]
fn templates_are_expanded_into_sentences() {
    for (.., told) in some(600) {
        let text = &told.text;
        assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{text}");
        assert!(!text.contains(['{', '}', '[', ']', '|', '(', ')', '<', '>']), "unexpanded template: {text}");
        assert!(!text.contains("  ") && !text.contains(" .") && !text.contains(" ,"), "stray space: {text}");
        assert!(text.ends_with(['.', '!', '?', '"']), "{text}");
        assert_eq!(text.matches('"').count() % 2, 0, "unbalanced quotes: {text}");
        for (i, _) in text.match_indices(". ").chain(text.match_indices(".\" ")) {
            let next = text[i + 2..].trim_start_matches([' ', '"']).chars().next().unwrap();
            // a short answer stands alone in its own case
            let start = i + text[i..].find(next).unwrap_or_default();
            let answer = told.answers.iter().any(|a| a.span.start == start);
            assert!(answer || !next.is_ascii_lowercase(), "{:?}: {text}", &text[i..]);
        }
    }
}

#[test]
fn the_article_fits_the_sound_that_follows() {
    // a slip may come between
    for (.., told) in some(600).filter(|case| !case.2.loose) {
        let words: Vec<&str> = told.text.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2) {
            let vowel = pair[1].to_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']) && pair[1] != "unicorn";
            match pair[0] {
                // "A" also stands for "Answer"
                "a" => assert!(!vowel, "a {}: {}", pair[1], told.text),
                "an" | "An" => assert!(vowel, "an {}: {}", pair[1], told.text),
                _ => {}
            }
        }
    }
}

/// Every content word of a lexicon: names as they are, others in lower case.
#[test]
fn the_splits_share_no_content_word_and_no_story_uses_the_other_split_s() {
    let (train, test): (HashSet<_>, HashSet<_>) = (TRAIN.words().collect(), TEST.words().collect());
    let lower = |s: &HashSet<&str>| s.iter().map(|w| w.to_lowercase()).collect::<HashSet<_>>();
    assert_eq!(lower(&train).intersection(&lower(&test)).count(), 0);
    for (split, .., told) in some(1500) {
        let others = if split == Split::Train { &test } else { &train };
        for word in told.text.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()) {
            let small = word.to_lowercase();
            assert!(!others.contains(word) && !others.contains(&*small), "{split:?} {word:?}: {}", told.text);
        }
    }
}

#[test]
fn open_words_are_in_no_other_list_and_take_the_share_asked_for() {
    let known: HashSet<String> = [&TRAIN, &TEST].iter().flat_map(|l| l.words()).map(str::to_lowercase).collect();
    let open = [NOUNS, NAMES, WORDS].map(|list| list.split_whitespace().map(str::to_lowercase)).into_iter().flatten();
    for word in open {
        assert!(!known.contains(&word), "{word}");
    }
    let things = NOUNS.split_whitespace().chain(WORDS.split_whitespace());
    assert!(things.into_iter().all(|w| !w.starts_with(['a', 'e', 'i', 'o', 'u'])));
    let found = |open_percent| {
        let difficulty = Difficulty { open: open_percent, ..HARD };
        let answers: Vec<String> = (0..800)
            .flat_map(|i| {
                let told = story(Split::Train, &[Family::Tracking], difficulty, 11, i);
                told.answers.iter().map(|a| told.text[a.span.clone()].to_lowercase()).collect::<Vec<_>>()
            })
            .collect();
        answers.iter().filter(|a| !known.contains(*a)).count() as f64 / answers.len() as f64
    };
    assert_eq!(found(0), 0.0);
    assert!((found(50) - 0.5).abs() < 0.05, "{}", found(50));
}

#[test]
fn stories_of_few_wordings_are_terse_and_say_each_thing_in_as_many_ways() {
    let easy = Difficulty { facts: 1, filler: 0, distractors: 0, wordings: 1, open: 0, loose: false };
    for index in 0..400 {
        let text = story(Split::Train, &[Family::Tracking], easy, 3, index).text;
        // of the sentences that say where someone is, only the first is used
        assert!(!text.contains("stayed in the") && !text.contains("You could see"), "{text}");
        assert!(!text.contains("Once upon a time") && !text.contains("The end."), "{text}");
    }
}

#[test]
fn lists_are_as_long_as_promised_and_hold_nothing_twice() {
    for l in [&TRAIN, &TEST] {
        for list in [l.girls, l.boys, l.objects, l.foods, l.animals, l.places, l.containers, l.colours, l.sounds] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
        }
    }
    let names = |l: &Lexicon| l.girls.len() + l.boys.len();
    assert!(names(&TRAIN) >= 150 && names(&TEST) >= 40);
    assert!(TRAIN.objects.len() >= 150 && TEST.objects.len() >= 50, "{} {}", TRAIN.objects.len(), TEST.objects.len());
    assert!(TRAIN.places.len() >= 60 && TEST.places.len() >= 25);
    assert!(TRAIN.containers.len() >= 40 && TRAIN.animals.len() >= 60, "{}", TRAIN.containers.len());
}

#[test]
fn made_up_words_of_the_splits_share_no_syllable() {
    let closed = |split, seed| {
        let mut rng = Rng::new(seed);
        let words = (0..5_000).map(|_| made_up::word(&mut rng, split, Kind::Noun)).collect::<HashSet<_>>();
        // the last syllable: from the consonants before the last vowel on
        let last = |w: &String| {
            let vowel = w.rfind(['a', 'e', 'i', 'o', 'u']).unwrap();
            let start = w[..vowel].rfind(['a', 'e', 'i', 'o', 'u']).map_or(0, |v| v + 1);
            (w[..start].to_string(), w[start..].to_string())
        };
        words.iter().map(last).collect::<Vec<_>>()
    };
    let (train, test) = (closed(Split::Train, 1), closed(Split::Test, 2));
    let (ends, starts): (HashSet<_>, HashSet<_>) =
        (train.iter().map(|w| &w.1).collect(), train.iter().map(|w| &w.0).collect());
    assert!(ends.len() > 300);
    for (start, end) in &test {
        assert!(!ends.contains(end) && (start.is_empty() || !starts.contains(start)), "{start}{end}");
    }
}

/// The place of the last mention of `word`, and the number of mentions.
fn mentions(prompt: &str, word: &str) -> (usize, usize) {
    let edge = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphabetic());
    let whole = |&i: &usize| edge(prompt[..i].chars().next_back()) && edge(prompt[i + word.len()..].chars().next());
    let found: Vec<usize> = prompt.match_indices(word).map(|m| m.0).filter(whole).collect();
    (found.last().map_or(0, |i| i + 1), found.len())
}

#[test]
fn last_mentioned_and_most_frequent_do_not_solve_what_takes_two_facts() {
    for split in [Split::Train, Split::Test] {
        for family in Family::ALL {
            let mut right: BTreeMap<u8, [usize; 3]> = BTreeMap::new();
            for item in items(split, family, HARD, 9, 2_000) {
                let rivals: Vec<_> = item.wrong.iter().map(|w| mentions(&item.prompt, w)).collect();
                let own = mentions(&item.prompt, &item.answer);
                let scores = right.entry(item.facts).or_default();
                scores[0] += rivals.iter().all(|r| r.0 < own.0) as usize;
                scores[1] += rivals.iter().all(|r| r.1 < own.1) as usize;
                scores[2] += 1;
            }
            for (facts, [last, frequent, all]) in right {
                println!("{split:?} {family:?} {facts} facts: last {last}, most frequent {frequent} of {all}");
                if facts > 1 {
                    assert!(last * 10 < all * 6, "{split:?} {family:?} {facts}: last mentioned {last} of {all}");
                    assert!(frequent * 10 < all * 6, "{split:?} {family:?} {facts}: most frequent {frequent} of {all}");
                }
            }
        }
    }
}

/// Figures of models stand beside these items: whoever changes them prints all figures anew.
#[test]
fn the_items_of_the_test_are_those_that_figures_were_printed_with() {
    let hash = Family::ALL.map(|family| {
        let items = items(Split::Test, family, Difficulty { filler: 3, ..HARD }, 1, 500);
        let bytes = items.iter().flat_map(|item| item.prompt.bytes().chain(item.answer.bytes()));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    });
    assert_eq!(hash, [4952169298148187537, 12405618412956782870, 14140973514913371167, 8870965934746915922]);
}

#[test]
fn items_end_right_before_the_answer() {
    for family in Family::ALL {
        let all = items(Split::Test, family, HARD, 4, 300);
        assert_eq!(all, items(Split::Test, family, HARD, 4, 300));
        for item in &all {
            assert!(!item.prompt.ends_with(' ') && !item.prompt.is_empty() && item.wrong.len() >= 3);
        }
        let hard = all.iter().filter(|i| i.facts == 3).count();
        assert!(hard >= 60, "{family:?}: {hard} of 300 take three facts");
    }
}

#[test]
fn filler_comes_between_facts_and_question_only_if_asked_for() {
    let mean = |filler| {
        let difficulty =
            Difficulty { facts: 2, filler, distractors: 0, wordings: ALL_WORDINGS, open: OPEN, loose: false };
        let all = items(Split::Train, Family::Tracking, difficulty, 4, 500);
        all.iter().map(|i| i.distance as usize).sum::<usize>() / all.len()
    };
    assert!(mean(0) + 15 < mean(8), "{} {}", mean(0), mean(8));
}

/// The string literals of a source file's part for one split.
fn literals(source: &str, split: Split) -> HashSet<String> {
    let at = source.find("pub const TEST").expect("two splits");
    let part = if split == Split::Train { &source[..at] } else { &source[at..] };
    let lines = part.lines().filter(|l| !l.trim_start().starts_with("//"));
    // a literal goes on behind a backslash at a line's end
    let code: String = lines.map(|l| l.trim_start().strip_suffix('\\').unwrap_or(l.trim_start())).collect();
    let (mut out, mut now, mut inside, mut escape) = (HashSet::new(), String::new(), false, false);
    for c in code.chars() {
        match c {
            _ if escape => (now.push(c), escape = false).0,
            '\\' => escape = true,
            '"' if inside => {
                out.insert(std::mem::take(&mut now));
                inside = false;
            }
            '"' => inside = true,
            _ if inside => now.push(c),
            _ => {}
        }
    }
    out
}

#[test]
fn the_splits_share_no_sentence() {
    let sources = [
        include_str!("tracking_words.rs"),
        include_str!("if_then_words.rs"),
        include_str!("pattern_words.rs"),
        include_str!("in_context_words.rs"),
    ];
    // a sentence, not a slot's name, an article or a pronoun
    let sentences = |split| {
        let all = sources.iter().flat_map(|s| literals(s, split));
        all.filter(|s| s.contains('{') && s.contains(' ') || s.ends_with('.')).collect::<HashSet<_>>()
    };
    let (mut train, test) = (sentences(Split::Train), sentences(Split::Test));
    train.extend(phrases::ALL.iter().copied().flatten().flat_map(|list| list.1).map(|phrase| phrase.to_string()));
    assert!(train.len() > 500 && test.len() > 200, "{} and {}", train.len(), test.len());
    assert_eq!(train.intersection(&test).collect::<Vec<_>>(), Vec::<&String>::new());
    let (train, test): (HashSet<_>, HashSet<_>) = (filler::TRAIN.iter().collect(), filler::TEST.iter().collect());
    assert!(train.is_disjoint(&test));
}

/// Whether `text` begins with what `template` may say, a slot being any one to three words.
fn says(template: &str, text: &str) -> bool {
    let Some(at) = template.find(['{', '<', '>', '(']) else { return text.starts_with(template) };
    if !text.starts_with(&template[..at]) {
        return false;
    }
    let (rest, text) = (&template[at + 1..], &text[at..]);
    match template.as_bytes()[at] {
        b'{' => {
            let rest = rest.split_once('}').expect("a slot").1;
            let mut end = 0;
            (0..3).any(|word| {
                if word > 0 {
                    end += text[end..].starts_with(' ') as usize;
                }
                let letters = text[end..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len() - end);
                end += letters;
                letters > 0 && says(rest, &text[end..])
            })
        }
        b'(' => says(&rest[2..], text) || (text.starts_with('n') && says(&rest[2..], &text[1..])),
        _ => says(rest, text),
    }
}

#[test]
fn no_training_story_says_a_sentence_of_the_test() {
    assert!(
        says("{a} {is} in the <{p}>. A(n) {x}", "Tom was in the old barn. An egg") && !says("{a} sat.", "Tom ran.")
    );
    let sources = [
        include_str!("pattern_words.rs"),
        include_str!("if_then_words.rs"),
        include_str!("tracking_words.rs"),
        include_str!("in_context_words.rs"),
    ];
    // clauses that make no sentence by themselves are put into others
    let test = sources
        .map(|s| literals(s, Split::Test).into_iter().filter(|t| t.contains('{') && t.ends_with(['.', '!', '"'])));
    let test = test.map(|templates| templates.collect::<Vec<String>>());
    assert!(test.iter().all(|templates| templates.len() > 40));
    for (split, family, _, told) in some(400).filter(|case| case.0 == Split::Train) {
        let text = &told.text;
        let starts = text.match_indices(['.', '!', '?', '"', ',']).filter(|m| m.0 + 2 < text.len()).map(|m| m.0 + 1);
        for at in std::iter::once(0).chain(starts) {
            let sentence = text[at..].trim_start_matches([' ', '"', '\n']);
            for template in &test[family as usize] {
                assert!(!says(template, sentence), "{split:?} says {template:?}: {text}");
            }
        }
    }
}

#[test]
fn every_phrase_that_a_template_names_is_there_and_no_list_has_two_meanings() {
    let mut names = HashSet::new();
    let lists = phrases::ALL.iter().copied().flatten();
    for (name, list) in lists.clone() {
        assert!(names.insert(*name) && list.len() > 1, "{name}");
    }
    for phrase in lists.flat_map(|list| list.1) {
        for name in phrase.split('%').skip(1).step_by(2) {
            assert!(names.contains(name), "%{name}% in {phrase:?}");
        }
        assert_eq!(phrase.matches('%').count() % 2, 0, "{phrase:?}");
    }
}

#[test]
fn test_stories_are_told_without_the_phrases_of_training() {
    let parts = [include_str!("tracking_words.rs"), include_str!("if_then_words.rs"), include_str!("pattern_words.rs")];
    for source in parts.into_iter().chain([include_str!("in_context_words.rs")]) {
        assert!(literals(source, Split::Test).iter().all(|t| !t.contains('%')));
        assert!(literals(source, Split::Train).iter().any(|t| t.contains('%')));
    }
}

#[test]
#[ignore = "prints a time"]
fn speed() {
    let start = std::time::Instant::now();
    let n = 40_000;
    let bytes: usize = (0..n).map(|i| story(Split::Train, &[], HARD, 1, i).text.len()).sum();
    println!("TIME {} us a story, {} bytes", start.elapsed().as_micros() as f64 / n as f64, bytes as u64 / n);
}
