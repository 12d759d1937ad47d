#!/bin/sh
# How far pruning with distillation takes MiniLM on SST-2; the table of pruning.md.
#   benchmarks/pruning.sh train DATA FOLDER      on a GPU: one trained model, and its smaller students, three seeds each
#   benchmarks/pruning.sh measure DATA FOLDER    on the processor that the table is for; writes benchmarks/pruning.jsonl
# DATA: the folder with sst2.
set -eu
stage=$1 data=$2 folder=$3
here=$(dirname "$0")
task="task=sst2 task.data_dir=$data/sst2"
teach="finetune@prune.recovery=distill prune.recovery.hidden_loss=1 prune.recovery.learning_rate=3e-4
  prune.recovery.batch_size=128 prune.recovery.precision=fp32"

# Prune the float model, let it teach what is left, take the tokens away that the training texts do not need.
student() {
  name=$1 seed=$2
  shift 2
  # shellcheck disable=SC2086
  python3 "$here/checkpoint.py" "$folder/whole-$name-seed$seed" $task device=cuda seed="$seed" finetune=none \
    model.path="$folder/float" $teach "$@"
  # shellcheck disable=SC2086
  python3 "$here/checkpoint.py" "$folder/$name-seed$seed" --float16 $task device=cuda seed="$seed" finetune=none \
    model.path="$folder/whole-$name-seed$seed" prune=vocabulary prune.general=0
}

case $stage in
train)
  # shellcheck disable=SC2086
  [ -d "$folder/float" ] || python3 "$here/checkpoint.py" "$folder/float" --float16 model=minilm $task device=cuda \
    finetune.epochs=3 finetune.learning_rate=1e-4 finetune.batch_size=64 finetune.precision=fp32
  for seed in 0 1 2; do
    for share in 0.5 0.3 0.2; do
      student "budget$share" "$seed" prune=budget prune.target=operations:"$share" prune.steps=3 \
        prune.recovery.epochs=3 >"$folder/budget$share-seed$seed.log" 2>&1 &
    done
    for share in 0.3 0.2; do
      student "cofi$share" "$seed" prune=cofi prune.target=operations:"$share" prune.mask_epochs=6 \
        prune.recovery.epochs=3 >"$folder/cofi$share-seed$seed.log" 2>&1 &
    done
    student depth "$seed" prune=depth prune.ratio=0.5 prune.recovery.epochs=9 >"$folder/depth-seed$seed.log" 2>&1 &
  done
  wait
  ;;
measure)
  common="python3 -m effcomp.run -m $task model.path=$folder/float finetune=none device=cpu device.threads=2
    bench=quick bench.fixed_length=128 tracking=none"
  int4="quant=int4 quant.rounding=awq quant.group_size=32 quant.embeddings=int4"
  # shellcheck disable=SC2086
  $common prune=vocabulary prune.general=0 $int4 >"$here/pruning.jsonl"
  # shellcheck disable=SC2086
  $common prune=vocabulary prune.general=0 quant=none,int8_static runtime=openvino >>"$here/pruning.jsonl"
  for path in "$folder"/*-seed[0-9]; do
    case $path in
    */whole-*) continue ;;
    *-seed0) timed="" ;;
    *) timed="bench.batch_sizes=[1] bench.turns=6 bench.turn_ms=20 bench.energy_seconds=0" ;;  # for their accuracy
    esac
    # shellcheck disable=SC2086
    $common prune=student prune.path="$path" $timed quant=none,int8_static runtime=openvino >>"$here/pruning.jsonl"
    # shellcheck disable=SC2086
    $common prune=student prune.path="$path" $timed $int4 >>"$here/pruning.jsonl"
  done
  ;;
*) echo "no stage $stage" >&2 && exit 2 ;;
esac
