#!/usr/bin/env bash
# An ordinary user (a new one, who is taken away again) unpacks a tarball in a folder with a space in its name: make demo, make test, pip from the
# sdist with Swift; then the wheel in a clean environment of every Python that is here. Needs root, and a network once.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" -eq 0 ] || { echo "only root can make another user"; exit 0; }
user=llama2swift-trust
if id "$user" >/dev/null 2>&1; then userdel --remove "$user" 2>/dev/null; fi  # left by a run that was killed
useradd --create-home "$user"
home=$(getent passwd "$user" | cut -d: -f6)
trap 'userdel --remove "$user" 2>/dev/null || true' EXIT
folder="$home/un packed"
mkdir "$folder"
tar --exclude=./.git --exclude='./.build*' --exclude=./dist -cf - . | tar -xf - -C "$folder"
model=$(.build/venv/bin/python Bindings/Python/fetch_model.py 2>/dev/null) || model=
if [ -n "$model" ]; then mkdir -p "$home/.cache/llama2swift"; cp "$model" "$home/.cache/llama2swift/"; fi
chown -R "$user:" "$home"
python=$(readlink -f /usr/bin/python3)
before=$(stat -c %y "$python")
become() { setpriv --reuid="$user" --regid="$user" --init-groups "$@"; }
# of root's own folders the user has nothing, and a name that is found there cannot be started
path=$(for place in $(tr : ' ' <<<"$PATH"); do if become test -x "$place"; then printf '%s:' "$place"; fi; done)
as() { (cd "$folder" && become env -i HOME="$home" PATH="${path%:}" LANG=C.UTF-8 "$@"); }

as make demo PYTHON3=/usr/bin/python3 >"$home/demo" 2>&1 || { tail -40 "$home/demo"; exit 1; }
grep -q 'tokens/s' "$home/demo"
[ "$(stat -c %y "$python")" = "$before" ] || { echo "the time of $python was changed"; exit 1; }
echo "TRUST | 12 | an ordinary user with the system's Python, a tarball, a path with spaces: make demo | Tests/trust/install.sh | $(grep -c '^== \(Python\|C\):' "$home/demo") answers"

as make test PYTHON3=/usr/bin/python3 >"$home/test" 2>&1 || { tail -60 "$home/test"; exit 1; }
echo "TRUST | 12 | the same user: make test | Tests/trust/install.sh | $(tail -1 "$home/test" | sed 's/,/;/')"

as make wheel PYTHON3=/usr/bin/python3 >"$home/wheel" 2>&1 || { tail -40 "$home/wheel"; exit 1; }
as .build/wheel/venv/bin/python -m pip wheel -q --no-build-isolation --no-deps -w built "$folder"/dist/llama2swift-*.tar.gz >"$home/sdist" 2>&1 || { tail -40 "$home/sdist"; exit 1; }
echo "TRUST | 12 | the sdist is built with Swift | Tests/trust/install.sh | $(basename "$folder"/built/*.whl)"

passed=$(LLAMA2SWIFT_ALL_PYTHONS=1 .build/venv/bin/python -m pytest -q -p no:cacheprovider Tests/python/test_wheel.py | tail -1)
case $passed in *failed*|*error*) echo "$passed"; exit 1 ;; esac
echo "TRUST | 12 | the wheel in a clean environment of Python 3.9 to 3.13 (those that are here), with a part of the tests | test_wheel.py | $passed"
