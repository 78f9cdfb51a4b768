#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the examples for a few steps and checks what they print: check_examples.sh [folder of the built examples]
set -eu
cd "$(dirname "$0")/.."
examples=${1:-build/release/examples}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

at_least() { # name, percent, file: the last test accuracy printed there
  reached=$(grep -o 'test accuracy [0-9.]*' "$3" | tail -n 1 | grep -o '[0-9.]*$')
  echo "$1: test accuracy $reached %, at least $2 % is expected"
  awk -v a="$reached" -v b="$2" 'BEGIN { exit !(a >= b) }'
}

"$examples/train_ga_resnet" --epochs 2 --steps 40 --batch 64 --log "$work/log.csv" > "$work/resnet" 2> /dev/null
at_least train_ga_resnet 20 "$work/resnet"
[ "$(wc -l < "$work/log.csv")" = 3 ] || { echo "log.csv should have a header and two rows"; exit 1; }
"$examples/train_ga_resnet" --epochs 3 --steps 5 --batch 64 --checkpoint "$work/state" > "$work/whole" 2> /dev/null
"$examples/train_ga_resnet" --epochs 4 --steps 5 --batch 64 --checkpoint "$work/state" --resume > "$work/resumed" 2> /dev/null
[ "$(grep -o '^epoch [0-9]*' "$work/resumed")" = "epoch 4" ] || { cat "$work/resumed"; exit 1; }
python3 - "$work/images" << 'END'
import json, struct, sys
header = json.dumps({"x": {"dtype": "F32", "shape": [1, 3, 32, 32], "data_offsets": [0, 12288]}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + bytes(12288))
END
"$examples/gram" run --model ga_resnet29 --heads 3 --classes 10 --weights "$work/state" --input "$work/images" --output "$work/logits"
"$examples/gram" run --model ga_resnet29 --heads 3 --classes 10 --weights "$work/state" --input "$work/images" --output "$work/exact" --precision float64
python3 - "$work/logits" "$work/exact" << 'END'
import json, struct, sys
def first_logits(path, letter, size):
    bytes = open(path, "rb").read()
    length = struct.unpack("<Q", bytes[:8])[0]
    begin, end = json.loads(bytes[8:8 + length])["out/logits0"]["data_offsets"]
    return struct.unpack(f"<{(end - begin) // size}{letter}", bytes[8 + length + begin:8 + length + end])
single, double = first_logits(sys.argv[1], "f", 4), first_logits(sys.argv[2], "d", 8)
assert len(single) == 10 and 0 < max(abs(a - b) for a, b in zip(single, double)) < 1e-4, (single, double)
END
"$examples/train_ga_vit" --epochs 1 --steps 60 --batch 64 > "$work/vit" 2> /dev/null
at_least train_ga_vit 13 "$work/vit"

"$examples/train_by_name" --model ga_convnext_nano --epochs 1 --steps 60 --batch 64 > "$work/named" 2> /dev/null
at_least train_by_name 13 "$work/named"
"$examples/train_explicit_resnet" --epochs 1 --steps 30 --batch 64 > "$work/explicit" 2> /dev/null
grep -q '^layer1.0.conv2.att ' "$work/explicit" || { cat "$work/explicit"; exit 1; }

scripts/launch.py -n 2 "$examples/train_parallel" --epochs 1 --steps 60 --batch 64 --log "$work/parallel.csv" > "$work/parallel" 2> /dev/null
at_least train_parallel 20 "$work/parallel"
[ "$(wc -l < "$work/parallel.csv")" = 2 ] || { echo "parallel.csv should have a header and one row"; exit 1; }

"$examples/demo" 1 400 "$work/curves.png" > "$work/demo" 2> /dev/null
grep -q 'three Gramian heads' "$work/demo" && [ -s "$work/curves.png" ] || { cat "$work/demo"; exit 1; }

"$examples/gram" models ga_resnet50 | grep -q '^ga_resnet50 .*41.286 M'
"$examples/gram" info --model ga_vit_s --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["parameters"] == 27702056'
"$examples/gram" bench --model ga_resnet29 --mode train --batch 4 --seconds 0.1 --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["images_per_second"] > 0'

refused() { # words of the message, command: it must fail and say why
  local words=$1
  shift
  if "$@" > "$work/output" 2> "$work/error" || ! grep -q -e "$words" "$work/error"; then
    echo "$* should fail with '$words', but:"
    cat "$work/error"
    exit 1
  fi
}
printf '' > "$work/empty"
network=(--model ga_resnet29 --weights "$work/empty" --input "$work/empty")
refused "did you mean 'ga_resnet50'" "$examples/gram" info --model ga_resnt50
refused "no name contains 'zzz'" "$examples/gram" models zzz
refused 'has 0 bytes' "$examples/gram" run "${network[@]}" --output "$work/new"
refused 'read and written at once' "$examples/gram" run "${network[@]}" --output "$work/./empty"
refused 'output cannot be written' sh -c "$examples/gram build > /dev/full"
refused /nowhere "$examples/train_ga_resnet" --data cifar10 --folder /nowhere
refused 'cannot write' "$examples/demo" 1 100 /nowhere/curves.png
refused 'cannot write' "$examples/train_ga_resnet" --checkpoint /nowhere/state
refused "batch '64', not '32'" "$examples/train_ga_resnet" --epochs 5 --steps 5 --batch 32 --checkpoint "$work/state" --resume
refused 'needs the folder' "$examples/train_ga_resnet" --data cifar10
refused 'not read from files' "$examples/train_ga_resnet" --folder /nowhere
refused 'not a finite number' "$examples/train_ga_resnet" --lr nan
refused 'not in range' "$examples/train_ga_resnet" --seed -1
refused 'cannot be shared out' scripts/launch.py -n 2 "$examples/train_parallel" --batch 5
echo "all examples do what they should"
