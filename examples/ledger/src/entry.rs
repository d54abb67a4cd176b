//! Journal entries: postings to any number of accounts, in one commit.

use std::collections::BTreeMap;

use jiff::civil::Date;
use underlay::{Context, Decimal, Error, Operation, Reads, Streams};

use crate::account::{Account, AccountEvent, AccountId, Shortfall};
use crate::money::{AMOUNT_PATTERN, Commodity, Money, exact_sum};

/// Postings in one entry: what fits one commit.
pub const POSTINGS_MAX: usize = 1_000;
/// Characters in the description of an entry: it is stored with every posting.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// Posts a journal entry. Accounts that are not open are opened, without a floor.
///
/// An entry in one commodity sums to zero. One in several is an exchange, and may not: what was
/// paid for what is not part of it.
#[underlay::value]
#[derive(Eq)]
#[serde(deny_unknown_fields)]
pub struct PostEntry {
    /// The day.
    pub date: Date,
    /// What it is for; up to [`DESCRIPTION_CHARS_MAX`] characters.
    pub description: String,
    /// The changes: 1 to [`POSTINGS_MAX`]. An account may be named several times.
    pub postings: Vec<Posting>,
}

/// One change of an entry.
#[underlay::value]
#[derive(Eq)]
#[serde(deny_unknown_fields)]
pub struct Posting {
    /// The account.
    pub account: AccountId,
    /// How much; less than zero where money goes out.
    #[serde(with = "crate::money::exact")]
    #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
    pub amount: Decimal,
    /// Of what.
    pub commodity: Commodity,
    /// What it has to sum to zero with.
    #[serde(default)]
    pub kind: PostingKind,
}

/// What a posting has to sum to zero with. Plain-text journals have all three.
#[underlay::value]
#[derive(Copy, Default, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum PostingKind {
    /// The other real postings of the entry.
    #[default]
    Real,
    /// The other balanced virtual postings of the entry.
    BalancedVirtual,
    /// Nothing.
    Virtual,
}

/// What an entry is refused with.
#[underlay::refusal]
#[derive(Eq)]
pub enum EntryRefusal {
    /// It changes nothing.
    #[refusal(code = "no-postings", message = "the entry has no postings")]
    NoPostings,
    /// It does not fit one commit.
    #[refusal(
        code = "too-many-postings",
        message = "the entry has {postings} postings, more than POSTINGS_MAX = {postings_max}"
    )]
    TooManyPostings {
        /// How many there are.
        postings: usize,
        /// How many there may be.
        postings_max: usize,
    },
    /// Its description is too long to be stored with every posting.
    #[refusal(
        code = "description-too-long",
        message = "the description has {characters} characters, more than DESCRIPTION_CHARS_MAX = {characters_max}"
    )]
    DescriptionTooLong {
        /// How many there are.
        characters: usize,
        /// How many there may be.
        characters_max: usize,
    },
    /// It is in one commodity and does not sum to zero.
    #[refusal(
        code = "unbalanced",
        message = "the entry is unbalanced: its postings in {commodity} sum to {sum}, not to zero"
    )]
    Unbalanced {
        /// The commodity.
        commodity: Commodity,
        /// The sum.
        sum: Decimal,
    },
    /// There is not enough above the floor of an account.
    #[refusal(
        code = "overdrawn",
        message = "{available} {commodity} is available in {account}; taking {requested}, it would fall below its floor of {floor}"
    )]
    Overdrawn {
        /// The account.
        account: AccountId,
        /// Of what.
        commodity: Commodity,
        /// What can be taken: the balance less the floor.
        available: Decimal,
        /// What was to be taken.
        requested: Decimal,
        /// The floor.
        floor: Decimal,
    },
    /// A sum would have more digits than can be kept.
    #[refusal(
        code = "overflow",
        message = "with the posting to {account}, a sum of {commodity} would have more digits than can be kept without rounding"
    )]
    Overflow {
        /// The account.
        account: AccountId,
        /// Of what.
        commodity: Commodity,
    },
}

impl PostEntry {
    /// Checks what can be checked without knowing the accounts.
    ///
    /// # Errors
    /// The refusal the entry would be answered with.
    pub fn check(&self) -> Result<(), EntryRefusal> {
        if self.postings.is_empty() {
            return Err(EntryRefusal::NoPostings);
        }
        if self.postings.len() > POSTINGS_MAX {
            let (postings, postings_max) = (self.postings.len(), POSTINGS_MAX);
            return Err(EntryRefusal::TooManyPostings { postings, postings_max });
        }
        let characters = self.description.chars().count();
        if characters > DESCRIPTION_CHARS_MAX {
            let characters_max = DESCRIPTION_CHARS_MAX;
            return Err(EntryRefusal::DescriptionTooLong { characters, characters_max });
        }
        self.check_balance(PostingKind::Real)?;
        self.check_balance(PostingKind::BalancedVirtual)
    }

    fn check_balance(&self, kind: PostingKind) -> Result<(), EntryRefusal> {
        // Journals write zero without a symbol beside amounts with one; that makes no exchange.
        let counted =
            |posting: &&Posting| !(posting.amount.is_zero() && posting.commodity.as_str().is_empty());
        let mut sums: BTreeMap<&Commodity, Decimal> = BTreeMap::new();
        for posting in self.postings.iter().filter(|posting| posting.kind == kind).filter(counted) {
            let sum = sums.entry(&posting.commodity).or_default();
            *sum = exact_sum(*sum, posting.amount).ok_or_else(|| posting.overflow())?;
        }
        match sums.pop_first() {
            Some((commodity, sum)) if sums.is_empty() && !sum.is_zero() => {
                Err(EntryRefusal::Unbalanced { commodity: commodity.clone(), sum })
            }
            _ => Ok(()),
        }
    }
}

impl Posting {
    fn overflow(&self) -> EntryRefusal {
        EntryRefusal::Overflow { account: self.account.clone(), commodity: self.commodity.clone() }
    }
}

impl Operation for PostEntry {
    const NAME: &'static str = "post-entry";
    type Refusal = EntryRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        self.postings.iter().try_for_each(|posting| reads.stream::<Account>(&posting.account))
    }

    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), EntryRefusal> {
        self.check()?;
        let mut balances_before: BTreeMap<(&AccountId, &Commodity), Decimal> = BTreeMap::new();
        for posting in &self.postings {
            let Posting { account: id, amount, commodity, .. } = posting;
            let account = streams.state::<Account>(id);
            let before = account.balance(commodity);
            balances_before.entry((id, commodity)).or_insert(before);
            exact_sum(before, *amount).ok_or_else(|| posting.overflow())?;
            if !account.is_open() {
                streams.append::<Account>(id, AccountEvent::Opened { floor: None });
            }
            let posted = AccountEvent::Posted {
                entry: context.command_id.0,
                date: self.date,
                description: self.description.clone(),
                money: Money { amount: *amount, commodity: commodity.clone() },
            };
            streams.append::<Account>(id, posted);
        }
        // An entry that names an account several times is judged by where it leaves it.
        for ((id, commodity), before) in balances_before {
            let account = streams.state::<Account>(id);
            account.check_floor(before, account.balance(commodity)).map_err(
                |Shortfall { available, requested, floor }| EntryRefusal::Overdrawn {
                    account: id.clone(),
                    commodity: commodity.clone(),
                    available,
                    requested,
                    floor,
                },
            )?;
        }
        Ok(())
    }
}
