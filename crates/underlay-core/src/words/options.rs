//! Options: what of a configuration can be set by its name, from a file, the environment, a command line
//! or an address.
//!
//! An option is written down once, beside the configuration it belongs to: its name, its meaning, its place
//! in the struct and its bounds. Its default is what the struct has there before anything is set. Flags, the
//! names of environment variables, keys of files, help and checks are all made from that.
//!
//! ```
//! use std::time::Duration;
//! use underlay_core::options::{ConfigOption, Configurable, Options, Place};
//!
//! #[derive(Clone)]
//! struct Oven {
//!     heat_timeout: Duration,
//! }
//!
//! impl Configurable for Oven {
//!     const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
//!         "heat_timeout",
//!         "How long the oven may take to get hot",
//!         |oven| Place::Time(&mut oven.heat_timeout),
//!     )
//!     .at_least(1)];
//! }
//!
//! let mut oven = Oven { heat_timeout: Duration::from_secs(60) };
//! assert_eq!(oven.describe()[0].default.as_deref(), Some("1m"));
//! assert_eq!(oven.set("heat_timeout", "0s").unwrap_err(), "0s is too little: at least 1ms");
//! oven.set("heat_timeout", "90s").unwrap();
//! assert_eq!(oven.heat_timeout, Duration::from_secs(90));
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::words::{Error, TenantId};

/// Units of time, the longest first, in milliseconds.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of memory, the largest first, in bytes.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// One option of a configuration `C`.
pub struct ConfigOption<C: 'static> {
    name: &'static str,
    meaning: &'static str,
    place: fn(&mut C) -> Place<'_>,
    min: u64,
    max: u64,
    checked: fn(&str) -> Result<(), String>,
    value_name: Option<&'static str>,
    secret: bool,
    is_address: bool,
}

/// Where the value of an option is kept, and with it what kind of value it is.
pub enum Place<'a> {
    /// `true` or `false`.
    Flag(&'a mut bool),
    /// A whole number.
    Count(&'a mut dyn Whole),
    /// A number of bytes: `512KiB`, `64MiB`, `1GiB`, or a bare number of bytes.
    Bytes(&'a mut dyn Whole),
    /// A time with its unit: `500ms`, `5s`, `10m`, `1h`, `30d`.
    Time(&'a mut Duration),
    /// A time; a bare number is seconds.
    Seconds(&'a mut Duration),
    /// A text.
    Text(&'a mut dyn TextValue),
    /// Texts; where they stand in one text, commas part them.
    List(&'a mut Vec<String>),
}

/// A whole number that an option can set.
pub trait Whole {
    /// The number.
    fn number(&self) -> u64;
    /// Sets it; false where it does not fit.
    fn set_number(&mut self, number: u64) -> bool;
}

/// A value that an option sets by a text.
pub trait TextValue {
    /// Its text; none where it is not set.
    fn text(&self) -> Option<String>;

    /// Sets it.
    ///
    /// # Errors
    /// What is wrong with the text and what would be right.
    fn set_text(&mut self, text: &str) -> Result<(), String>;
}

/// A configuration with options.
pub trait Configurable: Clone + 'static {
    /// Every option of its own, in the order they are shown.
    const OPTIONS: &'static [ConfigOption<Self>];

    /// The configurations within this one whose options are its options too, shown after its own.
    fn parts(&mut self) -> Vec<&mut dyn Options> {
        Vec::new()
    }
}

/// The options of a configuration, whichever it is.
pub trait Options {
    /// Every option. Its default is the value it has now.
    fn describe(&self) -> Vec<OptionSpec>;

    /// Sets an option.
    ///
    /// # Errors
    /// What is wrong with the text and what would be right. Nothing is set then.
    fn set(&mut self, name: &str, text: &str) -> Result<(), String>;

    /// Checks that every value keeps its bounds, however it was set.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first option that does not.
    fn check_bounds(&self) -> Result<(), Error>;
}

/// What an option is, for those who show it and those who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name within its configuration: lower case, words joined by `_`.
    pub name: &'static str,
    /// What it means, in one sentence without its full stop.
    pub meaning: &'static str,
    /// What a value looks like.
    pub kind: OptionKind,
    /// One word that stands for a value in help.
    pub value_name: &'static str,
    /// The value where nothing is said; none where there is none.
    pub default: Option<String>,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether its value is an address, which is shown without the password in it.
    pub is_address: bool,
}

/// What the value of an option looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// A number of bytes with its unit.
    Bytes,
    /// A time with its unit.
    Time,
    /// A time; a bare number is seconds.
    Seconds,
    /// A text.
    Text,
    /// Texts.
    List,
}

impl OptionKind {
    fn value_name(self) -> &'static str {
        match self {
            Self::Flag => "BOOL",
            Self::Count => "N",
            Self::Bytes => "BYTES",
            Self::Time => "TIME",
            Self::Seconds => "SECONDS",
            Self::Text => "TEXT",
            Self::List => "NAME",
        }
    }
}

impl<C> ConfigOption<C> {
    /// An option without bounds.
    pub const fn new(name: &'static str, meaning: &'static str, place: fn(&mut C) -> Place<'_>) -> Self {
        Self {
            name,
            meaning,
            place,
            min: 0,
            max: u64::MAX,
            checked: |_| Ok(()),
            value_name: None,
            secret: false,
            is_address: false,
        }
    }

    /// Sets the least value: a count, bytes, or milliseconds.
    #[must_use]
    pub const fn at_least(mut self, min: u64) -> Self {
        self.min = min;
        self
    }

    /// Sets the greatest value: a count, bytes, or milliseconds.
    #[must_use]
    pub const fn at_most(mut self, max: u64) -> Self {
        self.max = max;
        self
    }

    /// Checks the text of a value before it is set.
    #[must_use]
    pub const fn checked(mut self, checked: fn(&str) -> Result<(), String>) -> Self {
        self.checked = checked;
        self
    }

    /// Names a value in help, in one word of capitals.
    #[must_use]
    pub const fn called(mut self, value_name: &'static str) -> Self {
        self.value_name = Some(value_name);
        self
    }

    /// Keeps the value from being shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Says that the value is an address: it is shown without the password in it.
    #[must_use]
    pub const fn address(mut self) -> Self {
        self.is_address = true;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self, config: &mut C) -> OptionSpec {
        let place = (self.place)(config);
        let (kind, default) = (place.kind(), place.shown());
        OptionSpec {
            name: self.name,
            meaning: self.meaning,
            kind,
            value_name: self.value_name.unwrap_or(kind.value_name()),
            default,
            secret: self.secret,
            is_address: self.is_address,
        }
    }

    /// Whether the value it has keeps its bounds.
    fn check(&self, config: &mut C) -> Result<(), String> {
        let place = (self.place)(config);
        match (place.amount(), place.shown()) {
            (Some(amount), _) => self.check_amount(amount, place.kind()),
            (None, Some(text)) => (self.checked)(&text),
            (None, None) => Ok(()),
        }
    }

    fn check_amount(&self, amount: u64, kind: OptionKind) -> Result<(), String> {
        if amount < self.min {
            return Err(format!("{} is too little: at least {}", kind.show(amount), kind.show(self.min)));
        }
        if amount > self.max {
            return Err(format!("{} is too much: at most {}", kind.show(amount), kind.show(self.max)));
        }
        Ok(())
    }

    fn set(&self, config: &mut C, text: &str) -> Result<(), String> {
        let place = (self.place)(config);
        let kind = place.kind();
        (self.checked)(text)?;
        let bounded = |amount: u64| self.check_amount(amount, kind).map(|()| amount);
        match place {
            Place::Flag(flag) => {
                *flag = text.parse().map_err(|_| format!("{text:?} is neither true nor false"))?;
            }
            Place::Count(number) | Place::Bytes(number) => {
                let amount = bounded(kind.read(text)?)?;
                if !number.set_number(amount) {
                    return Err(format!("{text} is more than this machine can count"));
                }
            }
            Place::Time(time) | Place::Seconds(time) => {
                *time = Duration::from_millis(bounded(kind.read(text)?)?);
            }
            Place::Text(value) => value.set_text(text)?,
            Place::List(list) => {
                *list =
                    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
            }
        }
        Ok(())
    }
}

impl<C> fmt::Debug for ConfigOption<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigOption").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<C: Configurable> Options for C {
    fn describe(&self) -> Vec<OptionSpec> {
        let mut config = self.clone();
        let mut options: Vec<OptionSpec> =
            C::OPTIONS.iter().map(|option| option.describe(&mut config)).collect();
        options.extend(config.parts().into_iter().flat_map(|part| part.describe()));
        options
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        if let Some(option) = C::OPTIONS.iter().find(|option| option.name == name) {
            return option.set(self, text);
        }
        let of = |part: &&mut dyn Options| part.describe().iter().any(|option| option.name == name);
        match self.parts().into_iter().find(of) {
            Some(part) => part.set(name, text),
            None => Err(format!("there is no option {name}")),
        }
    }

    fn check_bounds(&self) -> Result<(), Error> {
        let mut config = self.clone();
        C::OPTIONS.iter().try_for_each(|option| {
            option.check(&mut config).map_err(|wrong| Error::invalid(format!("{}: {wrong}", option.name)))
        })?;
        config.parts().into_iter().try_for_each(|part| part.check_bounds())
    }
}

/// Sets options by their names, in order.
///
/// # Errors
/// [`Error::Invalid`] with every option that cannot be set.
pub fn set_all<'a>(
    config: &mut dyn Options,
    values: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<(), Error> {
    let set = |(name, text): (&String, &String)| {
        config.set(name, text).err().map(|wrong| format!("{name}: {wrong}"))
    };
    let wrong: Vec<String> = values.into_iter().filter_map(set).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong.join("; "))) }
}

impl Place<'_> {
    fn kind(&self) -> OptionKind {
        match self {
            Self::Flag(_) => OptionKind::Flag,
            Self::Count(_) => OptionKind::Count,
            Self::Bytes(_) => OptionKind::Bytes,
            Self::Time(_) => OptionKind::Time,
            Self::Seconds(_) => OptionKind::Seconds,
            Self::Text(_) => OptionKind::Text,
            Self::List(_) => OptionKind::List,
        }
    }

    /// What bounds are about; none where it has none.
    fn amount(&self) -> Option<u64> {
        match self {
            Self::Count(number) | Self::Bytes(number) => Some(number.number()),
            // What is shorter than a millisecond and more than nothing is one.
            Self::Time(time) | Self::Seconds(time) => {
                Some(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
            }
            Self::Flag(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The value as it may be given again; none where it is not set.
    fn shown(&self) -> Option<String> {
        match self {
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Text(value) => value.text(),
            Self::List(list) => (!list.is_empty()).then(|| list.join(",")),
            amount => amount.amount().map(|number| self.kind().show(number)),
        }
    }
}

impl OptionKind {
    fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Bytes => &SIZES,
            Self::Time | Self::Seconds => &TIMES,
            Self::Flag | Self::Count | Self::Text | Self::List => &[],
        }
    }

    /// A number in the largest unit that shows all of it.
    fn show(self, number: u64) -> String {
        let fitting = self.units().iter().find(|(_, unit)| number >= *unit && number.is_multiple_of(*unit));
        match (fitting, self) {
            (Some((name, unit)), _) => format!("{}{name}", number / unit),
            (None, Self::Time | Self::Seconds) => "0s".to_owned(),
            (None, _) => number.to_string(),
        }
    }

    /// The number that a text says.
    fn read(self, text: &str) -> Result<u64, String> {
        let wrong = || match self {
            Self::Bytes => format!("{text:?} is no number of bytes, such as 512KiB or 64MiB"),
            Self::Time => format!("{text:?} is no time, such as 500ms or 5s"),
            Self::Seconds => format!("{text:?} is no time, such as 5 for seconds, or 500ms"),
            _ => format!("{text:?} is no whole number"),
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = match (unit, self) {
            ("", Self::Count | Self::Bytes) => Some(1),
            ("", Self::Seconds) => Some(1_000),
            (unit, _) => self.units().iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        factor.and_then(|factor| number.checked_mul(factor)).ok_or_else(wrong)
    }
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Whole for $number {
            fn number(&self) -> u64 {
                u64::try_from(*self).unwrap_or(u64::MAX)
            }

            fn set_number(&mut self, number: u64) -> bool {
                Self::try_from(number).map(|number| *self = number).is_ok()
            }
        }
    )*};
}

whole!(u32, u64, usize);

impl TextValue for String {
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(self);
        Ok(())
    }
}

impl TextValue for Option<String> {
    fn text(&self) -> Option<String> {
        self.clone()
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = (!text.is_empty()).then(|| text.to_owned());
        Ok(())
    }
}

impl TextValue for Option<PathBuf> {
    fn text(&self) -> Option<String> {
        self.as_ref().map(|path| path.display().to_string())
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = (!text.is_empty()).then(|| text.into());
        Ok(())
    }
}

impl TextValue for TenantId {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = Self::new(text).map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Bakery {
        ovens_max: usize,
        dough_bytes: u64,
        rest: Duration,
        lease: Duration,
        open: bool,
        name: Option<String>,
        breads: Vec<String>,
    }

    impl Configurable for Bakery {
        const OPTIONS: &'static [ConfigOption<Self>] = &[
            ConfigOption::<Self>::new("ovens_max", "Ovens", |b| Place::Count(&mut b.ovens_max))
                .at_least(1)
                .at_most(9),
            ConfigOption::<Self>::new("dough_bytes", "Dough", |b| Place::Bytes(&mut b.dough_bytes))
                .at_least(1 << 10),
            ConfigOption::<Self>::new("rest", "Rest", |b| Place::Time(&mut b.rest)).at_most(86_400_000),
            ConfigOption::<Self>::new("lease", "Lease", |b| Place::Seconds(&mut b.lease)).at_least(1),
            ConfigOption::<Self>::new("open", "Open", |b| Place::Flag(&mut b.open)),
            ConfigOption::<Self>::new("name", "Name", |b| Place::Text(&mut b.name)).secret(),
            ConfigOption::<Self>::new("breads", "Breads", |b| Place::List(&mut b.breads)),
        ];
    }

    fn bakery() -> Bakery {
        Bakery {
            ovens_max: 2,
            dough_bytes: 3 << 20,
            rest: Duration::from_millis(1_500),
            lease: Duration::from_secs(5),
            open: false,
            name: None,
            breads: Vec::new(),
        }
    }

    #[test]
    fn a_description_has_the_values_of_the_configuration_as_defaults() {
        let described = bakery().describe();
        let defaults: Vec<_> = described.iter().map(|spec| spec.default.as_deref()).collect();
        assert_eq!(
            defaults,
            [Some("2"), Some("3MiB"), Some("1500ms"), Some("5s"), Some("false"), None, None]
        );
        assert!(described[5].secret && !described[0].secret);
        assert_eq!(described[1].kind, OptionKind::Bytes);
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let mut set = bakery();
        for (name, text) in
            [("ovens_max", "9"), ("dough_bytes", "1025"), ("rest", "1d"), ("lease", "7"), ("open", "true")]
        {
            set.set(name, text).unwrap();
        }
        set.set("name", "Rye & Co").unwrap();
        set.set("breads", "rye, spelt,,oat ").unwrap();
        assert_eq!(set.breads, ["rye", "spelt", "oat"]);
        assert_eq!(set.lease, Duration::from_secs(7));
        let mut again = bakery();
        for spec in set.describe() {
            again.set(spec.name, &spec.default.unwrap()).unwrap();
        }
        assert_eq!(again, set);
    }

    #[test]
    fn a_wrong_value_sets_nothing_and_says_what_would_be_right() {
        let mut bakery = bakery();
        let before = bakery.clone();
        for (name, text, part) in [
            ("ovens_max", "0", "at least 1"),
            ("ovens_max", "10", "at most 9"),
            ("ovens_max", "-1", "no whole number"),
            ("ovens_max", "", "no whole number"),
            ("ovens_max", "18446744073709551616", "no whole number"),
            ("dough_bytes", "1023", "at least 1KiB"),
            ("dough_bytes", "1kb", "512KiB"),
            ("dough_bytes", "99999999999999GiB", "no number of bytes"),
            ("rest", "5", "such as 500ms"),
            ("rest", "1.5s", "such as 500ms"),
            ("rest", "25h", "at most 1d"),
            ("lease", "0", "0s is too little: at least 1ms"),
            ("open", "yes", "neither true nor false"),
            ("oven_max", "1", "no option oven_max"),
        ] {
            let wrong = bakery.set(name, text).unwrap_err();
            assert!(wrong.contains(part), "{name}={text}: {wrong}");
        }
        assert_eq!(bakery, before);
    }

    #[test]
    fn bounds_hold_for_what_a_program_sets_too() {
        assert!(bakery().check_bounds().is_ok());
        let wrong = Bakery { ovens_max: 0, ..bakery() }.check_bounds().unwrap_err().to_string();
        assert!(wrong.contains("ovens_max: 0 is too little"), "{wrong}");
        // It is more than nothing.
        assert!(Bakery { lease: Duration::from_nanos(1), ..bakery() }.check_bounds().is_ok());
        let values = [("rest", "x"), ("ovens_max", "3"), ("open", "maybe")];
        let values = values.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let wrong = set_all(&mut bakery(), values.iter().map(|(name, text)| (name, text))).unwrap_err();
        assert!(wrong.to_string().contains("rest: ") && wrong.to_string().contains("open: "), "{wrong}");
    }
}
