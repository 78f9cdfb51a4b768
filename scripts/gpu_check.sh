#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that has to be seen on a GPU, in stages that end in time. Needs nvcc 13, cuDNN, g++ and python3; nothing is installed.
#   scripts/gpu_check.sh [options] STAGE..
# Stages: env | build | tests | ceilings | bench | pytorch | sanitize | all. Each has a time limit, and a file in the output folder.
# Options:
#   --include DIR  headers of doctest, CLI11 and nlohmann-json, for machines that have them in no folder of the system
#   --python P     a python that has PyTorch (default: python3)
#   --arch A       what nvcc compiles for (default: sm_90)
#   --rows R       regular expression of rows to bench, see bench/compare_cuda.py
#   --total S      seconds for all stages together (default: 570)
#   --jobs N       compilers at once (default: all processors)
# The output folder is $OUT, or build/gpu_check. Objects are kept in build/gpu: a second build compiles what has changed.
set -u
cd "$(dirname "$0")/.."
include="" python=python3 arch=sm_90 rows="" total=570 jobs=$(nproc) stages=""
while [ $# -gt 0 ]; do
  case $1 in
    --include) include=$2; shift 2 ;;
    --python) python=$2; shift 2 ;;
    --arch) arch=$2; shift 2 ;;
    --rows) rows=$2; shift 2 ;;
    --total) total=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    -h | --help) sed -n '3,13p' "$0" | cut -c 3-; exit 0 ;;
    all) stages="env build tests ceilings bench pytorch sanitize"; shift ;;
    env | build | tests | ceilings | bench | pytorch | sanitize) stages="$stages $1"; shift ;;
    *) echo "gpu_check.sh: what is $1? --help tells"; exit 2 ;;
  esac
done
[ -n "$stages" ] || { echo "gpu_check.sh: no stage; --help lists them"; exit 2; }
out=$(mkdir -p "${OUT:-build/gpu_check}" && cd "${OUT:-build/gpu_check}" && pwd)
objects=$PWD/build/gpu
mkdir -p "$objects"
export PATH=$PATH:/usr/local/cuda/bin GRAM_PLAN_CACHE=$out/plans GRAM_CUDA_VERBOSE=1
summary=""
failed=0

# A folder of cuDNN: CUDNN_ROOT, the toolkit, or the pip package.
cudnn_root() {
  for folder in "${CUDNN_ROOT:-}" /usr/local/cuda /usr "$($python -c "import importlib.util as u; s = u.find_spec('nvidia.cudnn'); print(list(s.submodule_search_locations)[0] if s else '')" 2> /dev/null)"; do
    [ -n "$folder" ] && [ -e "$folder/include/cudnn.h" ] && { echo "$folder"; return; }
  done
  return 1
}

# A folder of the toolkit, and cuBLASLt in it, or in the pip package beside that of cuDNN ($1).
toolkit_root() { dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")"; }
cublaslt() { ls "$(toolkit_root)"/lib64/libcublasLt.so "$1"/../cu13/lib/libcublasLt.so.13 2> /dev/null | head -1; }

stage_env() {
  date
  nvidia-smi || echo "no nvidia-smi"
  nvcc --version | tail -2
  g++ --version | head -1
  nproc
  echo "cuDNN in $(cudnn_root || echo "no folder that is known; set CUDNN_ROOT")"
  $python -c 'import torch; print("torch", torch.__version__, torch.version.cuda, torch.backends.cudnn.version(), torch.cuda.get_device_name(0))' || echo "no PyTorch in $python"
}

# compile OBJECT COMMAND..: unless the object is newer than every source of the tree
compile() {
  local object=$1
  shift
  if [ -e "$object" ] && [ -z "$(find include tests examples bench -newer "$object" \( -name '*.hpp' -o -name '*.cuh' -o -name '*.inl' -o -name '*.cpp' \) -print -quit)" ]; then
    return
  fi
  printf '%s -o %s\n' "$*" "$object"
}
run_parallel() { # lines of commands; all run, and the first failure is the result
  xargs -d '\n' -P "$jobs" -n 1 sh -c 'sh -c "$0" || { echo "failed: $0"; exit 255; }'
}

stage_build() {
  local cudnn own="-I include -I tests -I tests/cuda -I $objects" scalar
  cudnn=$(cudnn_root) || { echo "cuDNN is in no folder that is known; set CUDNN_ROOT"; return 1; }
  [ -n "$(cublaslt "$cudnn")" ] || { echo "cuBLASLt is neither in $(toolkit_root) nor beside $cudnn"; return 1; }
  local headers="-I $cudnn/include"
  [ -e "$(toolkit_root)/include/cublasLt.h" ] || headers="$headers -I $cudnn/../cu13/include"
  [ -z "$include" ] || own="$own -isystem $include -isystem $include/stb"
  # What cuda_impl.cuh does in one source, as cmake/cuda.cmake in several that compile side by side.
  local part=0 fill_in
  for fill_in in "fill_in_tables<float>()" "fill_in_tables<double>()" "fill_in_tables<bf16>(), fill_in_other_tables()"; do
    printf '#include "gram/cuda/tables.cuh"\nusing namespace gram;\nusing namespace gram::cuda;\nstatic const bool filled_in = (%s, true);\n' \
      "$fill_in" > "$objects/gram_cuda_$part.cu"
    part=$((part + 1))
  done
  for scalar in float double bf16; do
    { printf '#define GRAM_SCALAR %s\n' $scalar
      [ $scalar = bf16 ] && echo '#define GRAM_STORAGE_ONLY'
      echo '#include "gram/cpu/instantiate.hpp"'; } > "$objects/kernels_$scalar.cpp"
  done
  for scalar in float double bf16; do
    printf '#define GRAM_COMPILED\n#include "gram/gram.hpp"\n#define GRAM_TEMPLATE template\n#define GRAM_SCALAR %s\n#include "gram/compiled.inl"\n' $scalar > "$objects/templates_$scalar.cpp"
  done
  {
    for part in 0 1 2; do compile "$objects/gram_cuda_$part.o" nvcc -std=c++20 -O1 --split-compile=2 "-arch=$arch" --expt-relaxed-constexpr -I include $headers -c "$objects/gram_cuda_$part.cu"; done
    for scalar in float double bf16; do compile "$objects/templates_$scalar.o" g++ -std=c++20 -O2 -fopenmp -I include -c "$objects/templates_$scalar.cpp"; done
    for scalar in float double bf16; do compile "$objects/kernels_$scalar.o" g++ -std=c++20 -O2 -fopenmp -I include -c "$objects/kernels_$scalar.cpp"; done
    for source in examples/gram.cpp examples/gram_bench.cpp examples/gram_verbs.cpp examples/train_ga_resnet.cpp examples/options.cpp bench/cuda_ceilings.cpp; do
      compile "$objects/$(basename "$source" .cpp).o" g++ -std=c++20 -O1 -fopenmp -DGRAM_COMPILED -DGRAM_CUDA $own -c "$source"
    done
    for source in tests/cuda/main.cpp tests/cuda/*_test.cpp; do
      compile "$objects/cuda_$(basename "$source" .cpp).o" g++ -std=c++20 -O0 -fopenmp -DGRAM_COMPILED $own -c "$source"
    done
  } > "$objects/commands"
  echo "$(wc -l < "$objects/commands") files to compile"
  run_parallel < "$objects/commands" || return 1
  local library="$(echo "$objects"/gram_cuda_?.o) $(echo "$objects"/kernels_*.o "$objects"/templates_*.o)"
  local cudnn_library lt
  cudnn_library=$(ls "$cudnn"/lib*/libcudnn.so* "$cudnn"/lib/*-linux-gnu/libcudnn.so* 2> /dev/null | sort | head -1)
  [ -n "$cudnn_library" ] || { echo "no libcudnn.so in the folders of $cudnn"; return 1; }
  lt=$(cublaslt "$cudnn")
  local libraries="$cudnn_library $lt -L$(toolkit_root)/lib64 -lcudart_static -ldl -lrt -lpthread -Wl,-rpath,$(dirname "$cudnn_library"):$(dirname "$lt")"
  (
    cd "$objects" &&
      g++ -fopenmp gram.o gram_bench.o gram_verbs.o $library $libraries -o gram &&
      g++ -fopenmp train_ga_resnet.o options.o $library $libraries -o train_ga_resnet &&
      g++ -fopenmp cuda_ceilings.o $library $libraries -o cuda_ceilings &&
      g++ -fopenmp cuda_*_test.o cuda_main.o $library $libraries -o test_cuda
  ) || return 1
  "$objects/gram" build
}

stage_tests() {
  # One process for each source: an error of the device ends all that comes after it in a process.
  local source status bad=0
  for source in tests/cuda/*_test.cpp; do
    timeout 60 "$objects/test_cuda" --duration=true "--source-file=*/$(basename "$source")"
    status=$?
    [ $status = 77 ] && { echo "no device answers: nothing was tested"; return 1; }
    [ $status = 0 ] || { echo "FAILED ($status): $source"; bad=1; }
  done
  [ $bad = 0 ] || return 1
  for options in "--device cpu" "--device cuda" "--device cuda --precision bf16"; do
    echo "train_ga_resnet $options:"
    "$objects/train_ga_resnet" $options --epochs 1 --steps 30 --batch 64 || return 1
  done
}
stage_ceilings() { "$objects/cuda_ceilings" 2; }
stage_bench() {
  $python bench/compare_cuda.py --gram "$objects/gram" --modes "" --rows "$rows" --limit 240 --out "$out/bench.json" || return 1
  echo "heads' cost: Gramian heads, and global average pooling with a linear layer on the same trunk"
  for round in 1 2; do
    for model in ga_resnet50 gap_resnet50 ga_vit_s gap_vit_s; do
      json=$out/heads_${model}_$round.json
      timeout 60 "$objects/gram" bench --device cuda --precision bf16 --model $model --mode train --batch 256 --fold-norms --seconds 3 --json > "$json" || return 1
      echo "$model $(grep seconds_median "$json")"
    done
  done
}
stage_pytorch() {
  $python -c 'import torch; assert torch.cuda.is_available()' || { echo "skipped: no PyTorch that sees a GPU in $python; --python names another"; return 3; }
  $python bench/compare_cuda.py --gram "$objects/gram" --python "$python" --rows "$rows" --limit "$(($1 - 45))" --out "$out/pytorch.json"
}
stage_sanitize() {
  command -v compute-sanitizer > /dev/null || { echo "skipped: no compute-sanitizer here"; return 3; }
  local tool
  for tool in memcheck racecheck initcheck; do
    compute-sanitizer --tool $tool --error-exitcode 9 "$objects/test_cuda" -sf='*copy_test*,*graph_test*,*elementwise_test*,*batch_norm_test*,*permute_test*,*gather_test*,*layer_norm_test*,*reduce_test*,*class_attention_test*' || return 1
  done
}

limit_of() {
  case $1 in env) echo 30 ;; build) echo 400 ;; tests) echo 300 ;; ceilings) echo 60 ;; bench) echo 500 ;; pytorch) echo 560 ;; sanitize) echo 400 ;; esac
}

# Functions in a shell of their own, for timeout.
export -f cudnn_root toolkit_root cublaslt compile run_parallel stage_env stage_build stage_tests stage_ceilings stage_bench stage_pytorch stage_sanitize
export include python arch rows jobs out objects
for stage in $stages; do
  left=$((total - SECONDS)) limit=$(limit_of "$stage")
  if [ "$left" -lt 20 ]; then
    summary="$summary$stage: SKIPPED, no time left of $total s\n"
    continue
  fi
  [ "$left" -gt "$limit" ] || limit=$left
  printf '== %s (limit %d s)\n' "$stage" "$limit"
  begin=$SECONDS
  timeout "$limit" bash -uc "stage_$stage $limit" 2>&1 | tee "$out/$stage.txt"
  status=${PIPESTATUS[0]}
  seconds=$((SECONDS - begin))
  case $status in
    0) summary="$summary$stage: done, $seconds s\n" ;;
    3) summary="$summary$stage: SKIPPED, $(grep -m 1 '^skipped: ' "$out/$stage.txt" | cut -c 10-)\n" ;;
    124) summary="$summary$stage: STOPPED at its limit of $limit s; what it had written is in $out\n"; failed=1 ;;
    *) summary="$summary$stage: FAILED ($status), see $out/$stage.txt\n"; failed=1 ;;
  esac
done
printf '\n== summary\n%b' "$summary" | tee "$out/summary.txt"
exit $failed
