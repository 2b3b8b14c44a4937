//! The language against the manual, against what re6stnet says, and against nonsense.

use std::time::Duration;

use proptest::prelude::*;

use super::command_line::{CommandLine, Task};
use super::options::LinkDetection;
use super::*;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::filter::{Action, Candidate, Origin};
use crate::proto::babel::mac::{Hash, Key};
use crate::proto::babel::settings::{LinkKind, RttSettings, SplitHorizon};
use crate::proto::cidr::Cidr;

fn configured(text: &str) -> Configuration {
    let mut configuration = Configuration::default();
    assert_eq!(configuration.read_file("babeld.conf", text), []);
    configuration
}

fn refused(text: &str) -> String {
    let problems = Configuration::default().read_file("babeld.conf", text);
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn candidate(destination: Destination, origin: Origin) -> Candidate<'static> {
    Candidate { destination, router_id: None, neighbour: None, interface: None, origin }
}

fn kernel_route(prefix: &str) -> Candidate<'static> {
    let prefix: Cidr = prefix.parse().unwrap();
    candidate(Destination::from_anywhere(prefix), Origin::Protocol(2))
}

/// The command line of re6stnet, with a second key as while keys are changed.
const RE6STNET: &str = "-h 15 -H 15 -L /var/log/re6stnet/babeld.log -S /var/lib/re6stnet/babeld.state -I '' \
    -s -C 'redistribute local deny' -C 'redistribute ip 2001:db8:42:1::1/64 eq 64' \
    -C 'key type blake2s128 id sign value c12df85b03907b82dca41df3b356be9d' \
    -C 'key type blake2s128 id accept value 00112233445566778899aabbccddeeff' \
    -C 'default max-rtt-penalty 5000 rtt-max 500 rtt-decay 125 key sign' \
    -C 'redistribute ip 10.43.1.1/24 eq 24' \
    -C 'install ip ::/0 eq 0 src-ip ::/0 src-eq 0 src-prefix 2001:db8:42::/48' \
    -C 'redistribute deny' -C 'install pref-src 2001:db8:42:1::1' -C 'install pref-src 10.43.1.1' \
    -X /run/re6stnet/babeld.sock -C 'interface re6stnet1 type tunnel' \
    -C 'interface re6stnet-tcp type tunnel' re6stnet1 re6stnet-tcp";

#[test]
fn the_command_line_of_re6stnet_is_read_whole() {
    let mut line = CommandLine::parse(&shlex::split(RE6STNET).unwrap()).unwrap();
    line.add_interfaces();
    assert_eq!(line.control_socket.as_deref(), Some("/run/re6stnet/babeld.sock"));
    assert_eq!((line.files.len(), line.task), (0, Task::Run));
    let configuration = line.configuration;
    assert_eq!(configuration.remarks, []);
    assert_eq!(configuration.options.pid_file.as_deref(), Some(""));
    let interfaces = configuration.resolve_interfaces().unwrap();
    let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["re6stnet1", "re6stnet-tcp"]);
    let settings = &interfaces[0].behaviour.settings;
    assert_eq!((settings.kind, settings.rxcost), (LinkKind::Tunnel, 96));
    assert_eq!(settings.hello_interval, Duration::from_secs(15));
    assert_eq!(settings.update_interval, Duration::from_secs(60));
    assert_eq!(settings.split_horizon, SplitHorizon::Off);
    assert_eq!(settings.rtt, Some(RttSettings::RE6ST));
    let keys = &settings.authentication.as_ref().unwrap().keys;
    assert_eq!((keys.sign.len(), keys.accept.len()), (1, 1));
    assert_ne!(keys.sign, keys.accept);
}

#[test]
fn the_filters_of_re6stnet_do_what_it_means() {
    let filters =
        CommandLine::parse(&shlex::split(RE6STNET).unwrap()).unwrap().configuration.filters;
    // Its own network and nothing else, neither addresses nor routes of the host.
    assert_eq!(filters.redistribute(&kernel_route("2001:db8:42:1::/64")), Action::ALLOW);
    assert_eq!(filters.redistribute(&kernel_route("10.43.1.0/24")), Action::ALLOW);
    for other in ["2001:db8:42::/48", "2001:db8:42:1::1/128", "fd00::/64", "::/0", "10.43.0.0/16"] {
        assert_eq!(filters.redistribute(&kernel_route(other)), Action::DENY, "{other}");
    }
    let address = Destination::from_anywhere("2001:db8:42:1::1/128".parse().unwrap());
    assert_eq!(filters.redistribute(&candidate(address, Origin::Local)), Action::DENY);
    // A default route from anywhere becomes one from the network; others prefer the own address.
    let network: Cidr = "2001:db8:42::/48".parse().unwrap();
    let install = |destination| filters.install(destination);
    let default = Destination::from_anywhere(Cidr::IPV6_DEFAULT);
    let from_network = Destination::from_source(Cidr::IPV6_DEFAULT, network).unwrap();
    assert_eq!(install(default).apply(default), Some(from_network));
    assert_eq!(install(default).preferred_source, None);
    let own = "2001:db8:42:1::1".parse().unwrap();
    assert_eq!(install(from_network).preferred_source, Some(own));
    let ipv4 = Destination::from_anywhere("10.43.2.0/24".parse().unwrap());
    assert_eq!(install(ipv4).preferred_source, "10.43.1.1".parse().ok());
}

#[test]
fn a_gateway_and_a_host_without_subtrees_are_told_apart() {
    let gateway = configured(
        "redistribute local deny\nredistribute ip ::/0 eq 0 src-prefix 2001:db8:42::/48\nredistribute deny",
    );
    let action = gateway.filters.redistribute(&kernel_route("::/0"));
    assert_eq!(action.source, "2001:db8:42::/48".parse().ok());
    assert_eq!(
        refused("in ip ::/0 eq 0 src-ip 2001:db8:42::/48 src-eq 48\nipv6-subtrees false"),
        "babeld.conf:2: `ipv6-subtrees false` is not supported: source-specific routes are left to the \
         kernel, leave the line out"
    );
}

#[test]
fn the_examples_of_the_manual_are_read() {
    let limited = configured(
        "redistribute proto 11 ip ::/0 le 64 metric 256\nredistribute proto 11 ip 0.0.0.0/0 le 24 metric 256\n",
    );
    let of = |prefix: &str| Candidate { origin: Origin::Protocol(11), ..kernel_route(prefix) };
    let redistributed = |prefix| limited.filters.redistribute(&of(prefix)).metric;
    assert_eq!(redistributed("2001:db8::/64"), 256);
    assert_eq!(redistributed("2001:db8::/65"), u16::MAX);
    assert_eq!(redistributed("10.0.0.0/24"), 256);
    assert_eq!(redistributed("10.0.0.0/25"), u16::MAX);
    let all = configured("redistribute metric 256");
    assert_eq!(all.filters.redistribute(&kernel_route("10.0.0.0/8")).metric, 256);
    let source = configured("redistribute src-prefix 2001:DB8:0:1::/64");
    assert_eq!(
        source.filters.redistribute(&kernel_route("::/0")).source,
        "2001:db8:0:1::/64".parse().ok()
    );
    assert_eq!(source.filters.redistribute(&kernel_route("0.0.0.0/0")), Action::DENY);
    let line = CommandLine::parse(&["wlan0", "eth0", "sit1"].map(str::to_owned)).unwrap();
    assert_eq!(line.interfaces, ["wlan0", "eth0", "sit1"]);
}

/// Every statement of babeld(8), and what follows from it if not nothing.
const STATEMENTS: &[(&str, &str)] = &[
    ("protocol-group ff02::1:7", "refused"),
    ("protocol-group ff02::1:6", ""),
    ("protocol-port 6697", "refused"),
    ("protocol-port 6696", ""),
    ("kernel-priority 10", ""),
    ("reflect-kernel-metric true", "refused"),
    ("reflect-kernel-metric false", ""),
    ("allow-duplicates 5", "refused"),
    ("random-id true", ""),
    ("random-id false", ""),
    ("kernel-check-interval 300", "remark"),
    ("shutdown-delay-ms 100", "remark"),
    ("link-detect auto", ""),
    ("ipv6-subtrees true", ""),
    ("ipv6-subtrees false", "refused"),
    ("debug 2", ""),
    ("local-port 33123", "remark"),
    ("local-port-readwrite 33123", "remark"),
    ("local-path /run/babeld.sock", "remark"),
    ("local-path-readwrite /run/babeld.sock", "remark"),
    ("export-table 10", ""),
    ("import-table 10", ""),
    ("link-detect true", ""),
    ("diversity true", "remark"),
    ("diversity 3", "remark"),
    ("diversity false", ""),
    ("diversity-factor 128", "remark"),
    ("smoothing-half-life 4", "remark"),
    ("daemonise true", ""),
    ("daemonise no", ""),
    ("skip-kernel-setup true", ""),
    ("router-id 02:aa:bb:ff:fe:cc:dd:01", ""),
    ("state-file /var/lib/babel-state", ""),
    ("log-file \"/var/log/my babeld.log\"", ""),
    ("pid-file \"\"", ""),
    ("key id a type hmac-sha256 value 00ff", ""),
    ("key id a type blake2s128 value 00ff", ""),
    ("interface eth0", ""),
    ("default type auto", ""),
    ("default type wired link-quality true split-horizon auto rxcost 96", ""),
    ("default type wireless hello-interval 4 update-interval 16.5", ""),
    ("default type tunnel enable-timestamps true rtt-decay 42 rtt-min 10 rtt-max 120.5", ""),
    ("default max-rtt-penalty 96 v4-via-v6 true key a accept-bad-signatures false", ""),
    ("default wired true", ""),
    ("default channel interfering", "remark"),
    ("default channel 11 faraway true", "remark"),
    ("default unicast true", "remark"),
    ("default probe-mtu true", "remark"),
    ("default rfc6126-compatible true", "refused"),
    ("default rfc6126-compatible false faraway false unicast auto", ""),
    ("in ip 2001:db8::/32 eq 48 le 64 ge 10 neigh fe80::1 id 02:aa:bb:ff:fe:cc:dd:01 deny", ""),
    ("in src-ip 2001:db8::/32 src-eq 48 src-le 64 src-ge 10 if eth0 metric 12", ""),
    ("out if eth0 allow", ""),
    ("redistribute local if eth0", ""),
    ("redistribute proto 4 src-prefix 2001:db8::/32 metric 0x10", ""),
    ("install ip 10.0.0.0/8 table 10 pref-src 10.0.0.1", ""),
    ("install", ""),
];

#[test]
fn every_statement_of_the_manual_is_read_or_named() {
    for (statement, expected) in STATEMENTS {
        let mut configuration = Configuration::default();
        let problems = configuration.read_file("babeld.conf", statement);
        let became = match (&problems[..], &configuration.remarks[..]) {
            ([], []) => "",
            ([], _) => "remark",
            ([problem], _) if matches!(problem.fault, Fault::Unsupported { .. }) => "refused",
            (problems, _) => panic!("{statement}: {problems:?}"),
        };
        assert_eq!(became, *expected, "{statement}");
    }
}

#[test]
fn everything_wrong_is_named_at_once_with_its_line() {
    let text = "redistribut local\n# fine\nin ip 10.0.0.1/8 src-ip ::/0\ndefault rxcost 0\n\
        interface\ninterface eth0 typo true\nkey id a value 00\nkey id a type blake2s128 value 0g\n\
        debug 1 2\nin metric\nlog-file \"x\nkey id a type blake2s128 value ";
    let expected = "\
babeld.conf:1: babeld has no statement `redistribut`
babeld.conf:3: a rule is for one address family, and this one names both
babeld.conf:4: `rxcost` is followed by a number from 1 to 65535, not by `0`
babeld.conf:5: `interface` is followed by the name of an interface, and here by nothing
babeld.conf:6: `typo` is no parameter of an interface
babeld.conf:7: a key is written `key id NAME type hmac-sha256|blake2s128 value HEXADECIMAL`
babeld.conf:8: `value` is followed by hexadecimal digits, not by `0g`
babeld.conf:9: `2` is too much after `debug`
babeld.conf:10: `metric` is followed by a number from 1 to 65535, and here by nothing
babeld.conf:11: a quotation mark is missing
babeld.conf:12: `value` is followed by hexadecimal digits, and here by nothing";
    assert_eq!(refused(text), expected);
}

#[test]
fn interfaces_inherit_and_later_statements_win() {
    let configuration = configured(
        "interface eth0 rxcost 10\ndefault rxcost 20 hello-interval 2\ninterface eth0 type tunnel\n\
         interface wlan0 type wireless\ndefault hello-interval 3\n",
    );
    let interfaces = configuration.resolve_interfaces().unwrap();
    let [eth0, wlan0] = [0, 1].map(|at| &interfaces[at].behaviour);
    assert_eq!((eth0.settings.rxcost, eth0.settings.kind), (10, LinkKind::Tunnel));
    assert_eq!(eth0.settings.rtt.map(|rtt| (rtt.penalty_max, rtt.decay)), Some((96, 42)));
    assert_eq!(eth0.settings.update_interval, Duration::from_secs(12));
    assert_eq!((wlan0.settings.rxcost, wlan0.settings.rtt), (20, None));
    assert_eq!(wlan0.settings.split_horizon, SplitHorizon::Off);
}

#[test]
fn the_host_is_asked_what_a_link_is_made_of_if_nothing_says_it() {
    let kinds = |words: &str| {
        let mut line = CommandLine::parse(&shlex::split(words).unwrap()).unwrap();
        line.add_interfaces();
        let behaviour = line.configuration.resolve_interfaces().unwrap().remove(0).behaviour;
        let settings = |is_radio| behaviour.on(|| is_radio).clone();
        [false, true].map(|is_radio| (settings(is_radio).kind, settings(is_radio).rxcost))
    };
    let (wired, radio) = ((LinkKind::Wired, 96), (LinkKind::Wireless, 256));
    assert_eq!(kinds("wlan0"), [wired, radio]);
    assert_eq!(kinds("-C 'interface wlan0 type auto'"), [wired, radio]);
    assert_eq!(kinds("-w eth0"), [radio, radio]);
    assert_eq!(kinds("-w -C 'interface eth0 type wired'"), [wired, wired]);
    assert_eq!(kinds("-C 'interface wlan0 type wired'"), [wired, wired]);
    assert_eq!(kinds("-C 'interface tun0 type tunnel'"), [(LinkKind::Tunnel, 96); 2]);
    assert_eq!(kinds("-C 'default type wireless' eth0"), [radio, radio]);
}

#[test]
fn a_key_must_exist_and_may_come_later() {
    let later = configured("interface eth0 key a\nkey id a type hmac-sha256 value 00ff\n");
    let key = Key::new(Hash::HmacSha256, &[0, 255]).unwrap();
    let settings = later.resolve_interfaces().unwrap().remove(0).behaviour.settings;
    assert_eq!(settings.authentication.unwrap().keys, Keys { sign: vec![key], accept: vec![] });
    let problem = |line| format!("babeld.conf:{line}: no statement `key id b …` defines this key");
    let problems = |text: &str| -> Vec<String> {
        let mut configuration = Configuration::default();
        assert_eq!(configuration.read_file("babeld.conf", text), []);
        let problems = configuration.resolve_interfaces().unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(problems("\ninterface eth0 key b\ninterface eth1 key b\n"), [2, 3].map(problem));
    // Even where every link has another one.
    let other = "default key b\nkey id a type hmac-sha256 value 00ff\ninterface eth0 key a\n";
    assert_eq!(problems(other), [problem(1)]);
}

#[test]
fn options_of_the_command_line_are_read_as_getopt_does() {
    let parse = |words: &str| CommandLine::parse(&shlex::split(words).unwrap());
    let line = parse("-lrk5 -t 10 -T11 -T 12 -c one -c two -p6696 eth0 -- -eth1").unwrap();
    assert_eq!(line.files, ["one", "two"]);
    assert_eq!(line.interfaces, ["eth0", "-eth1"]);
    let options = &line.configuration.options;
    assert_eq!((options.kernel_priority, options.export_table), (5, 10));
    assert_eq!(options.import_tables, [11, 12]);
    assert_eq!(options.link_detection, LinkDetection::Carrier);
    assert_eq!(line.configuration.remarks, []);
    assert_eq!(parse("-V").unwrap().task, Task::ShowVersion);
    let problems = parse("-H 0 -x -C 'in x' -p").unwrap_err();
    let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        told,
        [
            "-H: `-H` is followed by a number of seconds up to 655.35, not by `0`",
            "-x: `-x` is no option",
            "-C 'in x': `x` is no selector or action of a filter",
            "-p: `-p` is followed by a value, and here by nothing",
        ]
    );
    let gone = parse("-D -g 33123 -z 3,128 -A 5").unwrap_err();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(parse("-D").unwrap().configuration.options.daemonise);
}

#[test]
fn no_truncation_of_a_statement_is_a_panic() {
    for (statement, _) in STATEMENTS {
        for end in 0..=statement.len() {
            Configuration::default().read_file("babeld.conf", &statement[..end]);
        }
    }
    for end in 0..RE6STNET.len() {
        let words: Vec<String> = RE6STNET[..end].split(' ').map(str::to_owned).collect();
        let _ = CommandLine::parse(&words);
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "\\PC*", words in proptest::collection::vec("\\PC*", 0..8)) {
        Configuration::default().read_file("babeld.conf", &text);
        let _ = CommandLine::parse(&words);
    }

    #[test]
    fn no_mixture_of_known_words_is_a_panic(
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..12),
    ) {
        let known: Vec<&str> = STATEMENTS.iter().flat_map(|(line, _)| line.split(' ')).collect();
        let line: Vec<&str> = picks.iter().map(|pick| *pick.get(&known)).collect();
        Configuration::default().read_file("babeld.conf", &line.join(" "));
    }

    #[test]
    fn what_is_written_out_is_read_back(
        prefix: (u128, u8), min in 0..=128_u8, max in 0..=128_u8, metric in 1..=u16::MAX,
    ) {
        let address = std::net::Ipv6Addr::from_bits(prefix.0).into();
        let prefix = Cidr::new(address, prefix.1 % 129).unwrap();
        let text = format!("in ip {prefix} ge {min} le {max} metric {metric}");
        let rule = configured(&text).filters.input.remove(0);
        prop_assert_eq!(rule.selector.prefix, Some(prefix));
        prop_assert_eq!((rule.selector.lengths.min, rule.selector.lengths.max), (min, max));
        prop_assert_eq!(rule.action.metric, metric);
    }
}
