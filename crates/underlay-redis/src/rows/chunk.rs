//! What is read of rows at one moment.

use redis::{FromRedisValue, Script, from_redis_value};
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{Direction, Error};

use super::document::Fields;
use super::range::Range;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::keys::RowKeys;

/// The scripts that read rows, behind one that checks that they may be read.
pub(crate) struct ReadScripts {
    load: Script,
    count: Script,
    chunk: Script,
}

impl ReadScripts {
    pub(crate) fn new(check: &str) -> Self {
        let behind = |read: &str| Script::new(&format!("{check}{read}"));
        Self {
            load: behind(include_str!("../scripts/load_rows.lua")),
            count: behind(include_str!("../scripts/count_range.lua")),
            chunk: behind(include_str!("../scripts/read_chunk.lua")),
        }
    }
}

/// What says whether rows may be read: see the script that checks it.
pub(crate) struct Check {
    pub(crate) key: String,
    /// What is expected there.
    pub(crate) stamp: String,
    /// The key that is set whenever the rows change; empty where nobody asks.
    pub(crate) mark: String,
}

/// The moment at which rows were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Where the rows are in the log; empty where they are not made of one.
    pub(crate) at: String,
    /// What [`Check::mark`] had.
    pub(crate) mark: String,
}

/// A part of an index.
pub(crate) struct Part<'a> {
    /// None is the index of the keys.
    pub(crate) column: Option<&'a str>,
    pub(crate) range: &'a Range,
    pub(crate) direction: Direction,
    /// How many members at most.
    pub(crate) count: usize,
}

/// A part of an index with the rows it leads to.
pub(crate) struct Chunk {
    /// Members of the index, each with the fields of its hash.
    pub(crate) members: Vec<(Vec<u8>, Fields)>,
    /// Whether more members follow.
    pub(crate) more: bool,
}

impl RedisStore {
    /// Reads hashes by their keys; none where they may not be read.
    pub(crate) async fn load_rows(
        &self,
        scripts: &ReadScripts,
        check: &Check,
        hashes: impl IntoIterator<Item = String>,
    ) -> Result<Option<Vec<Fields>>, Error> {
        let mut script = scripts.load.prepare_invoke();
        script.key(&check.key).arg(&check.stamp).arg(&check.mark);
        for hash in hashes {
            script.key(hash);
        }
        let asked = Asked::Script(&script);
        let answer = self.ask("loading rows from Redis", Effect::Repeatable, asked).await?;
        let Some((_, hashes)) = unless_stale(answer)? else { return Ok(None) };
        hashes.map(taken).collect::<Result<_, _>>().map(Some)
    }

    /// Reads a part of an index; none where it may not be read.
    pub(crate) async fn chunk_of(
        &self,
        scripts: &ReadScripts,
        check: &Check,
        keys: &RowKeys,
        part: &Part<'_>,
    ) -> Result<Option<(Moment, Chunk)>, Error> {
        let (from, to) = part.range.ends();
        let mut script = scripts.chunk.prepare_invoke();
        script.key(&check.key).key(keys.index_of(part.column)).arg(&check.stamp).arg(&check.mark);
        script.arg(keys.hashes()).arg(from).arg(to);
        script.arg(if part.direction == Direction::Ascending { "up" } else { "down" });
        script.arg(part.count).arg(SCAN_BYTES_MAX).arg(if part.column.is_none() { "keys" } else { "column" });
        let answer = self.ask_for_query(Asked::Script(&script)).await?;
        let Some((moment, mut answer)) = unless_stale(answer)? else { return Ok(None) };
        let more: String = taken(answer.next().unwrap_or_default())?;
        let mut members = Vec::with_capacity(answer.len() / 2);
        while let (Some(member), Some(fields)) = (answer.next(), answer.next()) {
            members.push((taken(member)?, taken(fields)?));
        }
        Ok(Some((moment, Chunk { members, more: more == "more" })))
    }

    /// How many members of an index lie in a range; none where it may not be read.
    pub(crate) async fn size_of(
        &self,
        scripts: &ReadScripts,
        check: &Check,
        keys: &RowKeys,
        column: Option<&str>,
        range: &Range,
    ) -> Result<Option<(Moment, usize)>, Error> {
        let (from, to) = range.ends();
        let mut script = scripts.count.prepare_invoke();
        script.key(&check.key).key(keys.index_of(column)).arg(&check.stamp).arg(&check.mark);
        script.arg(from).arg(to);
        let answer = self.ask_for_query(Asked::Script(&script)).await?;
        let Some((moment, mut answer)) = unless_stale(answer)? else { return Ok(None) };
        taken(answer.next().unwrap_or_default()).map(|size| Some((moment, size)))
    }
}

/// The moment of an answer, and what the script says beside it; none where it may not read.
pub(crate) fn unless_stale(
    answer: Vec<redis::Value>,
) -> Result<Option<(Moment, std::vec::IntoIter<redis::Value>)>, Error> {
    let mut answer = answer.into_iter();
    let mut word = || taken::<String>(answer.next().unwrap_or_default());
    if word()? == "stale" {
        return Ok(None);
    }
    let moment = Moment { at: word()?, mark: word()? };
    Ok(Some((moment, answer)))
}

/// A part of an answer.
pub(crate) fn taken<T: FromRedisValue>(value: redis::Value) -> Result<T, Error> {
    from_redis_value(value).map_err(|error| Error::backend("reading an answer of Redis", error))
}
