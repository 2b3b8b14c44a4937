# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_re6st_global_optspecs
    string join \n h/help V/version
end

function __fish_re6st_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_re6st_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_re6st_using_subcommand
    set -l cmd (__fish_re6st_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c re6st -n "__fish_re6st_needs_command" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_needs_command" -s V -l version -d 'Print version'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "registry" -d 'Found a network, hand out its certificates and prefixes'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "cert" -d 'Join a network, look at certificates, renew them'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "node" -d 'Join the network and keep tunnels, or ask the node that does'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "tunnel" -d 'One OpenVPN server or client alone'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "babel" -d 'Route between interfaces with Babel'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "ping-matrix" -d 'Measure who reaches whom, and how fast, over IPv4, IPv6 and the SDN'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "lab" -d 'Make a network of hosts on one machine, with an emulated Internet between them'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "manual" -d 'Write the man pages and the shell completions'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "init" -d 'Make the authority of a new network: its key, its certificate, a sample configuration'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "serve" -d 'Hand out certificates and tell nodes the parameters of the network'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "nodes" -d 'List the members of the network'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "token" -d 'Make, list and remove the tokens that are worth a certificate'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "invite" -d 'Print one line that somebody else joins the network with'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "revoke" -d 'End the membership of a node, or one certificate'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "rotate-key" -d 'Take the next of three steps to a new key of Babel\'s'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "renew-ca" -d 'Make the authority last longer; its key, its network and all it issued stay'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "login" -d 'Print a ticket to log in to the registry\'s pages with'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "export" -d 'Print all that a database holds, but for keys, as JSON'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "versions" -d 'Tell what software each node runs'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "topology" -d 'Tell who has tunnels to whom'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "clock" -d 'Tell whether the registry\'s clock is plausible, or accept it'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "check" -d 'Check that a database holds together'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "backup" -d 'Copy the database while a registry uses it'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "restore" -d 'Go back to a copy, without forgetting who was revoked or who joined since; or bring one member back'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and not __fish_seen_subcommand_from init serve nodes token invite revoke rotate-key renew-ca login export versions topology clock check backup restore migrate" -f -a "migrate" -d 'Copy the database from SQLite to PostgreSQL, or back'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -l network -d 'The IPv6 prefix of the network, for example 2001:db8:42::/48' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -s d -l dir -d 'The folder for ca.key, ca.crt and registry.conf; it is made if it is not there' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -l key-bits -d 'Length of the authority\'s key; every node\'s key is as long' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -l name -d 'The authority\'s name, for people' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -l email -d 'The address that the registry\'s mails come from' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l dir -d 'The folder that `re6st registry init` made: says where ca.crt, ca.key and registry.db are' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l port -d 'The TCP port' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l tls-port -d 'Answer over TLS, too, on this port; with the authority\'s own certificate, which clients know, if not with another' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l tls-cert -d 'A certificate for TLS, PEM, and those that vouch for it' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l tls-key -d 'The key of that certificate, PEM' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s 4 -l bind4 -d 'The IPv4 address to listen on' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s 6 -l bind6 -d 'The IPv6 address to listen on' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l db -d 'The SQLite database, which is made if it is not there; or PostgreSQL\'s, which several registries may serve at a time: postgres://USER@HOST/DATABASE, with the password in PGPASSWORD or in the file that PGPASSFILE names. TLS is required and verified, against ?sslrootcert=FILE if given; not over a Unix socket, nor on the loopback interface with ?sslmode=disable' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l dh -d 'Diffie-Hellman parameters for nodes, PEM; RFC 7919\'s ffdhe2048 if not given' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l ca -d 'The authority\'s certificate, PEM: its serial number is the network' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l key -d 'The authority\'s key, PEM' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l mailhost -d 'The mail server that sends tokens, or the path of a mailbox file for them; no mails without it' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l smtp-user -d 'The user to log in as at the mail server' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l smtp-pwd -d 'The user\'s password; other users of this host can read it among the arguments: use --smtp-pwd-file' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l smtp-pwd-file -d 'A file with the user\'s password' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l prefix-length -d 'Bits of a prefix that a token is worth; 0: no tokens' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l anonymous-prefix-length -d 'Bits of an anonymous prefix; 0: no anonymous certificates' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l ipv4 -d 'An IPv4 network, and how many of its bits name a node: 10.42.0.0/16 8' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s l -l logfile -d 'Write the log to this file instead of standard error' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s r -l run -d 'Accepted for compatibility: nodes are found in the kernel\'s routes' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s v -l verbose -d '0: errors, 1: warnings and what changes the network, 2: calls, 3: details, 4: everything' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l min-protocol -d 'The oldest protocol that nodes may speak' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l authorized-origin -d 'An address from which administrators may ask over HTTP; what a proxy there says of its client is used; may be repeated. Without it, only root and the registry\'s user may, from 127.0.0.1 and ::1; with 127.0.0.1 or ::1, every user of this host may' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l authorized-host -d 'A name of this registry under which administrators ask over HTTP; may be repeated. Without it, they ask by its address or localhost: any other name may be another site\'s (DNS rebinding)' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l socket -d 'The Unix socket for administration; DIR/registry.sock if not given, or registry.sock beside the database, or /run/re6st-registry/registry.sock if that is PostgreSQL\'s' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l admin-group -d 'A group whose users may administer over the Unix socket, besides root and the registry\'s user' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l community -d 'A file that says which parts of the network are for which countries and continents' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l grace-period -d 'How long after its end a certificate can be renewed, and a token used, in seconds' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l user -d 'Become this user once all ports are open and the authority\'s key is read; the database must be this user\'s' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l hello -d 'Seconds between Babel\'s Hellos; a tunnel without a packet for four of them is dead' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l client-count -d 'How many tunnels a node makes' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l max-clients -d 'How many tunnels a node accepts; twice the client count if not given' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l tunnel-refresh -d 'Seconds after which a node replaces its worst tunnel' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l same-country -d 'A country whose borders no tunnel crosses, told by the file in MaxMind\'s format that the environment variable GEOIP2_MMDB names; may be repeated' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l smtp-starttls -d 'Encrypt the connection to the mail server'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l native-only -d 'Serve native nodes only: the CA\'s key then signs no bare ciphertext, which the hello of upstream\'s nodes wants'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -l encrypt -d 'Encrypt tunnels'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -l json -d 'Print JSON, one node a line, as `re6st ping-matrix run --targets -` reads it'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from nodes" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from token" -f -a "add" -d 'Make a token and print it'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from token" -f -a "list" -d 'List the tokens that were not used yet'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from token" -f -a "remove" -d 'Remove a token'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l registry -d 'The registry, by an address that the invited can reach' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l valid -d 'How long the invitation is good for' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l grace-period -d 'The grace period of the registry, in seconds, if it is not the usual one' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l prefix-length -d 'Bits of the prefix that it is worth' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -l qr -d 'Print it as a QR code, too, for a telephone\'s camera'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l wait -d 'Wait until every node that is routed has the new revocation list, at most so many seconds; exit code 1 if not all have it then' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from rotate-key" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -l days -d 'How many days from now it shall last' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from renew-ca" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from export" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from export" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from export" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from export" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -l json -d 'Print JSON, one node a line'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from versions" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l json -d 'Print JSON, one node a line'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l dot -d 'Print a graph for Graphviz'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -l svg -d 'Print a picture'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from topology" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l registry -d 'Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR\'s socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry\'s folder, the socket of the registry that runs on this host, else http://127.0.0.1/' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l socket -d 'The administration socket of the running registry, if it is not DIR/registry.sock' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -l accept -d 'Accept what the clock says although the database contradicts it: members expire again'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from clock" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -l json -d 'Print JSON, one problem a line'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from backup" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from backup" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from backup" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from backup" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from backup" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -l member -d 'Bring back one member that expired or was revoked, from the journal of the database: a node as 2/16, or its addresses; a registry may run meanwhile' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -l dir -d 'The folder with ca.crt, ca.key and registry.db' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -l ca -d 'The authority\'s certificate, if it is not DIR/ca.crt' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -l key -d 'The authority\'s key, if it is not DIR/ca.key' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -l db -d 'The database, if it is not DIR/registry.db' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from migrate" -l from -d 'The database to copy; no registry should be changing it' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from migrate" -l to -d 'An empty database, or a file that is not there yet' -r
complete -c re6st -n "__fish_re6st_using_subcommand registry; and __fish_seen_subcommand_from migrate" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -f -a "join" -d 'Join a network: make a key, ask its registry for a certificate, write a sample configuration'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -f -a "show" -d 'Show what a certificate says'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -f -a "verify" -d 'Check a certificate against its network\'s authority, the date, and its key'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -f -a "renew" -d 'Ask the registry for a certificate that lasts longer'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and not __fish_seen_subcommand_from join show verify renew fingerprint" -f -a "fingerprint" -d 'Print the fingerprint of a certificate, as `re6st cert join --fingerprint` takes it'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l registry -d 'The registry, for example http://re6st.example.com/' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l fingerprint -d 'The fingerprint of the network\'s authority, which its operator told you: sha256:HEX' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -s d -l dir -d 'The folder for ca.crt, cert.crt, cert.key and re6stnet.conf' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -s r -l req -d 'Add a field to the subject of the certificate: O "My company"; may be repeated' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l email -d 'Have a token mailed to this address, then ask for it' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l token -d 'The token you were given; other users of this host can read it among the arguments: use --token-file' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l token-file -d 'A file with the token; - for standard input' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l invitation-file -d 'A file with the invitation; - for standard input' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l location -d 'Country and continent, for networks that give prefixes by place: FR,EU' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l is-needed -d 'Ask for the authority only; fail if this host is in the network already'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l ca-only -d 'Write the authority\'s certificate and nothing else'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -l anonymous -d 'Ask for a certificate without a token'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from join" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from show" -l ca -d 'The network\'s authority; ca.crt in the same folder if not given' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from verify" -l ca -d 'The network\'s authority; ca.crt in the same folder if not given' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from verify" -l key -d 'The key that it should belong to' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from renew" -s d -l dir -d 'The folder with ca.crt, cert.crt and cert.key; no node may be running with them' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from renew" -l registry -d 'The registry, if it is not the one in DIR/re6stnet.conf' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -l algorithm -d 'sha1, sha256, sha512' -r
complete -c re6st -n "__fish_re6st_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "up" -d 'Join the network and stay in it until told otherwise; @FILE reads options from a file'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "status" -d 'Tell whether the node is part of the network, and how it is'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "peers" -d 'List the other nodes it knows'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "tunnels" -d 'List its tunnels'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "routes" -d 'List the nodes it has a way to'
complete -c re6st -n "__fish_re6st_using_subcommand node; and not __fish_seen_subcommand_from up status peers tunnels routes down" -f -a "down" -d 'Make the node leave the network and end'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l registry -d 'Where the registry is: `http://HOST[:PORT][/PATH]`' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l ca -d 'The network\'s authority' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l cert -d 'This node\'s certificate' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l key -d 'The key of this node\'s certificate' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l ip -d 'An address under which others reach this host; without it, or with the word any, what the others see' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l pp -d 'Accept tunnels on this port; PROTO is udp, tcp, udp6 or tcp6 [default: 1194 udp and 1194 tcp]' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l disable-proto -d 'Neither accept nor open tunnels over this protocol: udp, tcp, udp6, tcp6, or none of them' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l client-count -d 'How many tunnels to open, if the network\'s number does not suit' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l max-clients -d 'How many tunnels to accept on each port, if the network\'s number does not suit' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l main-interface -d 'The interface that gets this node\'s address' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l country -d 'The country that this node is in, like FR, for networks that keep tunnels within countries; without it the registry is asked' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l interface -d 'Look for nodes of the network on this LAN, and route to them directly' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l neighbour -d 'A node to have a tunnel with before all others: its name, like 1/16' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l registry-user -d 'The user that the registry runs as on the host of its own node, if it is neither root nor this node\'s: others may not have this node ask the network' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l state -d 'The folder for what survives restarts' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l run -d 'The folder for the control socket' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l log -d 'The folder in which stock keeps logs; this program logs on standard error only' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -s v -l verbose -d 'How much to log: 0 errors, 1 warnings, 2 what happens, 3 and 4 details' -r
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -l forward -d 'Let packets out of tunnels go wherever this host has a route. Without it they reach other tunnels, the LANs of --interface and this node\'s own prefix only'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from status" -l run -d 'The folder that the node was started with as --run' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from status" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from peers" -l run -d 'The folder that the node was started with as --run' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from peers" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from peers" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from tunnels" -l run -d 'The folder that the node was started with as --run' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from tunnels" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from tunnels" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from routes" -l run -d 'The folder that the node was started with as --run' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from routes" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from routes" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from down" -l run -d 'The folder that the node was started with as --run' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from down" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand node; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and not __fish_seen_subcommand_from listen connect" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and not __fish_seen_subcommand_from listen connect" -f -a "listen" -d 'Accept tunnels from OpenVPN and re6st clients, an interface for each'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and not __fish_seen_subcommand_from listen connect" -f -a "connect" -d 'Open a tunnel to an OpenVPN or re6st server'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l port -d 'Port to listen on [default: 1194]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l protocol -d 'What carries the tunnels; given several times, clients may come over each [default: udp]' -r -f -a "udp\t''
tcp\t''
udp6\t''
tcp6\t''"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l bind -d 'Address to listen on [default: every one of the protocol\'s family]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l max-clients -d 'Clients at most; further ones are refused [default: 20]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l interface-prefix -d 'What interfaces\' names begin with; the client\'s common name follows' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l dh -d 'Diffie-Hellman parameters; accepted and not used, for every peer knows elliptic curves' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l config -d 'OpenVPN configuration file (.ovpn) to take from what is not said here; files that it names are looked for beside it, and options that do not apply are named' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l ca -d 'Certificate of the authority, PEM, or of each of several' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l cert -d 'Our certificate, PEM; those that lead from it to its authority may follow' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l key -d 'Its key, PEM' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l extra-certs -d 'Certificates that lead from ours to its authority, PEM, if they are not in its file' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l crl -d 'The authority\'s list of revoked certificates, PEM, or that of each; read again when it changes' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l revoked -d 'Serial number of a certificate that is not believed' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l tls-auth -d 'Key that authenticates the control channel (`openvpn --genkey secret`): who has it not is not answered' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l key-direction -d 'Which half of that key is for sending; the other end has the other [default: one for both]' -r -f -a "0\t''
1\t''"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l auth -d 'Hash of tls-auth: SHA1, SHA256, SHA384 or SHA512 [default: SHA1]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l tls-crypt -d 'Key that encrypts the control channel, too (`openvpn --genkey secret`)' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l tls-crypt-v2 -d 'The same with a key for each client (`openvpn --genkey tls-crypt-v2-server` and `-client`)' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l device -d 'What passes: Ethernet frames or IP packets [default: tap]' -r -f -a "tap\t''
tun\t''"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l cipher -d 'Cipher to use, the preferred first; `none` for a network without encryption [default: AES-256-GCM, CHACHA20-POLY1305, AES-128-GCM]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l address -d 'Address to give each interface, besides its link-local one [default: what the configuration file says, or, where that says `client` or `pull`, what the server assigns]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l mtu -d 'Octets of the interface\'s largest packet [default: as stock networks have it; 1500 over TCP]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l udp-gso -d 'Whether many datagrams are handed to the kernel in one call' -r -f -a "auto\t'Where kernel and link can'
off\t'Never: one call for each'"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l ping-exit -d 'End a tunnel when its peer was silent for so long [default: 60 s with re6st, never with others, which may have nothing to say]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l handshake-timeout -d 'Give up a handshake after so long [default: 60s]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l renegotiate-after -d 'Renew keys after so long [default: 1h]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l statistics-every -d 'Tell statistics so often' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -l json -d 'Write what happens to standard output, one JSON object a line'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -s v -l verbose -d 'Log more; twice for every packet that is refused'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from listen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l peer -d 'Common name that the server\'s certificate must have [default: any]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l interface -d 'Name of the interface [default: re6st-tunnel]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l config -d 'OpenVPN configuration file (.ovpn) to take from what is not said here; files that it names are looked for beside it, and options that do not apply are named' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l ca -d 'Certificate of the authority, PEM, or of each of several' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l cert -d 'Our certificate, PEM; those that lead from it to its authority may follow' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l key -d 'Its key, PEM' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l extra-certs -d 'Certificates that lead from ours to its authority, PEM, if they are not in its file' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l crl -d 'The authority\'s list of revoked certificates, PEM, or that of each; read again when it changes' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l revoked -d 'Serial number of a certificate that is not believed' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l tls-auth -d 'Key that authenticates the control channel (`openvpn --genkey secret`): who has it not is not answered' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l key-direction -d 'Which half of that key is for sending; the other end has the other [default: one for both]' -r -f -a "0\t''
1\t''"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l auth -d 'Hash of tls-auth: SHA1, SHA256, SHA384 or SHA512 [default: SHA1]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l tls-crypt -d 'Key that encrypts the control channel, too (`openvpn --genkey secret`)' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l tls-crypt-v2 -d 'The same with a key for each client (`openvpn --genkey tls-crypt-v2-server` and `-client`)' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l device -d 'What passes: Ethernet frames or IP packets [default: tap]' -r -f -a "tap\t''
tun\t''"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l cipher -d 'Cipher to use, the preferred first; `none` for a network without encryption [default: AES-256-GCM, CHACHA20-POLY1305, AES-128-GCM]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l address -d 'Address to give each interface, besides its link-local one [default: what the configuration file says, or, where that says `client` or `pull`, what the server assigns]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l mtu -d 'Octets of the interface\'s largest packet [default: as stock networks have it; 1500 over TCP]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l udp-gso -d 'Whether many datagrams are handed to the kernel in one call' -r -f -a "auto\t'Where kernel and link can'
off\t'Never: one call for each'"
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l ping-exit -d 'End a tunnel when its peer was silent for so long [default: 60 s with re6st, never with others, which may have nothing to say]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l handshake-timeout -d 'Give up a handshake after so long [default: 60s]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l renegotiate-after -d 'Renew keys after so long [default: 1h]' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l statistics-every -d 'Tell statistics so often' -r
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -l json -d 'Write what happens to standard output, one JSON object a line'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -s v -l verbose -d 'Log more; twice for every packet that is refused'
complete -c re6st -n "__fish_re6st_using_subcommand tunnel; and __fish_seen_subcommand_from connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -f -a "run" -d 'Route between interfaces until told to end'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -f -a "dump" -d 'Show what a running router knows'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -f -a "monitor" -d 'Show what a running router knows, and then what changes'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -f -a "reload" -d 'Have a running router read its configuration again; neighbours stay'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and not __fish_seen_subcommand_from run dump monitor reload babeld" -f -a "babeld" -d 'Take the place of babeld: its command line, its files'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l interfaces -d 'Read more interfaces from FILE, or from standard input if it is `-`, as the JSON Lines that `re6st tunnel connect --json` prints: a tunnel that is up is added, one that is down removed' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l config -d 'Do what a configuration file of babeld says; may be given several times. Interfaces named here get what its `default` lines say' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -s C -l statement -d 'Do what a statement of babeld\'s configuration language says; may be given several times' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l redistribute -d 'Announce a prefix as ours: `PREFIX`, or `PREFIX from SOURCE` for packets from there only' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l kind -d 'How interfaces behave' -r -f -a "tunnel\t'Tunnels through the Internet: delay counts'
wired\t'Ethernet: delay does not count'"
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l hello -d 'How often to say Hello; a silent neighbour is left after two to three times that' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l update -d 'How often to repeat the whole table' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l key -d 'Sign and check packets with a key: `blake2s128:HEX` or `hmac-sha256:HEX`' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l accept-key -d 'Take packets signed with this key as well, without signing with it' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l network -d 'Take only routes inside this prefix, and default routes, which are then for packets from there' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l table -d 'The kernel\'s table for routes' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l metric -d 'The kernel\'s metric of routes; the lowest wins among those to the same prefix' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l pref-src -d 'The source address of our own packets, once for each family' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l state -d 'Keep the router\'s identity and its numbers in FILE, so that neighbours know it again after a restart or a crash; for one router alone' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l socket -d 'Where `re6st babel dump` asks' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -s v -l verbose -d 'How much to log: 0 is errors, 2 what happens, 4 everything' -r
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -l json -d 'Print every change of neighbours and routes as JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from dump" -l socket -d 'The socket of the router to ask' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from dump" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from monitor" -l socket -d 'The socket of the router to ask' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from monitor" -l json -d 'Print JSON Lines'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from monitor" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from reload" -l socket -d 'The socket of the router to ask' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand babel; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and not __fish_seen_subcommand_from run merge report" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and not __fish_seen_subcommand_from run merge report" -f -a "run" -d 'Probe every target over every plane'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and not __fish_seen_subcommand_from run merge report" -f -a "merge" -d 'Join what several hosts, or one host several times, have measured'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and not __fish_seen_subcommand_from run merge report" -f -a "report" -d 'Show what was measured, and the verdict'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l targets -d 'The targets: `node` objects as `re6st registry nodes --json` prints them, or lines of `NAME ADDRESS… [sdn=ADDRESS]`; `-` reads standard input' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l planes -d 'The planes to probe' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l count -d 'Probes for each target and plane' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l interval -d 'From one probe of a target to the next' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l timeout -d 'How long to wait for a reply; later is lost' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l every -d 'Do it again and again, from one start to the next' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l sample -d 'Probe this many targets in a round, others in the next: drawn at random' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l source -d 'The name of this host; that of the target whose address it has, or its host name, if not given' -r
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -l json -d 'Print a `ping` object for each target and plane'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from merge" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from report" -l format -d 'How to show it' -r -f -a "table\t'One matrix a plane, for a terminal'
json\t'`ping` objects, then the `verdict`'
csv\t'One line for each pair and plane, for a spreadsheet'
markdown\t'The same as a Markdown table, with the verdict'
html\t'One page with a picture, without anything from elsewhere'
svg\t'The picture alone'"
complete -c re6st -n "__fish_re6st_using_subcommand ping-matrix; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "up" -d 'Make the hosts of a scenario and emulate the Internet between them'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "exec" -d 'Run a program on a host'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "fault" -d 'Break or mend the Internet while the lab is up'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "status" -d 'Show the hosts and what became of their packets'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "down" -d 'Remove a lab, also one whose process was killed'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "demo" -d 'Let a dozen servers join one network, and compare it with the Internet under it'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down demo scenario" -f -a "scenario" -d 'Print the scenario that is used if none is given, to start your own from'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from up" -l name -d 'The lab\'s name, which begins the names of its network namespaces' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from up" -l hosts -d 'Make this many hosts: the first ones of the scenario, or more like them' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from up" -l seed -d 'Draw losses and jitter from this number, so that they are the same each time' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from up" -l detach -d 'Return when the lab is up and leave it running, until `re6st lab down`'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from exec" -l name -d 'The lab\'s name, which begins the names of its network namespaces' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from exec" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -l name -d 'The lab\'s name, which begins the names of its network namespaces' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -l family -d 'Change only this family\'s paths' -r -f -a "ipv4\t''
ipv6\t''"
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "cut" -d 'Let nothing pass between two hosts'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "heal" -d 'Make the paths between two hosts again what the scenario says'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "loss" -d 'Lose a share of the packets between two hosts, each way'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "delay" -d 'Set the round-trip time between two hosts'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "bandwidth" -d 'Limit what passes between two hosts, each way'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "udp-drop" -d 'Drop every UDP packet of a host'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from fault" -f -a "udp-pass" -d 'Let UDP packets of a host pass again'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from status" -l name -d 'The lab\'s name, which begins the names of its network namespaces' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from status" -l json -d 'Print a `node` object for each host, which `re6st ping-matrix run --targets -` reads'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from down" -l name -d 'The lab\'s name, which begins the names of its network namespaces' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l scenario -d 'A scenario file; twelve servers on four continents if none is given' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l hosts -d 'This many hosts: the first ones of the scenario, or more like them' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l report -d 'Where to write the report with the picture' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l name -d 'The lab\'s name' -r
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l json -d 'Print the measurements as JSON Lines, the verdict last'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -l keep -d 'Leave everything running afterwards'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from demo" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from scenario" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand manual" -l to -d 'The folder in which `man` and `completions` are made' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand manual" -l aliases -d 'Print the names of older programs that this one can be started under'
complete -c re6st -n "__fish_re6st_using_subcommand manual" -s h -l help -d 'Print help'
