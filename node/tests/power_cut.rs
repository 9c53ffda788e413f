//! A short campaign of power cuts; `cargo run --release -p kontor-node --example power_cut` is the long one.

#[path = "../examples/power_cut/campaign.rs"]
mod campaign;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_wrong_is_served_after_a_power_cut_under_32_writers() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let seed = u64::from_be_bytes(kontor_pki::crypto::random()) >> 16;
    let plan = campaign::Plan {
        times: 20,
        writers: 32,
        seed,
    };
    let report = runtime.block_on(campaign::run(plan, |_, _| {}));
    let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    assert_eq!(report.failures, [""; 0], "the disk is kept in {:?}", report.kept);
    assert_eq!(report.cuts, 25);
    assert_eq!(report.index_of_another_moment, 10);
    assert!(report.segments > 8, "{report:?}");
}
