#!/bin/sh
# The tables of four_bits.md whose float models are trained for it; on a GPU, best.
#   benchmarks/four_bits.sh DATA FOLDER TABLE ...     TABLE: seeds, decoder; DATA: the folder with sst2 and wikitext2
# Float models are written to FOLDER; what is there is not trained again. Rows go to four_bits.json.
set -eu
data=$1 folder=$2
shift 2
here=$(dirname "$0")

for table in "$@"; do
  case $table in
  seeds)
    for seed in 0 1 2; do
      (
        model=$folder/float-seed$seed task="task=sst2 task.data_dir=$data/sst2 device=cuda seed=$seed"
        # shellcheck disable=SC2086
        [ -d "$model" ] || python3 "$here/checkpoint.py" "$model" model=minilm $task finetune.epochs=3 \
          finetune.learning_rate=1e-4 finetune.batch_size=64 finetune.precision=fp32
        for only in int4,nearest int3,nearest int2,nearest gptq awq learned; do  # nearest: qat too
          # shellcheck disable=SC2086
          python3 "$here/four_bits.py" minilm_sst2_seed$seed --only $only model=minilm model.path="$model" $task \
            finetune=none finetune.teacher="$model" finetune.epochs=3 finetune.learning_rate=2e-4 \
            finetune.batch_size=128 finetune.precision=fp32 &
        done
        wait
      ) &
    done
    wait
    ;;
  decoder)
    model=$folder/decoder task="task=wikitext2 task.data_dir=$data/wikitext2 task.test_files=[wiki.test.tokens] device=cuda"
    [ -d "$folder/untrained" ] || python3 "$here/small_decoder.py" "$data" "$folder/untrained"
    # shellcheck disable=SC2086
    [ -d "$model" ] || python3 "$here/checkpoint.py" "$model" model=gpt2 model.path="$folder/untrained" $task \
      finetune.epochs=8 finetune.learning_rate=1e-3 finetune.batch_size=32 finetune.weight_decay=0.1
    for only in nearest hqq gptq awq learned; do
      # shellcheck disable=SC2086
      python3 "$here/four_bits.py" decoder_wikitext2 --only $only model=gpt2 model.path="$model" $task finetune=none &
    done
    wait
    ;;
  *) echo "no table $table" >&2 && exit 2 ;;
  esac
done
