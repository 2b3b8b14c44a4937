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
complete -c re6st -n "__fish_re6st_needs_command" -f -a "manual" -d 'Write the man pages and the shell completions'
complete -c re6st -n "__fish_re6st_using_subcommand manual" -l to -d 'The folder in which `man` and `completions` are made' -r -F
complete -c re6st -n "__fish_re6st_using_subcommand manual" -s h -l help -d 'Print help'
