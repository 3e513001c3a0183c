use std::collections::BTreeMap;

use flashlm_core::blob::{Facts, write};
use flashlm_core::config::ModelConfig;
use flashlm_core::testing::{Blob, SMALL, random_sections};

use super::*;

/// A random model over bytes: a tokenizer without merges, so V = 257.
fn model(config: ModelConfig) -> Blob {
    model_with(config, 11, |_| ())
}

/// The same from another seed, its sections changed.
fn model_with(config: ModelConfig, seed: u64, change: impl FnOnce(&mut [Vec<u8>])) -> Blob {
    let config = ModelConfig { vocab: 257, ..config };
    let mut sections = random_sections(&config, seed);
    let mut table = flashlm_core::tokenizer::MAGIC.to_vec();
    table.extend(flashlm_core::tokenizer::VERSION.to_le_bytes());
    table.extend(0u16.to_le_bytes());
    sections[0] = table;
    change(&mut sections);
    Blob::new(&write(&config, &Facts::default(), &sections).unwrap())
}

fn subject(blob: &Blob) -> Subject<'_> {
    Subject { name: "random", model: Model::from_bytes(blob.bytes()).unwrap() }
}

fn item(prompt: &str, answer: &str, wrong: &[&str]) -> Item {
    let wrong = wrong.iter().map(|w| w.to_string()).collect();
    Item { family: "f".into(), prompt: prompt.into(), answer: answer.into(), wrong, ..Item::default() }
}

/// Logits after every token of the text from a reset state, one plain step at a time.
fn logits(subject: &Subject, depth: Depth, text: &[u8]) -> Vec<Vec<f64>> {
    let mut session = Session::on_heap(subject.model, Kernels::scalar());
    session.set_depth(depth).unwrap();
    let tokens = [0].into_iter().chain(text.iter().map(|&b| 1 + u16::from(b)));
    let after = |token| {
        session.step(token).unwrap();
        let mut all = Vec::new();
        session.logits(|_, rows| all.extend(rows.iter().map(|&l| f64::from(l)))).unwrap();
        all
    };
    tokens.map(after).collect()
}

/// ln P(continuation | prompt), from its definition.
fn likelihood(subject: &Subject, depth: Depth, prompt: &str, continuation: &str) -> f64 {
    let all = logits(subject, depth, [prompt, continuation].concat().as_bytes());
    let each = continuation.bytes().enumerate().map(|(i, byte)| {
        let row = &all[prompt.len() + i];
        row[1 + usize::from(byte)] - row.iter().map(|l| l.exp()).sum::<f64>().ln()
    });
    each.sum()
}

/// What the model is likeliest to go on with, up to `count` bytes or the story's end.
fn greedy(subject: &Subject, depth: Depth, prompt: &str, count: usize) -> String {
    let mut text = prompt.to_string();
    for _ in 0..count {
        let row = logits(subject, depth, text.as_bytes()).pop().unwrap();
        let best = (0..row.len()).rev().max_by(|&a, &b| row[a].partial_cmp(&row[b]).unwrap()).unwrap();
        if best == 0 {
            break;
        }
        text.push(char::from((best - 1) as u8));
    }
    text.split_off(prompt.len())
}

#[test]
fn what_the_model_generates_is_right_and_anything_else_wrong() {
    let mut numbers = flashlm_core::testing::Numbers(5);
    let (mut words, mut cut, mut stories) = (0, 0, 0);
    for seed in 0..20 {
        // rows without a scale have logits of zero: the model writes a, b and full stops, or ends the story
        let blob = model_with(SMALL, seed, |sections| {
            let scales = sections[1].len() - 272 * 4;
            for (token, scale) in sections[1][scales..].chunks_exact_mut(4).enumerate() {
                if !b"ab.".iter().any(|&b| token == 1 + usize::from(b)) {
                    scale.fill(0);
                }
            }
        });
        let subject = subject(&blob);
        for depth in subject.depths() {
            let prompt: String = (0..6).map(|_| ['a', 'b', '.'][numbers.below(3) as usize]).collect();
            let prompt = format!("{prompt} \"");
            let told = greedy(&subject, depth, &prompt, 8);
            let exact = |answer: &str| subject.ask(&[item(&prompt, answer, &[])], depth, 1).unwrap()[0].exact;
            let word = told.split('.').next().unwrap();
            stories += usize::from(told.len() < 8);
            if !word.is_empty() && (word.len() < told.len() || told.len() < 8) {
                assert!(exact(word), "{prompt}{told}");
                words += 1;
            }
            if word.len() > 1 {
                assert!(!exact(&word[..word.len() - 1]), "the word goes on: {prompt}{told}");
                cut += 1;
            }
            for other in ["c", &format!("{word}c"), &format!("{word}aaaaaaaaa")] {
                assert!(!exact(other) || told.starts_with(other), "{prompt}{told}");
            }
        }
    }
    assert!(words > 5 && cut > 5 && stories > 0, "{words} words ended, {cut} were cut, {stories} stories ended");
}

#[test]
fn choices_are_judged_by_the_likelihood_of_all_their_tokens() {
    let blob = model(SMALL);
    let subject = subject(&blob);
    let choices = ["barn", "park", "a lake", "x"];
    for depth in subject.depths() {
        let mut order: Vec<(f64, &str)> =
            choices.iter().map(|c| (likelihood(&subject, depth, "Where is Tom?", &format!(" {c}")), *c)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (i, (_, answer)) in order.iter().enumerate() {
            let wrong: Vec<&str> = choices.into_iter().filter(|c| c != answer).collect();
            let outcome = &subject.ask(&[item("Where is Tom?", answer, &wrong)], depth, 1).unwrap()[0];
            assert_eq!(outcome.choice, Some(i == 0), "{depth:?} {order:?} {answer}");
        }
        let tie = &subject.ask(&[item("Where is Tom?", order[0].1, &[order[0].1])], depth, 1).unwrap()[0];
        assert_eq!(tie.choice, Some(false), "a tie counts as wrong");
    }
}

#[test]
fn outcomes_depend_neither_on_neighbours_nor_on_threads() {
    let blob = model(SMALL);
    let subject = subject(&blob);
    let story = "Tom is in the barn. Sue is in the park. Where is Tom? barn. Where is Sue? park. Who is it?";
    let cuts = [5, 19, 40, 54, 60, 60, 30, 79, 1, 0, 88];
    let mut items: Vec<Item> = cuts.iter().map(|&n| item(story[..n].trim_end(), "barn", &["park", "it"])).collect();
    items.push(item("Another text", "barn", &["park"]));
    let items: Vec<Item> = items.iter().cycle().take(100).cloned().collect();
    for depth in [Depth::Fixed(3), Depth::Adaptive] {
        let alone: Vec<Outcome> =
            items[..12].iter().map(|i| subject.ask(std::slice::from_ref(i), depth, 1).unwrap().remove(0)).collect();
        let all = subject.ask(&items, depth, 3).unwrap();
        assert_eq!(all.len(), 100);
        for (i, outcome) in all.iter().enumerate() {
            assert_eq!(*outcome, alone[i % 12], "item {i}");
        }
    }
}

#[test]
fn passes_are_those_of_the_tokens_that_predict_the_answer() {
    struct Each(Vec<u8>);
    impl Observer for Each {
        fn depth(&mut self, passes: u8, _: &[f32]) {
            self.0.push(passes);
        }
    }
    let blob = model(SMALL);
    let subject = subject(&blob);
    let mut seen = Vec::new();
    for (prompt, answer) in [("Where is Tom?", "barn"), ("It was a", "x"), ("Who has it?", "Sue or Ann")] {
        let mut session = Session::on_heap(subject.model, Kernels::scalar());
        session.set_depth(Depth::Adaptive).unwrap();
        let mut each = Each(Vec::new());
        for token in [0].into_iter().chain(format!("{prompt} {answer}").bytes().map(|b| 1 + u16::from(b))) {
            session.step_observed(token, &mut each).unwrap();
        }
        // token i is fed at place i + 1; the answer's first byte is the space behind the prompt
        let predicting = &each.0[prompt.len()..prompt.len() + 1 + answer.len()];
        let want = predicting.iter().map(|&p| f64::from(p)).sum::<f64>() / predicting.len() as f64;
        let items = [item(prompt, answer, &["q", "zz"])];
        assert_eq!(subject.ask(&items, Depth::Adaptive, 1).unwrap()[0].passes, Some(want));
        assert_eq!(subject.ask(&items, Depth::Fixed(3), 1).unwrap()[0].passes, Some(3.0));
        seen.extend_from_slice(predicting);
    }
    assert!(seen.iter().any(|&p| p != seen[0]), "the model always chooses {}", seen[0]);
}

#[test]
fn a_model_without_the_loop_has_one_depth_and_no_passes() {
    let blob = model(ModelConfig { rcsm: None, ..SMALL });
    let subject = subject(&blob);
    assert_eq!(subject.depths(), [Depth::Fixed(1)]);
    let items = [item("Where is Tom?", "barn", &[])];
    let outcome = &subject.ask(&items, Depth::Fixed(1), 1).unwrap()[0];
    assert_eq!((outcome.passes, outcome.choice), (None, None));
    let error = subject.ask(&items, Depth::Fixed(3), 1).unwrap_err().to_string();
    assert!(error.starts_with("random: --depth 3: "), "{error}");
    assert_eq!(subject.ask(&[], Depth::Fixed(1), 4).unwrap(), []);
}

#[test]
fn models_that_cannot_read_are_refused() {
    let config = ModelConfig { vocab: 300, ..SMALL };
    let blob = flashlm_core::testing::random_blob(&config, 3);
    let error = subject(&blob).ask(&[item("a", "b", &[])], Depth::Fixed(1), 1).unwrap_err().to_string();
    assert_eq!(error, "random: expected a model with a tokenizer, found one without");
    let blob = model(ModelConfig { eot: None, ..SMALL });
    let error = subject(&blob).ask(&[item("a", "b", &[])], Depth::Fixed(1), 1).unwrap_err().to_string();
    assert!(error.contains("an end-of-story token"), "{error}");
}

#[test]
fn an_answer_ends_where_its_word_does() {
    let cases: BTreeMap<&str, Option<bool>> = BTreeMap::from([
        ("", None),
        (" ba", None),
        (" barn", None),
        (" barn.", Some(true)),
        (" barn ", Some(true)),
        (" barn\"", Some(true)),
        (" barns", Some(false)),
        (" barn7", Some(false)),
        (" barn\u{e9}", Some(false)),
        (" barn'", None),
        (" barn's", Some(false)),
        (" barn' ", Some(true)),
        (" barn-owl", Some(false)),
        (" barn,", None),
        (" barn,park", Some(false)),
        (" barn, park", Some(true)),
        (" bar.", Some(false)),
        ("barn", Some(false)),
    ]);
    for (text, want) in cases {
        assert_eq!(spells(text.as_bytes(), b" barn", true), want, "{text:?}");
    }
    assert_eq!(spells(b" barn.", b" barn.", false), Some(true));
    assert_eq!(spells(b" barn, park.", b" barn.", false), Some(false));
    assert!(ended(b" barn", b" barn") && ended(b" barn'", b" barn") && !ended(b" bar", b" barn"));
}

#[test]
fn depths_go_by_name() {
    for name in ["1", "3", "8", "chosen"] {
        assert_eq!(depth_name(depth(name).unwrap()), name);
    }
    assert_eq!(depth("auto"), Ok(Depth::Adaptive));
    for bad in ["0", "deep", "-1", "300", ""] {
        assert!(depth(bad).unwrap_err().contains("or chosen"), "{bad}");
    }
}
