#!/bin/bash
# pieces.py with each piece in a network namespace: pieces.sh MODEL [what pieces.py takes]. Needs root, ip, tc and Ray (PYTHON: an interpreter that has it).
# The link is a veth pair with 1 Gbit/s in both directions; the 0.5 ms are waited by who receives, as not every kernel has netem.
set -eu
python=${PYTHON:-python3} here=$(dirname "$(readlink -f "$0")") name=l2pieces$$
ray="$python -m ray.scripts.scripts"
end() {
    for side in a b; do
        for process in $(ip netns pids "$name$side" 2>/dev/null); do kill -9 "$process" 2>/dev/null || true; done
        ip netns del "$name$side" 2>/dev/null || true
    done
}
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -vtx1 | tr -d " \n")
trap end EXIT
ip netns add "${name}a"
ip netns add "${name}b"
ip -n "${name}a" link add link0 type veth peer name link0 netns "${name}b"
number=0
for side in a b; do
    number=$((number + 1))
    ip -n "$name$side" address add 10.99.0.$number/24 dev link0
    ip -n "$name$side" link set lo up
    ip -n "$name$side" link set link0 up
    ip netns exec "$name$side" tc qdisc add dev link0 root tbf rate 1gbit burst 128kb latency 50ms
done
temporary=$(mktemp -d)
ip netns exec "${name}a" $ray start --head --node-ip-address=10.99.0.1 --port=6399 --num-cpus=1 --resources='{"piece0": 1}' --include-dashboard=false --temp-dir="$temporary" >&2
ip netns exec "${name}b" $ray start --address=10.99.0.1:6399 --node-ip-address=10.99.0.2 --num-cpus=1 --resources='{"piece1": 1}' >&2
ip netns exec "${name}b" $python "$here/pieces.py" "$@" --address 10.99.0.1:6399 --node 10.99.0.2
rm -rf "$temporary"
