//! What man pages say besides options: exit status, files, examples, and what else there is to know.

use std::fmt::Write;

/// What one command's page has besides its options.
struct Page {
    /// The command, as it is typed.
    command: &'static str,
    /// Exit codes that mean more than usually.
    exits: &'static [(&'static str, &'static str)],
    /// Files that it reads or writes.
    files: &'static [(&'static str, &'static str)],
    /// What to know.
    notes: &'static [&'static str],
    /// What it is for, and what to type.
    examples: &'static [(&'static str, &'static str)],
}

/// The sections of one command's page.
pub fn of(command: &str) -> String {
    let page = PAGES.iter().find(|page| page.command == command);
    let mut text = String::new();
    let own = page.map_or(&[][..], |page| page.exits);
    let usual = EXITS.iter().filter(|(code, _)| !own.iter().any(|(known, _)| known == code));
    let mut exits: Vec<_> = own.iter().chain(usual).collect();
    exits.sort();
    list(&mut text, "EXIT STATUS", exits.into_iter());
    let Some(page) = page else { return text };
    if DAEMONS.contains(&command) {
        list(&mut text, "ENVIRONMENT", ENVIRONMENT.iter());
    }
    list(&mut text, "FILES", page.files.iter());
    if !page.notes.is_empty() {
        text += ".SH NOTES\n";
    }
    for note in page.notes {
        let _ = writeln!(text, ".PP\n{}", escaped(note));
    }
    if !page.examples.is_empty() {
        text += ".SH EXAMPLES\n";
    }
    for (purpose, typed) in page.examples {
        let typed = escaped(typed);
        let _ = writeln!(text, ".PP\n{}\n.PP\n.RS 4\n.nf\n{typed}\n.fi\n.RE", escaped(purpose));
    }
    text
}

fn list<'a>(
    text: &mut String,
    title: &str,
    items: impl ExactSizeIterator<Item = &'a (&'a str, &'a str)>,
) {
    if items.len() > 0 {
        let _ = writeln!(text, ".SH \"{title}\"");
    }
    for (name, meaning) in items {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(name), escaped(meaning));
    }
}

/// A line that begins with a dot or an apostrophe would be a request to the formatter.
fn escaped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Of every command.
const EXITS: [(&str, &str); 3] = [
    ("0", "Done."),
    ("1", "It was tried and failed; one sentence on standard error says what and why."),
    ("2", "It was asked wrongly, and nothing was tried."),
];

/// Commands that log.
const DAEMONS: &[&str] = &[
    "re6st node up",
    "re6st registry serve",
    "re6st babel run",
    "re6st tunnel connect",
    "re6st tunnel listen",
];

/// What they are told besides their options.
const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "RE6ST_LOG",
        "What to log, instead of what --verbose says: error, warn, info, debug or trace, for all or \
                   for a part, as in re6st::command::babel=trace.",
    ),
    (
        "RE6ST_LOG_FORMAT",
        "json: log one object a line, with time, level, message and what else is known by \
                          name.",
    ),
];

const PAGES: &[Page] = &[
    Page {
        command: "re6st node up",
        exits: &[("0", "It was told to end, and left nothing behind.")],
        files: &[
            (
                "ca.crt, cert.crt, cert.key",
                "Authority, certificate and key, if --ca, --cert and \
              --key name no others. Relative names, those in an options file too, are looked for in \
              the folder in which the command is started. The certificate is replaced when it is \
              renewed, 30 days before its end.",
            ),
            (
                "/var/lib/re6stnet/cache.db",
                "In --state: peers and the network's parameters, so that \
              a node starts without the registry. It may be deleted while no node runs. A state \
              folder that is full costs the node its memory, and nothing else.",
            ),
            ("/run/re6stnet/re6st.sock", "In --run: where `re6st node status` and its like ask."),
            (
                "/run/re6stnet/host.json",
                "In --run: what the node changed on its host, so that the \
              next one changes it back if this one is killed.",
            ),
        ],
        notes: &[
            "The node sets these kernel parameters and sets them back when it ends, or when the next one \
             ends if it was killed; `re6st node status` shows what it has changed: \
             net/ipv6/conf/all/forwarding to 1; net/ipv4/conf/all/forwarding to 1 in a network with \
             IPv4; net/ipv6/conf/all/accept_redirects to 0; and accept_ra from 1 to 2 for each interface \
             that accepts router advertisements, because the kernel would otherwise drop the host's \
             default route and addresses when it begins to forward.",
            "Addresses, routes and rules that the node did not make are left alone, in its own prefix, \
             too. Its own address is left alone if it was there before.",
            "SIGHUP is logged and has no other effect: parameters, certificates and the CRL are taken \
             over as they change.",
            "One node runs on a host, for it owns UDP port 326 and the routes in the main table: a \
             second one is refused and leaves the first alone. Several nodes on one machine need a \
             network namespace each (`ip netns`, or a container), with --state and --run of their \
             own.",
        ],
        examples: &[
            (
                "With the options file that `re6st cert join` made, in its folder:",
                "cd /etc/re6stnet && re6st node up @re6stnet.conf",
            ),
            (
                "With UDP alone, on two ports, and a LAN on which there are other nodes:",
                "re6st node up @re6stnet.conf --pp 1194 udp --pp 443 udp --interface eth0",
            ),
            (
                "As a service, once the folder /etc/re6stnet is there:",
                "systemctl enable --now re6st-node",
            ),
        ],
    },
    Page {
        command: "re6st node status",
        exits: &[
            ("0", "The node is connected to the network."),
            ("1", "It is not connected (its state is printed all the same), or no node runs."),
        ],
        files: &[("/run/re6stnet/re6st.sock", "Where it asks; --run names another folder.")],
        notes: &[
            "Tunnels are counted that carry something now: one that was opened and fell silent is \
             not. The line on the certificate tells if it was revoked, or ends soon and why it was \
             not renewed; --json has the same as certificate_revoked, certificate_due and \
             renewal_failure.",
        ],
        examples: &[
            (
                "Wait until the node is part of the network:",
                "until re6st node status > /dev/null 2>&1; do sleep 1; done",
            ),
            (
                "Tell a monitor when the certificate is not renewed:",
                "re6st node status --json | jq -e '.certificate_due | not'",
            ),
        ],
    },
    Page {
        command: "re6st registry serve",
        exits: &[("0", "It was told to end.")],
        files: &[
            (
                "ca.crt, ca.key",
                "In --dir: the authority. Whoever has the key has the network; \
              without it, the network ends.",
            ),
            (
                "registry.db",
                "In --dir: members, tokens and what they agreed on. Copy it with \
              `re6st registry backup`, not with cp.",
            ),
            ("registry.conf", "In --dir: options, as `re6st registry init` suggests them."),
        ],
        notes: &[],
        examples: &[
            (
                "A new network, and its registry:",
                "re6st registry init --network 2001:db8:42::/48 --dir /var/lib/re6st-registry\n\
              re6st registry serve @/var/lib/re6st-registry/registry.conf",
            ),
            ("As a service, once that folder is there:", "systemctl enable --now re6st-registry"),
        ],
    },
    Page {
        command: "re6st cert join",
        exits: &[],
        files: &[
            ("ca.crt, cert.crt, cert.key", "In --dir: what joining gives. Keep a copy of the key."),
            ("re6stnet.conf", "In --dir: options of `re6st node up`."),
        ],
        notes: &[],
        examples: &[
            (
                "Join with an invitation, as the operator of the registry sent it:",
                "re6st cert join re6st://registry.example.com#fingerprint=sha256:…,token=…,expires=… \\\n  \
                 --dir /etc/re6stnet",
            ),
            (
                "Join with a token, and only if the registry is the right one:",
                "re6st cert join --registry http://192.0.2.1/ --token ABCDEFGH \\\n  \
                 --fingerprint sha256:HEX --dir /etc/re6stnet",
            ),
        ],
    },
    Page {
        command: "re6st registry invite",
        exits: &[],
        files: &[],
        notes: &[
            "The line is as good as a certificate until it expires or is used: send it to nobody else. It \
             joins once.",
        ],
        examples: &[(
            "An invitation that is good until tomorrow, on a screen for a telephone's camera, too:",
            "re6st registry invite alice@example.com --registry http://registry.example.com/ \\\n  \
             --valid 1day --qr --dir /etc/re6st",
        )],
    },
    Page {
        command: "re6st registry clock",
        exits: &[("1", "The clock is implausible, or the registry cannot be asked.")],
        files: &[],
        notes: &[
            "A clock is implausible if it is before the newest row of the database, more than a day from the \
             last run of the registry, or if it jumped and more than a tenth of the members would expire. \
             Nothing expires then, and the registry goes by the time of its last run: the certificates that \
             it issues are good for nodes whose clocks are right. It judges the clock again every minute.",
            "A running registry follows --accept given for its folder within a minute, and at once given for \
             its address.",
        ],
        examples: &[(
            "The registry was off for a week, and the clock is right:",
            "re6st registry clock --accept --dir /etc/re6st",
        )],
    },
    Page {
        command: "re6st registry backup",
        exits: &[],
        files: &[],
        notes: &["The authority's key is not in it: keep a copy of ca.key elsewhere."],
        examples: &[(
            "Every night, from cron; the registry goes on meanwhile:",
            "re6st registry backup /backup/re6st-$(date +%F).db --dir /etc/re6st",
        )],
    },
    Page {
        command: "re6st registry restore",
        exits: &[],
        files: &[],
        notes: &[
            "Stop the registry first. What the present database knows and the copy does not is kept: who \
             joined, who was revoked, which serial numbers were given. Where there is no present database, \
             numbers go a thousand ahead, so that none is given twice.",
            "Every member that expires or is revoked, or that a restored copy does not have, is first written \
             to a journal in the database. --member brings it back from there with its prefix, its key and \
             its owner, unless the prefix was given to another meanwhile; the prefix of an expired member is \
             kept for 30 days after the grace period.",
        ],
        examples: &[(
            "Go back to yesterday:",
            "systemctl stop re6st-registry\n\
             re6st registry restore /backup/re6st-2026-11-25.db --dir /etc/re6st\n\
             systemctl start re6st-registry",
        )],
    },
    Page {
        command: "re6st registry migrate",
        exits: &[],
        files: &[],
        notes: &[],
        examples: &[(
            "From one registry to several that share a database:",
            "systemctl stop re6st-registry\n\
             re6st registry migrate --from /etc/re6st/registry.db \\\n  \
             --to postgres://re6st:PASSWORD@db.example.com/re6st\n\
             re6st registry serve --dir /etc/re6st --db postgres://re6st:PASSWORD@db.example.com/re6st",
        )],
    },
    Page {
        command: "re6st registry rotate-key",
        exits: &[],
        files: &[],
        notes: &[
            "Nodes hear of each step within seconds; one that is away hears of it when it comes back. Take \
             the next step when all that matter answer: `re6st registry versions`.",
        ],
        examples: &[(
            "Three times, with a day between them:",
            "re6st registry rotate-key --dir /etc/re6st",
        )],
    },
    Page {
        command: "re6st registry topology",
        exits: &[],
        files: &[],
        notes: &[],
        examples: &[
            (
                "A picture of the mesh, drawn by re6st or by Graphviz:",
                "re6st registry topology --svg > mesh.svg\n\
                 re6st registry topology --dot | circo -Tpdf > mesh.pdf",
            ),
            (
                "Nodes without a tunnel that they made:",
                "re6st registry topology --json | jq -r 'select(.peers | not) | .name'",
            ),
        ],
    },
    Page {
        command: "re6st tunnel listen",
        exits: &[("0", "It was told to end, told its clients, and removed their interfaces.")],
        files: &[],
        notes: &[
            "Each client has an interface of its own, called by its common name: re6st-1-16 is that of \
             1/16, and 10.0.0.1/24 given with --address is on each of them. Who removes one (`ip link \
             delete`) closes that tunnel.",
            "Certificates are those of a re6st network (`re6st registry init`, `re6st cert join`), or any \
             that one authority signed for both ends.",
        ],
        examples: &[
            (
                "In the folder of `re6st cert join`, for clients that bring their own certificates:",
                "re6st tunnel listen --ca ca.crt --cert cert.crt --key cert.key --address 10.6.0.1/24",
            ),
            (
                "What a configuration file of OpenVPN says, as JSON for a router:",
                "re6st tunnel listen --config server.ovpn --json | re6st babel run --interfaces - --json",
            ),
        ],
    },
    Page {
        command: "re6st tunnel connect",
        exits: &[
            ("0", "It was told to end, told the server, and removed the interface."),
            ("1", "There was no tunnel, or it ended; one sentence on standard error says why."),
        ],
        files: &[],
        notes: &[
            "Of several servers in a configuration file each is tried once, until there is a tunnel. It does not try \
             again: whoever started it decides, for example systemd with Restart=always.",
        ],
        examples: &[
            (
                "To a server whose certificate has the common name 0/16, and to no other:",
                "re6st tunnel connect 203.0.113.7,1194,udp --peer 0/16 --ca ca.crt --cert cert.crt \
                 --key cert.key --address 10.6.0.2/24",
            ),
            (
                "With the configuration file that an OpenVPN server's owner gave you:",
                "re6st tunnel connect --config client.ovpn",
            ),
        ],
    },
    Page {
        command: "re6st babel run",
        exits: &[("0", "It was told to end, and removed its routes.")],
        files: &[(
            "/run/re6st-babel.sock",
            "Where `re6st babel dump` asks; --socket names another.",
        )],
        notes: &[
            "One router owns the routes of a table. A second one for the same table, a running node \
             being one, is refused and changes nothing; give it another --table.",
        ],
        examples: &[(
            "Route between two LANs, and tell of a prefix of this host:",
            "re6st babel run --kind wired --redistribute 2001:db8:7::/64 eth0 eth1",
        )],
    },
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Re6st;

    #[test]
    fn every_page_is_of_a_command_that_exists() {
        for page in PAGES {
            let root = Re6st::command();
            let mut words = page.command.split(' ');
            assert_eq!(words.next(), Some("re6st"));
            let mut command = &root;
            for word in words {
                command = command.find_subcommand(word).expect(page.command);
            }
        }
    }

    #[test]
    fn exit_codes_of_a_command_replace_the_usual_ones() {
        let page = of("re6st node status");
        assert_eq!(page.matches("\\fB1\\fR").count(), 1);
        assert!(page.contains("not connected") && page.contains("asked wrongly"), "{page}");
        assert!(of("re6st nothing").contains("Done."));
        assert_eq!(escaped(".a\n-b"), "\\&.a\n\\-b");
    }
}
