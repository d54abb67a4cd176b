//! Files of logs that were written before, kept here as they were: what this program reads of them, and
//! writes, byte for byte.

use underlay::Store;
use underlay::archive_file::{ArchiveCount, LogImport, export_log, import_log, verify_log};
use underlay::ports::LogScope;
use underlay::words::StoreId;

const FORMAT_1: &str = include_str!("log_format_1.ndjson");
const FORMAT_2: &str = include_str!("log_format_2.ndjson");

/// The store that both files name in their headers.
fn store_id() -> StoreId {
    StoreId("0190aaaa-0000-7000-8000-000000000001".parse().unwrap())
}

async fn imported(store: &Store, file: &str) -> LogImport {
    import_log(store.archive().unwrap(), &LogScope::EveryTenant, file.as_bytes(), |_| {}).await.unwrap()
}

async fn exported(store: &Store) -> String {
    let mut file = Vec::new();
    export_log(store.archive().unwrap(), store_id(), &LogScope::EveryTenant, &mut file, |_| {})
        .await
        .unwrap();
    String::from_utf8(file).unwrap()
}

/// The lines of a file without their checks, which hang on the header.
fn contents(file: &str) -> Vec<&str> {
    file.lines().skip(1).map(|line| line.rsplit_once(",\"check\":").unwrap().0).collect()
}

/// A log goes through each of these stores in turn, and leaves each as it came.
pub(crate) async fn goes_through(stores: &[&Store]) {
    let mut file = FORMAT_2.to_owned();
    for store in stores {
        assert_eq!(imported(store, &file).await, LogImport { stored: 5, known: 0, left_out: 0 });
        file = exported(store).await;
        assert_eq!(file, FORMAT_2, "it leaves as it came, byte for byte");
        assert_eq!(imported(store, &file).await, LogImport { stored: 0, known: 5, left_out: 0 });
    }
}

#[tokio::test]
async fn format_2_goes_from_store_to_store_byte_for_byte() {
    assert_eq!(verify_log(FORMAT_2.as_bytes()).unwrap(), ArchiveCount { commits: 5, events: 6 });
    let folder = tempfile::tempdir().unwrap();
    let file = Store::open(&format!("sqlite:{}", folder.path().join("log.db").display())).await.unwrap();
    let (memory, again) = (Store::open("memory:").await.unwrap(), Store::open("memory:").await.unwrap());
    goes_through(&[&memory, &file, &again]).await;
}

#[tokio::test]
async fn format_1_is_imported_and_leaves_in_the_format_of_today() {
    assert_eq!(verify_log(FORMAT_1.as_bytes()).unwrap(), ArchiveCount { commits: 4, events: 4 });
    let store = Store::open("memory:").await.unwrap();
    assert_eq!(imported(&store, FORMAT_1).await, LogImport { stored: 4, known: 0, left_out: 0 });
    let today = exported(&store).await;
    assert_eq!(contents(&today), contents(FORMAT_1));
    assert!(today.starts_with("{\"header\":{\"underlay_log\":2,"), "{today}");
    assert_eq!(verify_log(today.as_bytes()).unwrap(), ArchiveCount { commits: 4, events: 4 });
    // Both are the same log.
    assert_eq!(imported(&store, FORMAT_2).await, LogImport { stored: 1, known: 4, left_out: 0 });
}

#[tokio::test]
async fn a_line_of_a_kept_file_that_is_changed_shows() {
    for file in [FORMAT_1, FORMAT_2] {
        for (line, text) in (1..).zip(file.lines()) {
            let changed = file.replacen(text, &text.replacen(":", ": ", 2), 1);
            let error = verify_log(changed.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: the checksum")), "{error}");
        }
    }
}
