"""Training and prediction of both tasks on this machine's devices: on public data where it is, on samples where not.

    python benchmarks/bib.py [options of `dure bench bib`]

The data are the files of NSMC and KLUE-NER in the folder that TEST_DATA names, or in ../shared/data.
"""

import os
import sys
from pathlib import Path

from dure.cli.main import main

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TEST_DATA") or ROOT.parent / "shared" / "data")
FILES = {
    "--tc": ("tc/nsmc_train_20k.txt", "tc/nsmc_test_5k.txt"),
    "--ner": ("ner/klue-ner-v1.1_train_8k_restored.tsv", "ner/klue-ner-v1.1_dev_2k.tsv"),
}


def arguments() -> list[str]:
    words = ["bench", "bib", "--out", str(ROOT / "benchmarks" / "results")]
    for option, names in FILES.items():
        if all((DATA / name).is_file() for name in names):
            words += [option, *(str(DATA / name) for name in names)]
    return [*words, *sys.argv[1:]]


if __name__ == "__main__":
    sys.argv = ["dure", *arguments()]
    main()
