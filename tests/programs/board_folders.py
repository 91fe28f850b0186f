"""A program: the installed LlamaBoard's own files for DeepSpeed, and the checkpoints that it offers.

`python board_folders.py MODEL METHOD`, started in a workspace: writes the files below llamaboard_cache/ and prints
the checkpoints as a JSON list.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    document, sys.stdout = sys.stdout, sys.stderr  # what the imports print does not mix with the document
    from llamafactory.webui.common import create_ds_config
    from llamafactory.webui.control import list_checkpoints

    create_ds_config()
    json.dump([name for name, _ in list_checkpoints(*sys.argv[1:3]).choices], document)


if __name__ == "__main__":
    main()
