"""Names of people and rooms."""

import unicodedata

from zchat import BadRequest


def checked(name: str, path: str) -> str:
    """The name in its composed form: 1 to 20 letters of any script, digits and `_`, of which the
    first is no combining mark; raises BadRequest otherwise."""
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= 20:
        raise BadRequest("expected 1 to 20 characters", path=path)
    kinds = "".join(unicodedata.category(char)[0] for char in name.replace("_", "a"))
    if kinds.strip("LMN") or kinds[0] == "M":
        raise BadRequest("expected letters, digits and _ only", path=path)
    return name
