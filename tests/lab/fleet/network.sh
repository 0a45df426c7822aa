# Three machines and a switch. Run it in namespaces of its own (unshare(1), see src/fleet/machines.rs): they end with it, and so
# does all that it makes here. Its arguments are the command to run beside the switch.
set -eu

# What is written, is written to memory: it is gone with the mount namespace.
mount -t tmpfs fleet "$SCRATCH"

ip link set lo up
ip link add name switch type bridge
ip address add "$NETWORK.1/24" dev switch
ip link set switch up

for machine in 1 2 3; do
    name=$SCRATCH/machine-$machine
    : >"$name"
    unshare --net="$name" true
    ip link add name "port-$machine" type veth peer name eth0 netns "$name"
    ip link set "port-$machine" master switch up
    nsenter --net="$name" ip address add "$NETWORK.1$machine/24" dev eth0
    nsenter --net="$name" ip link set eth0 up
    nsenter --net="$name" ip link set lo up
done

# Not exec(1): a server that process 1 has started takes itself for a container's.
"$@"
exit
