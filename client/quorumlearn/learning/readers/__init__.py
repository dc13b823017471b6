"""Readers of data: each function here gives what `load=` of a workload takes.

    load = readers.csv(features=["age", "pulse"], target="ill", ranges={"age": (0, 100)})
    samples = load("data/patients.csv", Part("train"))

Rules:
1. What a reader makes of a file is declared, and nothing is learnt from the file: classes, categories, ranges and what stands for a
   missing value are the same for all who train together, or their updates would be of different things.
2. `source` is what the node's file names under `data`: a file or a folder. `part:` of an identity names what it takes of a folder:
   a file without its ending, a subfolder, or several, as `a+b`. It is looked up in the folder's list, and never made into a path.
3. Miners take the rows that are for training and verifiers those that are for tests: a fraction of each file, drawn by a fixed seed, or
   files of their own.
4. Files may come from anywhere: no pickle is opened, and errors say file, row and column: DataMissing, or DataCorrupt.
"""

from quorumlearn.learning.readers.arrays import hugging_face, npz, torchvision
from quorumlearn.learning.readers.images import images
from quorumlearn.learning.readers.tables import csv, parquet

__all__ = ["csv", "hugging_face", "images", "npz", "parquet", "torchvision"]
