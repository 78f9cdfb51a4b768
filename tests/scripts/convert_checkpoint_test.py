#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of scripts/convert_checkpoint.py. Those that need torch are skipped without it."""
import argparse
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "convert_checkpoint.py"
spec = importlib.util.spec_from_file_location("convert_checkpoint", SCRIPT)
convert_checkpoint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(convert_checkpoint)

try:
    import numpy  # noqa: F401
    import torch
except ImportError:
    torch = None


def read(path):
    """The entries of a safetensors file and their bytes; checks that they lie end to end."""
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    assert (8 + length) % 8 == 0
    entries, values = json.loads(content[8 : 8 + length]), content[8 + length :]
    assert entries.pop("__metadata__") == {"format": "pt"}
    end, tensors = 0, {}
    for name, entry in entries.items():
        begin, stop = entry["data_offsets"]
        assert begin == end, name
        end = stop
        tensors[name] = (entry["dtype"], entry["shape"], values[begin:stop])
    assert end == len(values)
    return tensors


class Writer(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "file.safetensors"

    def test_devices_and_folders_are_not_replaced_and_links_stay(self):
        folder = pathlib.Path(self.folder.name)
        os.mkfifo(folder / "pipe")
        for target in (folder, folder / "pipe"):
            with self.assertRaisesRegex(convert_checkpoint.ConversionError, "not an ordinary file"):
                convert_checkpoint.write_safetensors(target, {"b": ("U8", (1,), 1)}, lambda name: b"b")
        (folder / "link").symlink_to(self.path)
        convert_checkpoint.write_safetensors(folder / "link", {"b": ("U8", (1,), 1)}, lambda name: b"b")
        self.assertTrue((folder / "link").is_symlink())
        self.assertEqual(read(self.path), {"b": ("U8", [1], b"b")})
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["file.safetensors", "link", "pipe"])

    def test_header_is_that_of_the_format(self):
        text = b'{"__metadata__":{"format":"pt"},"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}'
        start, order = convert_checkpoint.header({"attn0": ("F32", (1, 1, 2, 3), 24)})
        self.assertEqual(start[8:].rstrip(b" "), text)
        self.assertEqual(struct.unpack("<Q", start[:8])[0], len(start) - 8)
        self.assertEqual(len(start) % 8, 0)
        self.assertEqual(order, ["attn0"])

    def test_widest_elements_come_first_then_names(self):
        tensors = {"b": ("F32", (1,), 4), "h": ("BF16", (3,), 6), "a": ("F32", (2,), 8), "n": ("I64", (), 8),
                   "e": ("F64", (2, 0), 0)}
        data = {"b": b"bbbb", "h": b"hhhhhh", "a": b"aaaaaaaa", "n": b"nnnnnnnn", "e": b""}
        convert_checkpoint.write_safetensors(self.path, tensors, data.get)
        written = read(self.path)
        self.assertEqual(list(written), ["e", "n", "a", "b", "h"])
        self.assertEqual({name: value[2] for name, value in written.items()}, data)
        self.assertEqual(written["n"][1], [])

    def test_a_failure_leaves_the_old_file_and_nothing_else(self):
        self.path.write_bytes(b"old")
        with self.assertRaisesRegex(convert_checkpoint.ConversionError, "3 bytes instead of 4"):
            convert_checkpoint.write_safetensors(self.path, {"a": ("F32", (1,), 4)}, lambda name: b"abc")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_lies_about_sizes_and_names_are_refused(self):
        for name, entry in (("a", ("F32", (2,), 4)), ("__metadata__", ("U8", (), 1)), ("n" * 5000, ("U8", (), 1))):
            with self.assertRaises(convert_checkpoint.ConversionError):
                convert_checkpoint.header({name: entry})


class Flatten(unittest.TestCase):
    @staticmethod
    def flatten(value):
        return convert_checkpoint.flatten(value, lambda x: isinstance(x, bytes))

    def test_names_are_joined_by_dots_and_other_things_left_out(self):
        checkpoint = {"epoch": 3, "model": {"conv.weight": b"w", "blocks": [b"0", {"1": b"1"}]}, "args": object()}
        self.assertEqual(self.flatten(checkpoint),
                         {"model.conv.weight": b"w", "model.blocks.0": b"0", "model.blocks.1.1": b"1"})

    def test_two_tensors_of_one_name_are_refused(self):
        with self.assertRaisesRegex(convert_checkpoint.ConversionError, "two tensors are named 'a.b'"):
            self.flatten({"a.b": b"x", "a": {"b": b"y"}})

    def test_only_dictionaries_of_weights_are_kept_where_there_are_some(self):
        run = {"state_dict": {"w": b"1"}, "state_dict_ema": {"w": b"2"}, "optimizer": {"m": b"3"}, "model": "resnet50"}
        self.assertEqual(list(self.flatten(convert_checkpoint.weights_of(run))), ["state_dict.w", "state_dict_ema.w"])
        self.assertEqual(len(self.flatten(convert_checkpoint.weights_of(run, keep_all=True))), 3)
        self.assertEqual(list(self.flatten(convert_checkpoint.weights_of({"w": b"1"}))), ["w"])


@unittest.skipIf(torch is None, "torch and numpy are not installed")
class Torch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.source = str(pathlib.Path(self.folder.name) / "checkpoint.pth")
        self.target = str(pathlib.Path(self.folder.name) / "weights.safetensors")

    def convert(self, checkpoint, **options):
        torch.save(checkpoint, self.source)
        convert_checkpoint.convert(self.source, self.target, **options)
        return read(self.target)

    def test_values_of_every_type(self):
        numbers = torch.tensor([[0, 1, 2], [3, 4, 100]])
        types = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
                 torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
                 torch.uint8: "U8", torch.bool: "BOOL"}
        written = self.convert({name: numbers.to(dtype) for dtype, name in types.items()})
        for dtype, name in types.items():
            found, shape, values = written[name]
            self.assertEqual((found, shape), (name, [2, 3]))
            again = torch.frombuffer(bytearray(values), dtype=dtype).reshape(2, 3)
            self.assertTrue(torch.equal(again, numbers.to(dtype)), name)

    def test_views_scalars_and_empty_tensors(self):
        x = torch.arange(12, dtype=torch.float32).reshape(3, 4)
        written = self.convert({"transposed": x.t(), "row": x[1], "again": x, "scalar": torch.tensor(7), "empty": x[:0],
                                "parameter": torch.nn.Parameter(x[0])})
        self.assertEqual(written["transposed"][1], [4, 3])
        self.assertEqual(struct.unpack("<12f", written["transposed"][2]),
                         tuple(float(4 * (i % 3) + i // 3) for i in range(12)))
        self.assertEqual(struct.unpack("<4f", written["row"][2]), (4, 5, 6, 7))
        self.assertEqual(written["scalar"], ("I64", [], struct.pack("<q", 7)))
        self.assertEqual(written["empty"], ("F32", [0, 4], b""))
        self.assertEqual(struct.unpack("<4f", written["parameter"][2]), (0, 1, 2, 3))

    def test_a_training_run_with_its_options_beside_the_weights(self):
        layer = torch.nn.BatchNorm2d(3)
        run = {"state_dict": layer.state_dict(), "state_dict_ema": layer.state_dict(), "epoch": 7,
               "args": argparse.Namespace(lr=1.0), "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}
        names = [f"{part}.{name}" for part in ("state_dict", "state_dict_ema") for name in layer.state_dict()]
        self.assertEqual(sorted(self.convert(run)), sorted(names))
        self.assertIn("optimizer.state.0.exp_avg", self.convert(run, keep_all=True))

    def test_code_in_a_file_is_not_run(self):
        torch.save({"w": torch.zeros(1), "code": Print()}, self.source)
        command = [sys.executable, str(SCRIPT), self.source, self.target]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertNotIn("code ran", run.stdout)
        self.assertIn("no checkpoint that can be read without running code in it: ", run.stderr)
        self.assertEqual(run.returncode, 1)
        self.assertFalse(pathlib.Path(self.target).exists())

    def test_sparse_tensors_and_files_without_tensors_are_refused(self):
        with self.assertRaisesRegex(convert_checkpoint.ConversionError, "'s' is torch.sparse_coo"):
            self.convert({"s": torch.eye(3).to_sparse()})
        with self.assertRaisesRegex(convert_checkpoint.ConversionError, "there are no tensors in it"):
            self.convert({"epoch": 1})


class Print:
    def __reduce__(self):
        return print, ("code ran",)


if __name__ == "__main__":
    unittest.main()
