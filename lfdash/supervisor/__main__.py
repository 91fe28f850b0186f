"""`python -I -S lfdash/supervisor/__main__.py ATTEMPT_DIR` supervises one attempt of a run (see shim.py). With
`--warm=DESCRIPTOR:PID` it has a child already that waits to be the trainer (see warm_child.py); what stands behind `--`
is started instead of the command in spec.json (a batch script shows it there). `--nodes` and `--node`: see nodes.py.

Without installed packages: one that is broken, or changed while a run goes on, must not end it. The folder that holds
lfdash is put behind the standard library's, so that nothing in it takes the place of a module of that.
"""

import os
import sys

if __name__ == "__main__":
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [*sys.path[1:], os.path.dirname(package)]
    from lfdash.supervisor.nodes import kinds
    from lfdash.supervisor.warm_child import named

    words = sys.argv[2:]
    split = words.index("--") if "--" in words else len(words)
    kinds(words[:split])(sys.argv[1], named(words[:split]), words[split + 1 :]).main()
