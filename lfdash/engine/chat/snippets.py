"""How a chat is asked from elsewhere on this machine: curl and Python. Pure."""

from __future__ import annotations

from lfdash.engine.chat.connection import Connection

HIDDEN = "$API_KEY"


def curl(connection: Connection, key: str = "") -> str:
    """A command for a shell. key: to be written into it; "" = it is taken from the variable API_KEY."""
    return (
        f"curl -N {connection.url}/chat/completions \\\n"
        f'  -H "Authorization: Bearer {key or HIDDEN}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        """  -d '{"model": "chat", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'"""
    )


def python(connection: Connection, key: str = "") -> str:
    """A program with the openai package. key: as for `curl`."""
    how = repr(key) if key else 'os.environ["API_KEY"]'
    first = "" if key else "import os\n\n"
    return (
        f"{first}from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{connection.url}", api_key={how})\n'
        'answer = client.chat.completions.create(\n'
        '    model="chat", messages=[{"role": "user", "content": "Hello"}]\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )
