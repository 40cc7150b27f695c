#!/usr/bin/env bash
# A base image with this machine's version of Python: pulled where that can be done, else made of this machine's own files.
#   base.sh PYTHON IMAGE
# Made of: CPython's prefix, a shell, the tools that a Dockerfile calls, and the libraries that all of these load.
set -euo pipefail
python=$1 image=$2
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

if timeout 120 docker pull --quiet "python:$version-slim" >/dev/null 2>&1; then
  docker tag "python:$version-slim" "$image"
  exit 0
fi

prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{etc,dev,proc,sys,run,tmp,root,home,var/tmp,usr/bin,usr/sbin,usr/lib,usr/lib64,usr/local/bin,usr/local/lib}
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done

# The interpreter and its library, as pip and venv need them.
library=$prefix/lib/python$version
cp "$prefix/bin/python$version" "$root/usr/local/bin/"
for name in python3 python; do ln -s "python$version" "$root/usr/local/bin/$name"; done
tar -C "$prefix/lib" --exclude='*/site-packages/*' --exclude='*/test' --exclude='*/tests' --exclude='*/idlelib' \
  --exclude='*/tkinter' --exclude='*/config-*' -cf - "python$version" | tar -C "$root/usr/local/lib" -xf -
find "$prefix/lib" -maxdepth 1 -name 'libpython*.so*' -exec cp -a {} "$root/usr/local/lib/" \;

tools=(sh bash cat chmod chown cp cut date echo env find grep head id ln ls mkdir mv printf rm sed sleep sort tail test touch tr true
  uname useradd groupadd ldconfig)
for name in "${tools[@]}"; do
  path=$(command -v "$name" || PATH=/usr/sbin:/sbin command -v "$name" || true)
  case $path in
    /*sbin/*) cp -L "$path" "$root/usr/sbin/" ;;
    /*) cp -L "$path" "$root/usr/bin/" ;;
  esac
done

place() { # a library, where it will be looked for
  local target=$root/usr/${1#/}
  case $1 in /usr/*) target=$root$1 ;; esac
  mkdir -p "$(dirname "$target")"
  cp -L "$1" "$target"
}
# Whatever these load, and what extension modules of wheels load of the C library and of the compiler.
{
  find "$root/usr/bin" "$root/usr/sbin" "$root/usr/local/bin" "$root/usr/local/lib" -type f | xargs -r ldd 2>/dev/null |
    grep -oE '/[^ :]+\.so[^ :]*' || true # some of them are scripts
  for name in libc.so.6 libdl.so.2 libm.so.6 libnss_dns.so.2 libnss_files.so.2 libpthread.so.0 libresolv.so.2 librt.so.1 \
    libutil.so.1 libgcc_s.so.1 libgomp.so.1 libstdc++.so.6; do
    ldconfig -p | awk -v name="$name" '$1 == name && !seen++ { print $NF }' || true
  done
} | grep -v -e "^$root" -e "^$prefix" | sort -u | while read -r path; do
  [ ! -e "$path" ] || place "$path"
done

printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'root:*:19000:0:99999:7:::\n' >"$root/etc/shadow"
printf 'root:*::\n' >"$root/etc/gshadow"
cp /etc/login.defs "$root/etc/" 2>/dev/null || true
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
printf '/usr/local/lib\n' >"$root/etc/ld.so.conf"
chroot "$root" /sbin/ldconfig

tar -C "$root" --numeric-owner -cf - . | docker import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' - "$image" >/dev/null
