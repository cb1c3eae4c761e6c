#!/usr/bin/env bash
# Blind changes of every input that is there, through the ordinary library: unguided.sh SECONDS [TARGET...]. After `make lib`; FUZZ_MORE is a
# folder of further inputs (FUZZ_MORE/TARGET/...). What ends the process is left in .build/unguided/found/TARGET.
set -eu
cd "$(dirname "$0")/../.."
seconds=$1; shift
out=.build/unguided; library=$PWD/.build/release/libllama2swift.so; bad=0
mkdir -p $out/found $out/kept
for name in libllama2swift.so libllama2swift.so.0; do ln -sf "$library" $out/$name; done
(cd Tests/fuzz && cc -std=gnu11 -O1 -g -Wall -Wextra -Werror -I../../Include common.c targets.c target_*.c scheduling.c searching.c mutate*.c unguided.c \
  -o ../../$out/unguided -L../../$out -Wl,-rpath,"$PWD/../../$out" -lllama2swift)
tar -xf Tests/fuzz/corpus.tar.xz -C $out/kept
LLAMA2SWIFT_LIBRARY=$library PYTHONPATH=Bindings/Python .build/venv/bin/python Tests/fuzz/seeds.py $out/models $out/seeds >/dev/null
[ $# -gt 0 ] || set -- $(sed -n 's/^    {"\([a-z0-9]*\)", .*/\1/p' Tests/fuzz/targets.c)
for target; do
  folders=(); for folder in $out/seeds/$target $out/kept/$target Tests/fuzz/regressions/$target ${FUZZ_MORE:+$FUZZ_MORE/$target}; do
    [ -d "$folder" ] && folders+=("$folder"); done
  find "${folders[@]}" -type f -size -64k -print0 | FUZZ_MODELS=$out/models xargs -0 -n 100000 $out/unguided $target "$seconds" \
    Tests/fuzz/dictionaries/$target.dict $out/found/$target || { bad=1; echo "$target: failed; the input is $out/found/$target"; }
done
exit $bad
