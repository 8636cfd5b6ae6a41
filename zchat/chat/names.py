"""Names of people and rooms."""

import unicodedata

from zchat import BadRequest


def checked(name: str, path: str) -> str:
    """The name: 1 to 20 letters of any script, digits and `_`; raises BadRequest otherwise."""
    if not 1 <= len(name) <= 20:
        raise BadRequest("expected 1 to 20 characters", path=path)
    if not all(char == "_" or unicodedata.category(char)[0] in "LMN" for char in name):
        raise BadRequest("expected letters, digits and _ only", path=path)
    return name
