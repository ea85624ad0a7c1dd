//! Checks the promises of the pair with real processes.
//!
//! Each test tells one story of `lab::scenarios::stories` in a world of its own. They need user namespaces, or
//! root, and `/dev/net/tun`; without them they fail.

use demo::stories;

mod demo;

stories! {
    their_file_checks: "their-file-checks",
    active_dies: "active-dies",
    standby_dies: "standby-dies",
    home_comes_back: "home-comes-back",
    no_failback: "no-failback",
    one_cable_cut: "one-cable-cut",
    one_way_cut: "one-way-cut",
    serial_alone: "serial-alone",
    all_cables_cut: "all-cables-cut",
    shot_box_stays_quiet: "shot-box-stays-quiet",
    service_dies: "service-dies",
    switch_unreachable: "switch-unreachable",
    switch_lies: "switch-lies",
    switch_slow: "switch-slow",
    supervisor_dies: "supervisor-dies",
    supervisor_upgraded: "supervisor-upgraded",
    found_by_descent: "found-by-descent",
    one_service_killed: "one-service-killed",
    an_order_stands: "an-order-stands",
    standby_supervisor_restarts: "standby-supervisor-restarts",
    supervisor_stays_away: "supervisor-stays-away",
    unwatched_address_goes: "unwatched-address-goes",
    guard_dies: "guard-dies",
    active_resets: "active-resets",
    active_stalls: "active-stalls",
    standby_stalls: "standby-stalls",
    shut_down_in_order: "shut-down-in-order",
    planned_switch: "planned-switch",
    what_happened_is_kept: "what-happened-is-kept",
    what_happens_is_told: "what-happens-is-told",
    lateness_is_measured: "lateness-is-measured",
    comes_before_all: "comes-before-all",
    few_rights: "few-rights",
    no_files_in_the_loop: "no-files-in-the-loop",
    peer_asked_by_network: "peer-asked-by-network",
    peer_asked_by_serial: "peer-asked-by-serial",
    peer_refuses_the_file: "peer-refuses-the-file",
    trial_refused: "trial-refused",
    trial_kept: "trial-kept",
    trial_unconfirmed: "trial-unconfirmed",
    trial_busy: "trial-busy",
    trial_parted: "trial-parted",
    trial_word_lost: "trial-word-lost",
    trial_killed: "trial-killed",
    peer_may_not_configure: "peer-may-not-configure",
    peer_changes_no_programs: "peer-changes-no-programs",
    recorded_letters: "recorded-letters",
    trial_of_keys: "trial-of-keys",
    fenced_by_hand: "fenced-by-hand",
    fenced_by_hand_in_vain: "fenced-by-hand-in-vain",
    drill: "drill",
    drill_in_vain: "drill-in-vain",
    orders_are_told: "orders-are-told",
    reload_unnoticed: "reload-unnoticed",
    reload_services: "reload-services",
    reload_links: "reload-links",
    reload_fence: "reload-fence",
    reload_checks: "reload-checks",
    reload_keys: "reload-keys",
    reload_secrets: "reload-secrets",
    reload_in_vain: "reload-in-vain",
    reload_storm: "reload-storm",
    reload_overtaken: "reload-overtaken",
    reload_one_after_the_other: "reload-one-after-the-other",
    removed_is_watched: "removed-is-watched",
    removed_is_let_go: "removed-is-let-go",
    removed_unknown: "removed-unknown",
    removed_by_the_guard: "removed-by-the-guard",
    idle_writes_nothing: "idle-writes-nothing",
    files_vanish: "files-vanish",
    files_vanish_and_then_it_dies: "files-vanish-and-then-it-dies",
    asked_from_outside: "asked-from-outside",
    told_plainly: "told-plainly",
    alone_at_boot: "alone-at-boot",
    peer_unknown_at_boot: "peer-unknown-at-boot",
    site_loses_power: "site-loses-power",
    stuck_loop_is_reset: "stuck-loop-is-reset",
    stuck_disk_is_reset: "stuck-disk-is-reset",
    well_box_is_not_reset: "well-box-is-not-reset",
    resources_hang: "resources-hang",
    network_lost: "network-lost",
    gate_closed: "gate-closed",
    peer_goes_dark: "peer-goes-dark",
    shot_by_bmc: "shot-by-bmc",
    interface_renamed: "interface-renamed",
    card_dies: "card-dies",
    address_without_interface: "address-without-interface",
    bmc_places_given_back: "bmc-places-given-back",
    failback_cut: "failback-cut",
    moves_cut: "moves-cut",
    silent_and_back: "silent-and-back",
}

#[test]
fn one_holder_in_a_storm() {
    demo::run(&["storm", "1", "30"]);
}

/// `cargo demo cuts KIND SEED RUNS` does as many as one likes.
#[test]
fn the_standby_is_shot_whenever_every_cable_is_cut() {
    std::thread::scope(|scope| {
        for seed in ["1", "2", "3", "4"] {
            scope.spawn(move || demo::run(&["cuts", "at-rest", seed, "2"]));
        }
    });
}

#[test]
fn the_lab_tells_the_truth() {
    // As `cargo demo -- selftest` passes it.
    demo::run(&["--", "selftest"]);
}
