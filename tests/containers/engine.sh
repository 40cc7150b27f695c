#!/usr/bin/env bash
# A Docker Engine for tests: starts one if none answers, and ends only what it started.
#   engine.sh up FOLDER     0: one answers; 1: none can be had, and why is said
#   engine.sh down FOLDER
set -euo pipefail
folder=$2
pid_file=$folder/dockerd.pid

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

up() {
  command -v docker >/dev/null || { echo "there is no docker command (apt-get install docker.io iptables)"; exit 1; }
  answers && exit 0
  command -v dockerd >/dev/null || { echo "no Docker Engine answers, and there is no dockerd to start"; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "no Docker Engine answers, and only root can start one"; exit 1; }
  nohup dockerd >"$folder/dockerd.log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  for _ in $(seq 150); do
    answers && exit 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 0.2
  done
  echo "dockerd did not start: $(tail -n 1 "$folder/dockerd.log")"
  down
  exit 1
}

down() {
  [ -e "$pid_file" ] || return 0
  pid=$(cat "$pid_file")
  rm -f "$pid_file"
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.2
  done
}

"$1"
