"""Stands in for llamafactory-cli: prints every variable it has, in pieces and in an exception, as no program should.

It waits after "ready" until the file `go` lies in its folder. With LEAKY_LINK it says where a tracker shows the run.
"""

import base64
import json
import os
import sys
import time
import urllib.parse

out = os.path.dirname(sys.argv[2])


def say(text: str) -> None:
    os.write(1, text.encode())


if "LEAKY_LINK" in os.environ:
    say(f"wandb: View run at https://wandb.example/run?key={os.environ['HF_TOKEN']}\n")
with open(f"{out}/running_log.txt", "w", encoding="utf-8") as log:
    for name, value in os.environ.items():
        line = f"[INFO] {name} is {value!r}\n"
        log.write(line)
        log.flush()
        for start in range(0, len(line), 7):
            say(line[start : start + 7])
row = {"prompt": "who", "label": os.environ.get("HF_TOKEN", ""), "predict": os.environ.get("HF_TOKEN", "")}
with open(f"{out}/generated_predictions.jsonl", "w", encoding="utf-8") as file:
    file.write(json.dumps(row) + "\n")
for name in ("HF_TOKEN", "PGPASSWORD"):
    value = os.environ.get(name, "")
    for written in (urllib.parse.quote(value, safe=""), urllib.parse.quote(value, safe="").replace("%2F", "%2f")):
        say(f"GET https://hub.example/?token={written}\n")
    say(f"Authorization: Basic {base64.b64encode(f'user:{value}'.encode()).decode()}\n{value.encode().hex()}\n")
say("ready\n")
end = time.monotonic() + 120
while not os.path.exists(f"{out}/go") and time.monotonic() < end:
    time.sleep(0.02)
raise PermissionError(f"401 Client Error for url: https://hub.example/?token={os.environ.get('HF_TOKEN')}")
