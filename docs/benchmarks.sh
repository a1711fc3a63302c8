#!/usr/bin/env bash
# Prints BENCHMARKS.md: docs/benchmarks.sh PICTURES MASKS [NETWORK...] > BENCHMARKS.md
set -euo pipefail
pictures=$(realpath "$1") masks=$(realpath "$2")
networks=()
for network in "${@:3}"; do networks+=("$(realpath "$network")"); done
cd "$(dirname "$0")/.."
cargo build --release --quiet --example evaluate
run() {
    # A network's folder is nobody's business.
    printf '\n## %s\n\n```\n$ evaluate PICTURES MASKS' "$1"
    for argument in "${@:2}"; do printf ' %s' "${argument##*/}"; done
    printf '\n'
    ./target/release/examples/evaluate "$pictures" "$masks" "${@:2}"
    printf '```\n'
}
printf '# Benchmarks\n\nPrinted by `docs/benchmarks.sh PICTURES MASKS [NETWORK...]` on %s, %s, %s cores.\n' \
    "$(date +%F)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)"
printf 'PICTURES are 200 photographs of ECSSD (every fifth), the development set. Times are of a shared machine: compare stages, not machines.\n'
run 'The prototype'"'"'s settings (it had 0.671 on every second of these)' --every 2 framing=squash resolution=192
run 'Default' 
run 'Default, refined' refine=bilateral
run 'Default, largest component' largest_component=true
run 'Default at 192' resolution=192
run 'Default at 256' resolution=256
for seed in 1 2 3; do run "Default, seed $seed" "seed=$seed"; done
run 'The objective of the paper on the default graph' objective=mincut
run 'Correlation clustering, no number of clusters' objective=correlation
run 'The paper'"'"'s profile (with the embedded network; the paper used DINO ViT-S/8)' --paper
for network in "${networks[@]}"; do
    name=$(basename "$network" .safetensors)
    run "$name" --backbone "$network"
    run "$name, squashed to a square" --backbone "$network" framing=squash
    run "$name, correlation clustering" --backbone "$network" objective=correlation
    run "$name, the paper's profile" --backbone "$network" --paper
    run "$name, the paper's profile, its own resolution" --backbone "$network" --paper resolution=null
done
