#!/usr/bin/env bash
# Fetches the clients of other languages that tests call a Flow with, into a folder outside the repository:
# packages of package.json for JavaScript, and perf_analyzer, Triton's own load generator, which a wheel holds.
set -euo pipefail
cd "$(dirname "$0")"
folder=${XDG_CACHE_HOME:-$HOME/.cache}/dure/clients
mkdir -p "$folder"

if ! cmp -s package.json "$folder/package.json" || [ ! -d "$folder/node_modules" ]; then
  work=$(mktemp -d)
  cp package.json "$work"
  npm install --prefix "$work" --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel error
  rm -rf "$folder/node_modules"
  mv "$work/node_modules" "$folder/node_modules"
  mv "$work/package.json" "$folder/package.json"
  rmdir "$work"
fi

# The last wheel with a perf_analyzer for the C library of Debian 12. It is linked with two libraries, of which the one
# for CUDA has nothing to do here.
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v apt-get >/dev/null && [ ! -x "$folder/perf/bin/perf_analyzer" ]; then
  work=$(mktemp -d)
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" download --quiet --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" \
    tritonclient==2.50.0 nvidia-cuda-runtime-cu12==12.9.79
  (cd "$work" && { apt-get download -qq libb64-0d 2>/dev/null || { apt-get update -qq && apt-get download -qq libb64-0d; }; })
  dpkg-deb -x "$work"/libb64-0d_*.deb "$work/deb"
  mkdir -p "$work/perf/bin" "$work/perf/lib"
  for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/wheels"; done
  cp "$work"/wheels/tritonclient-*.data/data/bin/perf_analyzer "$work/perf/bin/"
  cp "$work"/wheels/nvidia/cuda_runtime/lib/libcudart.so.12 "$work"/deb/usr/lib/*/libb64.so.0d "$work/perf/lib/"
  chmod +x "$work/perf/bin/perf_analyzer"
  rm -rf "$folder/perf"
  mv "$work/perf" "$folder/perf"
  rm -rf "$work"
fi
echo "$folder"
