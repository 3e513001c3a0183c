//! Every width with every figure there or not, short and long.

use super::*;
use crate::nn::Answers;

const WIDTHS: [usize; 5] = [40, 60, 80, 120, 200];

fn answers(facts: usize) -> AnswerRates {
    let mut counts = Answers::default();
    (0..facts).for_each(|i| (counts.right[i], counts.total[i]) = ([1, 3, 4], [4; 3]));
    let mut rates = AnswerRates::default();
    rates.add(&counts);
    rates
}

fn usual(answers: &AnswerRates) -> Status<'_> {
    Status {
        progress: 0.5,
        phase: "reasoning",
        step: 12_000,
        loss: 1.2345,
        bpc: Some(0.87654),
        bpc_before: Some(0.9),
        tokens_per_second: 12_345.6,
        mean_passes: Some(2.5),
        answers,
        left: Some(Duration::from_secs(3723)),
    }
}

#[test]
fn a_plain_line_carries_every_figure_with_its_unit_the_time_left_first() {
    let rates = answers(2);
    let want = "1:02:03 left | 50.0 % | reasoning | held-out 0.8765 bpc | loss 1.234 | 12346 tokens/s | step 12000 | \
                2.50 passes | answers 1: 25/75/100 % 2: 25/75/100 %";
    assert_eq!(usual(&rates).to_string(), want);
    let none = answers(0);
    let early = Status { bpc: None, left: None, mean_passes: None, ..usual(&none) };
    let want = "? left | 50.0 % | reasoning | held-out - bpc | loss 1.234 | 12346 tokens/s | step 12000";
    assert_eq!(early.to_string(), want);
    assert_eq!(clock_time(Duration::from_secs(63)), "1:03");
}

#[test]
fn each_width_shows_what_fits_on_two_lines_and_wide_ones_need_but_one() {
    let rates = answers(2);
    let at = |width| lines(&usual(&rates), width, false);
    assert_eq!(at(40), ["1:02:03 left | 50.0 % | reasoning", "0.877 bpc | loss 1.23 | 12346 tok/s"]);
    let want = [
        "1:02:03 left | 50.0 % | reasoning | 0.877 bpc | loss 1.23",
        "12346 tok/s | step 12000 | 2.5 passes | answers 100 100 %",
    ];
    assert_eq!(at(60), want);
    let want = [
        "1:02:03 left | 50.0 % [=========>         ] | reasoning | held-out 0.8765 bpc",
        "loss 1.234 | 12346 tokens/s | step 12000 | 2.50 passes | answers 100 100 %",
    ];
    assert_eq!(at(80), want);
    let rows = at(120);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].ends_with("answers 1: 25/75/100 % 2: 25/75/100 %"), "{rows:#?}");
    let rows = at(200);
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains("[===============>              ]"), "{rows:#?}");
}

/// All mixes of figures there or not, short and long.
fn every(mut check: impl FnMut(&Status)) {
    let long = "a phase whose name somebody thought long about and then made longer still";
    let years = Duration::from_secs(9999 * 3600);
    for (facts, phase) in [(0, "operations"), (1, ""), (4, long)] {
        let rates = answers(facts);
        for left in [None, Some(Duration::ZERO), Some(years)] {
            for bpc in [None, Some(0.0), Some(123_456.789)] {
                for (step, loss, rate) in [(0, 0.0, 0.0), (u64::MAX, f64::MAX / 1e290, 1e12), (7, f64::NAN, 9.0)] {
                    for progress in [0.0, 0.999, 7.0] {
                        check(&Status {
                            progress,
                            phase,
                            step,
                            loss,
                            bpc,
                            bpc_before: bpc.map(|bpc| bpc + 1.0),
                            tokens_per_second: rate,
                            mean_passes: (facts > 0).then_some(loss),
                            answers: &rates,
                            left,
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn no_line_is_longer_than_the_terminal_and_the_time_left_comes_first() {
    every(|status| {
        for width in WIDTHS {
            let rows = lines(status, width, false);
            assert!((1..=2).contains(&rows.len()), "{rows:#?}");
            assert!(rows.iter().all(|row| !row.is_empty() && measure_text_width(row) < width), "{width}: {rows:#?}");
            let left = status.left.map_or("?".into(), clock_time);
            assert!(rows[0].starts_with(&left) && rows[0].contains(" %"), "{width}: {rows:#?}");
        }
        for width in 0..40 {
            assert!(lines(status, width, true).iter().all(|row| measure_text_width(row) <= width), "{width}");
        }
    });
}

#[test]
fn colours_take_no_columns_and_are_left_out_where_they_are_not_wanted() {
    every(|status| {
        for width in WIDTHS {
            let (plain, colored) = (lines(status, width, false), lines(status, width, true));
            assert!(plain.iter().all(|row| !row.contains('\x1b')), "{plain:?}");
            assert!(colored[0].contains('\x1b'), "{colored:?}");
            let stripped: Vec<_> = colored.iter().map(|row| console::strip_ansi_codes(row)).collect();
            assert_eq!(stripped, plain);
        }
    });
}

#[test]
fn held_out_text_that_got_worse_is_red_and_better_is_green() {
    let rates = answers(0);
    let colors = |before| {
        let row = lines(&Status { bpc_before: before, ..usual(&rates) }, 200, true).remove(0);
        ["\x1b[31m", "\x1b[32m"].map(|color| row.contains(&format!("{color}held-out")))
    };
    assert_eq!(colors(Some(0.8)), [true, false]);
    assert_eq!(colors(Some(0.9)), [false, true]);
    assert_eq!(colors(None), [false, false]);
}

#[test]
fn the_bar_is_as_long_as_it_is_told_and_full_at_the_end() {
    assert_eq!(bar(0.0, 6), "[>   ]");
    assert_eq!(bar(0.5, 6), "[==> ]");
    assert_eq!([bar(1.0, 6), bar(7.0, 6)], ["[====]", "[====]"]);
}
