"""A program: how many rows LLaMA-Factory's loader reads of files. `python loaded_files.py FOLDER` prints one JSON
object: name -> number of rows, or what the loader said."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["HF_HOME"] = str(folder.with_name("hf"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    document, sys.stdout = sys.stdout, sys.stderr
    import datasets
    from llamafactory.extras.constants import FILEEXT2TYPE

    logging.disable(logging.CRITICAL)
    datasets.disable_progress_bars()
    found: dict[str, int | str] = {}
    for path in sorted(folder.iterdir()):
        try:
            kind = FILEEXT2TYPE[path.suffix[1:]]
            found[path.name] = len(datasets.load_dataset(kind, data_files=[str(path)], split="train"))
        except (ValueError, datasets.exceptions.DatasetGenerationError) as error:
            found[path.name] = f"{type(error).__name__}: {error}"
    json.dump(found, document)


if __name__ == "__main__":
    main()
