#!/usr/bin/env bash
# Makes Tests/fuzz/corpus.tar.xz anew: of some inputs of each corpus (SAMPLE, 300) the few that reach every edge.
set -eu
cd "$(dirname "$0")/../.."
out=.build-fuzz; rm -rf $out/small; mkdir -p $out/small
for target in $(sed -n 's/^    {"\([a-z0-9]*\)", .*/\1/p' Tests/fuzz/targets.c); do
  rm -rf $out/sample; mkdir -p $out/small/$target $out/sample
  find $out/corpus/$target $out/kept/$target -type f 2>/dev/null | shuf -n "${SAMPLE:-300}" | xargs -I{} cp {} $out/sample/
  FUZZ_MODELS=$out/models $out/targets/$target -set_cover_merge=1 -use_counters=0 -rss_limit_mb=512 -timeout=2 \
    $out/small/$target $out/sample >$out/log/$target.minimize 2>&1
  echo "$target: $(ls $out/small/$target | wc -l) inputs, $(du -sb $out/small/$target | cut -f1) bytes"
done
tar -C $out/small --sort=name --owner=0 --group=0 --mtime=@0 -cJf Tests/fuzz/corpus.tar.xz .
ls -l Tests/fuzz/corpus.tar.xz
