//! The tokens of a file, while the file is changed by others: [watched](crate::watched), so that a token that was revoked
//! opens nothing after [`TOKENS_REVOKED_WITHIN`], as long as the file can be read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use underlay_core::{Clock, Error};

use super::TokenFile;
use super::file::Mark;
use super::list::TokenTable;
use super::secret::is_token;
use crate::watched::{Known, Source, Watched};
use crate::{Credentials, Denied, Principal, bearer};

/// Between two looks at whether the file has changed.
pub const TOKENS_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Within which time a running service takes a change of its file, as long as the file can be read.
pub const TOKENS_REVOKED_WITHIN: Duration = Duration::from_secs(2);

/// Credentials that are tokens in a file.
pub struct FileTokens(Watched<TokenFile>);

/// What was read of a file.
pub(crate) struct Tokens {
    table: TokenTable,
    mark: Mark,
}

impl std::fmt::Debug for FileTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTokens").field("file", self.0.source()).finish_non_exhaustive()
    }
}

impl FileTokens {
    /// Reads the file. It is looked at again while it is used, by this clock.
    ///
    /// # Errors
    /// As [`TokenFile::read`].
    pub fn open(file: TokenFile, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Watched::open(file, clock).map(Self)
    }
}

impl Source for TokenFile {
    type Content = Tokens;

    const LOOK_INTERVAL: Duration = TOKENS_LOOK_INTERVAL;
    const AGE_MAX: Duration = TOKENS_REVOKED_WITHIN;
    const STALE: &'static str = "the file of tokens cannot be used as it is now; what was read before holds, and no \
                                 change of it is taken";

    fn read_where_changed(&self, known: Option<&Known<Tokens>>) -> Result<Option<Tokens>, Error> {
        if let Some(known) = known {
            let mark = &known.content.mark;
            let is_same = self.mark()? == *mark && mark.is_settled(known.read_at);
            if is_same && !known.is_stale {
                return Ok(None);
            }
        }
        let (list, mark) = self.read_marked()?;
        Ok(Some(Tokens { table: TokenTable::new(&list), mark }))
    }

    fn has_changed(&self, _: &Tokens) {
        tracing::info!(file = %self.path().display(), "the tokens were read again");
    }
}

#[async_trait]
impl Credentials for FileTokens {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let token = bearer(headers)?;
        let unknown = || Denied::invalid("the token is not known, or it was revoked");
        // What cannot be one has nobody look.
        if !is_token(token) {
            return Err(unknown());
        }
        let tokens = self.0.now().await.map_err(|error| {
            tracing::error!(%error, "the file of tokens was not looked at");
            Denied::Away { retry_after: None }
        })?;
        tokens.table.find(token).cloned().ok_or_else(unknown)
    }

    fn trouble(&self) -> Option<String> {
        self.0.is_stale().then(|| TokenFile::STALE.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use axum::http::HeaderValue;
    use axum::http::header::AUTHORIZATION;
    use underlay_core::{ManualClock, TenantId, Timestamp};

    use super::super::{Secret, TokenList, TokenRequest};
    use super::*;

    fn request(tenant: &str) -> TokenRequest {
        TokenRequest {
            tenant: TenantId::new(tenant).unwrap(),
            actor: "ada".to_owned(),
            roles: Vec::new(),
            expires: None,
            note: None,
        }
    }

    async fn add(path: &Path, clock: &dyn Clock, tenant: &str) -> (Secret, String) {
        let now = Timestamp::now();
        let added = TokenFile::new(path).change(clock, |list| list.add(request(tenant), now)).await.unwrap();
        (added.0, added.1.id)
    }

    async fn ask(tokens: &FileTokens, secret: &Secret) -> Result<String, Denied> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {}", secret.reveal())).unwrap();
        headers.insert(AUTHORIZATION, value);
        tokens.identify(&headers).await.map(|principal| principal.tenant.to_string())
    }

    struct Place {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        clock: Arc<ManualClock>,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        Place { _folder: folder, path, clock: Arc::new(ManualClock::new(Timestamp::now())) }
    }

    #[tokio::test]
    async fn a_change_is_taken_while_it_is_used_and_no_later_than_promised() {
        let Place { _folder, path, clock } = place();
        let (first, id) = add(&path, &*clock, "acme").await;
        let tokens = FileTokens::open(TokenFile::new(&path), clock.clone()).unwrap();
        assert_eq!(ask(&tokens, &first).await.unwrap(), "acme");
        let (second, _) = add(&path, &*clock, "zeta").await;
        TokenFile::new(&path).change(&*clock, |list| list.remove(&id)).await.unwrap();
        assert_eq!(ask(&tokens, &first).await.unwrap(), "acme", "nobody looks again so soon");
        clock.advance(TOKENS_LOOK_INTERVAL);
        ask(&tokens, &first).await.unwrap_err();
        assert_eq!(ask(&tokens, &second).await.unwrap(), "zeta");
    }

    #[tokio::test]
    async fn who_comes_while_somebody_looks_does_not_go_by_what_is_too_old() {
        let Place { _folder, path, clock } = place();
        let (first, id) = add(&path, &*clock, "acme").await;
        let tokens = FileTokens::open(TokenFile::new(&path), clock.clone()).unwrap();
        TokenFile::new(&path).change(&*clock, |list| list.remove(&id)).await.unwrap();
        let turn = tokens.0.turn().await;
        clock.advance(TOKENS_LOOK_INTERVAL);
        assert!(ask(&tokens, &first).await.is_ok(), "it is recent enough");
        clock.advance(TOKENS_REVOKED_WITHIN);
        let mut waiting = Box::pin(ask(&tokens, &first));
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("what is too old is used"),
            () = tokio::task::yield_now() => {}
        }
        tokens.0.look();
        drop(turn);
        waiting.await.unwrap_err();
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_at_the_start_and_survived_later() {
        let Place { _folder, path, clock } = place();
        let (first, id) = add(&path, &*clock, "acme").await;
        let good = std::fs::read(&path).unwrap();
        let tokens = FileTokens::open(TokenFile::new(&path), clock.clone()).unwrap();
        for damage in [&good[..good.len() / 2], b"", b"{}"] {
            std::fs::write(&path, damage).unwrap();
            FileTokens::open(TokenFile::new(&path), clock.clone()).unwrap_err();
            clock.advance(TOKENS_LOOK_INTERVAL);
            assert_eq!(ask(&tokens, &first).await.unwrap(), "acme");
            assert!(tokens.trouble().unwrap().contains("what was read before holds"));
            let error = TokenFile::new(&path).change(&*clock, |list| list.remove(&id)).await.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "what is damaged is not overwritten: {error}");
        }
        std::fs::remove_file(&path).unwrap();
        clock.advance(TOKENS_LOOK_INTERVAL);
        assert_eq!(ask(&tokens, &first).await.unwrap(), "acme");
        assert!(tokens.trouble().is_some());
        // The same content again, and so perhaps the same mark.
        let list = TokenList::parse(&good).unwrap();
        assert_eq!(list.tokens().len(), 1);
        std::fs::write(&path, &good).unwrap();
        clock.advance(TOKENS_LOOK_INTERVAL);
        assert_eq!(ask(&tokens, &first).await.unwrap(), "acme");
        assert_eq!(tokens.trouble(), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_file_is_its_owners_and_nobody_else_writes_it() {
        use std::os::unix::fs::PermissionsExt;
        let Place { _folder, path, clock } = place();
        add(&path, &*clock, "acme").await;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o622)).unwrap();
        let error = TokenFile::new(&path).read().unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        TokenFile::new(&path).read().unwrap();
        // A link stays one.
        let link = path.with_file_name("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        add(&link, &*clock, "zeta").await;
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(TokenFile::new(&path).read().unwrap().tokens().len(), 2);
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten().collect();
        assert!(left.iter().all(|file| !file.file_name().to_string_lossy().ends_with(".tmp")), "{left:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_writers_at_once_none_loses_a_token() {
        let Place { _folder, path, .. } = place();
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let path = path.clone();
            writers.spawn(async move { add(&path, &underlay_core::SystemClock, "acme").await });
        }
        assert_eq!(writers.join_all().await.len(), 8);
        assert_eq!(TokenFile::new(&path).read().unwrap().tokens().len(), 8);
    }

    #[tokio::test]
    async fn a_lock_that_is_kept_is_not_waited_for_for_ever() {
        let Place { _folder, path, clock } = place();
        let file = TokenFile::new(&path);
        let _kept = file.lock(&*clock).await.unwrap();
        let time = async {
            loop {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        let changed = tokio::select! {
            changed = file.change(&*clock, |_| Ok(())) => changed,
            () = time => unreachable!("time goes on for ever"),
        };
        assert!(matches!(changed, Err(Error::Unavailable { .. })), "{changed:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_change_leaves_the_file_to_whoever_could_read_it() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let Place { _folder, path, clock } = place();
        let (_, id) = add(&path, &*clock, "acme").await;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        // Only root may give a file to a group that is not its own.
        let given = std::os::unix::fs::chown(&path, None, Some(7)).is_ok();
        TokenFile::new(&path).change(&*clock, |list| list.remove(&id)).await.unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(after.mode() & 0o777, 0o640, "a service of the group reads it no longer");
        assert!(!given || after.gid() == 7, "the file is another group's now");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn two_names_of_a_file_have_one_lock() {
        let Place { _folder, path, clock } = place();
        add(&path, &*clock, "acme").await;
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let _kept = TokenFile::new(&path).lock(&*clock).await.unwrap();
        let by_link = TokenFile::new(&link);
        let mut waiting = Box::pin(by_link.lock(&*clock));
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("two change the file at once, and one change is lost"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn who_may_not_change_the_file_leaves_no_lock_that_keeps_its_owner_out() {
        use std::os::unix::fs::{MetadataExt, chown};
        let Place { _folder, path, clock } = place();
        let (_, id) = add(&path, &*clock, "acme").await;
        let lock = path.with_file_name("tokens.json.lock");
        std::fs::remove_file(&lock).unwrap();
        // Only root may give a file away.
        if chown(&path, Some(7), Some(7)).is_err() {
            return;
        }
        let error = TokenFile::new(&path).change(&*clock, |list| list.remove(&id)).await.unwrap_err();
        assert!(error.to_string().contains("run this as that user"), "{error}");
        assert_eq!(std::fs::metadata(&lock).unwrap().uid(), 7);
    }
}
