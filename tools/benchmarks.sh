#!/usr/bin/env bash
# Prints BENCHMARKS.md: [PHOTOS=FOLDER] tools/benchmarks.sh ECSSD VOC2007 DAVIS [NETWORK...] > BENCHMARKS.md, with priors of the networks if there is a folder of
# unlabeled photographs
set -euo pipefail
ecssd=$(realpath "$1") voc=$(realpath "$2") davis=$(realpath "$3")
photos=${PHOTOS:+$(realpath "$PHOTOS")}
networks=(embedded)
for network in "${@:4}"; do networks+=("$(realpath "$network")"); done
cd "$(dirname "$0")/.."
cargo build --release --quiet
source tools/run.sh
kernels=$("$deepcut" segment examples/pictures/duck.jpg -o "$cache/duck" --json -q | sed -n 's/.*"kernels":"\([a-z0-9_]*\)".*/\1/p' | head -1)
printf '# Benchmarks\n\nPrinted by `PHOTOS=… tools/benchmarks.sh ECSSD VOC2007 DAVIS [NETWORK...]` on %s, %s, %s cores, kernels %s.\n' \
    "$(date +%F)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)" "$kernels"
printf '%s\n' '**These are development figures**: settings were chosen on the ECSSD set. ECSSD is every fifth of its images (200), VOC 2007 is 251 images of trainval, and' \
    'DAVIS is four of its sequences. Options are the defaults where none are named; Deep Spectral looks at no colors then. Features are computed once for each network and' \
    'profile, so times are those of the steps after them.'
methods=deepcut,spectral,tokencut,kmeans,lost,deep-spectral,pca
for network in "${networks[@]}"; do
    name=$(basename "$network" .safetensors)
    for profile in default paper; do
        printf '\n## Methods on the features of %s, profile %s\n' "$name" "$profile"
        run sweep ecssd --root "$ecssd" --backbone "$network" --profile "$profile" --set "method=$methods"
        run sweep voc2007 --root "$voc" $(development "$voc") --backbone "$network" --profile "$profile" --set "method=$methods"
    done
done
printf '\n## Several objects\n\nMeasured on %s.\n' "$(date +%F)"
for mode in '--mode object' '--mode objects' '--mode objects --method maskcut'; do
    # shellcheck disable=SC2086  # several words
    run eval voc2007 --root "$voc" $(development "$voc" Segmentation) --task instances $mode
done
printf '\n## The embedded network\n'
training/evaluate.sh "$ecssd" "$voc" "$davis"
for network in "${networks[@]:1}"; do
    printf '\n## Parts on the features of %s\n' "$(basename "$network" .safetensors)"
    run eval davis --root "$davis" --mode parts --backbone "$network"
done
[ -n "$photos" ] || exit 0
printf '\n## Priors fitted on unlabeled photographs\n\nMeasured on %s.\n' "$(date +%F)"
for network in "${networks[@]:1}"; do
    prior=$(basename "$network" .safetensors).prior.safetensors
    printf '\n```\n$ deepcut fit photos --backbone %s -o %s\n' "${network##*/}" "$prior"
    "$deepcut" fit "$photos" --backbone "$network" -o "$cache/$prior" --no-progress 2>&1 | sed -n "s|^.*$prior: |$prior: |p"
    printf '```\n'
    run eval ecssd --root "$ecssd" --backbone "$network" --prior "$cache/$prior"
    run eval voc2007 --root "$voc" $(development "$voc") --backbone "$network" --prior "$cache/$prior"
done
