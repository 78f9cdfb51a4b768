#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a PyTorch checkpoint (.pth, .pt, .bin) into a safetensors file that gram reads.

    convert_checkpoint.py checkpoint.pth weights.safetensors

Needs torch and numpy, nothing else. The file is read with weights_only=True: no code in it is run, as far as torch
keeps that promise (versions before 2.6 had a hole, CVE-2025-32434; do not read strangers' files with them). Names of
nested dictionaries are joined by dots ("state_dict_ema.conv1.weight"), as gram::load_checkpoint expects them.
When the file has dictionaries of weights (state_dict, model, state_dict_ema, model_ema), what lies beside them,
such as the state of the optimizer, is left out; --all keeps it. What is no tensor is always left out.
"""
import argparse
import json
import os
import pathlib
import sys

CONTAINERS = ("state_dict", "model", "state_dict_ema", "model_ema")
DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "U8": 1, "I8": 1, "BOOL": 1}
MAX_HEADER, MAX_NAME = 100_000_000, 4096


class ConversionError(Exception):
    """What cannot be converted, in words for the person who asked."""


def flatten(value, is_tensor, name="", found=None):
    """All tensors in nested dictionaries, lists and tuples under names joined by dots, in their order."""
    found = {} if found is None else found
    if is_tensor(value):
        if not name:
            raise ConversionError("the file holds one tensor without a name")
        if found.setdefault(name, value) is not value:
            raise ConversionError(f"two tensors are named {name!r}")
        return found
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inner in items:
        flatten(inner, is_tensor, f"{name}.{key}" if name else str(key), found)
    return found


def weights_of(checkpoint, keep_all=False):
    """The dictionaries of weights of a checkpoint, or all of it when it has none."""
    if keep_all or not isinstance(checkpoint, dict):
        return checkpoint
    containers = {key: checkpoint[key] for key in CONTAINERS if isinstance(checkpoint.get(key), dict)}
    return containers or checkpoint


def header(tensors):
    """The length and the padded JSON of a safetensors file, and the names in the order of their data.

    tensors: name -> (dtype, shape, number of bytes). Widest elements first, so that all are aligned; then by name.
    """
    order = sorted(tensors, key=lambda name: (-DTYPE_BYTES[tensors[name][0]], name.encode()))
    entries, begin = {"__metadata__": {"format": "pt"}}, 0
    for name in order:
        dtype, shape, size = tensors[name]
        count = DTYPE_BYTES[dtype]
        for extent in shape:
            count *= extent
        if count != size:
            raise ConversionError(f"tensor {name!r}: shape {list(shape)} and {dtype} need {count} bytes, not {size}")
        if name == "__metadata__" or len(name.encode()) > MAX_NAME:
            raise ConversionError(f"{name[:80]!r} cannot name a tensor")
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, begin + size]}
        begin += size
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ConversionError(f"the header has {len(text)} bytes; at most {MAX_HEADER} are allowed")
    return len(text).to_bytes(8, "little") + text, order


def write_safetensors(path, tensors, data):
    """Writes a sibling of `path` and renames it. tensors as in header(); data(name) returns the bytes of one tensor."""
    start, order = header(tensors)
    path = os.path.realpath(path)  # a link stays one
    sibling = pathlib.Path(f"{path}.partial.{os.getpid()}")
    if sibling.is_symlink() or (os.path.exists(path) and not os.path.isfile(path)):
        raise ConversionError(f"{path}: cannot write: not an ordinary file")
    try:
        with open(sibling, "wb") as file:
            file.write(start)
            for name in order:
                values = memoryview(data(name)).cast("B") if tensors[name][2] else b""
                if len(values) != tensors[name][2]:
                    raise ConversionError(f"tensor {name!r}: {len(values)} bytes instead of {tensors[name][2]}")
                file.write(values)
            file.flush()
            os.fsync(file.fileno())
        os.replace(sibling, path)
    finally:
        sibling.unlink(missing_ok=True)


def read_checkpoint(path):
    """The content of a checkpoint, read without running code."""
    import torch

    # The options of the training run lie beside the weights in many files: names and plain values.
    if hasattr(torch.serialization, "add_safe_globals"):
        torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch throws errors of many kinds
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ConversionError(f"{path}: no checkpoint that can be read without running code in it: {reason}") from error


def convert(source, target, keep_all=False):
    """Converts one file; returns the names of the tensors in it."""
    import torch

    if os.path.exists(target) and os.path.samefile(source, target):
        raise ConversionError(f"{target}: cannot be read and written at once")
    dtypes = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
              torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
              torch.bool: "BOOL"}
    found = flatten(weights_of(read_checkpoint(source), keep_all), torch.is_tensor)
    if not found:
        raise ConversionError(f"{source}: there are no tensors in it")
    tensors = {}
    for name, value in found.items():
        if value.layout != torch.strided or value.dtype not in dtypes:
            raise ConversionError(f"{source}: tensor {name!r} is {value.layout}, {value.dtype}; it cannot be converted")
        tensors[name] = (dtypes[value.dtype], tuple(value.shape), value.numel() * value.element_size())

    def data(name):
        value = found[name].detach()
        if value.dtype == torch.bfloat16:  # numpy has no such type
            value = value.view(torch.int16)
        return value.reshape(-1).numpy()

    write_safetensors(target, tensors, data)
    return list(tensors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="checkpoint, as torch.save wrote it")
    parser.add_argument("target", help="safetensors file to write")
    parser.add_argument("--all", action="store_true", help="keep tensors beside the weights, too")
    options = parser.parse_args()
    try:
        names = convert(options.source, options.target, options.all)
    except ImportError as error:
        sys.exit(f"convert_checkpoint: needs torch and numpy: {error}")
    except (ConversionError, OSError) as error:
        sys.exit(f"convert_checkpoint: {error}")
    except (RecursionError, RuntimeError, UnicodeError) as error:
        sys.exit(f"convert_checkpoint: {options.source}: cannot be converted: {type(error).__name__}: {error}")
    containers = sorted({name.split(".")[0] for name in names} & set(CONTAINERS))
    print(f"{options.target}: {len(names)} tensors" + (f" of {', '.join(containers)}" if containers else ""))


if __name__ == "__main__":
    sys.exit(main())
