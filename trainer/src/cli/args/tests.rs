use clap::{CommandFactory, Parser};
use flashlm_core::config::{
    AttentionConfig, AttentionMap, ChannelMixer, Heads, Mixer, MixtureOfDepths, ModelConfig, Writes,
};

use crate::cli::{Cli, Command};
use crate::report::Wanted;
use crate::run::preset::{self, Size};
use crate::run::request::Resume;
use crate::run::schedule;

fn parse(line: &str) -> Result<Cli, String> {
    Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn no_argument_at_all_trains_supernova() {
    let cli = parse("trainer").unwrap();
    assert!(cli.command.is_none());
    assert_eq!(cli.train.model.config().unwrap(), ModelConfig::SUPERNOVA);
    assert_eq!(cli.train.resume, Resume::Auto);
}

#[test]
fn a_report_is_served_at_the_usual_port_or_another_and_only_where_asked() {
    let wanted = |line| parse(line).unwrap().train.report.wanted();
    assert_eq!(wanted("trainer"), Wanted::default());
    assert_eq!(wanted("trainer --serve").serve, Some(7171));
    assert_eq!(wanted("trainer --serve 8080 --steps 2").serve, Some(8080));
    assert_eq!(wanted("trainer --tensorboard board").tensorboard, Some("board".into()));
    assert!(parse("trainer --serve 70000").is_err());
    assert!(parse("trainer report").unwrap_err().contains("<DIR>"));
    let runs = parse("trainer report a b --out c.html").unwrap().command;
    assert!(matches!(runs, Some(Command::Report(args)) if args.runs.len() == 2 && args.out == Some("c.html".into())));
}

#[test]
fn every_dimension_can_be_overridden() {
    let line = "trainer --d-model 64 --layers 2 --d-ffn 160 --vocab 512 --rcsm-width 32 --rcsm-ops 4 --rcsm-slots 8";
    let config = parse(line).unwrap().train.model.config().unwrap();
    let rcsm = config.rcsm.unwrap();
    assert_eq!((config.d_model, config.layers, config.d_ffn, config.vocab), (64, 2, 160, 512));
    assert_eq!((rcsm.width, rcsm.ops, rcsm.slots), (32, 4, 8));
    assert_eq!(parse("trainer --no-rcsm").unwrap().train.model.config().unwrap().rcsm, None);
}

#[test]
fn a_size_sets_dimensions_and_overrides_win_over_it() {
    let model = |line| parse(line).unwrap().train.model;
    assert_eq!(model("trainer --size full").config().unwrap(), ModelConfig::SUPERNOVA);
    let nano = model("trainer --size nano --preset supernova");
    assert_eq!(nano.config().unwrap(), ModelConfig::SUPERNOVA_NANO);
    assert_eq!(nano.named().unwrap().name, "supernova-nano");
    let mut wanted = ModelConfig { layers: 5, vocab: 600, ..ModelConfig::SUPERNOVA_MICRO };
    wanted.rcsm.as_mut().unwrap().ops = 12;
    let overridden = model("trainer --rcsm-ops 12 --vocab 600 --size micro --layers 5");
    assert_eq!(overridden.config().unwrap(), wanted);
    assert_eq!(model("trainer --size mini --no-rcsm").config().unwrap().rcsm, None);
    let bench = parse("trainer bench --size mini").unwrap().command;
    let Some(Command::Bench(bench)) = bench else { panic!("{bench:?}") };
    assert_eq!(bench.model.config().unwrap(), ModelConfig::SUPERNOVA_MINI);
    assert!(parse("trainer --size tiny").unwrap_err().contains("nano, micro, mini, full"));
}

#[test]
fn any_mix_of_layers_can_be_asked_for() {
    let config = |line: &str| parse(line).unwrap().train.model.config().unwrap();
    for named in preset::TABLE.iter().filter(|named| named.size == Size::Full) {
        assert_eq!(config(&format!("trainer --preset {}", named.name)), named.config);
    }
    let nova =
        config("trainer --preset nova-ignition --heads 2 --d-head 32 --window 40 --mod-capacity 50 --mod-from 1");
    let heads = Heads { count: 2, width: 32 };
    let attention = AttentionConfig { heads, window: 40, map: AttentionMap::Difference };
    assert_eq!(nova.mixer, Mixer::Attention(attention));
    assert_eq!(nova.mixture_of_depths, Some(MixtureOfDepths { capacity: 50, from: 1 }));
    assert_eq!(config("trainer --preset nova-ignition --mod-capacity 100").mixture_of_depths, None);
    let mixed = config("trainer --preset bolt --mixer diff-attention --ffn shifted-relu2 --rcsm-width 64");
    assert!(matches!(mixed.mixer, Mixer::Attention(a) if a.map == AttentionMap::Difference));
    assert_eq!((mixed.ffn, mixed.rcsm.unwrap().width), (ChannelMixer::ShiftedRelu2, 64));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (line, want) in [
        ("trainer --d-model 100", "multiple of 16 in 16 ..= 2048"),
        ("trainer --d-model 4096", "multiple of 16 in 16 ..= 2048"),
        ("trainer --layers 0", "1..=64"),
        ("trainer --vocab 100", "257..=65535"),
        ("trainer --hours=-1", "0.0001 ..= 10000 (hours)"),
        ("trainer --hours NaN", "0.0001 ..= 10000 (hours)"),
        ("trainer --lr 3", "0.0000001 ..= 1 (rate)"),
        ("trainer --warmup 0.9", "0 ..= 0.5 (share)"),
        ("trainer --hours 1 --steps 5", "cannot be used with"),
        ("trainer --no-rcsm --rcsm-ops 8", "cannot be used with"),
        ("trainer --no-rcsm --rcsm-depths 1,2,3", "cannot be used with"),
        ("trainer --rcsm-depths 1,3,3", "three rising numbers of passes"),
        ("trainer --rcsm-taps 9", "1..=8"),
        ("trainer --depths 0,0,0", "three shares in 0 ..= 1"),
        ("trainer --reasoning-depths .5,.5", "three shares in 0 ..= 1"),
        ("trainer --mix poems=0.95", "0 ..= 0.9"),
        ("trainer --mix reasoning=0.95", "0 ..= 0.9"),
        ("trainer --families magic", "pattern, if-then, tracking, in-context"),
        ("trainer --reduce f16", "possible values: f32, bf16, int8"),
        ("trainer plan --ranks 4", "--bandwidth <BANDWIDTH>"),
        ("trainer plan --bandwidth 0", "0.001 ..= 100000 (Gbit/s)"),
        ("trainer plan --bandwidth 10 --ranks 1001", "1..=1000"),
        ("trainer eval --model a --data b --depth 0", "expected auto or a number of passes, or model"),
    ] {
        let message = parse(line).expect_err(line);
        assert!(message.contains(want), "{line}: {message}");
    }
}

#[test]
fn resume_takes_a_word_or_a_file() {
    for (word, want) in
        [("auto", Resume::Auto), ("never", Resume::Never), ("a/b.safetensors", Resume::File("a/b.safetensors".into()))]
    {
        assert_eq!(parse(&format!("trainer --resume {word}")).unwrap().train.resume, want);
    }
}

#[test]
fn every_part_of_the_engine_can_be_asked_for() {
    let line = "trainer --rcsm-after 3 --rcsm-taps 5 --rcsm-slots 64 --rcsm-depths 2,4,6 --rcsm-writes forward";
    let rcsm = parse(line).unwrap().train.model.config().unwrap().rcsm.unwrap();
    assert_eq!((rcsm.after, rcsm.taps, rcsm.slots, rcsm.depths), (3, 5, 64, [2, 4, 6]));
    assert_eq!(rcsm.writes, Writes::Forward);
    // in the same place of a model of another height, and of a preset without
    let after = |line: &str| parse(line).unwrap().train.model.config().unwrap().rcsm.unwrap().after;
    assert_eq!((after("trainer --layers 4"), after("trainer --layers 1"), after("trainer --layers 16")), (3, 1, 10));
    assert_eq!((after("trainer --preset bolt --rcsm"), after("trainer --preset bolt --rcsm-taps 4")), (4, 4));
}

#[test]
fn reasoning_stories_come_with_the_built_in_ones_and_elsewhere_when_asked_for() {
    let mix = |line: &str| parse(line).unwrap().train.data.mix();
    assert_eq!((mix("trainer").share, mix("trainer --data builtin").share), (0.3, 0.3));
    assert_eq!((mix("trainer --data a.txt").share, mix("trainer --mix reasoning=0").share), (0.0, 0.0));
    let some = mix("trainer --data a.txt --mix reasoning=0.25 --families tracking,if-then");
    assert_eq!((some.share, some.families), (0.25, vec!["tracking".to_owned(), "if-then".to_owned()]));
}

#[test]
fn how_depths_are_trained_is_read() {
    let args = |line: &str| parse(line).unwrap().train.reasoning;
    let usual = args("trainer");
    assert_eq!((usual.depth_training, usual.answer_weight), (schedule::DepthTraining::Forced, 5.0));
    assert_eq!((usual.shares().plain, usual.shares().reasoning), ([0.7, 0.2, 0.1], [0.2, 0.4, 0.4]));
    let other = args("trainer --depth-training blend --depths 1,0,0 --reasoning-depths 0,.5,1 --answer-weight 20");
    assert_eq!((other.depth_training, other.answer_weight), (schedule::DepthTraining::Blend, 20.0));
    assert_eq!((other.shares().plain, other.shares().reasoning), ([1.0, 0.0, 0.0], [0.0, 0.5, 1.0]));
}

#[test]
fn the_flags_earlier_spelling_is_still_read() {
    let optimizer = |line| parse(line).unwrap().train.optimizer;
    assert_eq!(optimizer("trainer --optimiser adamw"), optimizer("trainer --optimizer adamw"));
    assert_ne!(optimizer("trainer --optimiser adamw"), optimizer("trainer"));
}
