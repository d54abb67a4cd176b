//! What is said of each address. An entry of the table of routes names its description here.

use underlay_core::limits::{PAGE_ROWS_MAX, PAGE_STREAMS_MAX, SCHEDULES_MAX, WORK_PAGE_MAX};

use super::description::Group::{Commands, Entities, Log, Operations, Service, Views, Work};
use super::description::Told::{AnyJson, File, Html, Json, Nothing};
use super::description::{Description, Link, Parameter, Shape};
use crate::admin::list::{PAGE_WORK_DEFAULT, PAGE_WORK_MAX};
use crate::admin::processes::{PAGE_INSTANCES_DEFAULT, STANDINGS};
use crate::admin::schedules::PAGE_SCHEDULES_DEFAULT;
use crate::command_status::{LISTS, PAGE_COMMANDS_DEFAULT};
use crate::events::PAGE_EVENTS_DEFAULT;
use crate::metrics::MEDIA_TYPE;
use crate::streams::PAGE_STREAMS_DEFAULT;
use crate::view_orders::{PAGE_PARKED_DEFAULT, PAGE_PARKED_MAX};
use crate::view_query::PAGE_ROWS_DEFAULT;

/// What a key of a command is made of; see [`check_command_key`](underlay_runtime::check_command_key).
const KEY_PATTERN: &str = "^[!-~]{1,200}$";
/// One to SCHEDULE_NAME_BYTES_MAX bytes: fewer characters, where they take several.
const SCHEDULE_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,128}$";
const NUMBER_PATTERN: &str = "^[0-9]+$";

const DUE_AT: Parameter = Parameter::query(
    "due_at",
    Shape::Of("Moment"),
    "From when on the command may run. It is stored, and the answer says where to ask.",
);
const IDEMPOTENCY_KEY: Parameter = Parameter::header(
    "Idempotency-Key",
    Shape::Pattern(KEY_PATTERN),
    "A command that is sent again with the same key runs once, and gets its first answer.",
);
const IF_MATCH: Parameter = Parameter::header(
    "If-Match",
    Shape::Pattern("^(\"[0-9]{1,19}\"|[0-9]{1,19})$"),
    "The version of the stream that was seen. Where it has another, the answer is 409.",
);
const PREFER: Parameter = Parameter::header(
    "Prefer",
    Shape::Text,
    "With `respond-async` the command is stored, and the answer says where to ask what became of it.",
);
const CORRELATION_ID: Parameter = Parameter::header(
    "X-Correlation-Id",
    Shape::Of("Id"),
    "One id for everything that follows from one request. It is stored with the events.",
);
const TRACEPARENT: Parameter = Parameter::header(
    "traceparent",
    Shape::Text,
    "The W3C trace context of the request. One that is not well formed is left out.",
);
const TRACESTATE: Parameter = Parameter::header(
    "tracestate",
    Shape::Text,
    "What belongs to the `traceparent`, and is passed on with it. One that is not well formed is left out.",
);
const LIMIT_EVENTS: Parameter = Parameter::query(
    "limit",
    Shape::Limit { default: PAGE_EVENTS_DEFAULT, max: |config| config.page_events_max },
    "Events in the page. It ends with a whole commit, so it may hold more.",
);
const MIN_POSITION: Parameter = Parameter::query(
    "min_position",
    Shape::Of("Position"),
    "The position of an answer to a command. The rows reflect it, or the answer is 503.",
);
const WAIT: Parameter = Parameter::query(
    "wait",
    Shape::Wait,
    "How many seconds to wait for `min_position`; 5 where it is not said.",
);
const LAST_EVENT_ID: Parameter = Parameter::header(
    "Last-Event-ID",
    Shape::Text,
    "Of a live feed: the id of the last event that was taken. The feed goes on behind it.",
);
/// Where a client goes on from the answer to a command.
const OF_DECISION: &[Link] = &[
    Link::new(200, "findCommand", "path.id", "$response.body#/command_id"),
    Link::new(200, "readStream", "path.stream", "$response.body#/streams/0/stream"),
    Link::new(202, "findCommand", "path.id", "$response.body#/command_id"),
    Link::new(202, "cancelCommand", "path.id", "$response.body#/command_id"),
];
/// What a live feed is asked for and answered as.
const FEED: &str = "text/event-stream";
const STREAM: Parameter = Parameter::path("stream", Shape::Of("Stream"), "Such as `account-42`.");
const KEY: Parameter = Parameter::path(
    "id",
    Shape::Pattern(KEY_PATTERN),
    "The Idempotency-Key that the command was sent with, or the `command_id` of an answer.",
);
const LETTER: Parameter = Parameter::path("id", Shape::Of("Id"), "The `work_id` of the dead letter.");
const SCHEDULE: Parameter =
    Parameter::path("name", Shape::Pattern(SCHEDULE_PATTERN), "The name of the schedule.");

pub(crate) const COMMAND: Description = Description::new("command", Commands, "")
    .takes(&[
        Parameter::path("id", Shape::Name, "The id of the aggregate."),
        DUE_AT,
        IDEMPOTENCY_KEY,
        IF_MATCH,
        PREFER,
        CORRELATION_ID,
        TRACEPARENT,
        TRACESTATE,
    ])
    .answers(&[(200, Json("Executed")), (202, Json("Command"))])
    .leads_to(OF_DECISION)
    .problems(&[404, 408, 409, 413, 415]);

pub(crate) const OPERATION: Description = Description::new("operation", Operations, "")
    .takes(&[DUE_AT, IDEMPOTENCY_KEY, PREFER, CORRELATION_ID, TRACEPARENT, TRACESTATE])
    .answers(&[(200, Json("Executed")), (202, Json("Command"))])
    .leads_to(OF_DECISION)
    .problems(&[404, 408, 409, 413, 415]);

pub(crate) const COMMAND_STATUS: Description =
    Description::new("findCommand", Commands, "What became of a command")
        .about("A command that waits is told to those who may give it. For anybody else it is not there.")
        .takes(&[KEY])
        .answers(&[(200, Json("Command"))])
        .problems(&[404]);

pub(crate) const LIST_COMMANDS: Description = Description::new(
    "listCommands",
    Commands,
    "A page of the stored commands, in the order they were stored",
)
.about("Those that the caller may not give are left out, so a page may hold less than was asked for.")
.takes(&[
    Parameter::query("status", Shape::Word(&LISTS), "Those that wait, or those that were given up."),
    Parameter::query("after", Shape::Pattern(NUMBER_PATTERN), "The `next` of the page before."),
    Parameter::query(
        "limit",
        Shape::Limit { default: PAGE_COMMANDS_DEFAULT, max: |_| WORK_PAGE_MAX },
        "Commands in the page.",
    ),
])
.answers(&[(200, Json("Commands"))]);

pub(crate) const CANCEL: Description =
    Description::new("cancelCommand", Commands, "Cancels a stored command that has not ended")
        .takes(&[KEY])
        .answers(&[(200, Json("Command"))])
        .problems(&[404, 409]);

pub(crate) const LIST_STREAMS: Description =
    Description::new("listStreams", Log, "A page of the streams, by name")
        .takes(&[
            Parameter::query(
                "category",
                Shape::Pattern("^[a-z][a-z0-9_]*$"),
                "Only streams of this category.",
            ),
            Parameter::query("after", Shape::Of("Stream"), "The `next` of the page before."),
            Parameter::query(
                "limit",
                Shape::Limit { default: PAGE_STREAMS_DEFAULT, max: |_| PAGE_STREAMS_MAX },
                "Streams in the page.",
            ),
        ])
        .answers(&[(200, Json("Streams"))]);

pub(crate) const READ_STREAM: Description = Description::new("readStream", Log, "A page of a stream")
    .takes(&[
        STREAM,
        Parameter::query("after", Shape::Number, "The version that the page begins after."),
        LIMIT_EVENTS,
    ])
    .answers(&[(200, Json("StreamPage"))])
    .leads_to(&[Link::new(200, "readState", "path.stream", "$request.path.stream")])
    .problems(&[404]);

pub(crate) const READ_STATE: Description = Description::new(
    "readState",
    Log,
    "The state of an aggregate, now or then",
)
.about(
    "The events of the stream are folded as the aggregate folds them. It is there for aggregates whose state \
             can be stored.",
)
.takes(&[
    STREAM,
    Parameter::query("version", Shape::FromOne, "After this many events; all of them where it is not said."),
    Parameter::query("at", Shape::Of("Moment"), "At this moment. Only one of the two can be said."),
])
.answers(&[(200, Json("State"))])
.problems(&[404]);

pub(crate) const READ_EVENTS: Description =
    Description::new("readEvents", Log, "A page of everything that happened")
        .about(
            "With `Accept: text/event-stream` it is a live feed, which does not end. A page looks at a bounded number of \
             events, so one that finds few may be empty; `next` goes on behind what it looked at, until `at_head`.",
        )
        .takes(&[
            Parameter::query("after", Shape::Of("Position"), "The `next` of the page before."),
            LIMIT_EVENTS,
            Parameter::query("order", Shape::Word(&["ascending", "descending"]), "The oldest first, or the newest. Not for a feed."),
            Parameter::query("from", Shape::Of("Moment"), "Only events recorded then or later. Not for a feed."),
            Parameter::query("until", Shape::Of("Moment"), "Only events recorded then or earlier. Not for a feed."),
            Parameter::query("stream", Shape::Of("Stream"), "Only events of this stream."),
            Parameter::query("actor", Shape::Text, "Only what this actor has done."),
            Parameter::query("correlation_id", Shape::Of("Id"), "Only what followed from one request."),
            Parameter::query("command_id", Shape::Of("Id"), "Only events of this command."),
            Parameter::query("type", Shape::Pattern("^[A-Za-z0-9._-]+$"), "Only events of these types.")
                .repeats(),
            Parameter::query(
                "category",
                Shape::Pattern("^[a-z][a-z0-9_]*$"),
                "Only streams of these categories.",
            )
            .repeats(),
            Parameter::query("format", Shape::Word(&["cloudevents"]), "Events as CloudEvents 1.0."),
            LAST_EVENT_ID,
        ])
        .answers(&[(200, Json("EventsPage"))])
        .also_as(&["application/cloudevents-batch+json", FEED])
        .problems(&[409]);

const CONDITION: Parameter = Parameter::query(
    "condition",
    Shape::Text,
    "What they meet, as JSON: `{\"column\": …}` with one of `eq`, `lt`, `le`, `gt`, `ge`, `prefix`, `in` (a list) and \
     `is_null`; or `all`, `any` (lists) and `not` of conditions. It may name any column and is tested one by one, so \
     give filters beside it where there are many.",
);

pub(crate) const LIST_VIEWS: Description =
    Description::new("listViews", Views, "The views that the caller may read, and where they stand")
        .answers(&[(200, Json("Views"))]);

pub(crate) const QUERY_VIEW: Description = Description::new("view", Views, "A page of rows")
    .about("With `Accept: text/event-stream` it is a live feed of the rows and of what changes.")
    .takes(&[
        CONDITION,
        Parameter::query("cursor", Shape::Text, "The `next` of the page before, with the same `sort`."),
        Parameter::query(
            "limit",
            Shape::Limit { default: PAGE_ROWS_DEFAULT, max: |_| PAGE_ROWS_MAX },
            "Rows in the page.",
        ),
        Parameter::query("count", Shape::Word(&["true", "false"]), "Whether to count the rows of all pages."),
        MIN_POSITION,
        WAIT,
        LAST_EVENT_ID,
    ])
    .also_as(&[FEED])
    .problems(&[409]);

pub(crate) const FIND_ROW: Description = Description::new("row", Views, "One row")
    .takes(&[
        Parameter::path("key", Shape::Name, "The key of the row. It may hold slashes."),
        MIN_POSITION,
        WAIT,
    ])
    .problems(&[404]);

const ENTITY: Parameter = Parameter::path("key", Shape::Name, "The id of the entity. It may hold slashes.");
const IF_VERSION: Parameter = Parameter::header(
    "If-Match",
    Shape::Pattern("^(\"[0-9]{1,19}\"|[0-9]{1,19})$"),
    "The version that was seen. Where the entity has another, or there is none, the answer is 412.",
);
const IF_NONE: Parameter = Parameter::header(
    "If-None-Match",
    Shape::Word(&["*"]),
    "With `*` the entity is created. Where there is one, the answer is 412.",
);
const IF_CHANGED: Parameter = Parameter::header(
    "If-None-Match",
    Shape::Text,
    "The `ETag` of an answer before. Where the entity has that version still, the answer is 304.",
);

pub(crate) const LIST_ENTITIES: Description =
    Description::new("listEntities", Entities, "The kinds of entities that the caller may use")
        .about("Where each is kept is told to operators of the store.")
        .answers(&[(200, Json("EntityKinds"))]);

pub(crate) const QUERY_ENTITIES: Description = Description::new("entities", Entities, "A page of entities")
    .takes(&[
        CONDITION,
        Parameter::query("cursor", Shape::Text, "The `next` of the page before, with the same `sort`."),
        Parameter::query(
            "limit",
            Shape::Limit { default: PAGE_ROWS_DEFAULT, max: |_| PAGE_ROWS_MAX },
            "Entities in the page.",
        ),
        Parameter::query(
            "count",
            Shape::Word(&["true", "false"]),
            "Whether to count the entities of all pages.",
        ),
    ]);

pub(crate) const CREATE_ENTITY: Description =
    Description::new("createEntity", Entities, "Creates an entity").problems(&[404, 408, 409, 413, 415, 422]);

pub(crate) const FIND_ENTITY: Description = Description::new("entity", Entities, "One entity")
    .about("Its `ETag` is its version.")
    .takes(&[ENTITY, IF_CHANGED])
    .problems(&[404]);

pub(crate) const PUT_ENTITY: Description =
    Description::new("putEntity", Entities, "Changes an entity, or creates it under this id")
        .about(
            "All its values are replaced. With `If-Match` it is changed, with `If-None-Match: *` created; without either the \
             answer is 428.",
        )
        .takes(&[ENTITY, IF_VERSION, IF_NONE])
        .problems(&[404, 408, 412, 413, 415, 422, 428]);

pub(crate) const REMOVE_ENTITY: Description = Description::new("removeEntity", Entities, "Removes an entity")
    .about("Without `If-Match` whatever version is there is removed.")
    .takes(&[ENTITY, IF_VERSION])
    .answers(&[(204, Nothing)])
    .problems(&[404, 412]);

pub(crate) const QUEUES: Description =
    Description::new("queues", Work, "How much waits, how late it is, and where processes and pumps stand")
        .answers(&[(200, Json("Queues"))]);

const WORK_PAGE: &[Parameter] = &[
    Parameter::query("receiver", Shape::Name, "Only those for this receiver."),
    Parameter::query("key", Shape::Name, "Only those of this key."),
    Parameter::query("kind", Shape::Of("WorkKind"), "Only those of this kind."),
    Parameter::query("after", Shape::Pattern(NUMBER_PATTERN), "The `next` of the page before."),
    Parameter::query(
        "limit",
        Shape::Limit { default: PAGE_WORK_DEFAULT, max: |_| PAGE_WORK_MAX },
        "How many there are in the page.",
    ),
];

pub(crate) const OUTBOX: Description =
    Description::new("outbox", Work, "A page of the work that waits, the oldest first")
        .about("What was sent is not told. Dead letters have an address of their own.")
        .takes(WORK_PAGE)
        .answers(&[(200, Json("Outbox"))]);

pub(crate) const LIST_LETTERS: Description =
    Description::new("listDeadLetters", Work, "A page of the work that was given up, the oldest first")
        .takes(WORK_PAGE)
        .answers(&[(200, Json("DeadLetters"))]);

pub(crate) const REPLAY_LETTERS: Description =
    Description::new("replayDeadLetters", Work, "Tries several dead letters again, at once")
        .about(
            "Those of the ids, those that the filter finds, or all. Of a filter it takes so many in one request: `next` \
             goes on. Commands stay of which a process was told that they failed.",
        )
        .with_body("LetterChoice")
        .answers(&[(200, Json("SettledMany"))])
        .problems(&[408, 413, 415]);

pub(crate) const DISCARD_LETTERS: Description =
    Description::new("discardDeadLetters", Work, "Removes several dead letters for ever")
        .about(
            "Those of the ids, those that the filter finds, or all. Of a filter it takes so many in one request: `next` \
             goes on.",
        )
        .with_body("LetterChoice")
        .answers(&[(200, Json("SettledMany"))])
        .problems(&[408, 413, 415]);

pub(crate) const FIND_LETTER: Description = Description::new("findDeadLetter", Work, "One dead letter")
    .takes(&[LETTER])
    .answers(&[(200, Json("DeadLetter"))])
    .problems(&[404]);

pub(crate) const REPLAY_LETTER: Description =
    Description::new("replayDeadLetter", Work, "Tries a dead letter again, at once")
        .takes(&[LETTER])
        .answers(&[(200, Json("Settled"))])
        .problems(&[404, 409]);

pub(crate) const DISCARD_LETTER: Description =
    Description::new("discardDeadLetter", Work, "Removes a dead letter for ever")
        .takes(&[LETTER])
        .answers(&[(200, Json("Settled"))])
        .problems(&[404, 409]);

const PROCESS: Parameter = Parameter::path("name", Shape::Name, "The name of the process.");
const PUMP: Parameter = Parameter::path("name", Shape::Name, "The name of the pump.");
const TOLD_WHY: &str = "How far it is and why it does not go on, is told to operators of the store.";

pub(crate) const LIST_PROCESSES: Description =
    Description::new("listProcesses", Work, "Where every process stands with the log")
        .about(TOLD_WHY)
        .answers(&[(200, Json("Processes"))]);

pub(crate) const RETRY_PROCESS: Description =
    Description::new("retryProcess", Work, "A process that is stopped tries again")
        .about("It is over all tenants, and for operators of the store.")
        .takes(&[PROCESS])
        .answers(&[(200, Json("Retried"))])
        .problems(&[404]);

pub(crate) const LIST_PUMPS: Description = Description::new("listPumps", Work, "Where every pump stands")
    .about(TOLD_WHY)
    .answers(&[(200, Json("Pumps"))]);

pub(crate) const RETRY_PUMP: Description =
    Description::new("retryPump", Work, "A pump that is stopped tries again")
        .about("It is over all tenants, and for operators of the store.")
        .takes(&[PUMP])
        .answers(&[(200, Json("Retried"))])
        .problems(&[404]);

pub(crate) const REWIND_PUMP: Description =
    Description::new("rewindPump", Work, "Moves a pump to another place of the log")
        .about(
            "What follows that place is brought to the sink, again where it was brought before; what comes before it is \
             not. It is over all tenants, and for operators of the store.",
        )
        .takes(&[PUMP])
        .with_body("RewindOrder")
        .answers(&[(200, Json("Rewound"))])
        .problems(&[404, 408, 413, 415]);

pub(crate) const LIST_INSTANCES: Description =
    Description::new("listInstances", Work, "A page of the instances of a process, by name")
        .takes(&[
            PROCESS,
            Parameter::query("standing", Shape::Word(&STANDINGS), "Only those that stand so."),
            Parameter::query("after", Shape::Name, "The `next` of the page before."),
            Parameter::query(
                "limit",
                Shape::Limit { default: PAGE_INSTANCES_DEFAULT, max: |_| PAGE_ROWS_MAX },
                "Instances in the page.",
            ),
        ])
        .answers(&[(200, Json("Instances"))])
        .problems(&[404]);

pub(crate) const FIND_INSTANCE: Description =
    Description::new("findInstance", Work, "One instance of a process, and what it waits for")
        .takes(&[PROCESS, Parameter::path("instance", Shape::Name, "Its name. It may hold slashes.")])
        .answers(&[(200, Json("Instance"))])
        .problems(&[404]);

pub(crate) const LIST_SCHEDULES: Description =
    Description::new("listSchedules", Work, "A page of the schedules, by name")
        .takes(&[
            Parameter::query("after", Shape::Text, "The `next` of the page before."),
            Parameter::query(
                "limit",
                Shape::Limit { default: PAGE_SCHEDULES_DEFAULT, max: |_| SCHEDULES_MAX },
                "Schedules in the page.",
            ),
        ])
        .answers(&[(200, Json("Schedules"))]);

pub(crate) const FIND_SCHEDULE: Description = Description::new("findSchedule", Work, "One schedule")
    .takes(&[SCHEDULE])
    .answers(&[(200, Json("Schedule"))])
    .problems(&[404]);

pub(crate) const PUT_SCHEDULE: Description =
    Description::new("putSchedule", Work, "Puts a schedule, in place of one of that name")
        .about(
            "The same put again changes nothing. Whoever puts one has the roles that its command asks for.",
        )
        .takes(&[SCHEDULE])
        .with_body("ScheduleDefinition")
        .answers(&[(200, Json("Schedule"))])
        .leads_to(&[
            Link::new(200, "findSchedule", "path.name", "$request.path.name"),
            Link::new(200, "removeSchedule", "path.name", "$request.path.name"),
        ])
        .problems(&[404, 408, 409, 413, 415]);

pub(crate) const REMOVE_SCHEDULE: Description =
    Description::new("removeSchedule", Work, "Removes a schedule")
        .about("What it has given already runs all the same.")
        .takes(&[SCHEDULE])
        .answers(&[(200, Json("Removed"))])
        .problems(&[404]);

pub(crate) const DOCUMENT: Description =
    Description::new("document", Service, "This description, as OpenAPI 3.1").answers(&[(200, AnyJson)]);

pub(crate) const DOCS: Description =
    Description::new("docs", Service, "This description, as a page to try it")
        .about("Whoever sends no credentials is asked for them, and told nothing of what is in it.")
        .answers(&[(200, Html)])
        .problems(&[401, 429, 503]);

pub(crate) const DOCS_SCRIPT: Description =
    Description::new("docsScript", Service, "The script of that page")
        .answers(&[(200, File("text/javascript"))]);

pub(crate) const DOCS_STYLE: Description =
    Description::new("docsStyle", Service, "The style of that page").answers(&[(200, File("text/css"))]);

pub(crate) const LIVE: Description =
    Description::new("live", Service, "Whether the process answers").answers(&[(200, Json("Live"))]);

pub(crate) const METRICS: Description =
    Description::new("metrics", Service, "What is counted and where everything stands, for Prometheus")
        .about("It is over all tenants, for operators of the store and for whoever `metrics_readers` names.")
        .answers(&[(200, File(MEDIA_TYPE))]);

pub(crate) const READY: Description = Description::new("ready", Service, "Whether it can serve")
    .answers(&[(200, Json("Ready"))])
    .problems(&[503]);

const LINK: &[Parameter] = &[
    Parameter::path("page", Shape::Name, "The page that the link leads to."),
    Parameter::path("secret", Shape::Name, "The signature."),
    Parameter::query("tenant", Shape::Text, "Whose link it is.").required(),
    Parameter::query("subject", Shape::Text, "Whom it is about.").required(),
    Parameter::query("id", Shape::Of("Id"), "What it was made for.").required(),
];

pub(crate) const OPEN_LINK: Description =
    Description::new("openLink", Service, "What a link is for that the service has sent")
        .takes(LINK)
        .answers(&[(200, Html), (404, Html), (410, Html), (503, Html)]);

pub(crate) const FOLLOW_LINK: Description =
    Description::new("followLink", Service, "Does what such a link is for").takes(LINK).answers(&[
        (200, Html),
        (404, Html),
        (410, Html),
        (503, Html),
    ]);

const VIEW: Parameter = Parameter::path("view", Shape::Name, "The name of the view.");

pub(crate) const LIST_VIEW_STANDINGS: Description =
    Description::new("listViewStandings", Views, "Where every view stands, and what is ordered of it")
        .about("It is over all tenants, and for operators of the store.")
        .answers(&[(200, Json("ViewStandings"))]);

pub(crate) const FIND_VIEW_STANDING: Description =
    Description::new("findViewStanding", Views, "Where one view stands, and what is ordered of it")
        .takes(&[VIEW])
        .answers(&[(200, Json("ViewStanding"))])
        .problems(&[404]);

pub(crate) const LIST_PARKED: Description =
    Description::new("listParkedEvents", Views, "A page of the events that the rows of a view lack")
        .takes(&[
            VIEW,
            Parameter::query("after", Shape::Of("Position"), "The `next` of the page before."),
            Parameter::query(
                "limit",
                Shape::Limit { default: PAGE_PARKED_DEFAULT, max: |_| PAGE_PARKED_MAX },
                "Events in the page.",
            ),
        ])
        .answers(&[(200, Json("ParkedPage"))])
        .problems(&[404]);

pub(crate) const REBUILD_VIEW: Description =
    Description::new("rebuildView", Views, "Orders the rows to be folded anew and swapped in")
        .about("The same ordered again is the same order. Some process that keeps the view carries it out.")
        .takes(&[
            VIEW,
            Parameter::query(
                "from_start",
                Shape::Word(&["true", "false"]),
                "Whether what an interrupted rebuild has built is left.",
            ),
        ])
        .answers(&[(202, Json("ViewOrder"))])
        .problems(&[404, 409]);

pub(crate) const VERIFY_VIEW: Description =
    Description::new("verifyView", Views, "Orders every row to be compared with one that is folded anew")
        .takes(&[
            VIEW,
            Parameter::query(
                "repair",
                Shape::Word(&["true", "false"]),
                "Whether the true rows are swapped in where one differs.",
            ),
        ])
        .answers(&[(202, Json("ViewOrder"))])
        .problems(&[404, 409]);

pub(crate) const CANCEL_VIEW: Description = Description::new("cancelViewOrder", Views, "Cancels the order")
    .about("What was built stays, and the next order goes on with it.")
    .takes(&[VIEW])
    .answers(&[(200, Json("ViewOrder"))])
    .problems(&[404, 409]);

pub(crate) const REVERT_VIEW: Description =
    Description::new("revertView", Views, "Brings back the rows that the last rebuild replaced")
        .takes(&[VIEW])
        .answers(&[(200, Json("RevertedView"))])
        .problems(&[404, 409]);

pub(crate) const DISCARD_VIEW: Description =
    Description::new("discardView", Views, "Gives up what was built and is not read")
        .takes(&[VIEW])
        .answers(&[(200, Json("DiscardedView"))])
        .problems(&[404, 409]);

pub(crate) const RETRY_VIEW: Description =
    Description::new("retryView", Views, "Tries a view again that is stopped")
        .takes(&[VIEW])
        .answers(&[(200, Json("RetriedView"))])
        .problems(&[404]);

pub(crate) const SKIP_VIEW: Description =
    Description::new("skipEvent", Views, "Passes over the event that a view is stopped at")
        .about("Who ordered it, when and why is kept for ever.")
        .takes(&[VIEW])
        .with_body("SkipOrder")
        .answers(&[(200, Json("SkippedEvent"))])
        .problems(&[404, 408, 409, 413, 415]);
