#!/bin/sh
# How far pruning with distillation takes MiniLM on SST-2; the table of pruning.md.
#   benchmarks/pruning.sh teacher DATA FOLDER     on a GPU: the trained model that all students are made from
#   benchmarks/pruning.sh train DATA FOLDER SEED  on a GPU: its smaller students, all at once; two seeds in the table
#   benchmarks/pruning.sh measure DATA FOLDER     on the processor that the table is for; writes benchmarks/pruning.jsonl
# DATA: the folder with sst2.
set -eu
stage=$1 data=$2 folder=$3
here=$(dirname "$0")
task="task=sst2 task.data_dir=$data/sst2"
teach="finetune@prune.recovery=distill prune.recovery.hidden_loss=1 prune.recovery.teacher_share=0.9
  prune.recovery.learning_rate=3e-4 prune.recovery.batch_size=128 prune.recovery.precision=fp32"

# Prune the float model, and let it teach what is left.
student() {
  name=$1-seed$seed
  shift
  # shellcheck disable=SC2086
  python3 "$here/checkpoint.py" "$folder/$name" --float16 $task device=cuda seed="$seed" finetune=none \
    model.path="$folder/float" $teach "$@" >"$folder/$name.log" 2>&1 &
}

case $stage in
teacher)
  # shellcheck disable=SC2086
  python3 "$here/checkpoint.py" "$folder/float" --float16 model=minilm $task device=cuda \
    finetune.epochs=3 finetune.learning_rate=1e-4 finetune.batch_size=64 finetune.precision=fp32
  ;;
train)
  seed=$4
  for share in 0.5 0.3 0.2; do
    student "budget$share" prune=budget prune.target=operations:"$share" prune.steps=3 prune.recovery.epochs=7
  done
  student cofi0.2 prune=cofi prune.target=operations:0.2 prune.mask_epochs=7 prune.recovery.epochs=14
  student depth prune=depth prune.ratio=0.5 prune.recovery.epochs=21
  wait
  ;;
measure)
  common="python3 -m effcomp.run -m $task model.path=$folder/float finetune=none device=cpu device.threads=2
    bench=quick bench.fixed_length=128 tracking=none"
  int4="quant=int4 quant.rounding=awq quant.group_size=32 quant.embeddings=int4"
  small="prune=vocabulary prune.general=0"
  # shellcheck disable=SC2086
  $common quant=none,bf16,int8_static runtime=openvino >"$here/pruning.jsonl"
  # shellcheck disable=SC2086
  $common $small $int4 >>"$here/pruning.jsonl"
  for path in "$folder"/*-seed[0-9]; do
    name=$(basename "$path")
    case $name in
    *-seed0) timed="" ;;
    *) timed="bench.batch_sizes=[1] bench.turns=6 bench.turn_ms=20 bench.energy_seconds=0" ;;  # for its accuracy
    esac
    # shellcheck disable=SC2086
    $common prune=student prune.path="$path" $timed quant=none,int8_static runtime=openvino >>"$here/pruning.jsonl"
    # shellcheck disable=SC2086
    [ -d "$folder/small/$name" ] || python3 "$here/checkpoint.py" "$folder/small/$name" $task device=cpu \
      finetune=none model.path="$path" $small
    # shellcheck disable=SC2086
    $common prune=student prune.path="$folder/small/$name" $timed $int4 >>"$here/pruning.jsonl"
  done
  ;;
*) echo "no stage $stage" >&2 && exit 2 ;;
esac
