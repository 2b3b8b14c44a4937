//! One Babel router under pressure: what hostile neighbours cost it, and what they cannot take from it.

use re6st::os::clock::Clock;
use re6st::proto::babel::composer::{Composer, put_wildcard_retraction};
use re6st::proto::babel::event::{Input, Notice, Output};
use re6st::proto::babel::mac::{GROUP, Path};
use re6st::proto::babel::settings::Announcement;
use re6st::proto::limits;

use super::bench::{Bench, LINK, SECOND, neighbour, prefix, put_hello, put_update};

/// Goal: whoever retracts everything again and again makes no work by that, nor whoever offers one thing meanwhile.
/// Method: the largest datagrams there are, after many offers; without a loop over all of them each takes some
/// milliseconds, with it more than ten seconds.
#[test]
fn babel_survives_a_datagram_full_of_retractions_of_everything() {
    let mut bench = Bench::on_a_link();
    bench.hear(0, |composer| put_hello(composer, 0));
    bench.hear(0, |composer| (1..20_000).for_each(|n| put_update(composer, 0, prefix(n))));
    let datagram = |offer: bool| {
        let mut composer = Composer::new(65_000);
        for _ in 0..if offer { 1_400 } else { 5_400 } {
            put_wildcard_retraction(&mut composer, 1);
            if offer {
                put_update(&mut composer, 0, prefix(1));
            }
        }
        let body = composer.take().remove(0);
        [&[42, 2], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    };
    for offer in [false, true] {
        let octets = datagram(offer);
        let clock = Clock::start();
        let path = Path { from: neighbour(0), to: GROUP };
        bench.handle(Input::Received { interface: LINK, path, octets: &octets });
        let took = clock.now().since_start();
        assert!(took.as_secs() < 2, "{took:?}");
    }
}

/// Goal: a neighbour that fills the table takes no room from what is our own; the operator is told of it whenever
/// that happens, not only the first time.
#[test]
fn babel_has_room_for_its_own_in_a_table_that_is_full() {
    let mut bench = Bench::on_a_link();
    let last = limits::BABEL_DESTINATIONS_MAX + 10;
    let fill = |bench: &mut Bench, last: usize| {
        bench.hear(0, |composer| (1..last).for_each(|n| put_update(composer, 0, prefix(n))));
        let full = Output::Notice(Notice::TableFull);
        bench.wanted().iter().filter(|&output| *output == full).count()
    };
    assert_eq!(fill(&mut bench, last), 1);
    let own = [prefix(0), prefix(last + 1)];
    let announcement = |destination| Announcement { destination, metric: 0 };
    bench.handle(Input::Announced(own.map(announcement).to_vec()));
    let announced = bench.dump().announced;
    assert_eq!(announced.iter().filter(|it| own.contains(&it.destination)).count(), 2);
    assert_eq!(fill(&mut bench, last), 0, "told already");

    bench.hear(0, |composer| put_wildcard_retraction(composer, 1));
    bench.wait(100 * SECOND);
    assert_eq!(fill(&mut bench, last), 1, "full again");
}
