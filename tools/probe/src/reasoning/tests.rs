//! What the stories promise.

use super::*;

const HARD: Difficulty = Difficulty { facts: 3, filler: 4, distractors: 2 };

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
