//! What people have reported of BMCs, told to a person in the words that help.

use board::fence::{Fence, Power};
use lab::stage::bmc::Character;

use super::scene::{Scene, bmc, seconds};

/// `ipmitool user set password` gives a BMC 16 bytes of a longer password unless 20 are asked for
/// (github.com/ipmitool/ipmitool/issues/347, github.com/openbmc/openbmc-test-automation/issues/2192).
#[test]
fn a_password_that_the_bmc_has_cut_off_is_told_from_a_wrong_one() {
    let told = |written: &str, kept: &str| {
        let mut character = Character::default();
        for user in &mut character.users {
            kept.clone_into(&mut user.password);
        }
        let (bmc, scene) = (bmc(character), Scene::new());
        scene.secret("password", written);
        let power = scene.device(&bmc, "").power(&seconds(20));
        power.map_err(|error| error.to_string())
    };
    let long = "0123456789abcdefghij";
    assert_eq!(told(long, long), Ok(Power::On));
    let cut_off = told(long, &long[..16]).unwrap_err();
    assert!(cut_off.contains("first 16 bytes") && !cut_off.contains("0123"), "{cut_off}");
    for (written, kept) in
        [(long, &long[..15]), (long, "another"), (&long[..16], "0123456789abcdeX")]
    {
        let wrong = told(written, kept).unwrap_err();
        assert!(wrong.contains("wrong password"), "{wrong}");
    }
}
