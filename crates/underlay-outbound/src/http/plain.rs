use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::options::{ConfigOption, Configurable, Place};

/// What the body of a list is where it is the list of items itself.
pub(super) const BODY_ITSELF: &str = ".";
/// Where the next page is named by `Link: <…>; rel="next"`.
pub(super) const LINK_HEADER: &str = "link";

/// What a plain JSON API is like: where the parts of a list and of an entity stand.
///
/// A list is asked for at the address, an entity at the address with its id behind a slash. An entity is an object with a
/// member for its id and one for each column, and no others but the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainApi {
    /// The member of a list that has the items; `.` where the list is the body.
    pub items: String,
    /// The member of a list that has the cursor or the address of the next page; `link` takes it from the header
    /// `Link`; empty where there is one page.
    pub next: String,
    /// The parameter that a cursor is sent as.
    pub cursor: String,
    /// The parameter that the number of items is sent as; empty sends none.
    pub limit: String,
    /// Items that are asked for at once.
    pub page_rows: usize,
    /// The member that has the id.
    pub id: String,
    /// The member that counts the changes of an entity; empty where there is none. Then a version is a hash of the
    /// values.
    pub version: String,
    /// Whether the ETag of an entity is its version in quotes. Otherwise it is taken as it is.
    pub etag_is_version: bool,
    /// The columns that can be asked for by `column=value`.
    pub filters: Vec<String>,
    /// Whether an entity is created by `POST` to the list; otherwise by `PUT` with `If-None-Match: *`.
    pub create_by_post: bool,
    /// Whether decimals are numbers; otherwise they are texts.
    pub decimal_numbers: bool,
}

impl Default for PlainApi {
    fn default() -> Self {
        Self {
            items: "items".to_owned(),
            next: "next".to_owned(),
            cursor: "cursor".to_owned(),
            limit: "limit".to_owned(),
            page_rows: 100,
            id: "id".to_owned(),
            version: String::new(),
            etag_is_version: false,
            filters: Vec::new(),
            create_by_post: false,
            decimal_numbers: false,
        }
    }
}

impl Configurable for PlainApi {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "items",
            "Of a plain API: the member of a list that has the items; `.` where the list is the body",
            |api| Place::Text(&mut api.items),
        )
        .checked(check_name),
        ConfigOption::<Self>::new(
            "next",
            "Of a plain API: the member with the cursor or the address of the next page; link takes the header Link",
            |api| Place::Text(&mut api.next),
        ),
        ConfigOption::<Self>::new(
            "cursor",
            "Of a plain API: the parameter that a cursor is sent as",
            |api| Place::Text(&mut api.cursor),
        )
        .checked(check_name),
        ConfigOption::<Self>::new(
            "limit",
            "Of a plain API: the parameter that the number of items is sent as; empty sends none",
            |api| Place::Text(&mut api.limit),
        ),
        ConfigOption::<Self>::new("page_rows", "Of a plain API: items that are asked for at once", |api| {
            Place::Count(&mut api.page_rows)
        })
        .at_least(1)
        .at_most(PAGE_ROWS_MAX as u64),
        ConfigOption::<Self>::new("id", "Of a plain API: the member that has the id", |api| {
            Place::Text(&mut api.id)
        })
        .checked(check_name),
        ConfigOption::<Self>::new(
            "version",
            "Of a plain API: the member that counts the changes of an entity; without one it is a hash of the values",
            |api| Place::Text(&mut api.version),
        ),
        ConfigOption::<Self>::new(
            "etag_is_version",
            "Of a plain API: whether the ETag of an entity is its version in quotes",
            |api| Place::Flag(&mut api.etag_is_version),
        ),
        ConfigOption::<Self>::new(
            "filters",
            "Of a plain API: the columns that can be asked for by column=value",
            |api| Place::List(&mut api.filters),
        ),
        ConfigOption::<Self>::new(
            "create_by_post",
            "Of a plain API: whether an entity is created by POST to the list",
            |api| Place::Flag(&mut api.create_by_post),
        ),
        ConfigOption::<Self>::new(
            "decimal_numbers",
            "Of a plain API: whether decimals are numbers, and no texts",
            |api| Place::Flag(&mut api.decimal_numbers),
        ),
    ];
}

fn check_name(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("it is empty, and names something".to_owned()) } else { Ok(()) }
}
