//! Every bound of the core types, by name. Reaching one is [`Error::Invalid`](crate::words::Error::Invalid)
//! with the name of the limit, never growth.

use std::time::Duration;

/// Bytes in a tenant id.
pub const TENANT_BYTES_MAX: usize = 64;
/// Bytes in a category.
pub const CATEGORY_BYTES_MAX: usize = 64;
/// Bytes in the id part of a stream name.
pub const STREAM_ID_BYTES_MAX: usize = 255;
/// Bytes in the name of an event type.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;
/// Bytes in one event's payload.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Bytes in the name of a payload's encoding.
pub const ENCODING_BYTES_MAX: usize = 32;
/// Bytes in the id of the key a payload was sealed with.
pub const KEY_ID_BYTES_MAX: usize = 128;
/// Bytes in one event's metadata.
pub const METADATA_BYTES_MAX: usize = 16 << 10;
/// Bytes in an outcome's body.
pub const OUTCOME_BYTES_MAX: usize = 64 << 10;
/// Events in one commit.
pub const COMMIT_EVENTS_MAX: usize = 10_000;
/// Streams a commit writes or expects something of.
pub const COMMIT_STREAMS_MAX: usize = 1_000;
/// Pieces of work in one commit.
pub const COMMIT_WORK_MAX: usize = 1_000;
/// Inline rows in one commit.
pub const COMMIT_ROWS_MAX: usize = 1_000;
/// Visible characters of ASCII in the key that a client gives a command.
pub const COMMAND_KEY_CHARS_MAX: usize = 200;
/// Bytes in the name of the receiver of a piece of work.
pub const WORK_RECEIVER_BYTES_MAX: usize = 128;
/// Bytes in the key that pieces of work are ordered by.
pub const WORK_KEY_BYTES_MAX: usize = 255;
/// Bytes in the name of a piece of work.
pub const WORK_NAME_BYTES_MAX: usize = 128;
/// Parts of all work, each done by one worker at a time. It is stored with the work and never changes.
pub const WORK_SHARDS: u16 = 16;
/// Pieces of work read or settled at once.
pub const WORK_PAGE_MAX: usize = 1_000;
/// Rows that one read of work walks over before it answers with what it has.
pub const WORK_SCAN_MAX: usize = 10_000;
/// Tenants that one read of work passes over.
pub const WORK_TENANTS_PASSED_MAX: usize = 1_000;
/// How often a piece of work is begun by workers that are gone before it ends. Then it is given up.
pub const WORK_BEGUN_MAX: u32 = 5;
/// Bytes kept of the reason why an attempt failed.
pub const WORK_ERROR_BYTES_MAX: usize = 1_024;
/// Subscribers of one event bus.
pub const BUS_SUBSCRIBERS_MAX: usize = 256;
/// Schedules of one tenant.
pub const SCHEDULES_MAX: usize = 1_000;
/// Bytes in the name of a schedule.
pub const SCHEDULE_NAME_BYTES_MAX: usize = 128;
/// Bytes in the definition of a schedule. A page of schedules holds up to [`WORK_PAGE_MAX`] of them.
pub const SCHEDULE_BYTES_MAX: usize = 64 << 10;
/// Bytes of payload, metadata and outcome in one commit; metadata counts for every event.
pub const COMMIT_BYTES_MAX: usize = 16 << 20;
/// Bytes that what was folded counts for in a state, where nobody has counted the state itself.
pub const STATE_FOLDED_BYTES_MAX: usize = 16 << 10;
/// Events folded to tell a state as it was, beyond what is stored of it.
pub const STATE_EVENTS_FOLDED_MAX: usize = 100_000;
/// Objects and lists within each other in what a command is asked with.
pub const JSON_DEPTH_MAX: usize = 128;
/// How far past the store's clock the time of an imported commit may be.
pub const IMPORT_AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// Events asked for in one page of a stream or the log.
pub const PAGE_EVENTS_MAX: usize = 10_000;
/// Streams asked for in one page of their list.
pub const PAGE_STREAMS_MAX: usize = 1_000;
/// Positions one filtered page may scan before it answers with what it has; of one tenant's page, events of
/// that tenant.
pub const PAGE_SCAN_MAX: u64 = 50_000;
/// Events that one page of a search in a tenant's log passes over before it answers with what it has.
pub const BROWSE_EVENTS_PASSED_MAX: usize = 10_000;
/// Reads without an event to give, of one page of a search in a tenant's log.
pub const BROWSE_EMPTY_READS_MAX: usize = 64;
/// Rows asked for in one page of a view, and entities asked for at once.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Bytes of keys and texts that end a page of rows or of entities: the row that reaches it is the last one.
pub const PAGE_TEXT_BYTES_MAX: usize = 16 << 20;
/// Bytes in a row's key.
pub const ROW_KEY_BYTES_MAX: usize = 1_024;
/// Bytes in a text of a row, in a column that rows are found by: what every store's index holds beside
/// a tenant and a key.
pub const INDEXED_TEXT_BYTES_MAX: usize = 1_024;
/// Bytes in a text of a row, in another column.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Events that are kept of those one generation of a view has passed over; it passes over further ones
/// without keeping them.
pub const PARKED_EVENTS_MAX: u64 = 10_000;
/// Bytes kept of the reason why an event was passed over.
pub const PARKED_REASON_BYTES_MAX: usize = 1_024;
/// Events of one view that a person may have skipped.
pub const SKIPPED_EVENTS_MAX: usize = 1_000;
/// Bytes that say who skipped an event.
pub const SKIP_BY_BYTES_MAX: usize = 200;
/// Bytes that say why an event was skipped.
pub const SKIP_WHY_BYTES_MAX: usize = 1_024;
/// Bytes of texts that end a page of a scan over all rows of a view.
pub const SCAN_BYTES_MAX: usize = 4 << 20;
/// Differences that are told of a table that was altered by hand.
pub const ALTERATIONS_MAX: usize = 16;
/// Bytes in what is stored of an order for a view, and of what has become of it.
pub const VIEW_ORDER_BYTES_MAX: usize = 256 << 10;
/// Bytes in the name of a view, an entity or a column.
pub const NAME_BYTES_MAX: usize = 48;
/// Columns in a view or an entity.
pub const VIEW_COLUMNS_MAX: usize = 64;
/// Changes of entities that are stored together.
pub const UNIT_CHANGES_MAX: usize = 1_000;
/// Bytes in changes of entities that are stored together.
pub const UNIT_BYTES_MAX: usize = 16 << 20;
/// Bytes in the values of one entity, with its id and its name.
pub const ENTITY_BYTES_MAX: usize = 4 << 20;
/// Comparisons in one condition, with what joins them.
pub const CONDITION_PARTS_MAX: usize = 64;
/// Conditions within each other.
pub const CONDITION_DEPTH_MAX: usize = 8;
/// Values that one condition compares a column with.
pub const CONDITION_VALUES_MAX: usize = 100;
/// Filters in one query.
pub const QUERY_FILTERS_MAX: usize = 8;
/// Rows a query may look at on one way to its answer, and a count too; see
/// [`Error::TooBroad`](crate::words::Error::TooBroad).
pub const QUERY_ROWS_SCANNED_MAX: usize = 50_000;
/// Bytes in the name of a lease, and in that of its holder.
pub const LEASE_NAME_BYTES_MAX: usize = 128;
/// Seconds a lease may be asked for at once.
pub const LEASE_SECONDS_MAX: u64 = 24 * 60 * 60;
/// Bytes in a key of a cache.
pub const CACHE_KEY_BYTES_MAX: usize = 512;
/// Bytes in a value of a cache.
pub const CACHE_VALUE_BYTES_MAX: usize = 1 << 20;
/// Keys of one call to a cache.
pub const CACHE_KEYS_MAX: usize = 1_000;
/// Stars in a pattern of keys of a cache.
pub const CACHE_PATTERN_STARS_MAX: usize = 4;
/// Tags of one value of a cache.
pub const CACHE_TAGS_MAX: usize = 8;
/// Bytes in a tag of a cache.
pub const CACHE_TAG_BYTES_MAX: usize = 128;
/// How long a cache keeps a value at most.
pub const CACHE_TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bytes in the key that tells a repeat of a mail from another one.
pub const MAIL_KEY_BYTES_MAX: usize = 255;
/// Bytes in an address of mail.
pub const MAIL_ADDRESS_BYTES_MAX: usize = 254;
/// Bytes before the `@` of an address.
pub const MAIL_LOCAL_PART_BYTES_MAX: usize = 64;
/// Bytes in the name that stands with an address.
pub const MAIL_NAME_BYTES_MAX: usize = 128;
/// Bytes in the subject of a mail.
pub const MAIL_SUBJECT_BYTES_MAX: usize = 512;
/// Bytes in the text of a mail, and in its HTML too.
pub const MAIL_BODY_BYTES_MAX: usize = 1 << 20;
/// Things that are said of one span of a trace.
pub const SPAN_ATTRIBUTES_MAX: usize = 24;
/// Bytes in a text of a span: its name, an attribute, why it failed.
pub const SPAN_TEXT_BYTES_MAX: usize = 256;
