//! Lists of work: what is asked for, and pages of a bounded size.

use underlay_core::{TenantId, WorkFilter, WorkKind, WorkPlace};
use underlay_runtime::ListedWork;

use crate::app::App;
use crate::budget::Room;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Pieces in a page where the request does not say, and at most.
pub(crate) const PAGE_WORK_DEFAULT: usize = 50;
pub(crate) const PAGE_WORK_MAX: usize = 500;
/// Pieces read at once. Each may have a megabyte.
const PART_WORK: usize = 16;
/// Bytes of a piece in an answer beside its payload and metadata, about.
pub(crate) const WORK_BYTES: usize = 1_024;

/// Which page of a tenant's work is asked for.
pub(crate) struct WorkQuery {
    pub(crate) filter: WorkFilter,
    pub(crate) after: WorkPlace,
    pub(crate) limit: usize,
}

impl WorkQuery {
    /// Reads it: dead letters, or what is not dead.
    pub(crate) fn read(tenant: TenantId, dead: bool, mut parameters: Parameters) -> Result<Self, Problem> {
        let kind = parameters.take("kind")?.map(|name| kind_of(&name));
        let filter = WorkFilter {
            tenant: Some(tenant),
            dead,
            holds: false,
            kind: kind.transpose()?,
            receiver: parameters.take("receiver")?,
            key: parameters.take("key")?,
        };
        let after: u64 = parameters.take_parsed("after")?.unwrap_or_default();
        let limit = parameters.take_limit(PAGE_WORK_DEFAULT, PAGE_WORK_MAX)?;
        parameters.finish(&["receiver", "key", "kind", "after", "limit"])?;
        Ok(Self { filter, after: WorkPlace::from_number(after), limit })
    }
}

/// The kind of work of a name.
pub(crate) fn kind_of(name: &str) -> Result<WorkKind, Problem> {
    let known = || WorkKind::ALL.map(WorkKind::name).join(", ");
    WorkKind::from_name(name).ok_or_else(|| Problem::invalid(format!("kind={name} is none of: {}", known())))
}

/// Gathers a page, of which `told` gives a piece as it is told and about how many bytes that has; and what `after` is for
/// the next page.
pub(crate) async fn gather<T>(
    app: &App,
    room: &Room,
    query: WorkQuery,
    told: impl Fn(ListedWork) -> (T, usize),
) -> Result<(Vec<T>, Option<String>), Problem> {
    let WorkQuery { filter, mut after, limit } = query;
    let (mut page, mut bytes) = (Vec::new(), 0);
    loop {
        let part = PART_WORK.min(limit - page.len());
        let read = app.engine().list_work(&filter, after, part).await?;
        for listed in read.work {
            let (piece, piece_bytes) = told(listed);
            bytes += piece_bytes;
            page.push(piece);
        }
        room.0.hold(bytes, false)?;
        let Some(next) = read.next else { return Ok((page, None)) };
        if page.len() >= limit || bytes >= app.config().page_bytes_max {
            return Ok((page, Some(next.number().to_string())));
        }
        after = next;
    }
}
