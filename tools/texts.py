"""Lists the texts that a language lacks; called by `make texts`.

Languages may lag behind English, which stands in, so that whoever adds a setting need not speak them all. A release
has every text: the exit status is 1 as long as one is missing.
"""

from __future__ import annotations

from lfdash.locales import DEFAULT_LANGUAGE, available, catalogue, name_of

OPTIONAL = {("language", name) for name in ("plural", "list", "parts", "colon")}  # English ones stand in
SEARCHED = ("synonyms",)  # English ones are searched in every language


def missing(code: str) -> list[str]:
    """The texts that English has and a language has not: `section.key`, in the order of the English file."""
    own = catalogue(code)
    return [
        f"{section}.{key}"
        for section, texts in catalogue(DEFAULT_LANGUAGE).items()
        for key in texts
        if key not in own.get(section, {}) and (section, key) not in OPTIONAL and section not in SEARCHED
    ]


def main() -> int:
    """Prints what is missing; 1 when anything is."""
    status = 0
    for code in available():
        lacking = missing(code)
        print(f"{code}.toml ({name_of(code)}): {len(lacking) or 'no'} missing")
        for key in lacking:
            print(f"  {key}")
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
