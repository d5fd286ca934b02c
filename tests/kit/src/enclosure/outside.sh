# Goes into the enclosure: $1 is the name of its cgroups, $2 what is done inside, the rest the command that is run there.
set -eu
name=$1 inside=$2
shift 2
grep ' cgroup ' /proc/self/mounts | while read -r _ folder _; do
  mkdir "$folder/$name"
  if [ -e "$folder/cpuset.cpus" ]; then
    # A new one has no processor and no memory, and takes nobody in.
    cat "$folder/cpuset.cpus" >"$folder/$name/cpuset.cpus"
    cat "$folder/cpuset.mems" >"$folder/$name/cpuset.mems"
  fi
  echo $$ >"$folder/$name/cgroup.procs"
done
exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child --mount-proc /bin/sh -c "$inside" enclosure "$@"
