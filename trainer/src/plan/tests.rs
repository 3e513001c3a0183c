use super::*;

const MEASURED: Measured = Measured {
    parameters: 1_000_000,
    threads: 2,
    sequences: 8,
    tokens: 256,
    forward_backward: 0.9,
    update: 0.1,
    shared: 0.0,
};
const MODEL: Model = Model { parameters: 1e6, stages: 10, last: 0.1 };

fn plan(bandwidth: f64, latency: f64) -> Plan {
    Plan { measured: MEASURED, network: Network { bandwidth, latency }, price: Some(3.6) }
}

#[test]
fn one_rank_is_what_was_measured() {
    for reduce in Reduce::ALL {
        let step = plan(1e9, 1e-5).step(&MODEL, 1, reduce);
        assert_eq!((step.seconds, step.efficiency, step.exchange, step.bytes), (1.0, 1.0, 0.0, 0.0));
        assert_eq!((step.batch_tokens, step.tokens_per_second), (4096.0, 4096.0));
        // 3.6 an hour are a thousandth a second, which is 4,096 tokens
        assert!((step.cost.unwrap() - 1e9 / 4096.0 * 0.001).abs() < 1e-6);
    }
}

#[test]
fn an_exchange_is_its_bytes_over_the_bandwidth_and_its_messages() {
    // 2 MB of bf16; a quarter stays at home; 2 x 3 turns in ten stages
    let step = plan(1e6, 1e-3).step(&MODEL, 4, Reduce::Bf16);
    assert_eq!(step.bytes, 3e6);
    assert!((step.exchange - (3.0 + 0.06)).abs() < 1e-9, "{step:?}");
    // nine tenths of it could hide, but the backward pass has 0.6 s, and nine tenths of those
    assert!((step.seconds - (1.0 + 3.06 - 0.54)).abs() < 1e-9, "{step:?}");
    assert!((step.overlapped - 0.54 / 3.06).abs() < 1e-9);
    assert!((step.efficiency - 1.0 / 3.52).abs() < 1e-9);
    assert!((step.tokens_per_second - 4.0 * 4096.0 / 3.52).abs() < 1e-6);
    // f32: 4 MB up and down the chain, 64 KiB pieces, 2 x 3 hops until the first is back
    let step = plan(1e6, 1e-3).step(&MODEL, 4, Reduce::F32);
    let pieces: f64 = 2.0 * 4e6 / 65_536.0;
    assert!((step.exchange - (8.0 + 6.0 * (1e-3 + 0.065_536) + pieces * 1e-3)).abs() < 1e-9, "{step:?}");
    // int8: a byte each and a scale for 256
    assert_eq!(plan(1e6, 0.0).step(&MODEL, 2, Reduce::Int8).bytes, 1e6 + 4.0 * 3907.0);
}

#[test]
fn what_hides_costs_nothing_but_the_last_stage() {
    let step = plan(1e9, 0.0).step(&MODEL, 8, Reduce::Bf16);
    assert!((step.overlapped - 0.9).abs() < 1e-9);
    assert!((step.seconds - (1.0 + 0.1 * step.exchange)).abs() < 1e-12);
}

#[test]
fn an_update_is_shared_out_where_that_is_faster() {
    let shared = |bandwidth, latency| {
        let plan = plan(bandwidth, latency);
        let measured = Measured { shared: 0.08, ..MEASURED };
        let seconds = |plan: Plan| plan.step(&MODEL, 4, Reduce::Bf16).seconds;
        seconds(plan) - seconds(Plan { measured, ..plan })
    };
    // three quarters of 80 ms, less those of 3.6 MB, less three messages
    assert!((shared(1e9, 1e-4) - (0.75 * (0.08 - 0.0036) - 3e-4)).abs() < 1e-9);
    assert_eq!(shared(1e7, 0.0), 0.0, "the parameters take 360 ms");
}

#[test]
fn a_larger_model_computes_and_exchanges_in_proportion() {
    let plan = plan(1e8, 0.0);
    let large = Model { parameters: 1e9, ..MODEL };
    let (small, large) = (plan.step(&MODEL, 16, Reduce::Bf16), plan.step(&large, 16, Reduce::Bf16));
    assert!((large.seconds / small.seconds - 1000.0).abs() < 1e-6);
    assert!((large.efficiency - small.efficiency).abs() < 1e-9);
}

#[test]
fn it_stops_paying_where_the_efficiency_falls_under_half() {
    let plan = plan(1e6, 1e-3);
    for reduce in Reduce::ALL {
        let worth = plan.worth(&MODEL, reduce);
        assert!(plan.step(&MODEL, worth, reduce).efficiency >= WORTH);
        assert!(plan.step(&MODEL, worth + 1, reduce).efficiency < WORTH, "{reduce:?}: {worth}");
    }
    assert!(plan.worth(&MODEL, Reduce::Int8) >= plan.worth(&MODEL, Reduce::F32));
    let fast = Plan { network: Network { bandwidth: 1e12, latency: 0.0 }, ..plan };
    assert_eq!(fast.worth(&MODEL, Reduce::F32), MOST_RANKS);
}

#[test]
fn figures_that_are_none_are_refused_by_name() {
    let refused = |measured: Measured| measured.check().unwrap_err().to_string();
    assert_eq!(refused(Measured { tokens: 0, ..MEASURED }), "tokens is 0: expected at least 1");
    let update = refused(Measured { update: f64::NAN, ..MEASURED });
    assert_eq!(update, "update is NaN: expected seconds above 0");
    assert_eq!(
        refused(Measured { shared: 0.2, ..MEASURED }),
        "shared is 0.2: expected 0 to 0.1, of the update's seconds"
    );
    assert!(MEASURED.check().is_ok());
}
