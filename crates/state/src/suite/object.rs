//! The rules of collections.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Machine, SimClock, at_once};
use crate::object::{Object, ObjectChange, ObjectStore, RehearsalObjects, Selection};
use crate::store::StateStore as _;

fn add(id: &str, document: &str) -> ObjectChange {
    ObjectChange::Add {
        id: id.to_owned(),
        document: document.to_owned(),
    }
}

async fn change(objects: &Arc<dyn ObjectStore>, collection: &str, changes: Vec<ObjectChange>) {
    let decide = Box::new(move |_: &[Object]| changes.clone());
    let changed = at_once(objects.change(collection, Selection::All, decide)).await;
    changed.expect("a state");
}

async fn found(objects: &Arc<dyn ObjectStore>, collection: &str, selection: Selection) -> Vec<(String, String)> {
    let found = at_once(objects.find(collection, selection)).await.expect("a state");
    found.into_iter().map(|object| (object.id, object.document)).collect()
}

async fn all(objects: &Arc<dyn ObjectStore>, collection: &str) -> Vec<(String, String)> {
    found(objects, collection, Selection::All).await
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(id, document)| ((*id).to_owned(), (*document).to_owned()))
        .collect()
}

/// What one process keeps, the next one finds, in the order in which it was added.
pub async fn objects_are_there_for_the_next_process_in_their_order<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let first = machine.process();
    assert_eq!(all(&first.objects(), "orders").await, pairs(&[]));
    let changes = vec![add("b", "1"), add("a", "{\"ä\":[]}"), add("b", "3")];
    change(&first.objects(), "orders", changes).await;
    drop(first);
    let second = machine.process();
    let objects = second.objects();
    assert_eq!(
        all(&objects, "orders").await,
        pairs(&[("b", "1"), ("a", "{\"ä\":[]}"), ("b", "3")])
    );
    let of_b = found(&objects, "orders", Selection::Id("b".to_owned())).await;
    assert_eq!(of_b, pairs(&[("b", "1"), ("b", "3")]));
}

/// A collection is of one name, whatever the name holds.
pub async fn collections_do_not_run_into_each_other<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let process = machine.process();
    let objects = process.objects();
    change(&objects, "a", vec![add("1", "\"a\"")]).await;
    change(&objects, "A", vec![add("1", "\"A\"")]).await;
    change(&objects, "a' OR '1'='1", vec![add("1", "\"quoted\"")]).await;
    change(&objects, "", vec![add("1", "\"empty\"")]).await;
    for (collection, document) in [
        ("a", "\"a\""),
        ("A", "\"A\""),
        ("a' OR '1'='1", "\"quoted\""),
        ("", "\"empty\""),
    ] {
        assert_eq!(all(&objects, collection).await, pairs(&[("1", document)]));
    }
}

/// A replaced object keeps its place, a removed one is gone, and no later object gets its number.
pub async fn a_change_keeps_the_place_of_what_it_replaces<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let process = machine.process();
    let objects = process.objects();
    change(&objects, "c", vec![add("1", "1"), add("2", "2"), add("3", "3")]).await;
    let numbers: Vec<i64> = at_once(objects.find("c", Selection::All))
        .await
        .expect("a state")
        .iter()
        .map(|object| object.number)
        .collect();
    let [first, _, last] = numbers[..] else {
        panic!("{numbers:?}")
    };
    let document = "\"one\"".to_owned();
    let changes = vec![
        ObjectChange::Remove { number: last },
        ObjectChange::Replace {
            number: first,
            document,
        },
        add("4", "4"),
    ];
    change(&objects, "c", changes).await;
    let left = at_once(objects.find("c", Selection::All)).await.expect("a state");
    let documents: Vec<&str> = left.iter().map(|object| object.document.as_str()).collect();
    assert_eq!(documents, ["\"one\"", "2", "4"]);
    assert!(left.iter().all(|object| object.number != last), "{left:?}");
}

/// Whoever changes a collection sees it as it is: of many that count up at once, none is lost.
pub async fn changes_of_many_at_once_do_not_lose_each_other<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let processes: Vec<Arc<M::Process>> = (0..3).map(|_| Arc::new(machine.process())).collect();
    let mut tasks = JoinSet::new();
    for number in 0..30 {
        let objects = processes[number % processes.len()].objects();
        tasks.spawn(async move {
            let decide = Box::new(move |found: &[Object]| match found {
                [counter] => {
                    let count: u32 = counter.document.parse().expect("a number");
                    vec![ObjectChange::Replace {
                        number: counter.number,
                        document: (count + 1).to_string(),
                    }]
                }
                _ => vec![ObjectChange::Add {
                    id: "counter".to_owned(),
                    document: "1".to_owned(),
                }],
            });
            let selection = Selection::Id("counter".to_owned());
            objects.change("c", selection, decide).await.expect("a state");
        });
    }
    at_once(async { while tasks.join_next().await.is_some_and(|done| done.is_ok()) {} }).await;
    assert_eq!(all(&processes[0].objects(), "c").await, pairs(&[("counter", "30")]));
}

/// A rehearsal begins with what there is, and changes nothing of it.
pub async fn a_rehearsal_reads_the_objects_and_leaves_them_as_they_are<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let process = machine.process();
    let real = process.objects();
    change(&real, "c", vec![add("1", "1")]).await;
    let rehearsal: Arc<dyn ObjectStore> = Arc::new(RehearsalObjects::of(Arc::clone(&real)));
    change(&rehearsal, "c", vec![add("2", "2")]).await;
    assert_eq!(all(&rehearsal, "c").await, pairs(&[("1", "1"), ("2", "2")]));
    assert_eq!(all(&real, "c").await, pairs(&[("1", "1")]));
}
