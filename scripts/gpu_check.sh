#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything that has to be seen on a GPU, in stages that end in time. Needs nvcc 13, cuDNN, g++ and python3; nothing is installed.
#   scripts/gpu_check.sh [options] STAGE..
# Stages: env | build | tests | ceilings | pytorch | heads | sanitize. all: all but sanitize, which wants a call of its own (build sanitize).
# A stage gets what is left of the time, up to a limit. One that fails does not keep the others from running, and is the result at the end.
# Options:
#   --include DIR  headers of doctest, CLI11 and nlohmann-json, where the system has none (default: build/headers)
#   --python P     a python that has PyTorch (default: python3)
#   --arch A       what nvcc compiles for (default: sm_90)
#   --rows R       regular expression of rows to compare with PyTorch, see bench/compare_cuda.py
#   --plans FILE   what an earlier run has found to be the fastest plans, to begin with
#   --total S      seconds for all stages together (default: 570)
#   --jobs N       compilers at once (default: all processors)
# Logs and figures go to build/gpu/results. After each stage they are in results.tgz in the folder $OUT (build/gpu_check if that is not set),
# beside summary.txt, pytorch.json and plans. Objects stay in build/gpu: a second build compiles what has changed.
set -u
cd "$(dirname "$0")/.." || exit
include=build/headers python=python3 arch=sm_90 rows="" plans="" total=570 jobs=$(nproc) stages=""
while [ $# -gt 0 ]; do
  case $1 in
    --include | --python | --arch | --rows | --plans | --total | --jobs)
      [ $# -gt 1 ] || { echo "gpu_check.sh: $1 wants a value"; exit 2; }
      declare "${1#--}=$2"; shift 2 ;;
    -h | --help) sed -n '3,16p' "$0" | cut -c 3-; exit 0 ;;
    all) stages="env build tests ceilings pytorch heads"; shift ;;
    env | build | tests | ceilings | pytorch | heads | sanitize) stages="$stages $1"; shift ;;
    *) echo "gpu_check.sh: what is $1? --help tells"; exit 2 ;;
  esac
done
[ -n "$stages" ] || { echo "gpu_check.sh: no stage; --help lists them"; exit 2; }
wants() { local stage; for stage in $stages; do [[ " $* " != *" $stage "* ]] || return 0; done; return 1; }

# What would stop everything later stops it here.
[ -z "$plans" ] || [ -r "$plans" ] || { echo "gpu_check.sh: --plans $plans: no such file"; exit 2; }
if wants build; then
  missing=""
  for header in doctest/doctest.h CLI/CLI.hpp nlohmann/json.hpp; do
    printf '#if !__has_include(<%s>)\n#error\n#endif\n' $header | g++ -E -x c++ -I "$include" - > /dev/null 2>&1 || missing="$missing $header"
  done
  if [ -n "$missing" ]; then
    echo "gpu_check.sh: neither $include nor a folder of the system has:$missing"
    echo "Where they are installed (doctest-dev, libcli11-dev, nlohmann-json3-dev):"
    echo "  mkdir -p build/headers && cp -rL /usr/include/doctest /usr/include/CLI /usr/include/nlohmann build/headers"
    echo "Take the folder build/headers along; git ignores it, so it has to be named."
    exit 2
  fi
fi

objects=$PWD/build/gpu work=$PWD/build/gpu/results
rm -rf "$work" && mkdir -p "$work"
out=$(mkdir -p "${OUT:-build/gpu_check}" && cd "${OUT:-build/gpu_check}" && pwd)
[ -z "$plans" ] || cp "$plans" "$objects/plans"
export PATH=$PATH:/usr/local/cuda/bin GRAM_CUDA_VERBOSE=1 PYTHONUNBUFFERED=1

# A folder of cuDNN: CUDNN_ROOT, the toolkit, or the pip package.
cudnn_root() {
  local folder
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

hash_of() { find "$@" -type f ! -name '*.py*' | LC_ALL=C sort | xargs sha256sum | sha256sum; }
# compile OBJECT HASH COMMAND..: prints the command, unless the object is already what it makes of the sources with that hash
compile() {
  local object=$objects/$1 key
  key=$(echo "$2 ${*:3}" | sha256sum | cut -c 1-64)
  [ -e "$object" ] && [ "$(cat "$object.key" 2> /dev/null)" = "$key" ] || echo "${*:3} -o $object && echo $key > $object.key"
}
run_parallel() { # lines of commands; all run, and the result tells whether one failed
  xargs -d '\n' -P "$jobs" -n 1 sh -c 'sh -c "$0" || { echo "FAILED to compile: $0"; exit 1; }'
}

stage_build() {
  local cudnn own="-I include -I tests -I tests/cuda" scalar source name
  rm -f "$objects"/{gram,train_ga_resnet,cuda_ceilings,test_cuda} # a failure leaves none of an earlier build behind
  cudnn=$(cudnn_root) || { echo "FAILED: cuDNN is in no folder that is known; set CUDNN_ROOT"; return 1; }
  [ -n "$(cublaslt "$cudnn")" ] || { echo "FAILED: cuBLASLt is neither in $(toolkit_root) nor beside $cudnn"; return 1; }
  local headers="-I $cudnn/include"
  [ -e "$(toolkit_root)/include/cublasLt.h" ] || headers="$headers -I $cudnn/../cu13/include"
  [ ! -d "$include" ] || own="$own -isystem $include"
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
    printf '#define GRAM_COMPILED\n#include "gram/gram.hpp"\n#define GRAM_TEMPLATE template\n#define GRAM_SCALAR %s\n#include "gram/compiled.inl"\n' $scalar > "$objects/templates_$scalar.cpp"
  done
  local library="gram_cuda_0.o gram_cuda_1.o gram_cuda_2.o" tests="" of_library of_programs of_tests
  of_library=$(hash_of include "$objects"/gram_cuda_?.cu "$objects"/{kernels,templates}_*.cpp)
  of_programs=$(hash_of include examples bench) of_tests=$(hash_of include tests)
  { # what takes longest comes first
    for part in 0 1 2; do
      compile gram_cuda_$part.o "$of_library" nvcc -std=c++20 -O1 --split-compile=$((jobs / 4 + 2)) "-arch=$arch" --expt-relaxed-constexpr -I include $headers -c "$objects/gram_cuda_$part.cu"
    done
    for name in {templates,kernels}_{float,double,bf16}; do
      compile $name.o "$of_library" g++ -std=c++20 -O2 -fopenmp -I include -c "$objects/$name.cpp"
    done
    for source in examples/{gram,gram_bench,gram_verbs,train_ga_resnet,options}.cpp bench/cuda_ceilings.cpp; do
      compile "$(basename "$source" .cpp).o" "$of_programs" g++ -std=c++20 -O1 -fopenmp -DGRAM_COMPILED -DGRAM_CUDA $own -c "$source"
    done
    for source in tests/cuda/main.cpp tests/cuda/*_test.cpp; do
      compile "cuda_$(basename "$source" .cpp).o" "$of_tests" g++ -std=c++20 -O0 -fopenmp -DGRAM_COMPILED $own -c "$source"
    done
  } > "$objects/commands"
  echo "$(wc -l < "$objects/commands") files to compile"
  run_parallel < "$objects/commands" || return 1
  for name in {templates,kernels}_{float,double,bf16}; do library="$library $name.o"; done
  for source in tests/cuda/*_test.cpp; do tests="$tests cuda_$(basename "$source" .cpp).o"; done
  local cudnn_library lt libraries
  cudnn_library=$(ls "$cudnn"/lib*/libcudnn.so* "$cudnn"/lib/*-linux-gnu/libcudnn.so* 2> /dev/null | sort | head -1)
  [ -n "$cudnn_library" ] || { echo "FAILED: no libcudnn.so in the folders of $cudnn"; return 1; }
  lt=$(cublaslt "$cudnn")
  libraries="$cudnn_library $lt -L$(toolkit_root)/lib64 -L$(toolkit_root)/lib -lcudart_static -ldl -lrt -lpthread -Wl,-rpath,$(dirname "$cudnn_library"):$(dirname "$lt")"
  (
    cd "$objects" && printf "g++ -fopenmp %s $library $libraries -o %s\n" "gram.o gram_bench.o gram_verbs.o" gram "train_ga_resnet.o options.o" train_ga_resnet \
      cuda_ceilings.o cuda_ceilings "$tests cuda_main.o" test_cuda | run_parallel
  ) || return 1
  "$objects/gram" build
}

# run_test FOLDER END SECONDS NAME [COMMAND..]: the tests of one source in a process of their own, because an error of the device ends all
# that comes after it in a process; for some seconds at most, and until END. COMMAND runs the program.
run_test() {
  local log=$1/$4.txt left=$(($2 - $(date +%s))) status=124 without=""
  left=$((left < $3 ? left : $3))
  [ $# = 4 ] || case $4 in conv2d) without="*<float>,*<gram::bf16>" ;; attention) without="*bf16*" ;; copy) without="blocks come back*" ;; esac # the libraries' work; the cache's
  : > "$log"
  [ $left -lt 2 ] || { OMP_NUM_THREADS=3 timeout --foreground -k 5 $left "${@:5}" "$objects/test_cuda" --duration=true "--source-file=*/$4_test.cpp" "--test-case-exclude=$without" > "$log" 2>&1; status=$?; }
  if [ $status = 0 ] && grep -q 'test cases: *[1-9]' "$log"; then
    echo "passed: $4, $(grep 'test cases:' "$log" | tr -s ' ' | cut -d ' ' -f 4) test cases"
  else
    echo "FAILED: $4, $([ $status = 124 ] && echo "stopped after $left s" || echo "status $status"); $(grep -v 'SUMMARY: 0' "$log" | grep -m 1 'no CUDA device\|rror: \|ERROR\|hazard\|Invalid\|Uninit' | cut -c 1-150)"
    [ $status != 77 ] || return 255 # no device: xargs starts no others
    return 1
  fi
}
# run_tests FOLDER END SECONDS NAMES [COMMAND..]: several at a time, in the order of their names
run_tests() {
  mkdir -p "$1"
  printf '%s\n' $4 | xargs -P 6 -I '{}' bash -uc 'run_test "${@:1:3}" {} "${@:4}"' bash "${@:1:3}" "${@:5}"
}
test_names() { # those given first, and all others
  { printf '%s\n' "$@"; ls tests/cuda/*_test.cpp | sed 's|.*/||; s|_test.cpp||'; } | awk '!seen[$0]++'
}

stage_tests() {
  local bad=0 options
  run_tests "$work/tests" $(($(date +%s) + $1 - 35)) 120 "$(test_names conv2d training training_bf16 several_ranks)" || bad=1
  for options in "--device cpu" "--device cuda" "--device cuda --precision bf16"; do
    echo "train_ga_resnet $options:"
    timeout --foreground 30 "$objects/train_ga_resnet" $options --epochs 1 --steps 30 --batch 64 2>&1 || { echo "FAILED: train_ga_resnet $options"; bad=1; }
  done
  return $bad
}

stage_ceilings() { "$objects/cuda_ceilings" 1.5; }

stage_pytorch() {
  $python -c 'import torch; assert torch.cuda.is_available()' || { echo "skipped: no PyTorch that sees a GPU in $python; --python names another"; return 3; }
  GRAM_PLAN_CACHE=$objects/plans $python bench/compare_cuda.py --gram "$objects/gram" --python "$python" --rows "$rows" --seconds 2 --limit $(($1 - 15)) --out "$work/pytorch.json"
}

stage_heads() {
  local model round bad=0 json
  echo "Gramian heads, and global average pooling with a linear layer on the same trunk, in turn: seconds of a training step, batch 256"
  mkdir -p "$work/heads"
  for round in 1 2; do
    for model in ga_resnet50 gap_resnet50 ga_vit_s gap_vit_s; do
      json=$work/heads/${model}_$round.json
      if GRAM_PLAN_CACHE=$objects/plans timeout --foreground 60 "$objects/gram" bench --device cuda --precision bf16 --model $model --mode train --batch 256 --fold-norms --seconds 2 --json > "$json" 2> "$json.txt"; then
        echo "$model $(sed -n 's/.*"seconds_median": *\([^,]*\).*/\1/p' "$json")"
      else
        echo "FAILED ($?): $model, $(tail -1 "$json.txt")"; bad=1
      fi
    done
  done
  return $bad
}

# Our own kernels under the tools, those that have barriers first; those of the libraries are not looked at, and tests of them alone are left
# out, as is what trains. initcheck would take what libraries write for never written: it gets the tests that need none.
stage_sanitize() {
  command -v compute-sanitizer > /dev/null || { echo "skipped: no compute-sanitizer here"; return 3; }
  local tool options names share end=$(($(date +%s) + $1 - 8)) rest=4 bad=0
  for tool in memcheck racecheck synccheck initcheck; do
    names=$(test_names attention gemm class_attention conv2d pool loss optimizer softmax batch_norm layer_norm reduce gram covariance explicit_attention |
      grep -v '^training\|^several_ranks\|^plan_file\|^token_mixing\|^meter')
    [ $tool != initcheck ] || names=$(grep -x 'attention\|pool\|loss\|optimizer\|softmax\|batch_norm\|layer_norm\|reduce\|copy\|elementwise\|permute\|gather\|resize\|dropout\|augment' <<< "$names")
    options=$([ $tool != memcheck ] || echo "--report-api-errors no") # our code looks at them
    share=$(((end - $(date +%s)) / rest)) rest=$((rest - 1))
    echo "$tool (limit $share s)"
    run_tests "$work/$tool" $(($(date +%s) + share)) 90 "$names" \
      env GRAM_CUDA_UNCACHED=1 compute-sanitizer --tool $tool --error-exitcode 9 --kernel-name kns=4gram4cuda $options || bad=1
  done
  return $bad
}

# Seconds for a stage of what is left ($2).
limit_of() {
  local most=$2
  case $1 in
    env) most=60 ;;
    build) most=300 ;;
    tests) most=180 ;;
    ceilings) most=60 ;;
    pytorch) ! wants heads || [ "$2" -lt 240 ] || most=$(($2 - 90)) ;;
    heads) most=120 ;;
  esac
  echo $((most < $2 ? most : $2))
}

# What there is so far, in four files: a machine far away may send back only a few.
save() {
  local stage file
  { printf '%b' "$summary"
    echo "libraries refused $(cat "$work"/{tests,heads}/*.txt "$work/pytorch.json" 2> /dev/null | grep -o '\(cuDNN\|cuBLASLt\) refuses .*' | sed 's/",\?$//' | sort | uniq -c | sort -rn | tee "$work/refusals.txt" | wc -l) different things (refusals.txt)"
    for stage in $stages; do
      [ ! -e "$work/$stage.txt" ] || grep -h '^FAILED\|^|\|^no time was left\|_tflops\|^ga_\|^gap_' "$work/$stage.txt" | grep -v 'images/s  ' | head -40
    done
  } > "$work/summary.txt"
  tar -C "$objects" -czf "$objects/results.tgz" results && mv "$objects/results.tgz" "$out/results.tgz"
  for file in "$work"/{summary.txt,pytorch.json} "$objects/plans"; do [ ! -e "$file" ] || cp "$file" "$out"; done
}

# Functions in a shell of their own, for timeout.
export -f cudnn_root toolkit_root cublaslt hash_of compile run_parallel run_test run_tests test_names
export -f stage_env stage_build stage_tests stage_ceilings stage_pytorch stage_heads stage_sanitize
export include python arch rows jobs objects work
summary="" failed=0 warm_up="" running=""
stop_warm_up() { [ -z "$warm_up" ] || kill -- "-$warm_up" 2> /dev/null; warm_up=""; }
trap stop_warm_up EXIT
trap 'kill -KILL -- "-$running" 2> /dev/null; summary="$summary$stage: INTERRUPTED\n"; save; exit 143' TERM INT
if wants pytorch && wants build tests; then # meanwhile PyTorch's compiler fills its cache
  setsid timeout 300 $python bench/compare_cuda.py --warm-up --python "$python" --rows "$rows" --limit 300 > "$work/warm_up.txt" 2>&1 &
  warm_up=$!
fi
for stage in $stages; do
  limit=$(limit_of "$stage" $((total - SECONDS - 10))) begin=$SECONDS
  case $stage in env | build | tests) ;; *) stop_warm_up ;; esac # what is timed has the machine to itself
  printf '== %s (limit %d s)\n' "$stage" "$limit"
  program=$objects/$(case $stage in tests | sanitize) echo test_cuda ;; ceilings) echo cuda_ceilings ;; pytorch | heads) echo gram ;; esac)
  if [ "$limit" -lt 20 ]; then
    summary="$summary$stage: SKIPPED, no time left of $total s\n" failed=1
  elif [ ! -e "$program" ]; then
    summary="$summary$stage: SKIPPED, $(basename "$program") is not built\n" failed=1
  else
    timeout -k 5 "$limit" bash -uc "stage_$stage $limit" > >(tee "$work/$stage.txt") 2>&1 &
    running=$!
    wait $running
    status=$?
    kill -KILL -- -$running 2> /dev/null # timeout's group: whoever has outlived the stage
    case $status in
      0) summary="$summary$stage: done" ;;
      3) summary="$summary$stage: SKIPPED, $(grep -m 1 '^skipped: ' "$work/$stage.txt" | cut -c 10-)" failed=1 ;;
      124 | 137) summary="$summary$stage: STOPPED at its limit" failed=1 ;;
      *) summary="$summary$stage: FAILED ($status)" failed=1 ;;
    esac
    summary="$summary, $((SECONDS - begin)) s\n"
  fi
  save
done
printf '\n== summary\n'
cat "$work/summary.txt"
exit $failed
