use ledger::entry::PostingKind;
use ledger::journal::{Journal, JournalEntry, JournalError};
use proptest::prelude::*;
use underlay::TenantId;

const SMALL: &str = include_str!("../data/small.csv");
const HOUSEHOLD: &str = include_str!("../data/household-2020-2024.csv");
const HEADER: &str = "txnidx,date,description,account,amount,commodity\n";

fn read(text: &[u8]) -> Result<Vec<JournalEntry>, JournalError> {
    Journal::new(text)?.collect()
}

fn entries(text: &str) -> Vec<JournalEntry> {
    read(text.as_bytes()).unwrap()
}

/// Puts rows below the header; what is wrong is the answer.
fn problem(rows: &str) -> String {
    read(format!("{HEADER}{rows}").as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_journal_is_read_as_it_is_written() {
    let entries = entries(SMALL);
    let lines: Vec<u64> = entries.iter().map(|entry| entry.line).collect();
    assert_eq!(lines, [2, 4, 6, 8, 10, 14, 17]);
    let opening = &entries[0].entry;
    assert_eq!(opening.description, "Opening, with a \"quote\"");
    assert_eq!(opening.date.to_string(), "2024-01-01");
    assert_eq!(opening.postings[1].account.as_str(), "equity:opening");
    assert_eq!(opening.postings[1].amount.to_string(), "-100.00");
    assert_eq!(opening.postings[1].commodity.as_str(), "EUR");
}

#[test]
fn virtual_postings_lose_their_brackets_and_keep_their_kind() {
    let entries = entries(SMALL);
    let postings: Vec<_> =
        entries[5].entry.postings.iter().map(|posting| (posting.account.as_str(), posting.kind)).collect();
    let expected = [
        ("budget:coffee", PostingKind::Virtual),
        ("budget:rent", PostingKind::BalancedVirtual),
        ("budget:savings", PostingKind::BalancedVirtual),
    ];
    assert_eq!(postings, expected);
}

#[test]
fn a_household_of_five_years_is_read() {
    let (entries, tenant) = (entries(HOUSEHOLD), TenantId::new("home").unwrap());
    assert_eq!(entries.len(), 1933);
    assert_eq!(entries.iter().map(|entry| entry.entry.postings.len()).sum::<usize>(), 6266);
    let mut identities: Vec<_> = entries.iter().map(|entry| entry.identity.commit_id(&tenant, 0)).collect();
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), 1933);
}

#[test]
fn columns_are_found_by_name() {
    let text = "amount,extra,commodity,account,txnidx,description,date\n\
                1,?,EUR,a,7,x,2024-01-01\n-1,?,EUR,b,7,x,2024-01-01\n";
    let entries = entries(text);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].entry.postings[1].account.as_str(), "b");
}

#[test]
fn line_endings_and_byte_order_marks_make_no_difference() {
    let expected = entries(SMALL);
    assert_eq!(entries(&SMALL.replace('\n', "\r\n")), expected);
    assert_eq!(entries(&format!("\u{feff}{SMALL}")), expected);
    assert_eq!(entries(SMALL.trim_end()), expected);
}

#[test]
fn equal_entries_are_told_apart_by_their_ordinal() {
    let (entries, tenant) = (entries(SMALL), TenantId::new("home").unwrap());
    let (first, second) = (entries[1].identity, entries[2].identity);
    assert_eq!(first.content, second.content);
    assert_eq!((first.ordinal, second.ordinal), (0, 1));
    assert_ne!(first.commit_id(&tenant, 0), second.commit_id(&tenant, 0));
    assert_ne!(first.commit_id(&tenant, 0), first.commit_id(&tenant, 1));
    assert_ne!(first.commit_id(&tenant, 0), first.commit_id(&TenantId::new("office").unwrap(), 0));
}

#[test]
fn the_identity_of_an_entry_is_not_its_place_in_the_file() {
    let rows = "2,2024-01-02,b,cash,1.0,EUR\n2,2024-01-02,b,bank,-1.0,EUR\n";
    let grown = "1,2024-01-01,a,cash,9,EUR\n1,2024-01-01,a,bank,-9,EUR\n3,2024-01-02,b,cash,1.00,EUR\n3,2024-01-02,b,bank,-1.00,EUR\n";
    let before = entries(&format!("{HEADER}{rows}"));
    let after = entries(&format!("{HEADER}{grown}"));
    assert_eq!(before[0].identity, after[1].identity, "another number, other trailing zeros");
}

#[test]
fn every_part_of_an_entry_is_in_its_identity_but_the_status() {
    let header =
        "txnidx,date,date2,status,code,description,comment,account,amount,commodity,posting-comment\n";
    let identity = |row: &str| entries(&format!("{header}{row}\n"))[0].identity.content;
    let row = "1,2024-01-01,,,17,Rent,home,(a),5,EUR,note";
    for other in [
        "1,2024-01-02,,,17,Rent,home,(a),5,EUR,note",
        "1,2024-01-01,,,18,Rent,home,(a),5,EUR,note",
        "1,2024-01-01,,,17,Rents,home,(a),5,EUR,note",
        "1,2024-01-01,,,17,Rent,,(a),5,EUR,note",
        "1,2024-01-01,,,17,Rent,home,(b),5,EUR,note",
        "1,2024-01-01,,,17,Rent,home,(a),6,EUR,note",
        "1,2024-01-01,,,17,Rent,home,(a),5,USD,note",
        "1,2024-01-01,,,17,Rent,home,(a),5,EUR,",
    ] {
        assert_ne!(identity(row), identity(other), "{other}");
    }
    assert_eq!(identity(row), identity("1,2024-01-01,,*,17,Rent,home,(a),5,EUR,note"), "cleared");
}

#[test]
fn an_empty_file_is_no_journal_and_a_header_alone_is_an_empty_one() {
    for text in ["", "\n\n"] {
        let message = read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(message, "line 1: the file is empty; write it with `hledger print -O csv`");
    }
    assert_eq!(entries(HEADER), []);
}

#[test]
fn a_missing_column_is_named() {
    let message = read(b"txnidx,date,description,account,commodity\n").unwrap_err().to_string();
    let expected =
        "line 1: column \"amount\" is missing; there are: txnidx, date, description, account, commodity";
    assert_eq!(message, expected);
}

#[test]
fn an_unbalanced_entry_is_named_by_its_first_row() {
    let rows = "1,2024-01-01,a,cash,9,EUR\n1,2024-01-01,a,bank,-8,EUR\n2,2024-01-02,b,cash,0,EUR\n";
    let expected = "line 2: the entry is unbalanced: its postings in EUR sum to 1, not to zero";
    assert_eq!(problem(rows), expected);
}

#[test]
fn a_value_that_is_wrong_is_named_with_its_line() {
    let sound = "1,2024-01-01,a,cash,9,EUR\n1,2024-01-01,a,bank,-9,EUR\n";
    for (row, part) in [
        ("2,2024-01-02,b,cash,1.000,50,EUR", "7 fields"),
        ("2,2024-01-02,b,cash,\"1,50\",EUR", "amount \"1,50\" is not an amount such as -3089.61"),
        ("2,2024-01-02,b,cash,,EUR", "amount \"\" is not an amount"),
        ("2,2024-01-02,b,cash,79228162514264337593543950336,EUR", "more digits than can be kept"),
        ("2,2024-02-30,b,cash,1,EUR", "date \"2024-02-30\" is not a day"),
        ("2,02/01/2024,b,cash,1,EUR", "date \"02/01/2024\" is not a day"),
        ("2,20240102,b,cash,1,EUR", "date \"20240102\" is not a day"),
        ("two,2024-01-02,b,cash,1,EUR", "txnidx \"two\" is not a number"),
        ("2,2024-01-02,b,,1,EUR", "account \"\" is not 1 to 200 characters"),
        ("2,2024-01-02,b,cash,1,A@B", "commodity \"A@B\""),
        ("2,2024-01-02,b,cash", "the row has 4 fields, the header has 6"),
        ("1,2024-01-02,a,cash,1,EUR", "another date"),
        ("1,2024-01-01,b,cash,1,EUR", "another description"),
    ] {
        let message = problem(&format!("{sound}{row}\n"));
        assert!(message.starts_with("line 4: ") && message.contains(part), "{row}: {message}");
    }
}

#[test]
fn lines_are_counted_over_empty_lines_and_fields_of_several_lines() {
    for end in ["\n", "\r\n"] {
        let rows =
            "1,2024-01-01,\"two\nlines\",cash,0,EUR\n\n\n2,2024-01-02,b,cash,x,EUR\n".replace('\n', end);
        let text = format!("{}{rows}", HEADER.replace('\n', end));
        let message = read(text.as_bytes()).unwrap_err().to_string();
        assert!(message.starts_with("line 6: amount \"x\""), "{end:?}: {message}");
    }
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let mut text = format!("{HEADER}1,2024-01-01,a,cash,0,EUR\n2,2024-01-02,caf").into_bytes();
    text.extend(b"\xe9,cash,0,EUR\n");
    assert_eq!(read(&text).unwrap_err().to_string(), "line 3: the row is not UTF-8");
    assert_eq!(read(b"\xff\xff\n").unwrap_err().to_string(), "line 1: the row is not UTF-8");
}

#[test]
fn an_entry_with_too_many_postings_is_refused_before_it_is_held() {
    let rows = "1,2024-01-01,a,cash,0,EUR\n".repeat(1_001);
    assert_eq!(problem(&rows), "line 2: the entry has 1001 postings, more than POSTINGS_MAX = 1000");
}

#[test]
fn a_quote_that_is_never_closed_is_an_error() {
    let rows = "1,2024-01-01,a,cash,9,EUR\n1,2024-01-01,a,bank,-9,\"EUR";
    assert!(problem(rows).starts_with("line 3: a quote is opened and never closed"), "{}", problem(rows));
    let rows = "1,2024-01-01,\"a,cash,0,EUR\n2,2024-01-01,b,cash,0,EUR\n";
    assert!(problem(rows).starts_with("line 2: the row has 3 fields"), "{}", problem(rows));
}

#[test]
fn an_entry_that_lacks_its_last_rows_says_that_the_file_may_be_cut_off() {
    let message = problem("1,2024-01-01,a,cash,9,EUR\n");
    assert!(message.starts_with("line 2: the entry is unbalanced"), "{message}");
    assert!(message.ends_with("it is the last entry: is the file cut off?"), "{message}");
}

/// A file that is cut off anywhere within its last entry, of one commodity, is an error; but for
/// the end of its last line, which holds nothing.
#[test]
fn a_file_cut_off_in_its_last_entry_is_an_error_wherever_the_cut_is() {
    let lines: Vec<&str> = HOUSEHOLD.split_inclusive('\n').take(5).collect();
    let text = lines.concat();
    let last_entry = lines[..3].concat().len();
    assert_eq!(entries(&text).len(), 2);
    // The last row ends with `,"","",""` and a line feed; without the last two characters a field
    // that is empty anyway is not quoted, and nothing is missing.
    let nothing_missing = [text.len() - 1, text.len() - 3];
    for cut in (last_entry + 1..text.len()).filter(|cut| !nothing_missing.contains(cut)) {
        assert!(read(&text.as_bytes()[..cut]).is_err(), "cut at {cut}: {:?}", &text[last_entry..cut]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_journal_or_an_error(bytes: Vec<u8>) {
        let _either = read(&bytes);
        let below_a_header = [HEADER.as_bytes(), &bytes].concat();
        let _either = read(&below_a_header);
    }

    #[test]
    fn a_damaged_journal_is_read_or_an_error(at in 0..SMALL.len(), byte: u8, cut in 0..SMALL.len()) {
        let mut bytes = SMALL.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(error) = read(&bytes) {
            let lines = SMALL.lines().count() as u64 + 1;
            prop_assert!((1..=lines).contains(&error.line), "{}", error);
        }
        let _either = read(&bytes[..cut]);
    }

    #[test]
    fn rows_of_any_fields_are_a_journal_or_an_error(rows in prop::collection::vec("[0-2],2024-01-0[1-9],[a\"]?,[a-c(){}@]{0,3},-?[0-9.]{0,4},[A@]?", 0..20)) {
        let _either = read(format!("{HEADER}{}", rows.join("\n")).as_bytes());
    }
}
