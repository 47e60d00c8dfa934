# Runs the command and writes down how it ended. `command` has the working directory, the environment and the
# command line; the outer side reads `stdout` and `stderr` while they grow, and `exit` when it is over.
control=/run/berth-vm
: >"$control/started"
/bin/sh "$control/command" >>"$control/stdout" 2>>"$control/stderr" </dev/null
echo $? >"$control/exit.new"
mv "$control/exit.new" "$control/exit"
