# SPDX-License-Identifier: MIT
"""safetensors files, in the few lines that the comparisons need: float32 is written, float32 and float64 are read."""
import json
import struct

import torch


def save(path, tensors):
    header, offset, parts = {"__metadata__": {"format": "pt"}}, 0, []
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def load(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        values = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in (types := {"F32": torch.float32, "F64": torch.float64}):
            continue
        begin, end = entry["data_offsets"]
        dtype = types[entry["dtype"]]
        tensors[name] = torch.frombuffer(bytearray(values[begin:end]), dtype=dtype).reshape(entry["shape"]) if end > begin else torch.zeros(entry["shape"], dtype=dtype)
    return tensors
