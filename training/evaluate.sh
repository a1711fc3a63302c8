#!/usr/bin/env bash
# Prints what a network is worth, and its best options, as Markdown: training/evaluate.sh ECSSD VOC2007 DAVIS [NETWORK], a file as embed.py makes it
set -euo pipefail
ecssd=$1 voc=$2 davis=$3 network=${4:-embedded}
source "$(dirname "$0")/../tools/run.sh"
options=(--backbone "$network")
run eval ecssd --root "$ecssd"
run eval ecssd --root "$ecssd" --refine none
run eval ecssd --root "$ecssd" --set prior_weight=0 --refine none
run eval ecssd --root "$ecssd" --refine bilateral
run eval ecssd --root "$ecssd" --seeds 5
run eval voc2007 --root "$voc" $(development "$voc")
run eval davis --root "$davis" --mode parts
run sweep ecssd --root "$ecssd" --set resolution=160,224,256,288,320,352,384
run sweep ecssd --root "$ecssd" --set prior_weight=0,0.3,1,3 --set least_peak=0,0.6
run sweep ecssd --root "$ecssd" --set tau=0,0.1,0.2,0.3,0.4,null
run sweep ecssd --root "$ecssd" --set epochs=6,8,12,25,50 --set objective=normalized-cut,mincut
run sweep ecssd --root "$ecssd" --set learning_rate=0.001,0.003,0.01
run sweep ecssd --root "$ecssd" --set objective=normalized-cut,mincut,correlation,modularity
run sweep ecssd --root "$ecssd" --set largest_component=false,true --set refine=none,guided,bilateral
