use std::fs;

use crate::place::Place;

/// How it ended, and what it said of that.
fn ended(place: &Place, arguments: &[&str]) -> (i32, String) {
    let output = place.new_package(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_name_or_path_makes_nothing() {
    let place = Place::new("wrong");
    for (arguments, part) in [
        (&["Shop"][..], "contains 'S'"),
        (&["../shop"], "is a path"),
        (&["match"], "keyword"),
        (&["underlay"], "needs a crate"),
        (&["shop", "--path", "nowhere"], "--path nowhere: "),
        (&["shop", "--path", "."], "no crates/underlay in it"),
        (&[], "NAME"),
    ] {
        let (code, told) = ended(&place, arguments);
        assert!(code == 2 && told.contains(part), "{arguments:?}: {code}, {told}");
    }
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn what_is_there_stays_as_it_is() {
    let place = Place::new("taken");
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/Cargo.toml"), "mine").unwrap();
    fs::write(place.path("file"), "mine").unwrap();
    for name in ["empty", "full", "file"] {
        let (code, told) = ended(&place, &[name]);
        assert!(code == 2 && told.contains("is there already"), "{name}: {code}, {told}");
    }
    assert_eq!(place.names(), ["empty", "file", "full"]);
    assert_eq!(fs::read_dir(place.path("empty")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(place.path("full/Cargo.toml")).unwrap(), "mine");
}

#[test]
fn of_several_at_once_one_makes_it() {
    let place = Place::new("race");
    let codes = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..8).map(|_| scope.spawn(|| ended(&place, &["shop"]).0)).collect();
        runners.into_iter().map(|runner| runner.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 2).count(), 7, "{codes:?}");
    assert_eq!(place.names(), ["shop"], "nothing is left beside");
    assert!(place.path("shop/events.lock").is_file());
}
