use std::fs;
use std::process::{Command, Stdio};

use servers::Missing;

use crate::place::Place;

/// What systemd may say against a unit at most, from 0 to 10.
const EXPOSURE_MAX: &str = "2.0";

/// `systemd-analyze`, where this machine has it.
fn systemd_analyze() -> Option<Command> {
    let mut asked = Command::new("systemd-analyze");
    let there = asked.arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        Missing::new("systemd-analyze", "install the package `systemd`").skip_test();
        return None;
    }
    Some(Command::new("systemd-analyze"))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let place = Place::new("unit");
    assert!(place.new_package(&["shop"]).status.success());
    let unit = fs::read_to_string(place.path("shop/deploy/shop.service")).unwrap();
    // The program is not installed here.
    let unit = unit.replace("/usr/local/bin/shop", "/bin/true");
    fs::write(place.path("shop.service"), unit).unwrap();
    let Some(mut analyze) = systemd_analyze() else { return };
    let verified = analyze.args(["verify", "--man=no"]).arg(place.path("shop.service")).output().unwrap();
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !told.contains("shop.service"), "{told}");
    let Some(mut analyze) = systemd_analyze() else { return };
    let rated = ["security", "--offline=yes", &format!("--threshold={}", EXPOSURE_MAX.replace('.', ""))];
    let rated = analyze.args(rated).arg(place.path("shop.service")).output().unwrap();
    assert!(rated.status.success(), "{}", String::from_utf8_lossy(&rated.stdout));
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_says_whether_it_lives() {
    let place = Place::new("image");
    assert!(place.new_package(&["order-desk"]).status.success());
    let text = fs::read_to_string(place.path("order-desk/Dockerfile")).unwrap();
    let (build, run) = text.rsplit_once("\nFROM ").unwrap();
    assert!(build.contains("cargo build --release --locked"), "{build}");
    for line in ["USER 10001:10001", "COPY --from=build /usr/local/bin/order-desk /usr/local/bin/"] {
        assert!(run.lines().any(|own| own == line), "{line}");
    }
    let (_, check) = run.split_once("\nHEALTHCHECK ").unwrap();
    assert!(check.contains("http://127.0.0.1:7070/livez"), "{check}");
    // What is secret or large is not sent to the builder.
    let ignored = fs::read_to_string(place.path("order-desk/.dockerignore")).unwrap();
    for name in ["target", "*.tokens", "*.key", ".env", "*.db"] {
        assert!(ignored.lines().any(|line| line == name), "{name}");
    }
}
