# The first process inside: $1 is the bridge, $2 its address, the rest the command. It stays, to be the parent of orphans.
set -eu
bridge=$1 address=$2
shift 2

# Mounted again, each shows our own cgroup as its root.
grep ' cgroup ' /proc/self/mounts | while read -r _ folder _ options _; do
  umount "$folder"
  mount -t cgroup -o "$options" cgroup "$folder"
done

# Where a kubelet, containerd and CNI keep files whatever they are told.
for folder in /run /var/log /var/lib/cni /var/lib/kubelet; do
  mkdir -p "$folder"
  mount -t tmpfs tmpfs "$folder"
done

# A kubelet sets these for the whole machine: it gets copies.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=/run/sysctl/$setting
  mkdir -p "${copy%/*}"
  cat "/proc/sys/$setting" >"$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done

ip link set lo up
ip link add "$bridge" type bridge
ip address add "$address" dev "$bridge"
ip link set "$bridge" up

"$@"
