use std::ffi::OsString;

use clap::{Arg, ArgMatches};
use tempfile::TempDir;

use super::*;
use crate::Service;

/// A service whose options are looked for in a folder of the test's own.
struct Place {
    folder: TempDir,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<String>,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), environment: Vec::new(), flags: Vec::new() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn flags(mut self, flags: &[&str]) -> Self {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self
    }

    fn read(&self) -> Result<Config, Mistakes> {
        self.read_of(&Service::new("bank"))
    }

    fn read_of(&self, service: &Service) -> Result<Config, Mistakes> {
        let flags: ArgMatches = {
            let catalogue = Catalogue::new(&service.settings, &service.adapters, "bank");
            let option = |key: &Key| Arg::new(key.written()).long(key.flag()).action(clap::ArgAction::Append);
            let file = Arg::new(FILE).long(FILE).value_parser(clap::value_parser!(std::path::PathBuf));
            let command = clap::Command::new("bank").args(catalogue.keys().iter().map(option)).arg(file);
            command.get_matches_from(std::iter::once(&"bank".to_owned()).chain(&self.flags))
        };
        let sources = Sources {
            service: "bank",
            folder: self.folder.path(),
            environment: self.environment.clone(),
            flags: &flags,
        };
        Config::read(&service.settings, &service.adapters, &sources)
    }

    fn mistakes(&self) -> Vec<String> {
        let Mistakes(mistakes) = self.read().unwrap_err();
        mistakes.into_iter().map(|Mistake { place, text }| format!("{place}: {text}")).collect()
    }
}

fn value(config: &Config, option: &str) -> (Option<String>, String) {
    let entry = config.entries().iter().find(|entry| entry.option == option).unwrap();
    (entry.value.clone(), entry.source.clone())
}

#[test]
fn a_flag_goes_before_the_environment_before_dotenv_before_the_file_before_the_default() {
    let listens = |place: &Place| value(&place.read().unwrap(), "listen");
    let some = |text: &str, source: &str| (Some(text.to_owned()), source.to_owned());
    let place = Place::new();
    assert_eq!(listens(&place), some("127.0.0.1:7070", "default"));
    let place = place.file("bank.toml", "listen = '127.0.0.1:1'\n[server]\nrequests_max = 7\n");
    assert_eq!(listens(&place), some("127.0.0.1:1", "bank.toml"));
    let place = place.file(".env", "# ours\nexport BANK_LISTEN='127.0.0.1:2'\nPATH=/none");
    assert_eq!(listens(&place), some("127.0.0.1:2", "BANK_LISTEN in .env"));
    let place = place.variable("BANK_LISTEN", "127.0.0.1:3");
    assert_eq!(listens(&place), some("127.0.0.1:3", "BANK_LISTEN in the environment"));
    let place = place.flags(&["--listen", "127.0.0.1:4"]);
    assert_eq!(listens(&place), some("127.0.0.1:4", "--listen"));
    let config = place.read().unwrap();
    assert_eq!(config.settings.listen, "127.0.0.1:4");
    // What only one source sets comes from there.
    assert_eq!(value(&config, "server.requests_max"), some("7", "bank.toml"));
    assert_eq!(config.settings.server.requests_max, 7);
}

#[test]
fn every_mistake_of_every_source_is_told_with_its_place() {
    let place = Place::new()
        .file(
            "bank.toml",
            "databse = 'memory:'\nlisten = 5\n[server]\nrequest_max = 1\nwait_max = '5'\n[bogus]\nx = 1\n",
        )
        .file(".env", "BANK_VIEW_LEASE=0\nBANK_TENNANT=acme\n")
        .variable("BANK_DATABASE", "mysql://me:secret@h/d")
        .variable("BANK_SERVICE_HOST", "10.0.0.1")
        .variable("BANK_ENGINE_TURNS_WAITING_MAX", "none")
        .flags(&["--listen", "nowhere", "--sqlite-readers-max", "0"]);
    let told = place.mistakes();
    let expected = [
        "bank.toml, bogus.x: there is no such option",
        "bank.toml, databse: there is no such option; did you mean database?",
        "bank.toml, server.request_max: there is no such option; did you mean server.requests_max?",
        "BANK_TENNANT in .env: there is no such option; did you mean BANK_TENANT?",
        "bank.toml, listen: \"5\" is not HOST:PORT",
        "bank.toml, server.wait_max: \"5\" is no time, such as 500ms or 5s",
        "BANK_VIEW_LEASE in .env: 0s is too little: at least 1ms",
        "BANK_ENGINE_TURNS_WAITING_MAX in the environment: \"none\" is no whole number",
        "--listen: \"nowhere\" is not HOST:PORT",
        "--sqlite-readers-max: 0 is too little: at least 1",
        "BANK_DATABASE in the environment: there is no store of the kind \"mysql\"",
    ];
    for part in expected {
        assert!(told.iter().any(|mistake| mistake.starts_with(part)), "{part}\nis not in\n{told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(!told.join(" ").contains("secret"), "{told:#?}");
}

#[test]
fn a_file_is_found_by_its_name_and_must_be_there_when_it_is_named() {
    let place = Place::new().file("other.toml", "tenant = 'acme'").file("bank.toml", "tenant = 'main'");
    let named = place.folder.path().join("other.toml");
    let tenant = |place: &Place| place.read().unwrap().settings.tenant;
    assert_eq!(tenant(&place), "main");
    let place = place.variable("BANK_CONFIG", named.to_str().unwrap());
    assert_eq!(tenant(&place), "acme");
    let place = place.flags(&["--config", "bank.toml"]);
    assert_eq!(tenant(&place), "main");
    let told = place.flags(&["--config", "none.toml"]).mistakes();
    assert!(told[0].starts_with("--config: ") && told[0].contains("none.toml"), "{told:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_without_its_lines() {
    let told = Place::new()
        .file("bank.toml", "tenant = 'acme'\ndatabase = 'postgres://me:secret@h/d\n")
        .file(
            ".env",
            "BANK_TENANT acme\nBANK_DATABASE=postgres://me:secret word@h/d\nBANK_LISTEN=127.0.0.1:1\n",
        )
        .mistakes();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|told| told.starts_with("bank.toml: ") && told.contains("line 2")), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with(".env, line 1: ")), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with(".env, line 2: ")), "{told:?}");
    assert!(!told.join(" ").contains("secret"), "{told:?}");
}

#[test]
fn lists_come_by_commas_arrays_and_repeated_flags_and_a_stronger_one_takes_their_place() {
    let hosts = |place: &Place| place.read().unwrap().settings.server.hosts_allowed;
    let place = Place::new().file("bank.toml", "allow_host = ['a.example', 'b.example']");
    assert_eq!(hosts(&place), ["a.example", "b.example"]);
    let place = place.variable("BANK_ALLOW_HOST", "c.example, d.example");
    assert_eq!(hosts(&place), ["c.example", "d.example"]);
    let place = place.flags(&["--allow-host", "e.example", "--allow-host", "f.example"]);
    assert_eq!(hosts(&place), ["e.example", "f.example"]);
    let told = place.flags(&["--allow-host", "https://g.example"]).mistakes();
    assert!(told[0].starts_with("--allow-host: ") && told[0].contains("bank.example"), "{told:?}");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let place = Place::new().variable("BANK_LISTEN", "").variable("BANK_VIEW_LEASE", "");
    assert_eq!(value(&place.read().unwrap(), "listen").1, "default");
}

#[test]
fn what_an_orchestrator_writes_beside_a_service_is_no_mistake() {
    let names = [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_7070_TCP",
        "PORT_7070_TCP_ADDR",
        "PORT_7070_TCP_PORT",
        "PORT_7070_TCP_PROTO",
        "",
    ];
    let place = names
        .iter()
        .fold(Place::new(), |place, name| place.variable(&format!("BANK_{name}"), "tcp://10.0.0.1:7070"));
    assert_eq!(value(&place.read().unwrap(), "listen").1, "default");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut place = Place::new();
    place.environment.push(("BANK_TENANT".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(place.mistakes(), ["BANK_TENANT in the environment: its value is not UTF-8"]);
}

#[test]
fn the_options_of_a_store_reach_its_adapter() {
    let place = Place::new().file("bank.toml", "[sqlite]\nreaders_max = 9\nwal_bytes_max = '1MiB'\n");
    let service = Service::new("bank");
    let options = place.read().unwrap().store_options(&service.adapters);
    let options: Vec<_> = options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(options, [("readers_max", "9"), ("wal_bytes_max", "1MiB")]);
    // They are of no use to another kind.
    let memory = place.flags(&["--database", "memory:"]).read().unwrap();
    assert!(memory.store_options(&service.adapters).is_empty());
}

#[cfg(not(feature = "postgres"))]
#[test]
fn a_section_of_an_adapter_that_is_not_built_in_names_the_feature() {
    let told = Place::new().file("bank.toml", "[postgres]\nschema = 'books'\n").mistakes();
    assert_eq!(told, ["bank.toml, postgres.schema: this program was built without the feature `postgres`"]);
}

#[cfg(feature = "postgres")]
#[test]
fn what_an_address_says_goes_first_and_nothing_secret_is_shown() {
    let place = Place::new()
        .file("bank.toml", "[postgres]\nschema = 'files'\nlisten = 'postgres://me:hunter2@h/d'\n")
        .variable(
            "BANK_DATABASE",
            "postgres://me:hunter2@h/d?underlay_schema=books&underlay_listen=postgres%3A%2F%2Fme%3Ahunter2%40h",
        );
    let config = place.read().unwrap();
    assert_eq!(value(&config, "postgres.schema"), (Some("books".into()), ADDRESS.to_owned()));
    assert_eq!(value(&config, "postgres.listen").0.as_deref(), Some(HIDDEN));
    let shown = value(&config, "database").0.unwrap();
    assert_eq!(shown, "postgres://me:***@h/d?underlay_schema=books&underlay_listen=***");
    assert!(!serde_json::to_string(config.entries()).unwrap().contains("hunter2"));
    let wrong = place.flags(&["--database", "postgres://me:hunter2@h/d?underlay_connections_max=0"]);
    let told = wrong.mistakes();
    assert!(
        told[0].starts_with("--database: ") && told[0].contains("underlay_connections_max=0"),
        "{told:?}"
    );
}

#[test]
fn every_option_has_names_of_its_own_in_every_source() {
    let service = Service::new("my-bank");
    let catalogue = Catalogue::new(&service.settings, &service.adapters, "my-bank");
    let names = |name: fn(&Key) -> String| {
        let names: std::collections::BTreeSet<String> = catalogue.keys().iter().map(name).collect();
        assert_eq!(names.len(), catalogue.keys().len());
        names
    };
    names(Key::written);
    names(Key::flag);
    assert!(names(|key| key.variable.clone()).contains("MY_BANK_SERVER_REQUESTS_MAX"));
    for key in catalogue.keys() {
        let meaning = key.spec.meaning;
        assert!(
            meaning.starts_with(|c: char| c.is_ascii_uppercase()) && !meaning.ends_with('.'),
            "{meaning}"
        );
    }
}

#[test]
fn an_empty_text_never_opens_a_service_that_was_to_ask_who_comes() {
    let flags = [
        "tokens",
        "jwt-issuer",
        "jwt-audience",
        "jwt-keys",
        "jwt-secret",
        "jwt-algorithm",
        "log-role",
        "store-operators",
        "server-metrics-readers",
    ];
    for name in flags {
        let flag = format!("--{name}");
        for empty in ["", " "] {
            let told = Place::new().flags(&[&flag, empty]).mistakes();
            assert!(told[0].starts_with(&format!("{flag}: ")) && told[0].contains("empty"), "{told:?}");
        }
    }
    let told = Place::new().file("bank.toml", "tokens = ''\n").mistakes();
    assert!(told[0].starts_with("bank.toml, tokens: "), "{told:?}");
    // An orchestrator gives an empty variable where what it was to fill it with is missing.
    for name in flags.iter().filter(|name| !name.starts_with("server")) {
        let variable = format!("BANK_{}", name.replace('-', "_").to_uppercase());
        let told = Place::new().variable(&variable, "").mistakes();
        assert_eq!(told.len(), 1, "{variable}: {told:?}");
        assert!(told[0].starts_with(&variable) && told[0].contains("leave the option out"), "{told:?}");
    }
}

#[test]
fn the_bounds_of_finding_out_who_asks_can_be_set() {
    let place = Place::new().file(
        "bank.toml",
        "[server]\nidentify_wait_max = '2s'\nidentify_waiting_max = 9\nidentify_tenant_waiting_max = 3\n",
    );
    let server = place.read().unwrap().settings.server;
    assert_eq!(server.identify_wait_max, std::time::Duration::from_secs(2));
    assert_eq!((server.identify_waiting_max, server.identify_tenant_waiting_max), (9, 3));
}

#[derive(Clone, Default)]
struct Bell {
    tone: Option<String>,
}

impl underlay_core::options::Configurable for Bell {
    const OPTIONS: &'static [underlay_core::options::ConfigOption<Self>] =
        &[underlay_core::options::ConfigOption::<Self>::new("tone", "How the bell rings", |bell| {
            underlay_core::options::Place::Text(&mut bell.tone)
        })
        .checked(|text| if text.len() < 9 { Ok(()) } else { Err("a tone is short".to_owned()) })];
}

#[test]
fn a_service_has_options_of_its_own_and_is_made_with_them() {
    let service = || {
        Service::new("bank").options("bell", Bell::default(), |service, bell| {
            Ok(service.about(format!("rings {}", bell.tone.unwrap_or_default())))
        })
    };
    let place = Place::new().file("bank.toml", "[bell]\ntone = \"low\"\n").variable("BANK_BELL_TONE", "high");
    let config = place.read_of(&service()).unwrap();
    assert_eq!(
        value(&config, "bell.tone"),
        (Some("high".to_owned()), "BANK_BELL_TONE in the environment".to_owned())
    );
    let configured = service().configured(&config.settings).unwrap();
    assert_eq!(configured.settings.server.about.as_deref(), Some("rings high"));
    let Mistakes(mistakes) =
        Place::new().file("bank.toml", "[bell]\ntone = \"much too long\"\n").read_of(&service()).unwrap_err();
    assert_eq!(mistakes[0].text, "a tone is short");
}

#[test]
fn the_scheduler_is_chosen_by_its_address_and_its_key_is_not_shown() {
    let place = Place::new().variable("BANK_SCHEDULER_API_KEY", "hunter2");
    let config = place.read().unwrap();
    assert_eq!(value(&config, "scheduler"), (Some("embedded".to_owned()), DEFAULT.to_owned()));
    assert_eq!(value(&config, "scheduler_api_key").0.as_deref(), Some(HIDDEN));
    assert!(!serde_json::to_string(config.entries()).unwrap().contains("hunter2"));
    let place = place.variable("BANK_SCHEDULER", "nobody").flags(&["--scheduler", "embedded"]);
    let told = place.mistakes();
    assert!(told[0].starts_with("BANK_SCHEDULER in the environment: \"nobody\" is no scheduler"), "{told:?}");
}
