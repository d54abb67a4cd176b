//! An instance that waits for a command which stands behind a dead letter of somebody else.

use std::time::Duration;

use underlay_core::{Settled, Settlement, TenantId, Work, WorkQueue, Worker};

use super::house::House;
use super::payment::{Account, AccountCommand, ending, place, registry, story, tenant};
use crate::processes::ProcessFilter;
use crate::{LetterOrder, Request, SubmitOptions};

async fn give_up(house: &House, work: &Work) {
    let worker = Worker::embedded("another");
    let share = house.log.share(&worker, Duration::from_secs(10), &[]).await.unwrap();
    let term = share.held.iter().find(|held| held.term.shard == work.shard).unwrap().term;
    let settled = Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
    let settlement = Settlement { term, place: work.place, settled };
    assert_eq!(house.log.settle(&[settlement]).await.unwrap(), []);
    house.log.leave(&worker).await.unwrap();
}

#[tokio::test]
async fn an_instance_whose_command_is_held_by_another_dead_letter_is_stuck() {
    let house = House::new();
    let program = house.program(registry());
    let request = Request::new(tenant()).with_key("before");
    let (account, command) = ("of-1".to_owned(), AccountCommand::Release { cents: 0 });
    let now = SubmitOptions::default();
    program.engine.submit::<Account>(&request, &account, &command, now).await.unwrap();
    let letter = program.waiting(false).await.remove(0).work;
    give_up(&house, &letter).await;
    for order in ["1", "2"] {
        place(&program.engine, &tenant(), order, 50).await;
    }
    program.run().await.unwrap();

    let stuck = async |tenant: &TenantId| -> Vec<String> {
        let listed = program.engine.processes(tenant, "payment", ProcessFilter::Stuck, None, 10).await;
        let instances = listed.unwrap().instances;
        assert!(instances.iter().all(|instance| instance.is_stuck));
        instances.into_iter().map(|instance| instance.instance).collect()
    };
    let held_by = async |order: &str| {
        let shown = program.engine.process(&tenant(), "payment", order).await.unwrap();
        assert_eq!(shown.dead_letters, [], "none of them is its own");
        shown.commands.into_iter().map(|command| (command.name, command.held_by)).collect::<Vec<_>>()
    };
    assert_eq!(stuck(&tenant()).await, ["1"]);
    assert_eq!(held_by("1").await, [("reserve".to_owned(), Some(letter.id))]);
    assert_eq!(held_by("2").await, [], "it is finished");
    assert_eq!(stuck(&TenantId::new("globex").unwrap()).await, [""; 0]);

    // Nobody waits behind it any more, and the payment goes through.
    let discard = LetterOrder::Discard;
    program.engine.settle_dead_letter(discard, &tenant(), letter.id, "Ada").await.unwrap();
    program.run().await.unwrap();
    assert_eq!(stuck(&tenant()).await, [""; 0]);
    assert_eq!(story(&house.log, &tenant(), "1").await, ending(50));
}
