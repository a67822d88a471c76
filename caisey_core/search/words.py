"""What people type into the search box: words, "phrases", beginnings*. Nothing that they type is an error."""

import re
import unicodedata
from typing import Final

from msgspec import Struct

MOST_WORDS: Final = 12
LONGEST_QUERY: Final = 400  # characters
_PIECES: Final = re.compile(r'"([^"]*)"?(\*?)|(\S+)')
_TOKENS: Final = re.compile(r"[^\W_]+")


class Word(Struct, frozen=True):
    """Tokens that follow each other; with `prefix` the last one is a beginning."""

    tokens: tuple[str, ...]
    prefix: bool = False


def folded(text: str) -> str:
    """Return text without case and diacritics, as both databases compare it."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFD", text.lower())
    return "".join(char for char in apart if not unicodedata.combining(char))


def tokens(text: str) -> list[str]:
    """Return the tokens of a text: runs of letters and digits, folded."""
    return _TOKENS.findall(folded(text))


def parse(query: str) -> tuple[Word, ...]:
    """Return the words of a query. What has neither letter nor digit is no word; `/var/log` is two that follow each other."""
    words: list[Word] = []
    for phrase, star, bare in _PIECES.findall(query[:LONGEST_QUERY]):
        found = tokens(bare or phrase)
        if found:
            words.append(Word(tuple(found), prefix=bool(star) or bare.endswith("*")))
    return tuple(words[:MOST_WORDS])


def spans(text: str, words: tuple[Word, ...]) -> list[tuple[int, int]]:
    """Return where the words stand in a text, in order and without overlap, for marking them."""
    places = [(folded(match.group()), match.start(), match.end()) for match in _TOKENS.finditer(text)]
    found: list[tuple[int, int]] = []
    for word in words:
        *before, last = word.tokens
        for at in range(len(places) - len(before)):
            here = [place[0] for place in places[at : at + len(word.tokens)]]
            if here[:-1] == before and (here[-1].startswith(last) if word.prefix else here[-1] == last):
                found.append((places[at][1], places[at + len(before)][2]))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end))
    return merged
