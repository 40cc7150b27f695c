#!/usr/bin/env bash
# Podman's service, which speaks as a Docker Engine does, on a socket of its own in FOLDER.
#   podman.sh up FOLDER     0: it answers at FOLDER/podman.sock; 1: it cannot be had, and why is said
#   podman.sh down FOLDER
set -euo pipefail
folder=$(realpath "$2")
pid_file=$folder/podman.pid
socket=$folder/podman.sock

up() {
  command -v podman >/dev/null || { echo "there is no podman (apt-get install podman catatonit)"; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "the service is started as root here"; exit 1; }
  # Limits below those of any machine: a container may not be given more than whoever starts it has.
  printf '[containers]\ndefault_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]\n' >"$folder/containers.conf"
  cd "$folder" # where conmon leaves a file "oom" when a container had too little memory
  CONTAINERS_CONF=$folder/containers.conf nohup podman system service --time=0 "unix://$socket" \
    >"$folder/podman.log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  for _ in $(seq 100); do
    DOCKER_HOST=unix://$socket docker version >/dev/null 2>&1 && exit 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 0.2
  done
  echo "Podman's service did not start: $(tail -n 1 "$folder/podman.log")"
  down
  exit 1
}

down() {
  [ -e "$pid_file" ] || return 0
  kill "$(cat "$pid_file")" 2>/dev/null || true
  rm -f "$pid_file"
}

"$1"
