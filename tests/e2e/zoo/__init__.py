# SPDX-License-Identifier: Apache-2.0
"""Small float models, one for each row of the op table and each rule of placement. make(name) gives a Net."""
from . import constants, convolutions, joins, linears, moves, numbers, structure, transformers  # noqa: F401  (they register their models)
from .build import MODELS

GROUPS = {module.__name__.rsplit(".", 1)[1]: [name for name, make in MODELS.items() if make.__module__ == module.__name__]
          for module in (constants, convolutions, joins, linears, moves, numbers, structure, transformers)}


def make(name):
    return MODELS[name]()
