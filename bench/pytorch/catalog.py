# SPDX-License-Identifier: MIT
"""The networks written here by the names that gram gives them."""
from dataclasses import dataclass
from typing import Callable

import families
import networks


@dataclass(frozen=True)
class Network:
    make: Callable  # (heads, classes) -> module; networks without Gramian heads have one
    size: int = 224
    heads: int = 5
    classes: int = 1000


def _cifar(depth, **options):
    return Network(lambda heads, classes: networks.GaCifar(depth, heads, classes=classes, **options), 32, 3, 10)


def _plain(make):
    return Network(lambda heads, classes: make(classes=classes), heads=1)


NETWORKS = {
    "ga_resnet29": _cifar(29),
    "ga_resnet65": _cifar(65),
    "ga_resnet110": _cifar(110),
    "ga_resnet32": _cifar(32, cardinality=2, dim=192, bottleneck=False),
    "resnet50": _plain(networks.ResNet50),
    "resnet50d": _plain(lambda classes: networks.ResNet50(classes, deep=True)),
    "ga_resnet50": Network(networks.GaResNet50),
    "vit_s": _plain(networks.ViT),
    "ga_vit_s": Network(lambda heads, classes: networks.GaViT(heads=heads, classes=classes)),
    "ga_vit_m": Network(lambda heads, classes: networks.GaViT(d=576, attention_heads=9, heads=heads, classes=classes, eg=16)),
    "ga_convnext_tiny_768": Network(lambda heads, classes: families.GaConvNext(heads=heads, classes=classes)),
    "ga_cswin_tiny_reconstructed": Network(lambda heads, classes: families.GaCswin(heads=heads, classes=classes)),
    "groupmixformer_tiny": _plain(families.GroupMixFormer),
    "refiner_vit_s": _plain(families.RefinerViT),
}
