//! What tunnels tell on standard output: a whole life, in the vocabulary of re6st-json(7).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events};
use crate::namespace::{Process, eventually};

#[test]
fn both_ends_tell_a_whole_life_in_words_that_are_in_the_manual() {
    let lab = Lab::new();
    let words = "--address 10.77.0.1/24 --renegotiate-after 3s --statistics-every 1s";
    let mut listener = lab.listen(KINDS[0], words);
    let words = "--address 10.77.0.2/24 --statistics-every 1s";
    let mut connection = lab.connect(KINDS[0], "client", words);
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));
    for host in [&lab.left, &lab.right] {
        host.ip("link set e0 mtu 1300");
    }
    for process in [&connection, &listener] {
        for (event, count) in [("rekeyed", 1), ("mtu", 1), ("statistics", 3)] {
            eventually(event, PATIENCE, || (events(process, event).len() >= count).then_some(()));
        }
    }
    assert_eq!(connection.stop(), Some(0));
    eventually("the end", PATIENCE, || events(&listener, "down").pop());
    assert_eq!(listener.stop(), Some(0));

    assert_a_whole_life(&connection, &listener);
    let up = events(&connection, "up").pop().unwrap();
    assert_eq!(
        (&up["peer"], &up["role"], &up["native"]),
        (&"0/16".into(), &"client".into(), &true.into())
    );
    assert_eq!((&up["external_ip"], &up["mtu_octets"]), (&"10.9.0.2".into(), &1348.into()));
    let all = events(&listener, "statistics");
    let count = |at: &Value, field: &str| at[field].as_u64().unwrap();
    assert!(all.is_sorted_by_key(|at| count(at, "packets_in")), "{all:?}");
    let last = all.last().unwrap();
    assert!(count(last, "packets_in") >= 3 && count(last, "octets_in") >= 3 * 84, "{last}");
    assert!(
        last["rtt_us"].as_u64().is_some() && last["loss_in_ratio"].as_f64().is_some(),
        "{last}"
    );
}

/// From the first word to the last.
fn assert_a_whole_life(connection: &Process, listener: &Process) {
    assert_eq!(order(connection), ["connecting", "up", "down"]);
    // Of a client that only tries, a listener says nothing.
    assert_eq!(order(listener), ["up", "down"]);
    let manual = vocabulary();
    for process in [connection, listener] {
        for object in objects(process) {
            for field in object.as_object().unwrap().keys() {
                assert!(field == "type" || manual.contains(field), "{field} is not in the manual");
            }
        }
        let down = events(process, "down").pop().unwrap();
        let reason = if process.log == connection.log { "closed" } else { "the peer left" };
        assert_eq!(down["reason"], reason);
        let mtu = events(process, "mtu").pop().unwrap();
        assert_eq!((&mtu["path_mtu_octets"], &mtu["mtu_octets"]), (&1300.into(), &1280.into()));
    }
}

fn objects(process: &Process) -> Vec<Value> {
    let printed = process.printed();
    let objects = printed.lines().filter_map(|line| serde_json::from_str(line).ok());
    objects.filter(Value::is_object).collect()
}

/// Its events in their order, without those that come again and again.
fn order(process: &Process) -> Vec<String> {
    let events =
        objects(process).into_iter().map(|object| object["event"].as_str().unwrap().to_owned());
    events.filter(|event| !["rekeyed", "mtu", "statistics"].contains(&event.as_str())).collect()
}

/// The fields of a tunnel's events in re6st-json(7).
fn vocabulary() -> BTreeSet<String> {
    let manual = std::fs::read_to_string("man/re6st-json.7").unwrap();
    let section = manual.split(".SS ").find(|section| section.contains("(dqtunnel\\(dq"));
    let fields = section.expect("the manual has tunnels").lines();
    let fields = fields.filter_map(|line| line.strip_prefix("\\fB")?.split("\\fR").next());
    fields.map(str::to_owned).collect()
}
