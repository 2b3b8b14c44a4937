//! Every bound of the program on one screen: sizes, queues, peers, retries, times.
//!
//! The sentence of each says what happens at the bound.

use std::time::Duration;

use crate::proto::half_open;
use crate::proto::rate_limit::Rate;

/// Octets of a datagram or frame; what is larger is dropped. One super-packet of the kernel fits.
pub const DATAGRAM_OCTETS_MAX: usize = 65_535;

/// Public keys that are known to be good; beyond, all are checked again.
pub const KEYS_CHECKED_MAX: usize = 16_384;

/// Octets of a registry's reply; a longer one is an error.
pub const REGISTRY_REPLY_OCTETS_MAX: usize = 1 << 20;

/// Octets of the sentence in which a registry refuses; a longer text is not shown.
pub const REGISTRY_SENTENCE_OCTETS_MAX: usize = 400;

/// Octets of a network's parameters once decompressed; more is an error.
pub const PARAMETERS_OCTETS_MAX: usize = 1 << 22;

/// How long to wait for one of a registry's addresses to accept a connection before trying the next.
pub const REGISTRY_CONNECT_PATIENCE: Duration = Duration::from_secs(4);

/// How long one call of a registry may take in all; it asks another node for up to three seconds.
pub const REGISTRY_CALL_PATIENCE: Duration = Duration::from_secs(20);

/// Hosts of a lab; a scenario with more is refused.
pub const LAB_HOSTS_MAX: usize = 256;

/// Packets on their way in the emulated Internet; more are dropped, as by a full router.
pub const LAB_PACKETS_IN_FLIGHT_MAX: usize = 65_536;

/// Mappings of one emulated NAT; old ones are forgotten first, then no new one is made.
pub const LAB_NAT_MAPPINGS_MAX: usize = 4_096;

/// Peers that one mapping of an emulated NAT remembers before it forgets old ones.
pub const LAB_NAT_PEERS_MAX: usize = 1_024;

/// Challenges to one Babel neighbour, and answers to its challenges, are at least this far apart.
pub const BABEL_CHALLENGE_INTERVAL: Duration = Duration::from_millis(300);
/// A Babel challenge answered later than this is forgotten.
pub const BABEL_CHALLENGE_PATIENCE: Duration = Duration::from_secs(30);
/// Babel neighbours on one interface; packets of further ones are dropped.
pub const BABEL_NEIGHBOURS_MAX: usize = 1024;
/// Destinations in the Babel table, our own apart; updates for further ones are dropped, with a notice.
pub const BABEL_DESTINATIONS_MAX: usize = 200_000;
/// Originators remembered for one destination; the one heard of longest ago is forgotten.
pub const BABEL_SOURCES_MAX: usize = 64;
/// Next hops one neighbour may name; updates with further ones are dropped.
pub const BABEL_NEXT_HOPS_MAX: usize = 16;
/// Seqno requests that wait for an answer; further ones of ours are not repeated, those of
/// others not passed on.
pub const BABEL_REQUESTS_MAX: usize = 65_536;
/// Updates that wait for one Babel neighbour are as many as destinations: further ones it gets with the
/// next full table. Packets of a Babel table sent at once; the rest follows in pieces.
pub const BABEL_BURST_PACKETS: usize = 24;

/// Places a node can say it is reached at; further ones are passed over.
pub const MESH_ADDRESSES_MAX: usize = 16;

/// Serial numbers of a signed revocation list; of more, the lowest are left out. They fit one datagram.
pub const CRL_SERIALS_MAX: u32 = 7_000;
/// Between two questions for a revocation list that a node misses; the neighbours are asked in turn.
pub const CRL_ASK_INTERVAL: Duration = Duration::from_secs(5);
/// Between two fetches of the network's parameters from the registry though no peer told of a new version:
/// no member can keep them away. As much again by chance at most.
pub const PARAMETERS_REFRESH: Duration = Duration::from_secs(1_200);
/// How long a node accepts tunnels with and without encryption after the network has changed from one to
/// the other: every node has to hear of it through tunnels.
pub const ENCRYPTION_TRANSITION: Duration = Duration::from_secs(120);
/// Between two tunnels that are closed after that because they are still as before: routes move meanwhile.
pub const ENCRYPTION_CLOSE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two fetches of the network's parameters by a node without neighbours: its peers may have changed
/// to others that it cannot talk with.
pub const PARAMETERS_REFRESH_ISOLATED: Duration = Duration::from_secs(30);
/// Handshakes of UDP 326 that cost a private-key operation, for one peer and in all; further ones are
/// dropped, and repeated by the peer.
pub const MESH_HANDSHAKES_PER_PEER: Rate = Rate::per(16, Duration::from_secs(60));
/// The same for all peers together.
pub const MESH_HANDSHAKES: Rate = Rate::per(100, Duration::from_secs(1));
/// Certificates of UDP 326 that are verified for one peer; further ones are dropped.
pub const MESH_CERTIFICATES_PER_PEER: Rate = Rate::per(20, Duration::from_secs(10));
/// Sessions without a certificate that nothing waits for are forgotten after this time.
pub const MESH_UNVERIFIED_LASTS: Duration = Duration::from_secs(300);

/// Peers whose word for this node's own address is remembered.
pub const MESH_OBSERVERS_MAX: usize = 32;

/// Peers whose addresses are remembered; beyond, one that did not work or the oldest is forgotten.
pub const MESH_CACHE_PEERS_MAX: usize = 200;

/// Peers with certificate or secret kept; beyond, the one not heard from for longest is forgotten.
pub const MESH_SESSIONS_MAX: usize = 4_096;

/// Messages to one peer that wait for a session; beyond, the oldest is dropped.
pub const MESH_WAITING_MAX: usize = 4;

/// Octets of a request on the control socket of a router; at a longer one the connection is closed.
pub const CONTROL_REQUEST_OCTETS_MAX: u32 = 64;
/// Connections that a registry serves at a time; for one more, that which has not asked anything for
/// longest is closed.
pub const REGISTRY_CONNECTIONS_MAX: usize = 512;

/// Threads of a daemon that compute long or wait, as a registry's for its database; more work waits for one.
pub const BLOCKING_THREADS_MAX: usize = 32;

/// Certificates that a registry keeps ready for the next call of their owners.
pub const REGISTRY_PARSED_MAX: usize = 2_048;

/// How long a connection to a registry may wait to ask before it gives way to others.
pub const REGISTRY_UNDISTURBED: Duration = Duration::from_millis(500);

/// Connections that a registry serves at a time to one address; more are closed.
pub const REGISTRY_CONNECTIONS_OF_ONE_MAX: usize = 64;

/// How long a registry waits for a request's headers before it closes the connection.
pub const REGISTRY_HEADERS_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection to a registry may last; nodes are asked for some seconds meanwhile.
pub const REGISTRY_CONNECTION_PATIENCE: Duration = Duration::from_secs(60);

/// Octets of a request's line and headers; a longer one is refused.
pub const REGISTRY_REQUEST_OCTETS_MAX: usize = 32 * 1_024;

/// How long a registry waits for a node's answer before it goes on without.
pub const REGISTRY_NODE_PATIENCE: Duration = Duration::from_secs(3);

/// How long `registry revoke` waits for nodes to have the new revocation list, unless it is told to wait
/// longer; then it says how many have it.
pub const REGISTRY_HAND_OUT_TIMEOUT: Duration = Duration::from_secs(3);

/// Nodes that a registry asks at once for their addresses on behalf of one that bootstraps; the first answer
/// counts.
pub const REGISTRY_BOOTSTRAP_PEERS: usize = 3;

/// How long a registry uses the same list of routed nodes.
pub const REGISTRY_ROUTED_LASTS: Duration = Duration::from_secs(60);

/// Tokens that wait at one mail address; no more are mailed there, whoever asks.
pub const REGISTRY_MAILS_MAX: usize = 20;

/// Mails that a registry sends at a time; who asks for one more is told to try again.
pub const REGISTRY_MAILS_SENT_MAX: usize = 8;

/// How long a registry lets its mail server take for one mail.
pub const REGISTRY_MAIL_PATIENCE: Duration = Duration::from_secs(50);

/// Connections of one registry to a database on a server; more transactions wait for one.
pub const REGISTRY_DATABASE_CONNECTIONS_MAX: usize = 8;

/// How long a registry waits for a database on a server: to connect, for a query, for a free connection.
pub const REGISTRY_DATABASE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a registry shows the same picture of the mesh before it asks the nodes anew.
pub const REGISTRY_MESH_LASTS: Duration = Duration::from_secs(20);

/// Nodes in one table of a registry's pages; others are found by a search.
pub const REGISTRY_PAGE_ROWS_MAX: usize = 500;

/// Octets of a form that a registry's pages take; a longer one is refused.
pub const REGISTRY_FORM_OCTETS_MAX: usize = 16 * 1_024;

/// Tokens that wait to be used; one more is refused.
pub const REGISTRY_TOKENS_MAX: usize = 100_000;

/// The same for tokens that anybody asks for by mail: the operator's own are left room.
pub const REGISTRY_TOKENS_MAILED_MAX: usize = 10_000;

/// Hellos of a node whose keys were not used yet; the oldest is forgotten.
pub const REGISTRY_HELLOS_PENDING_MAX: usize = 16;

/// Sources whose calls a registry counts apart; further ones share one count.
pub const REGISTRY_SOURCES: usize = 4_096;

/// Calls of one source, and of all, that a registry answers to those who are not authenticated; further ones
/// are refused with status 429. Hellos cost a signature,
pub const REGISTRY_HELLOS: (Rate, Rate) =
    (Rate::per(120, Duration::from_secs(60)), Rate::per(200, Duration::from_secs(1)));
/// tokens a mail,
pub const REGISTRY_TOKEN_REQUESTS: (Rate, Rate) =
    (Rate::per(10, Duration::from_secs(600)), Rate::per(300, Duration::from_secs(600)));
/// applications with a token a look-up, by which tokens could be guessed,
pub const REGISTRY_TOKENS_TRIED: (Rate, Rate) =
    (Rate::per(20, Duration::from_secs(60)), Rate::per(600, Duration::from_secs(60)));
/// and anonymous ones a prefix.
pub const REGISTRY_ANONYMOUS: (Rate, Rate) =
    (Rate::per(30, Duration::from_secs(60)), Rate::per(600, Duration::from_secs(60)));
/// A Babel neighbour of which nothing is heard for so long is forgotten.
pub const BABEL_NEIGHBOUR_SILENCE: Duration = Duration::from_secs(30);

/// Octets of the longest frame that a device takes or gives: the longest IP packet, in an Ethernet frame
/// with a VLAN tag. A longer one does not exist.
pub const TUNNEL_SUPER_FRAME_OCTETS_MAX: usize = 65_535 + 18;
/// UDP datagrams joined into one super-frame; a further one begins the next. Older kernels take no more.
pub const TUNNEL_DATAGRAMS_JOINED_MAX: usize = 64;

/// Control packets of one negotiation sent and not yet acknowledged; the next ones wait.
pub const TUNNEL_SEND_WINDOW: usize = 4;

/// Control packets received ahead of a missing one; what is farther ahead is dropped, and repeated by
/// its sender.
pub const TUNNEL_RECEIVE_WINDOW: u32 = 8;

/// Octets of TLS waiting for acknowledgements; more ends the negotiation.
pub const TUNNEL_BACKLOG_OCTETS: usize = 65_536;

/// Octets of one TLS record that a peer may send over the control channel; more ends the tunnel.
pub const TUNNEL_RECORD_OCTETS: usize = 16_384;

/// Lines of an OpenVPN configuration file; a longer one is an error.
pub const TUNNEL_CONFIGURATION_LINES_MAX: usize = 10_000;

/// Words of one of its lines, as many as OpenVPN takes; more are an error.
pub const TUNNEL_CONFIGURATION_WORDS_MAX: usize = 16;

/// Addresses that a server gives its client, and options besides that it pushes; further ones are left alone.
pub const TUNNEL_PUSHED_MAX: usize = 32;

/// Octets of a client's key for the control channel as its server opens it; a longer one is refused.
pub const TUNNEL_WRAPPED_KEY_OCTETS_MAX: usize = 1_024;

/// Octets of a control packet that we send.
pub const TUNNEL_CONTROL_OCTETS: usize = 1_200;

/// Packets behind the newest that are still accepted once; older ones count as replayed.
pub const TUNNEL_REPLAY_WINDOW: usize = 2_048;

/// Octets of a control packet; a longer one is dropped. OpenVPN's own buffer has as many.
pub const TUNNEL_CONTROL_OCTETS_MAX: usize = 2_048;

/// Handshakes under way at a listener, in all and from one source. A further one takes the place of one
/// that makes no progress, or of a source that has more; otherwise it is not answered.
pub const TUNNEL_HALF_OPEN: half_open::Limits =
    half_open::Limits { total: 128, per_source: 16, undisturbed: Duration::from_secs(1) };

/// Connections to a TCP port that have not sent a ClientHello, in all and from one source; a further one
/// takes the place of another, as above, or is closed.
pub const TUNNEL_CONNECTIONS_WAITING: half_open::Limits =
    half_open::Limits { total: 512, per_source: 64, undisturbed: Duration::from_secs(1) };

/// How long a TCP connection may take to send a ClientHello before it is closed.
pub const TUNNEL_CLIENT_HELLO_TIMEOUT: Duration = Duration::from_secs(15);

/// Clients that have acknowledged our reset over UDP and not sent a ClientHello; beyond, the oldest is
/// forgotten, and is sent another reset when it comes.
pub const TUNNEL_ACKNOWLEDGED_MAX: usize = 1_024;

/// Octets of a ClientHello; one that announces more is dropped. With the largest post-quantum key share
/// of today it has 2 KiB.
pub const TUNNEL_CLIENT_HELLO_OCTETS_MAX: u32 = 8_192;

/// Octets of TLS, certificates above all, that a peer may send before its handshake is finished; more ends
/// the tunnel.
pub const TUNNEL_HANDSHAKE_OCTETS_MAX: usize = 65_536;

/// Handshakes begun from one source, and at one listener in all: each costs a signature. Further ones are
/// not answered.
pub const TUNNEL_HANDSHAKES_PER_SOURCE: Rate = Rate::per(32, Duration::from_secs(10));
/// The same for all sources together.
pub const TUNNEL_HANDSHAKES: Rate = Rate::per(128, Duration::from_secs(1));

/// Failed handshakes with strangers that a listener logs; further ones are logged as details.
pub const TUNNEL_FAILURES_LOGGED: Rate = Rate::per(20, Duration::from_secs(60));

/// Sources whose handshakes are counted apart; further ones share one count.
pub const TUNNEL_SOURCES: usize = 4_096;

/// Control packets of one peer that wait for their turn; further ones are dropped, and repeated by
/// the peer.
pub const TUNNEL_CONTROL_QUEUE: usize = 64;

/// Clients of a router's control socket at one time; further ones are closed.
pub const CONTROL_CLIENTS_MAX: usize = 16;

/// How long a control socket rests after it could not accept, as without file descriptors.
pub const CONTROL_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whoever asks nothing for so long is left.
pub const CONTROL_REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// Echo requests of one ping matrix on their way at once; others wait for their turn.
pub const PROBES_IN_FLIGHT_MAX: usize = 50;

/// Hosts of a ping matrix whose shortest ways over each other are still computed: the work grows with the cube.
pub const MATRIX_DETOUR_HOSTS_MAX: usize = 500;

/// Changes of the host's routes within this time are redistributed together.
pub const REDISTRIBUTION_PAUSE: Duration = Duration::from_millis(100);

/// So often the host's routes are looked at though nothing was told: the kernel does not tell of every one
/// that goes. babeld's `kernel-check-interval` is the same.
pub const REDISTRIBUTION_CHECK_INTERVAL: Duration = Duration::from_secs(300);

/// A state file that cannot be written is tried again after this time.
pub const STATE_FILE_PAUSE: Duration = Duration::from_secs(10);

/// So often a list of the kernel's is asked for while it changes each time it is told.
pub const KERNEL_LISTS_MAX: usize = 5;

/// A Babel router that finds its router-id taken takes another one at most this often, and not
/// so soon after its start.
pub const BABEL_RENAME_INTERVAL: Duration = Duration::from_secs(60);

/// Tables for IPv4 routes by source; a route that would need one more is not installed, with a warning.
pub const BABEL_SOURCE_TABLES_MAX: u32 = 64;
/// Routes that somebody else changed are put back together after this time …
pub const BABEL_REPAIR_PAUSE: Duration = Duration::from_millis(50);
/// … after so many times in a row, after twice as long each time …
pub const BABEL_REPAIRS_IN_A_ROW: u32 = 20;
/// … and at most after this time; of more than so many routes, all are put again.
pub const BABEL_REPAIR_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Routes that wait to be put back; if there are more, all are put again.
pub const BABEL_REPAIRS_MAX: usize = 4_096;

/// What changes within this time is shown together to whoever monitors a router.
pub const BABEL_MONITOR_PAUSE: Duration = Duration::from_millis(50);
/// Requests to read a router's configuration again that wait; one more waits to be queued.
pub const BABEL_RELOADS_MAX: usize = 4;

/// Connections to a registry's administration socket at a time; one more waits.
pub const REGISTRY_SOCKET_CONNECTIONS_MAX: usize = 32;

/// Tickets of a registry's pages that ended before their time; beyond, nobody can log in or out until one of
/// them would have expired.
pub const REGISTRY_ENDED_TICKETS_MAX: usize = 1_024;

/// How long the socket stays open from which a registry tells its own node of a new version.
pub const REGISTRY_ANNOUNCE_LASTS: Duration = Duration::from_secs(1);
