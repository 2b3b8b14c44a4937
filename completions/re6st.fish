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
complete -c re6st -n "__fish_re6st_needs_command" -f -a "lab" -d 'Make a network of hosts on one machine, with an emulated Internet between them'
complete -c re6st -n "__fish_re6st_needs_command" -f -a "manual" -d 'Write the man pages and the shell completions'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "up" -d 'Make the hosts of a scenario and emulate the Internet between them'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "exec" -d 'Run a program on a host'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "fault" -d 'Break or mend the Internet while the lab is up'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "status" -d 'Show the hosts and what became of their packets'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "down" -d 'Remove a lab, also one whose process was killed'
complete -c re6st -n "__fish_re6st_using_subcommand lab; and not __fish_seen_subcommand_from up exec fault status down scenario" -f -a "scenario" -d 'Print the scenario that is used if none is given, to start your own from'
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
complete -c re6st -n "__fish_re6st_using_subcommand lab; and __fish_seen_subcommand_from scenario" -s h -l help -d 'Print help'
complete -c re6st -n "__fish_re6st_using_subcommand manual" -l to -d 'The folder in which `man` and `completions` are made' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand manual" -l aliases -d 'Print the names of older programs that this one can be started under'
complete -c re6st -n "__fish_re6st_using_subcommand manual" -s h -l help -d 'Print help'
