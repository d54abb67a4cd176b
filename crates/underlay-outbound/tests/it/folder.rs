//! Mail in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use underlay_core::{Email, Error, Mail, Mailbox, ManualClock, Timestamp};
use underlay_outbound::mail::{self, FolderMail, MailConfig};
use underlay_testkit::{ArrivedMail, Fixture, MailAnswer, MailFixture, Skip};

use crate::arrived::read;

struct Folder {
    mail: FolderMail,
    parent: TempDir,
}

fn sender() -> Mailbox {
    Mailbox::parse("Die Bürger-Bank <bank@example.com>").unwrap()
}

fn config() -> MailConfig {
    MailConfig::default().with_from(sender())
}

impl Folder {
    fn open(parent: TempDir) -> Self {
        let mail = FolderMail::open(parent.path().join("out"), &config()).unwrap();
        Self { mail, parent }
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join("out")
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    // The first mail makes it.
    if !folder.exists() {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

impl Fixture for Folder {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::open(tempfile::tempdir().unwrap()))
    }

    async fn reopen(self) -> Self {
        Self::open(self.parent)
    }
}

impl MailFixture for Folder {
    fn mail(&self) -> Arc<dyn Mail> {
        Arc::new(self.mail.clone())
    }

    fn sender(&self) -> Mailbox {
        sender()
    }

    async fn arrived(&self) -> Vec<ArrivedMail> {
        // What a send that was given up still writes is no mail yet.
        let is_mail = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "eml");
        files(&self.path())
            .iter()
            .filter(|path| is_mail(path))
            .map(|path| read(&fs::read(path).unwrap()))
            .collect()
    }

    fn answer(&self, _: &Mailbox, _: MailAnswer) -> bool {
        false
    }

    async fn set_away(&mut self, away: bool) {
        let aside = self.parent.path().join("aside");
        if away {
            fs::rename(self.path(), aside).unwrap();
            fs::write(self.path(), "a file where the folder was").unwrap();
        } else {
            fs::remove_file(self.path()).unwrap();
            fs::rename(aside, self.path()).unwrap();
        }
    }
}

mod conformance {
    underlay_testkit::conformance!(mail, super::Folder);
}

fn ann(text: &str) -> Email {
    Email::new(Mailbox::new("ann@example.com").unwrap(), "Welcome", text).unwrap()
}

#[tokio::test]
async fn a_repeat_replaces_the_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mail = mail::open(&format!("folder:{}", folder.path().display()), config()).unwrap();
    for key in ["a/../b", "0190a1b2-0000", "A/../B"] {
        mail.send(key, &ann("first")).await.unwrap();
    }
    assert_eq!(files(folder.path()).len(), 3);
    mail.send("0190a1b2-0000", &ann("second")).await.unwrap();
    let found = files(folder.path());
    let names: Vec<&str> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("0190a1b2-0000-")), "the key can be found: {names:?}");
    assert!(names.iter().all(|name| name.ends_with(".eml")), "{names:?}");
    let second = found.iter().filter(|path| read(&fs::read(path).unwrap()).mail.text() == "second\n");
    assert_eq!(second.count(), 1);
}

#[tokio::test]
async fn a_mail_of_one_moment_is_always_the_same_file() {
    let text = |parent: TempDir| async move {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let mail = FolderMail::open(parent.path(), &config().with_clock(clock)).unwrap();
        mail.send("key", &ann("Grüße\n").with_html("<p>Grüße</p>").unwrap()).await.unwrap();
        fs::read_to_string(&files(parent.path())[0]).unwrap()
    };
    let first = text(tempfile::tempdir().unwrap()).await;
    assert_eq!(first, text(tempfile::tempdir().unwrap()).await);
    assert!(first.contains("Date: Sun, 17 Mar 2030 17:46:40 -0000\r\n"), "{first}");
    assert!(first.contains("Auto-Submitted: auto-generated\r\n"), "{first}");
    assert!(first.is_ascii() && !first.replace("\r\n", "").contains(['\r', '\n']), "{first}");
}

#[tokio::test]
async fn a_link_stays_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let mail = FolderMail::open(folder.path(), &config()).unwrap();
    let link = format!("https://example.com/verify?token={}", "0123456789".repeat(40));
    mail.send("key", &ann(&format!("Follow\n{link}\n"))).await.unwrap();
    let text = fs::read_to_string(&files(folder.path())[0]).unwrap();
    assert!(text.contains(&link), "{text}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let at = |path: &str| format!("folder:{}", parent.path().join(path).display());
    let wrong = |address: &str, config: MailConfig| match mail::open(address, config) {
        Err(error) => error,
        Ok(_) => panic!("{address} was opened"),
    };
    for path in ["file", "file/out"] {
        let told = wrong(&at(path), config());
        assert!(matches!(&told, Error::Invalid(told) if told.contains("file is no folder")), "{told}");
    }
    let unset = wrong(&at("out"), MailConfig::default()).to_string();
    assert!(unset.contains("set the option from"), "{unset}");
    assert!(!parent.path().join("out").exists(), "nothing is made");
    mail::open(&at("deep/out"), config()).unwrap();
    assert!(!parent.path().join("deep").exists(), "the first mail makes it");
}
