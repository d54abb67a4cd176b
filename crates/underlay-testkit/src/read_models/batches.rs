use underlay_core::{Checkpoint, Error, EventId, Position, Query, RowChange, StoreId, Value, ViewBatch};

use super::Subject;
use super::subject::{decimal, row};
use crate::ReadModelsFixture;
use crate::concurrent::{Beside, finished, together};

/// Sentence 3: rows and checkpoint change together, or neither does.
pub async fn rows_and_checkpoint_change_together<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let seed = ["a", "b", "c", "d"].map(|key| subject.upsert(key, row("seed", 0)));
    subject.apply(seed.to_vec()).await;
    let (rows, checkpoint) = (subject.rows().await, subject.checkpoint().await);

    let mut misfit = row("misfit", 1);
    misfit[1] = decimal("1");
    let failing: [RowChange; 4] = [
        subject.patch("absent", "entries", Value::Integer(1)),
        subject.patch("d", "no_such_column", Value::Integer(1)),
        subject.upsert("d", misfit),
        subject.upsert("", row("no key", 1)),
    ];
    for bad in failing {
        // First, in the middle and last: what went before it must be undone.
        for at in 0..=3 {
            let mut changes = vec![
                subject.upsert("a", row("new", 1)),
                subject.patch("b", "entries", Value::Integer(1)),
                subject.delete("c"),
            ];
            changes.insert(at, bad.clone());
            let result = subject.try_apply(changes).await;
            assert!(result.is_err(), "a batch with {bad:?} was stored");
            assert_eq!(subject.rows().await, rows, "no row of a batch with {bad:?} is stored");
            assert_eq!(subject.checkpoint().await, checkpoint, "nor is its checkpoint");
        }
    }

    // A batch that changes no row moves the checkpoint all the same.
    let batch = subject.next_batch(Vec::new()).await;
    subject.models.apply(&subject.table, batch.clone()).await.expect("a batch without changes");
    assert_eq!(subject.checkpoint().await, batch.to, "the checkpoint is where the batch leads to");

    readers_see_whole_batches(&subject).await;
}

/// Every batch sets every row to its position: a page that shows two values, or another position, has
/// seen half a batch.
async fn readers_see_whole_batches(subject: &Subject) {
    let keys = ["a", "b", "c", "d", "e"];
    let write = |number: u64| keys.map(|key| subject.upsert(key, row("whole", number as i64))).to_vec();
    let start = subject.checkpoint().await.position.number() + 1;
    subject.apply(write(start)).await;

    let beside = Beside::default();
    let reader = |_| {
        let (subject, beside) = (subject.clone(), beside.clone());
        tokio::spawn(async move {
            let mut last = Position::START;
            loop {
                let last_read = beside.is_last_read().await;
                let page = subject.query(&Query::default()).await;
                let position = page.position.number() as i64;
                let values: Vec<&Value> = page.rows.iter().map(|(_, row)| &row[1]).collect();
                assert_eq!(
                    values,
                    [&Value::Integer(position); 5],
                    "a page shows the rows of one batch, at its position"
                );
                assert!(page.position >= last, "the position of a page never goes back");
                last = page.position;
                if last_read {
                    return last;
                }
            }
        })
    };
    let readers: Vec<_> = (0..3).map(reader).collect();
    let mut writes = 0;
    while beside.goes_on(writes, 200).await {
        writes += 1;
        subject.apply(write(start + writes as u64)).await;
    }
    beside.finish();
    for reader in readers {
        let last = finished(reader).await;
        assert_eq!(last, Position::from_number(start + writes as u64), "the readers came to the last batch");
    }
}

/// Sentence 4: the checkpoint moves only from the expected place; otherwise `CheckpointMoved`.
pub async fn the_checkpoint_moves_only_from_the_expected_place<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    for step in 0..3 {
        let here = subject.checkpoint().await;
        let number = here.position.number();
        let mut elsewhere = vec![
            subject.place(number),
            subject.place(number + 1),
            subject.place(number + 2),
            Checkpoint { store: StoreId(EventId::draw().0), ..here },
            Checkpoint { position: Position::from_number(number + 1), ..here },
        ];
        if step > 0 {
            elsewhere.push(Checkpoint { event_id: None, ..here });
            elsewhere.push(Checkpoint::start(subject.log));
        }
        for from in elsewhere {
            let changes = vec![subject.upsert("a", row("from elsewhere", 1)), subject.delete("b")];
            let batch = ViewBatch::new(from, subject.place(number + 3), changes);
            let error = match subject.models.apply(&subject.table, batch).await {
                Err(error) => error,
                Ok(()) => panic!("a batch from {from:?} was stored at {here:?}"),
            };
            assert!(error.is_retryable(), "whoever reads the checkpoint again can go on");
            let Error::CheckpointMoved { owner } = error else { panic!("not a moved checkpoint: {error:?}") };
            assert_eq!(owner, format!("view {}", subject.table.schema.name), "the error names the view");
            assert_eq!(subject.checkpoint().await, here, "the checkpoint stays");
            assert_eq!(subject.get("a").await, None, "no row is written");
            assert_eq!(subject.get("b").await.is_some(), step > 0, "no row is removed");
        }
        let to = subject.place(number + 1 + step);
        let changes = vec![subject.upsert("b", row("from here", 1))];
        let batch = ViewBatch::new(here, to, changes);
        subject.models.apply(&subject.table, batch).await.expect("a batch from the expected place");
        assert_eq!(subject.checkpoint().await, to, "the checkpoint is kept with its store and event");
        assert_eq!(subject.query(&Query::default()).await.position, to.position, "a page tells the position");
    }
}

/// Sentence 5: of two batches from one place, one is stored.
pub async fn one_of_two_batches_is_stored<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let rounds = 10;
    for round in 0..rounds {
        let from = subject.checkpoint().await;
        let contender = |number: i64| {
            let subject = subject.clone();
            let to = subject.place(from.position.number() + 1);
            let mine = format!("round {round} {number}");
            let changes = vec![
                subject.upsert("shared", row("contender", number)),
                subject.upsert(&mine, row("own", number)),
            ];
            async move {
                let result = subject.models.apply(&subject.table, ViewBatch::new(from, to, changes)).await;
                (number, mine, to, result)
            }
        };
        let mut winner = None;
        for (number, mine, to, result) in together((0..16).map(contender)).await {
            match result {
                Ok(()) => {
                    assert_eq!(winner, None, "of batches from one place, two were stored");
                    winner = Some(number);
                    assert_eq!(subject.checkpoint().await, to, "the checkpoint is the winner's");
                    assert_eq!(
                        subject.get("shared").await,
                        Some(row("contender", number)),
                        "so are the rows"
                    );
                    assert_eq!(subject.get(&mine).await, Some(row("own", number)), "all of them");
                }
                Err(Error::CheckpointMoved { .. }) => {
                    assert_eq!(subject.get(&mine).await, None, "a batch that lost stores nothing");
                }
                Err(error) => panic!("neither stored nor a moved checkpoint: {error:?}"),
            }
        }
        assert!(winner.is_some(), "of batches from one place, one is stored");
    }
    assert_eq!(subject.rows().await.len(), rounds + 1, "a row of every winner, and the shared one");
}
