//! The unit for systemd says what the services of twobox need of it.

#[test]
fn the_unit_leaves_the_services_to_twobox() {
    let unit = include_str!("../../images/dist/twobox.service");
    let says = |line: &str| unit.lines().filter(|it| *it == line).count() == 1;
    // One service that is killed for memory must not end the others (systemd.service(5)).
    assert!(says("OOMPolicy=continue"));
    // Each service has a cgroup below that of twobox (systemd.resource-control(5)).
    assert!(says("Delegate=pids"));
    // Services and guard live on when twobox dies (systemd.kill(5)).
    assert!(says("KillMode=process"));
}
