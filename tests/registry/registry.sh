#!/usr/bin/env bash
# An OCI registry for tests: Debian's docker-registry on loopback, with TLS, a CA of its own and a password.
#   registry.sh up FOLDER PORT USER PASSWORD    0: it answers; 1: none can be had, and why is said
#   registry.sh down FOLDER
# PLAIN=1: neither TLS nor a password. REALM=URL: tokens of that address, for service `registry`, issuer `tests`.
set -euo pipefail
folder=$2
pid_file=$folder/registry.pid

certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 2 \
    -subj "/CN=CA of a test" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout tls.key -out tls.csr -subj "/CN=localhost"
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid,issuer\n' >tls.ext
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt -extfile tls.ext
}

# The registry takes bcrypt only, which openssl does not make; the C library of Debian does.
password() {
  python3 -W ignore - "$1" "$2" <<'PY' || htpasswd -Bbn "$1" "$2"
import crypt, sys
print(sys.argv[1] + ":" + crypt.crypt(sys.argv[2], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))
PY
}

up() {
  port=$3 # $1 is `up` itself
  command -v docker-registry >/dev/null || { echo "there is no docker-registry (apt-get install docker-registry)"; exit 1; }
  command -v openssl >/dev/null || { echo "there is no openssl (apt-get install openssl)"; exit 1; }
  cd "$folder"
  [ -e ca.crt ] || certificates >certificates.log 2>&1
  [ -e htpasswd ] || password "$4" "$5" >htpasswd
  {
    printf 'version: 0.1\nlog: {level: info}\nstorage:\n  filesystem: {rootdirectory: %s}\n  delete: {enabled: true}\n' "$folder/data"
    printf 'http:\n  addr: 127.0.0.1:%s\n  secret: of-tests\n' "$port"
    if [ -z "${PLAIN:-}" ]; then
      printf '  tls: {certificate: %s, key: %s}\n' "$folder/tls.crt" "$folder/tls.key"
      if [ -n "${REALM:-}" ]; then
        printf 'auth:\n  token: {realm: "%s", service: registry, issuer: tests, rootcertbundle: %s}\n' "$REALM" "$folder/ca.crt"
      else
        printf 'auth:\n  htpasswd: {realm: tests, path: %s}\n' "$folder/htpasswd"
      fi
    fi
  } >config.yml
  nohup docker-registry serve config.yml >>registry.log 2>&1 </dev/null &
  echo $! >"$pid_file"
  for _ in $(seq 200); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && exit 0
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 0.05
  done
  echo "docker-registry did not start: $(tail -n 1 registry.log)"
  down
  exit 1
}

down() {
  [ -e "$pid_file" ] || return 0
  pid=$(cat "$pid_file")
  rm -f "$pid_file"
  kill -9 "$pid" 2>/dev/null || return 0 # it would wait for connections that are kept
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.05
  done
}

"$1" "$@"
