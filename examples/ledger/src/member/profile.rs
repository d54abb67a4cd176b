//! The profile of a member: what the member may change as often as they like, and nobody asks who changed it.

use underlay::clap::{self, Arg, ArgMatches};
use underlay::{
    App, CliCommand, Engine, EntityId, EntityVersion, ExecuteError, Executed, ExitError, Request,
};

use super::{Member, MemberCommand, MemberId, MemberRefusal};

/// The language where a member says none.
const LANGUAGE_DEFAULT: &str = "en";

// region: profile
/// What a member says of themselves.
#[underlay::entity(name = "profile", version = 1)]
#[derive(Eq)]
pub struct Profile {
    /// The member.
    #[id]
    pub member: MemberId,
    /// The version it was read at.
    #[version]
    pub version: EntityVersion,
    /// What others see. Nobody else has it.
    #[column(unique)]
    pub nickname: String,
    /// Such as `en`.
    #[column(indexed)]
    pub language: String,
    /// Anything else.
    pub about: Option<String>,
}
// endregion: profile

impl EntityId for MemberId {
    fn to_key(&self) -> String {
        self.to_string()
    }

    fn from_key(key: &str) -> Option<Self> {
        key.parse().ok()
    }
}

impl Profile {
    /// A profile that is not stored yet.
    #[must_use]
    pub fn new(member: MemberId, nickname: impl Into<String>) -> Self {
        let (version, language) = (EntityVersion::NEW, LANGUAGE_DEFAULT.to_owned());
        Self { member, version, nickname: nickname.into(), language, about: None }
    }
}

// region: join
/// Registers a member with a profile: both are stored, in one commit, or neither is.
///
/// # Errors
/// Why the member cannot register, or what the store says: [`underlay::Error::RuleViolation`] where another member has the
/// nickname.
pub async fn join(
    engine: &Engine,
    request: &Request,
    profile: Profile,
    email: &str,
) -> Result<Executed, ExecuteError<MemberRefusal>> {
    let (member, email) = (profile.member.clone(), email.to_owned());
    let mut unit = engine.unit_of_work(request);
    unit.add(profile)?;
    unit.commit_with::<Member>(&member, MemberCommand::Register { email }).await
}
// endregion: join

/// `ledger join`: registers a member with a profile.
#[derive(Clone, Copy, Debug)]
pub struct Join;

#[underlay::async_trait]
impl CliCommand for Join {
    fn command(&self) -> clap::Command {
        let required = |name: &'static str, shown: &'static str, help: &'static str| {
            Arg::new(name).value_name(shown).required(true).help(help)
        };
        clap::Command::new("join").about("Register a member with a profile").args([
            required("member", "MEMBER", "The id of the member, such as ann"),
            required("email", "EMAIL", "Where mail goes to"),
            required("nickname", "NICKNAME", "What others see; nobody else has it").long("nickname"),
            Arg::new("language")
                .long("language")
                .value_name("LANGUAGE")
                .default_value(LANGUAGE_DEFAULT)
                .help("Such as de"),
        ])
    }

    async fn run(&self, app: &App, matches: &ArgMatches) -> Result<(), ExitError> {
        let given = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let member = given("member").parse::<MemberId>();
        let member = member.map_err(|wrong| ExitError::invalid(wrong.to_string()))?;
        let profile = Profile { language: given("language"), ..Profile::new(member, given("nickname")) };
        let request = Request::new(app.tenant.clone());
        match join(&app.engine, &request, profile, &given("email")).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Failed(error)) => Err(error.into()),
            Err(refused) => Err(ExitError::failed(refused.to_string())),
        }
    }
}
